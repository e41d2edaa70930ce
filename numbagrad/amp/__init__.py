"""Training in float16, with the names of ``torch.amp``."""

from .grad_scaler import GradScaler

__all__ = ["GradScaler"]
