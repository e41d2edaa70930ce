"""Fourier transforms under the names of ``torch.fft``; declared in `numbagrad.ops.fourier`."""

from __future__ import annotations

from typing import Any

from .ops.export import NAMESPACES

_FUNCTIONS = NAMESPACES["fft"]


def __getattr__(name: str) -> Any:
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _FUNCTIONS[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_FUNCTIONS})
