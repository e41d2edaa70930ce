"""Reverse-mode differentiation with the interface of ``torch.autograd``."""

from .api import backward, grad
from .gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = ["GradcheckError", "backward", "grad", "gradcheck", "gradgradcheck"]
