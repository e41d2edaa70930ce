"""Hooks on the calls of a module, and the registers that hold the hooks of each kind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ..tape import RemovableHandle
from .backward_hooks import Borders

if TYPE_CHECKING:
    from .module import Module


class ForwardHook(NamedTuple):
    """What a module keeps of a hook: how it wants to be called, and whether after errors, too."""

    fn: Callable[..., Any]
    with_kwargs: bool
    always_call: bool = False


class HookRegister(OrderedDict[int, Any]):
    """The hooks of one kind of one module, in the order in which they run."""

    #: How often a hook was added to any module or taken off: compiled functions look at it.
    changes: ClassVar[list[int]] = [0]

    def register(self, hook: Any, prepend: bool) -> RemovableHandle:
        """Add a hook, as the first with `prepend`, else as the last."""
        handle = RemovableHandle(self, hook)
        if prepend:
            self.move_to_end(handle.id, last=False)
        return handle

    def __setitem__(self, key: int, hook: Any) -> None:
        self.changes[0] += 1
        super().__setitem__(key, hook)

    def __delitem__(self, key: int) -> None:
        self.changes[0] += 1
        super().__delitem__(key)

    def pop(self, key: int, default: Any = None) -> Any:
        self.changes[0] += 1
        return super().pop(key, default)

    def clear(self) -> None:
        self.changes[0] += 1
        super().clear()


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward(*args, **kwargs)`` between the hooks before and after it."""
    result = None
    done: set[int] = set()
    try:
        for hook in list(module._forward_pre_hooks.values()):
            args, kwargs = _before(module, hook, args, kwargs)
        borders = None
        if module._backward_hooks:
            borders = Borders(module, list(module._backward_hooks.values()))
            args = borders.enter(args)
        result = module.forward(*args, **kwargs)
        for key, hook in list(module._forward_hooks.items()):
            done.add(key)
            result = _after(module, hook, args, kwargs, result)
        if borders is not None:
            result = borders.leave(result)
    except Exception:
        for key, hook in list(module._forward_hooks.items()):
            if hook.always_call and key not in done:
                _after(module, hook, args, kwargs, result)
        raise
    return result


def _before(
    module: Module, hook: ForwardHook, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Run a hook before `forward`; returns the arguments for it."""
    if not hook.with_kwargs:
        changed = hook.fn(module, args)
        if changed is None:
            return args, kwargs
        return (changed if isinstance(changed, tuple) else (changed,)), kwargs
    changed = hook.fn(module, args, kwargs)
    if changed is None:
        return args, kwargs
    if isinstance(changed, tuple) and len(changed) == 2:
        return changed
    raise RuntimeError(
        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
        f"{changed}."
    )


def _after(
    module: Module, hook: ForwardHook, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
) -> Any:
    """Run a hook after `forward`; returns the result."""
    more = (kwargs,) if hook.with_kwargs else ()
    changed = hook.fn(module, args, *more, result)
    return result if changed is None else changed
