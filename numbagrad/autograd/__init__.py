"""Reverse-mode differentiation with the interface of ``torch.autograd``."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from . import anomaly_mode, function, graph
from .accumulate import GradientAccumulator
from .anomaly_mode import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from .api import backward, grad
from .function import Function, apply_function
from .gradcheck import GradcheckError, gradcheck, gradgradcheck

if TYPE_CHECKING:
    from . import forward_ad, functional, profiler

__all__ = [
    "Function",
    "GradcheckError",
    "GradientAccumulator",
    "anomaly_mode",
    "apply_function",
    "backward",
    "detect_anomaly",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "is_anomaly_enabled",
    "profiler",
    "set_detect_anomaly",
]


def __getattr__(name: str) -> Any:
    if name in ("forward_ad", "functional", "profiler"):  # loaded when first used
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
