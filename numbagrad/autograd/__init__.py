"""Reverse-mode differentiation with the interface of ``torch.autograd``."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from .. import modes as grad_mode
from ..modes import (
    enable_grad,
    inference_mode,
    is_multithreading_enabled,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from . import anomaly_mode, function, graph
from .accumulate import GradientAccumulator
from .anomaly_mode import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from .api import backward, grad
from .function import Function, apply_function
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .variable import Variable

if TYPE_CHECKING:
    from . import forward_ad, functional, profiler

__all__ = [
    "Function",
    "GradcheckError",
    "GradientAccumulator",
    "Variable",
    "anomaly_mode",
    "apply_function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_anomaly_enabled",
    "is_multithreading_enabled",
    "no_grad",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


def __getattr__(name: str) -> Any:
    if name in ("forward_ad", "functional", "profiler"):  # loaded when first used
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
