"""Collecting and loading the state of a tree of modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..modes import no_grad
from ..tensor import Tensor
from .parameter import Parameter, UninitializedTensor

EXTRA_STATE = "_extra_state"


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class IncompatibleKeys(_Keys):
    """What did not match when a state dict was loaded."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_{super().__repr__()}"  # PyTorch's name


def _own_state(module: Any) -> dict[str, Tensor]:
    """The parameters and persistent buffers of one module by name."""
    persistent = {
        name: buffer
        for name, buffer in module._buffers.items()
        if name not in module._non_persistent_buffers_set
    }
    return {
        name: t for name, t in (*module._parameters.items(), *persistent.items()) if t is not None
    }


def collect(module: Any, destination: Any, prefix: str, keep_vars: bool) -> OrderedDict[str, Any]:
    """Fill `destination` with the state of `module` and of all below it."""
    for hook in list(module._state_dict_pre_hooks.values()):
        hook(module, prefix, keep_vars)
    for name, t in _own_state(module).items():
        kept = keep_vars or isinstance(t, UninitializedTensor)
        destination[prefix + name] = t if kept else t.detach()
    if hasattr(module, "get_extra_state"):
        destination[prefix + EXTRA_STATE] = module.get_extra_state()
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(
                destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
    for hook in list(module._state_dict_hooks.values()):
        if hook(module, destination, prefix, {}) is not None:
            raise RuntimeError("state_dict post-hook must return None")
    return destination


class _Loading:
    """One load_state_dict: what was found wrong so far."""

    def __init__(self, strict: bool, assign: bool) -> None:
        self.strict = strict
        self.assign = assign
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []

    def load(self, module: Any, state: Mapping[str, Any], prefix: str) -> None:
        for hook in list(module._load_state_dict_pre_hooks.values()):
            hook(module, state, prefix, {}, self.strict, self.missing, self.unexpected, self.errors)
        self._load_own(module, state, prefix)
        for name, child in module._modules.items():
            if child is not None:
                start = f"{prefix}{name}."
                below = {k: v for k, v in state.items() if k.startswith(start)}
                self.load(child, below, start)
        for hook in list(module._load_state_dict_post_hooks.values()):
            hook(module, IncompatibleKeys(self.missing, self.unexpected))

    def _load_own(self, module: Any, state: Mapping[str, Any], prefix: str) -> None:
        own = _own_state(module)
        for name, current in own.items():
            key = prefix + name
            if key in state:
                self._load_tensor(module, name, key, current, state[key])
            elif name not in getattr(module, "_optional_state", ()):
                self.missing.append(key)
        extra = prefix + EXTRA_STATE
        if hasattr(module, "set_extra_state"):
            if extra in state:
                module.set_extra_state(state[extra])
            else:
                self.missing.append(extra)
        elif extra in state:
            self.unexpected.append(extra)
        for key in state:
            if key == extra or not key.startswith(prefix):
                continue
            first, dot, _ = key[len(prefix) :].partition(".")
            if first not in (module._modules if dot else own):
                self.unexpected.append(key)

    def _load_tensor(self, module: Any, name: str, key: str, current: Tensor, new: Any) -> None:
        if not isinstance(new, Tensor):
            self.errors.append(
                f'While copying the parameter named "{key}", expected a Tensor from checkpoint but '
                f"received {type(new)}"
            )
            return
        if isinstance(current, UninitializedTensor):
            if isinstance(new, UninitializedTensor):
                return
            if not self.assign:
                current.materialize(new.shape)
        elif current.ndim == 0 and new.shape == (1,):
            new = new[0]
        if not isinstance(current, UninitializedTensor) and new.shape != current.shape:
            self.errors.append(
                f"size mismatch for {key}: copying a param with shape {new.shape} from checkpoint, "
                f"the shape in current model is {current.shape}."
            )
            return
        if self.assign:
            if isinstance(current, Parameter):
                new = Parameter(new, requires_grad=current.requires_grad)
            setattr(module, name, new)
            return
        try:
            with no_grad():
                current.copy_(new)
        except Exception as error:
            self.errors.append(
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{current.shape} and whose dimensions in the checkpoint are {new.shape}, an "
                f"exception occurred : {error.args}."
            )


def load(module: Any, state: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """Copy (or assign) the tensors of `state` into `module` and all below it."""
    if not isinstance(state, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state)}.")
    loading = _Loading(strict, assign)
    loading.load(module, dict(state), "")  # hooks may change it
    errors = loading.errors
    if strict:
        for what, keys in (("Unexpected", loading.unexpected), ("Missing", loading.missing)):
            if keys:
                names = ", ".join(f'"{k}"' for k in keys)
                errors.insert(0, f"{what} key(s) in state_dict: {names}. ")
    if errors:
        details = "\n\t".join(errors)
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{details}"
        )
    return IncompatibleKeys(loading.missing, loading.unexpected)
