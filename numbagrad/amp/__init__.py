"""Training in float16, with the names of ``torch.amp``."""

from .autocast import autocast, is_autocast_enabled
from .grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "is_autocast_enabled"]
