"""Signal processing, as ``torch.signal``."""

from . import windows

__all__ = ["windows"]
