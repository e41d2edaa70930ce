"""The older `weight_norm` and `spectral_norm`, which set the weight before each forward pass.

`nn.utils.parametrizations` has their successors; these are kept for the names in old checkpoints.
"""

from __future__ import annotations

import warnings
from typing import Any

from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter
from .parametrizations import PowerIteration, norm_except_dim, output_dim


class _WeightHook:
    """A forward pre-hook that computes attribute `name` from other parameters."""

    kind = ""
    #: What the names of the parameters and buffers it computes from end with.
    parts: tuple[str, ...] = ()

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
    def remove(cls, module: Module, name: str, training: bool) -> Module:
        """Take the hook of this name off the module and make what it computes a parameter."""
        hooks = module._forward_pre_hooks
        found = [k for k, h in hooks.items() if isinstance(h.fn, cls) and h.fn.name == name]
        if not found:
            raise ValueError(f"{cls.kind} of '{name}' not found in {module}")
        weight = hooks[found[0]].fn.compute(module, training)
        del hooks[found[0]]
        for part in ("", *cls.parts):
            delattr(module, name + part)
        module.register_parameter(name, Parameter(weight.detach()))
        return module


class _WeightNormHook(_WeightHook):
    kind = "weight_norm"
    parts = ("_g", "_v")

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
    return _WeightNormHook.remove(module, name, module.training)


class _SpectralNormHook(_WeightHook):
    kind = "spectral_norm"
    parts = ("_orig", "_u", "_v")

    def __init__(self, name: str, norm: PowerIteration) -> None:
        super().__init__(name)
        self.norm = norm

    def compute(self, module: Module, training: bool) -> Tensor:
        weight = getattr(module, self.name + "_orig")
        self.norm._u = getattr(module, self.name + "_u")
        self.norm._v = getattr(module, self.name + "_v")
        return self.norm.normalised(weight, training)


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
    weight = module._parameters[name]
    assert weight is not None
    dim = output_dim(module) if dim is None else dim
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
    return _SpectralNormHook.remove(module, name, False)
