"""Linear algebra under the names of ``torch.linalg``; see `numbagrad.ops.solutions` and others."""

from __future__ import annotations

from .errors import LinAlgError
from .ops.export import NAMESPACES

__all__ = ["LinAlgError", *NAMESPACES["linalg"]]

globals().update(NAMESPACES["linalg"])
