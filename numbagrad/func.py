"""Function transforms with the interface of ``torch.func``: they nest in any order."""

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
from .transforms.remat import checkpoint
from .transforms.vjp import grad, grad_and_value, linearize, value_and_grad, vjp
from .transforms.vmap import vmap

__all__ = [
    "checkpoint",
    "custom_jvp",
    "custom_vjp",
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
