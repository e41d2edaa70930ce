"""Vectorisable math functions for kernels: ``exp_f32``, ``exp_f64``, and so on.

Each is an intrinsic: branch-free LLVM code that becomes part of the caller's loop, without a call
to libm and without type inference, so that LLVM vectorises the loop at full width.  Error
bounds, in units in the last place, are in :data:`REGISTRY`, where the tests read them.

>>> sorted(REGISTRY)[:3]
['acos', 'acosh', 'asin']
>>> REGISTRY["sqrt"].ulp.f32
0.5
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numbagrad.kernels import (
    vecmath_basic,
    vecmath_erf,
    vecmath_exp,
    vecmath_gamma,
    vecmath_pow,
    vecmath_trig,
)
from numbagrad.kernels.vecmath_lane import REGISTRY, VectorFunction

__all__ = ["REGISTRY", "VectorFunction", "lookup"]

_DEFINED_IN = (vecmath_basic, vecmath_erf, vecmath_exp, vecmath_gamma, vecmath_pow, vecmath_trig)
_SUFFIX = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}


def lookup(name: str, dtype: np.dtype) -> str:
    """The name, in this module, of function ``name`` for ``dtype``.

    >>> lookup("exp", np.dtype("float32"))
    'exp_f32'
    """
    if name not in REGISTRY:
        raise KeyError(f"no vecmath function {name!r}")
    for suffix, candidate in _SUFFIX.items():
        if candidate == dtype:
            return f"{name}_{suffix}"
    raise KeyError(f"vecmath has float32 and float64 functions, none for {dtype}")


def __getattr__(attribute: str) -> Any:
    name, _, suffix = attribute.rpartition("_")
    if name in REGISTRY and suffix in _SUFFIX:
        return getattr(REGISTRY[name].compiled, suffix)
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
