"""Settings of PyTorch's backends that scripts make before they train.

There is one backend here, on the CPU, whose results are always the same for the same seed and
inputs, in full precision: the settings can be made and read, and change nothing.
"""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any


def _no() -> bool:
    return False


def _none() -> None:
    return None


cudnn: Any = SimpleNamespace(
    allow_tf32=True, benchmark=False, deterministic=False, enabled=True, is_available=_no,
    version=_none,
)  # fmt: skip
cuda: Any = SimpleNamespace(is_built=_no, matmul=SimpleNamespace(allow_tf32=False))
mps: Any = SimpleNamespace(is_available=_no, is_built=_no)

_PRECISIONS = ("highest", "high", "medium")
_state: dict[str, Any] = {"deterministic": False, "precision": "highest"}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for algorithms that always give the same result, which all here do.

    Raises:
        TypeError: `mode` is no bool.
    """
    if not isinstance(mode, bool):
        raise TypeError(
            "use_deterministic_algorithms(): argument 'mode' (position 1) must be bool, not "
            f"{type(mode).__name__}"
        )
    _state["deterministic"] = mode


def are_deterministic_algorithms_enabled() -> bool:
    """Whether :func:`use_deterministic_algorithms` has asked for them; they always are in use."""
    return _state["deterministic"]


def set_float32_matmul_precision(precision: str) -> None:
    """Allow matrix products of float32 in less precision; they are computed in float32 anyway.

    Warns if `precision` is not "highest", "high" or "medium".
    """
    if precision in _PRECISIONS:
        _state["precision"] = precision
    else:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current "
            "set_float32_matmul_precision call has no effect.",
            stacklevel=2,
        )


def get_float32_matmul_precision() -> str:
    """What :func:`set_float32_matmul_precision` has set, "highest" at first."""
    return _state["precision"]
