"""Linear algebra under the names of ``torch.linalg``; declared in `numbagrad.ops`."""

from __future__ import annotations

from typing import Any

from .errors import LinAlgError
from .ops.export import NAMESPACES

__all__ = ["LinAlgError"]

_FUNCTIONS = NAMESPACES["linalg"]


def __getattr__(name: str) -> Any:
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _FUNCTIONS[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_FUNCTIONS})
