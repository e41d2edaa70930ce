"""Reverse-mode differentiation with the interface of ``torch.autograd``."""

from .api import backward, grad

__all__ = ["backward", "grad"]
