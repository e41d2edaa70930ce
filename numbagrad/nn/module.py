"""Module: the base class of everything that has parameters."""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from .. import dtypes
from ..modes import no_grad, thread
from ..surroundings import mentioned
from ..tape import RemovableHandle
from ..tensor import Tensor
from . import state_dict as _state
from .backward_hooks import BackwardHook
from .forward_hooks import ForwardHook, HookRegister, call_with_hooks
from .parameter import Buffer, Parameter, UninitializedTensor

_PLAIN = (bool, int, float, str, tuple, type(None))


def _undefined(self: Module, *input: Any) -> Any:
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


def _compiled_module(value: Any) -> Module | None:
    """The module that a compiled one stands for (its class is not imported: nor the compiler)."""
    fn = value.fn if getattr(type(value), "_stands_for_fn", False) else None
    return fn if isinstance(fn, Module) else None


class Module:
    """The base class of neural network modules.

    Subclasses call ``super().__init__()`` and define `forward`. Parameters, modules and buffers
    that are assigned to attributes are registered: they are found by `parameters()`,
    `state_dict()`, `to()`, and the like.

    >>> import numbagrad as ng
    >>> class Scale(ng.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = ng.nn.Parameter(ng.ones(()))
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training: bool
    _version = 1
    #: The attributes that :meth:`extra_repr` shows, as ``name=value``.
    _printed: tuple[str, ...] = ()
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]
    _forward_hooks: HookRegister
    _forward_pre_hooks: HookRegister
    _backward_hooks: HookRegister

    def __init__(self) -> None:
        # Straight into the dictionary: __setattr__ would look for parameters first.
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _non_persistent_buffers_set=set(),
            _forward_hooks=HookRegister(),
            _forward_pre_hooks=HookRegister(),
            _backward_hooks=HookRegister(),
            _state_dict_pre_hooks=OrderedDict(),
            _state_dict_hooks=OrderedDict(),
            _load_state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_post_hooks=OrderedDict(),
        )

    #: What the module computes; subclasses define it, with any arguments.
    forward: Callable[..., Any] = _undefined

    # -- registration -----------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Called only where the ordinary look-up fails.
        attributes = self.__dict__
        for kind in ("_parameters", "_buffers", "_modules"):
            registered = attributes.get(kind)
            if registered is not None and name in registered:
                return registered[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._require_init("parameters")
            self._forget(name, self._buffers, self._modules)
            self.register_parameter(name, value)
            return
        attributes = self.__dict__
        compiled = _compiled_module(value)
        if compiled is not None:
            self._require_init("module")
            self._forget(name, self._parameters, self._buffers)
            self._modules[name] = compiled  # a child as any other, but called in its compiled form
            attributes[name] = value
            return
        if isinstance(value, Module):
            self._require_init("module")
            self._forget(name, self._parameters, self._buffers)
            self._modules[name] = value
        elif name in attributes.get("_parameters", ()):
            self._only_none(name, value, "parameter", "nn.Parameter")
            self._parameters[name] = None
        elif name in attributes.get("_modules", ()):
            self._only_none(name, value, "child module", "nn.Module")
            attributes.pop(name, None)  # its compiled form
            self._modules[name] = None
        elif isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)  # type: ignore[arg-type]
        elif name in attributes.get("_buffers", ()):
            if not isinstance(value, Tensor):
                self._only_none(name, value, "buffer", "nn.Buffer, Tensor")
            self._buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    @staticmethod
    def _only_none(name: str, value: Any, kind: str, expected: str) -> None:
        if value is not None:
            raise TypeError(
                f"cannot assign '{type(value).__name__}' as {kind} '{name}' "
                f"({expected} or None expected)"
            )

    def _require_init(self, what: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")

    def _forget(self, name: str, *registers: dict[str, Any]) -> None:
        self.__dict__.pop(name, None)
        for registered in registers:
            registered.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        for registered in (self._parameters, self._buffers, self._modules):
            if name in registered:
                del registered[name]
                self.__dict__.pop(name, None)
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(n for n in names if n[:1].isalpha() or n[:1] == "_")

    def _check_name(self, kind: str, name: str, registered: dict[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in registered:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None reserves the name.

        Raises:
            KeyError: the name is empty, has a dot in it, or is taken by another attribute.
            TypeError: not a Parameter.
        """
        self._require_init("parameter")
        self._check_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(nn.Parameter or None required)"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not learned; `persistent` ones are in the state dict.

        Raises:
            KeyError: the name is empty, has a dot in it, or is taken by another attribute.
            TypeError: not a tensor.
        """
        self._require_init("buffer")
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                "(Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under a name; None reserves the name.

        Raises:
            KeyError: the name is empty, has a dot in it, or is taken by another attribute.
            TypeError: not a Module.
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._require_init("module")
        self._check_name("module", name, self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as :meth:`add_module`."""
        self.add_module(name, module)

    # -- traversal --------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with their dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                dotted = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, dotted, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, each once, with their names."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, register: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[Tensor] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for module_prefix, module in modules:
            for name, member in getattr(module, register).items():
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield (f"{module_prefix}.{name}" if module_prefix else name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters of this module and (with `recurse`) of those below it."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters without their names."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers of this module and (with `recurse`) of those below it."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers without their names."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; "" is this one.

        Raises:
            AttributeError: there is none of that name.
        """
        module: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name.

        Raises:
            AttributeError: there is none of that name.
        """
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        parameter = getattr(module, name)
        if not isinstance(parameter, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name.

        Raises:
            AttributeError: there is none of that name.
        """
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return getattr(module, name)

    # -- what applies to the whole tree -----------------------------------------------------

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn(module)`` for every module below this one, then for this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode, which dropout and batch normalisation heed.

        Raises:
            ValueError: `mode` is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode: ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters get gradients."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            zero_grad(parameter, set_to_none)

    def _apply(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """Replace the data of every parameter, its gradient and every buffer by ``fn(data)``."""
        with no_grad():
            for module in self.modules():
                for parameter in module._parameters.values():
                    if parameter is None:
                        continue
                    if isinstance(parameter, UninitializedTensor):
                        parameter.convert(fn)
                        continue
                    parameter.data = fn(parameter.detach())
                    if parameter.grad is not None:
                        gradient, parameter.grad = parameter.grad, None
                        parameter.grad = fn(gradient.detach())
                for name, buffer in module._buffers.items():
                    if isinstance(buffer, UninitializedTensor):
                        buffer.convert(fn)
                    elif buffer is not None:
                        module._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating-point parameters and buffers: ``to(dtype)``, ``to("cpu")``.

        The parameters stay the same objects.

        Raises:
            TypeError: the dtype is not a floating-point or complex one.
            RuntimeError: a device other than the CPU.
        """
        dtype = kwargs.get("dtype")
        for argument in args:
            if isinstance(argument, Tensor):
                dtype = argument.dtype
            elif isinstance(argument, dtypes.dtype):
                dtype = argument
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )

        def convert(t: Tensor) -> Tensor:
            if t.is_floating_point() or t.is_complex() or dtype is None:
                return t.to(*args, **kwargs)
            return t

        return self._apply(convert)

    def type(self, dst_type: Any) -> Self:
        """Convert all parameters and buffers to a dtype."""
        return self._apply(lambda t: t.to(dst_type))

    def _floating_to(self, dtype: dtypes.dtype) -> Self:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self) -> Self:
        """Convert floating-point parameters and buffers to float32."""
        return self._floating_to(dtypes.float32)

    def double(self) -> Self:
        """Convert floating-point parameters and buffers to float64."""
        return self._floating_to(dtypes.float64)

    def half(self) -> Self:
        """Convert floating-point parameters and buffers to float16."""
        return self._floating_to(dtypes.float16)

    def cuda(self, device: Any = None) -> Self:
        """An error if there are parameters or buffers: there is no GPU.

        Raises:
            DeviceError: a device other than the CPU.
        """
        return self._apply(lambda t: t.cuda(device))

    def cpu(self) -> Self:
        """Nothing to do: everything is on the CPU."""
        return self

    # -- state ------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, detached unless `keep_vars`."""
        return _state.collect(self, OrderedDict() if destination is None else destination, prefix,
                              keep_vars)  # fmt: skip

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _state.IncompatibleKeys:
        """Copy the tensors of `state_dict` into the parameters and buffers of the same names.

        Args:
            strict: names that are missing or superfluous are an error.
            assign: take the given tensors themselves instead of copying.

        Returns:
            The missing and the unexpected keys.

        Raises:
            RuntimeError: all that does not fit, in one message; what fits is loaded.
            TypeError: not a mapping.
        """
        return _state.load(self, state_dict, strict, assign)

    def register_state_dict_pre_hook(
        self, hook: Callable[[Module, str, bool], None]
    ) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before the state dict is made."""
        return RemovableHandle(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)``, which may change the dict."""
        return RemovableHandle(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call a hook before this module's tensors are loaded; it may change the dict.

        Its arguments are ``(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)``.
        """
        return RemovableHandle(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the keys."""
        return RemovableHandle(self._load_state_dict_post_hooks, hook)

    # -- calls and hooks --------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if thread.modes.trace is not None:
            self._guard(thread.modes.trace)
        if not (self._forward_hooks or self._forward_pre_hooks or self._backward_hooks):
            return self.forward(*args, **kwargs)
        return call_with_hooks(self, args, kwargs)

    def _guard(self, trace: Any) -> None:
        """A compiled function depends on the mode, on which tensors the parameters are, and on the
        numbers that `forward` and the methods that it calls read."""
        trace.guard(self.__dict__, "training")
        for name in self.__dict__.keys() & _mentioned(type(self), type(self).forward):
            if isinstance(self.__dict__[name], (*_PLAIN, Tensor)):
                trace.guard(self.__dict__, name)
        for registered in (self._parameters, self._buffers, self._modules):
            for name in registered:
                trace.guard(registered, name)
            if hasattr(self, "__len__"):  # a container, which may grow
                trace.guard_size(registered)
        for hooks in (self._forward_hooks, self._forward_pre_hooks, self._backward_hooks):
            trace.guard_items(hooks, HookRegister.changes, "the hooks of a module")
        for child in self._modules.values():
            if child is not None and type(child).forward is Module.forward:
                child._guard(trace)  # a container, which nobody calls

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before `forward`; it may return other arguments.

        With `with_kwargs` it is ``hook(module, args, kwargs)`` and returns both or None.
        """
        return self._forward_pre_hooks.register(ForwardHook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after `forward`; it may return another output.

        With `with_kwargs` it is ``hook(module, args, kwargs, output)``; with `always_call` it runs
        even if an exception was raised.
        """
        return self._forward_hooks.register(ForwardHook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` in each backward pass through the module.

        Both are tuples, with None for what is no tensor or has no gradient; the hook may return
        other gradients for the arguments. Keyword arguments are not seen. What the module takes
        and returns must not be changed in place.

        Raises:
            RuntimeError: in the backward pass, if it returns another number of gradients.
        """
        return self._backward_hooks.register(BackwardHook(hook, before=False), prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before the backward pass of the module.

        It may return other gradients of the results.

        Raises:
            RuntimeError: in the backward pass, if it returns another number of gradients.
        """
        return self._backward_hooks.register(BackwardHook(hook, before=True), prepend)

    # -- printing ---------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses when the module is printed."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in self._printed)

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        children = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        if len(extra_lines) == 1 and not children:
            return f"{self._get_name()}({extra})"
        if not extra_lines and not children:
            return f"{self._get_name()}()"
        return f"{self._get_name()}(\n  " + "\n  ".join(extra_lines + children) + "\n)"


@functools.lru_cache(1024)
def _mentioned(cls: type[Module], forward: Callable[..., Any]) -> frozenset[str]:
    """The names in the code of `forward`, and of the class's own methods that these lead to."""
    names: set[str] = set()
    found: list[Any] = [forward]
    while found:
        code = getattr(found.pop(), "__code__", None)
        if code is None:
            continue
        for name in mentioned(code) - names:
            names.add(name)
            if not hasattr(Module, name):
                method = inspect.getattr_static(cls, name, None)
                found.append(getattr(method, "fget", getattr(method, "__func__", method)))
    return frozenset(names)


def zero_grad(parameter: Tensor, set_to_none: bool) -> None:
    """Drop the gradient of a tensor, or set it to zero without its history."""
    gradient = parameter.grad
    if gradient is None:
        return
    if set_to_none:
        parameter.grad = None
        return
    if gradient.grad_fn is not None:
        gradient.detach_()
    else:
        gradient.requires_grad_(False)
    gradient.zero_()
