"""Parameters that are computed from others, with the names of ``torch.nn.utils.parametrize``."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ...modes import no_grad
from ...tensor import Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]

#: What has been computed inside `cached`, by module and name; `depth` counts nested contexts.
_cache: dict[tuple[int, str], Tensor] = {}
_depth = 0


@contextmanager
def cached() -> Iterator[None]:
    """Within the context each parametrized tensor is computed once, when it is first read.

    >>> import numbagrad as ng
    >>> layer = ng.nn.utils.parametrizations.weight_norm(ng.nn.Linear(2, 2))
    >>> with cached():
    ...     layer.weight is layer.weight
    True
    """
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The modules whose composition gives a tensor, and what they start from.

    That is the parameter or buffer `original`, or `original0`, `original1`, ... if the
    ``right_inverse`` of the first module gives several tensors.

    Raises:
        ValueError: no modules; a ``right_inverse`` or the modules themselves give something that
            does not fit the tensor they replace (shapes and dtypes are not compared if `unsafe`).
    """

    def __init__(
        self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False
    ) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        with no_grad():
            start: Any = original
            for module in reversed(list(self)):
                start = _start(module, start)
        if not isinstance(start, Tensor | Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(start).__name__}"
            )
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if isinstance(start, Tensor):
            if start.dtype != original.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\nright_inverse(original).dtype: "
                    f"{start.dtype}"
                )
            self._check(original)
            # The parameter itself stays: an optimizer may hold it.
            original.data = start.detach()
            self._keep("original", original)
        else:
            for i, part in enumerate(start):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, "
                        f"tuple...). Got element {i} of the sequence with type "
                        f"{type(part).__name__}."
                    )
                learned = isinstance(original, Parameter)
                kept = Parameter(part, original.requires_grad) if learned else part
                self._keep(f"original{i}", kept)
            self._check(original)

    def _keep(self, name: str, t: Tensor) -> None:
        if isinstance(t, Parameter):
            self.register_parameter(name, t)
        else:
            self.register_buffer(name, t)

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def _check(self, replaced: Tensor) -> None:
        """Raise unless the modules give a tensor like `replaced`."""
        if self.unsafe:
            return
        with no_grad():
            found = self._compute([replaced] if self.is_tensor else self._originals())
        if not isinstance(found, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(found)}.")
        for fact in ("dtype", "shape"):
            ours, theirs = getattr(found, fact), getattr(replaced, fact)
            if ours != theirs:
                raise ValueError(
                    f"Registering a parametrization may not change the {fact} of the tensor, "
                    f"unless `unsafe` flag is enabled.\nunparametrized {fact}: {theirs}\n"
                    f"parametrized {fact}: {ours}"
                )

    def _compute(self, originals: Sequence[Tensor]) -> Any:
        first, *others = self
        value = first(*originals)
        for module in others:
            value = module(value)
        return value

    def forward(self) -> Tensor:
        """The parametrized tensor."""
        return self._compute(self._originals())

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrized tensor becomes `value`.

        Raises:
            RuntimeError: a module has no ``right_inverse``.
            ValueError: it gives other tensors than at registration.
        """
        found: Any = value
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                found = module.right_inverse(found)  # type: ignore[operator]
            parts = [found] if self.is_tensor else found
            if not isinstance(parts, Sequence) or len(parts) != self.ntensors:
                raise ValueError(
                    "'right_inverse' must return a sequence of tensors of length "
                    f"{self.ntensors}. Got {type(found).__name__}."
                )
            for part, original in zip(parts, self._originals(), strict=True):
                if not isinstance(part, Tensor) or part.dtype != original.dtype:
                    raise ValueError(
                        "The tensors returned by `right_inverse` must have the dtypes of the "
                        "originals"
                    )
            for part, original in zip(parts, self._originals(), strict=True):
                original.data = part.detach()


def _start(module: Any, value: Any) -> Any:
    """What `module` takes to `value`, or `value` itself if the module cannot tell."""
    if not hasattr(module, "right_inverse"):
        return value
    with suppress(NotImplementedError):
        value = module.right_inverse(value)
    return value


def _make_parametrized(module: Module) -> None:
    """Give the module a class of its own, on which properties can be set."""
    cls = type(module)

    def getstate(self: Module) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(); save "
            "module.state_dict() instead"
        )

    def deepcopy(self: Module, memo: dict[int, Any]) -> Any:
        new = self.__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        # The properties of a class serve one module: removing one must not touch its copies.
        new.__class__ = type(cls.__name__, (cls,), {})  # type: ignore[assignment]
        _make_class(new, cls, getstate, deepcopy)
        for name in new.parametrizations:
            _set_property(new, name)
        return new

    _make_class(module, cls, getstate, deepcopy)
    module.parametrizations = ModuleDict()


def _make_class(module: Module, cls: type, getstate: Any, deepcopy: Any) -> None:
    members = {"__getstate__": getstate, "__deepcopy__": deepcopy}
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)  # type: ignore[assignment]


def _set_property(module: Module, name: str) -> None:
    """Make attribute `name` what the parametrizations compute."""

    def get(self: Module) -> Tensor:
        parametrization: Any = self.parametrizations[name]
        if not _depth:
            return parametrization()
        key = id(self), name
        if key not in _cache:
            _cache[key] = parametrization()
        return _cache[key]

    def set(self: Module, value: Tensor) -> None:
        parametrization: Any = self.parametrizations[name]
        parametrization.right_inverse(value)

    setattr(type(module), name, property(get, set))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make a parameter or buffer the result of ``parametrization(original)``.

    Reading ``module.<tensor_name>`` computes it, assigning to it calls the parametrization's
    ``right_inverse``, if it has one. Several parametrizations of a tensor are composed.

    Raises:
        ValueError: there is no such tensor, or the parametrization changes its shape or dtype and
            `unsafe` is not set.

    >>> import numbagrad as ng
    >>> class Symmetric(ng.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(ng.nn.Linear(3, 3), "weight", Symmetric())
    >>> ng.equal(layer.weight, layer.weight.T)
    True
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'parametrizations.weight.original']
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        found: Any = module.parametrizations[tensor_name]
        if not unsafe:
            _check_appended(module, tensor_name, parametrization)
        found.append(parametrization)
        found.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        made = ParametrizationList([parametrization], original, unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _make_parametrized(module)
        module.parametrizations[tensor_name] = made
        _set_property(module, tensor_name)
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    return module


def _check_appended(module: Module, name: str, parametrization: Any) -> None:
    with no_grad():
        before = getattr(module, name)
        after = parametrization(before)
    if not isinstance(after, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(after).__name__}.")
    for fact in ("dtype", "shape"):
        if getattr(before, fact) != getattr(after, fact):
            raise ValueError(
                f"Registering a parametrization may not change the {fact} of the tensor, unless "
                f"the `unsafe` flag is enabled.\nmodule.{name}.{fact}: {getattr(before, fact)}\n"
                f"parametrization(module.{name}).{fact}: {getattr(after, fact)}"
            )
    if hasattr(parametrization, "right_inverse"):
        with no_grad():
            start = parametrization.right_inverse(after)
        if not isinstance(start, Tensor) or start.shape != after.shape:
            raise ValueError(
                "'right_inverse' of a parametrization that is applied after another must return "
                "a tensor of the same shape"
            )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has parametrizations, or one of this tensor."""
    found = module._modules.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make a parametrized tensor an ordinary one, with its value (or that of the original).

    Raises:
        ValueError: it is not parametrized, or there are several originals to go back to.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    found: Any = module.parametrizations[tensor_name]
    if not found.is_tensor and not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    kept = found._originals()[0]
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name)
        if found.is_tensor:
            kept.data = value.detach()
        elif isinstance(kept, Parameter):
            kept = Parameter(value, kept.requires_grad)
        else:
            kept = value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]  # type: ignore[assignment]
    if isinstance(kept, Parameter):
        module.register_parameter(tensor_name, kept)
    else:
        module.register_buffer(tensor_name, kept)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that the module had before parametrizations were registered."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)
