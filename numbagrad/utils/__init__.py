"""Helpers for training."""

from ..ops.storage import swap_tensors
from . import checkpoint

__all__ = ["checkpoint", "swap_tensors"]
