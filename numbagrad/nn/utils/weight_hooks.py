"""The older `weight_norm` and `spectral_norm`, which set the weight before each forward pass.

`nn.utils.parametrizations` has their successors; these are kept for the names in old checkpoints.
"""

from __future__ import annotations

import warnings
from typing import Any

from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter
from .parametrizations import PowerIteration, norm_except_dim


class _WeightHook:
    """A forward pre-hook that computes attribute `name` from other parameters."""

    kind = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Module, training: bool) -> Tensor:
        raise NotImplementedError

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module, module.training))

    @classmethod
    def check_alone(cls, module: Module, name: str) -> None:
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook.fn, cls) and hook.fn.name == name:
                raise RuntimeError(
                    f"Cannot register two {cls.kind} hooks on the same parameter {name}"
                )

    @classmethod
    def detach(cls, module: Module, name: str) -> Any:
        """Remove the hook of this name from the module and return it."""
        for key, hook in module._forward_pre_hooks.items():
            if isinstance(hook.fn, cls) and hook.fn.name == name:
                del module._forward_pre_hooks[key]
                return hook.fn
        raise ValueError(f"{cls.kind} of '{name}' not found in {module}")


class _WeightNormHook(_WeightHook):
    kind = "weight_norm"

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = -1 if dim is None else dim

    def compute(self, module: Module, training: bool) -> Tensor:
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / norm_except_dim(v, self.dim))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn the norm of a weight (``weight_g``) apart from its direction (``weight_v``).

    Deprecated in favour of :func:`numbagrad.nn.utils.parametrizations.weight_norm`.

    Raises:
        RuntimeError: the weight has such a hook already.
    """
    warnings.warn(
        "`nn.utils.weight_norm` is deprecated in favor of `nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    _WeightNormHook.check_alone(module, name)
    hook = _WeightNormHook(name, dim)
    weight = getattr(module, name)
    delattr(module, name)
    module.register_parameter(name + "_g", Parameter(norm_except_dim(weight.detach(), hook.dim)))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute(module, module.training))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again.

    Raises:
        ValueError: :func:`weight_norm` was not applied to it.
    """
    hook = _WeightNormHook.detach(module, name)
    weight = hook.compute(module, module.training)
    for part in (name, name + "_g", name + "_v"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module


class _SpectralNormHook(_WeightHook):
    kind = "spectral_norm"

    def __init__(self, name: str, norm: PowerIteration) -> None:
        super().__init__(name)
        self.norm = norm

    def compute(self, module: Module, training: bool) -> Tensor:
        weight = getattr(module, self.name + "_orig")
        self.norm._u = getattr(module, self.name + "_u")
        self.norm._v = getattr(module, self.name + "_v")
        matrix = self.norm.matrix(weight)
        if training:
            self.norm.iterate(matrix.detach(), self.norm.n_power_iterations)
        # Copies, since the next call changes the vectors before this one's gradient is taken.
        u, v = self.norm._u.clone(), self.norm._v.clone()
        return weight / u.dot(matrix.mv(v))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value, in each forward pass in training.

    :func:`numbagrad.nn.utils.parametrizations.spectral_norm` is its successor.

    Raises:
        ValueError: no step of power iteration.
        RuntimeError: the weight has such a hook already.
    """
    _SpectralNormHook.check_alone(module, name)
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    weight = module._parameters[name]
    assert weight is not None
    norm = PowerIteration(weight, n_power_iterations, dim, eps)
    hook = _SpectralNormHook(name, norm)
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(name + "_u", norm._u)
    module.register_buffer(name + "_v", norm._v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the normalised weight a parameter.

    Raises:
        ValueError: :func:`spectral_norm` was not applied to it.
    """
    hook = _SpectralNormHook.detach(module, name)
    weight = hook.compute(module, False)
    for part in (name, name + "_orig", name + "_u", name + "_v"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module
