"""Helpers for training."""

from ..ops.storage import swap_tensors
from . import checkpoint, data

__all__ = ["checkpoint", "data", "swap_tensors"]
