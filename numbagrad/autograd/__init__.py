"""Reverse-mode differentiation with the interface of ``torch.autograd``."""

from . import function, functional, graph
from .accumulate import GradientAccumulator
from .anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from .api import backward, grad
from .function import Function, apply_function
from .gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = [
    "Function",
    "GradcheckError",
    "GradientAccumulator",
    "apply_function",
    "backward",
    "detect_anomaly",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "is_anomaly_enabled",
    "set_detect_anomaly",
]
