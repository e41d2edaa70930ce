"""Function transforms with the interface of ``torch.func``: they nest in any order."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from .transforms.api import (
    functional_call,
    hessian,
    hvp,
    jacfwd,
    jacrev,
    stack_module_state,
    stop_gradient,
)
from .transforms.custom import custom_jvp, custom_vjp
from .transforms.jvp import jvp
from .transforms.levels import debug_unwrap
from .transforms.remat import checkpoint
from .transforms.vjp import grad, grad_and_value, linearize, value_and_grad, vjp
from .transforms.vmap import vmap

if TYPE_CHECKING:
    from .nn.modules.norm import replace_all_batch_norm_modules_

__all__ = [
    "checkpoint",
    "custom_jvp",
    "custom_vjp",
    "debug_unwrap",
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> Any:
    if name == "replace_all_batch_norm_modules_":  # modules are loaded when they are used
        return getattr(_import_module("numbagrad.nn.modules.norm"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
