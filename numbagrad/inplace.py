"""Mutation: the one way in which a tensor's storage changes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import dtypes
from .dispatch import with_values
from .modes import thread
from .ops.elementwise import to_dtype, where
from .ops.view import alias, clone, view_scatter
from .runtime.storage import resized
from .tape import OpNode, next_sequence, record
from .tensor import INFERENCE, Tensor, count_change, version_counter, wrap
from .views import refresh, retain_anew, stale_view_error

_ndarray = np.ndarray


def check_mutable(t: Tensor, name: str) -> None:
    """Raise what PyTorch raises if `t` may not be changed in place now; changes nothing."""
    check_history(t, name)
    data = t._data
    if data.__class__ is _ndarray:
        if data.flags.c_contiguous or not data.size:
            return
    elif 0 in data.shape:
        return
    if 0 in data.strides:
        for extent, stride in zip(data.shape, data.strides, strict=True):
            if stride == 0 and extent > 1:
                raise RuntimeError(
                    "unsupported operation: more than one element of the written-to tensor refers "
                    "to a single memory location. Please clone() the tensor before performing the "
                    f"operation ({name})."
                )


def check_history(t: Tensor, name: str) -> None:
    """The part of :func:`check_mutable` that does not mind elements that share memory."""
    if not isinstance(t, Tensor):
        raise TypeError(f"{name}: expected a Tensor to change, got {type(t).__name__}")
    modes = thread.modes
    if t._counter is INFERENCE and not modes.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can "
            "make a clone to get a normal tensor before doing inplace update."
        )
    if modes.grad and not modes.inference:
        if t._view is not None:
            refresh(t)
            if t._requires_grad:
                check_view_creation(t, name)
            if t._requires_grad and _is_input(t._view.base) and t._view.creation != "detached":
                raise RuntimeError(
                    "a view of a leaf Variable that requires grad is being used in an in-place "
                    f"operation ({name}); change it under ng.no_grad(), or clone() the leaf first"
                )
        elif t._requires_grad and _is_input(t):
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation "
                f"({name}); change it under ng.no_grad(), or use the out-of-place form"
            )


def _is_input(t: Tensor) -> bool:
    return t._node is None or t._node.is_input


def check_view_creation(t: Tensor, name: str) -> None:
    """Raise if `t` is a view that cannot tell its base about a change that needs a gradient."""
    view = t._view
    assert view is not None
    if view.creation in ("default", "detached"):
        return
    if not t._requires_grad and sys.getrefcount(view.base) == _VIEW_ALONE:
        t._view = None  # nobody else can see the base: an intermediate value of some function
        return
    raise stale_view_error(t, name)


class _Holder:
    base = wrap(np.empty(0))


#: What `getrefcount` says of a base that one view alone refers to.
_VIEW_ALONE = sys.getrefcount(_Holder.base)


def keep_original(target: Tensor, value: Tensor, since: int) -> None:
    """Give the ops recorded after node number `since` a copy of the target that they saved.

    ``x.sin_()`` overwrites the x that the derivative of sin reads; ops before it that saved x
    keep it, and report the change.
    """
    stack = [value._node]
    while stack:
        node = stack.pop()
        if not isinstance(node, OpNode) or node._sequence_nr() <= since:
            continue
        for i, counter in enumerate(node.counters):
            if counter is not None and counter is target._counter and node.saved:
                data = node.saved[i]
                node.saved[i] = data.copy() if data.__class__ is _ndarray else data
                node.counters[i] = [node.versions[i] if node.versions else 0]
        stack.extend(e[0] for e in node.edges if e is not None)


def snapshots(target: Tensor, args: Sequence[Any]) -> list[Any]:
    """The arguments with a copy in place of `target`, which is about to be overwritten.

    Hooks on saved tensors may keep what they are given, where :func:`keep_original` cannot see it.
    """
    refresh(target)
    data = target._data
    copy = wrap(data.copy() if data.__class__ is _ndarray else data, target._requires_grad)
    copy._node, copy._nr = target._node, target._nr
    return [copy if a is target else a for a in args]


def check_cast(source: np.dtype[Any], target: np.dtype[Any]) -> None:
    """Storing may round, but not drop to a lower category (float into an int tensor)."""
    if dtypes._CATEGORY[source.kind] > dtypes._CATEGORY[target.kind]:
        raise RuntimeError(
            f"result type {dtypes.of(source).name.capitalize()} can't be cast to the desired "
            f"output type {dtypes.of(target).name.capitalize()}; convert the tensor with "
            f".to(ng.{dtypes.of(source).name}) first"
        )


def in_place_form(name: str, fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``form(target, ...)``: compute ``fn(target, ...)``, then store it in `target`."""

    def form(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_mutable(self, name)
        counter = self._counter
        if counter is not None:
            for a in args:
                if isinstance(a, Tensor) and a._counter is counter and a is not self:
                    check_overlap(self, a, name)
        since = next_sequence()
        if thread.modes.saved_hooks:
            value = fn(*snapshots(self, (self, *args)), **kwargs)
        else:
            value = fn(self, *args, **kwargs)
        if value._node is not None:
            keep_original(self, value, since)
        return _store(self, value, name)

    form.__name__ = form.__qualname__ = name
    form.__doc__ = f"In-place form of :func:`{name[:-1]}`."
    return form


def in_place(name: str, fn: Callable[..., Tensor], target: Tensor, *args: Any) -> Tensor:
    """Compute ``fn(target, *args)``, then store it in `target`."""
    return in_place_form(name, fn)(target, *args)


def check_overlap(target: Tensor, source: Tensor, name: str) -> None:
    """Raise if `source` lies partly in the memory of `target`; the very same elements may."""
    a, b = target._data, source._data
    if a.__class__ is not _ndarray or b.__class__ is not _ndarray or not a.size or not b.size:
        return
    ranges = []
    for x in (a, b):
        low, high = np.lib.array_utils.byte_bounds(x)
        if high - low != x.nbytes:
            return  # with gaps it may fit between: PyTorch does not look further either
        ranges.append((low, high))
    (low, high), (start, stop) = ranges
    if start < high and low < stop and not (ranges[0] == ranges[1] and a.strides == b.strides):
        raise RuntimeError(
            f"unsupported operation: some elements of the input tensor and the written-to tensor "
            f"refer to a single memory location ({name}). Please clone() the tensor before "
            "performing the operation."
        )


def assign(target: Tensor, value: Tensor, name: str, *, cast: bool = False) -> Tensor:
    """Store `value`, which owes nothing to what `target` was, and let the tape follow.

    `value` has the target's shape. With `cast` any dtype is converted, as ``copy_`` does.
    """
    if any(value._data.strides):
        check_mutable(target, name)
    else:  # one number everywhere: elements may share their memory
        check_history(target, name)
    return _store(target, value, name, cast, anew=True)


def update(target: Tensor, value: Tensor, name: str) -> Tensor:
    """Store `value`, which was computed from `target`, and let the tape follow."""
    check_mutable(target, name)
    return _store(target, value, name)


def _store(
    target: Tensor, value: Tensor, name: str, cast: bool = False, anew: bool = False
) -> Tensor:
    """The heart of every in-place op."""
    modes = thread.modes
    if value._requires_grad and target._view is not None and modes.grad:
        check_view_creation(target, name)
    trace = modes.trace
    if trace is not None:
        base = target._view.base if target._view is not None else target
        if target is not base and base._data.__class__ is _ndarray:
            trace.adopt(base)
        if target._data.__class__ is _ndarray:
            trace.change(target)
            if value._data.__class__ is _ndarray:
                value = clone(value)  # recorded, instead of done now
    elif target._data.__class__ is not _ndarray:
        target._data.interpreter.stale((target,))
    data, new = target._data, value._data
    if new.shape != data.shape:
        raise RuntimeError(
            f"output with shape {list(data.shape)} doesn't match the broadcast shape "
            f"{list(new.shape)} ({name})"
        )
    if new.dtype is not data.dtype:
        if not cast:
            check_cast(new.dtype, data.dtype)
        value = to_dtype(value, data.dtype)
        new = value._data
    if data.__class__ is _ndarray and new.__class__ is _ndarray:
        if new is not data:
            np.copyto(data, new)
    else:
        if data.__class__ is not _ndarray and _level(new) < _level(data):
            # The target stays what it is to its level: mapped, for instance.
            value = where(wrap(np.array(True)), value, target)
            new = value._data
        if new.__class__ is _ndarray:
            # The next change is perhaps made in the array: nobody else may hold it.
            value = clone(value)
            new = value._data
        _replace(target, new)
    count_change(target, name)
    if target._view is not None or (
        modes.grad and (value._requires_grad or target._node is not None)
    ):
        follow(target, value, anew)
    return target


def _level(data: Any) -> int:
    return 0 if data.__class__ is _ndarray else data.interpreter.level


def _replace(target: Tensor, data: Any) -> None:
    """Replace the data of a tensor by a tracer, perhaps of a higher level."""
    before = target._data
    if data.__class__ is _ndarray:  # in place of a tracer whose level has ended
        target._data = data
        return
    if before.__class__ is _ndarray or before.interpreter.level < data.interpreter.level:
        data.interpreter.lift(target, data)
    target._data = data.interpreter.laid_out(data, before)


def follow(target: Tensor, value: Tensor, anew: bool = False) -> None:
    """Give `target` the history of `value`; without recording it keeps its own.

    `anew`: the value does not depend on the old one, which gets a gradient of zeros.
    """
    modes = thread.modes
    recording = modes.grad and not modes.inference
    view = target._view
    if view is not None:
        needed = value._requires_grad or view.base._requires_grad
        if _traced(view.base) or _traced(target) or (recording and needed):
            _rebase(target, value, recording)
        return
    if not recording:
        return
    if target._node is not None and (anew or not value._requires_grad):
        value = _recorded_scatter(target, value, ())
    elif not value._requires_grad:
        return
    elif value._node is None:
        value = alias(value)
    node = value._node
    old = target._node, target._nr
    target._node, target._nr, target._requires_grad = node, value._nr, True
    retain_anew(target, *old)
    if isinstance(node, OpNode) and node.saved:
        # A rule that reads its own output must read it where it now lives.
        for k, (is_output, i) in enumerate(node.op.residuals(node.mask)):
            if is_output and i == value._nr and node.counters[k] is not None:
                counter = version_counter(target)
                versions = node.versions or [0] * len(node.saved)
                versions[k] = counter[0]
                node.saved[k], node.counters[k], node.versions = target._data, counter, versions


def _traced(t: Tensor) -> bool:
    return t._data.__class__ is not _ndarray


def _recorded_scatter(base: Tensor, value: Tensor, chain: tuple[Any, ...]) -> Tensor:
    """`base` with a part replaced, for the tape alone: the memory is already written."""
    replaced = wrap(base._data)
    record(thread.modes, view_scatter, (base, value), {"chain": chain}, replaced)
    return replaced


def _rebase(target: Tensor, value: Tensor, recording: bool) -> None:
    """`target` is a view: its base becomes "the base with that part replaced"."""
    view = target._view
    assert view is not None
    base = view.base
    recording = recording and view.creation != "detached"
    if _traced(base) or _traced(value):
        replaced = view_scatter(base, value, chain=view.chain)
        before = wrap(base._data)
        _replace(base, replaced._data)
        if view.creation == "detached":
            base._data = with_values(before, base)._data
    else:
        replaced = _recorded_scatter(base, value, view.chain)
    if recording:
        of_base = base._node, base._nr
        base._node, base._nr = replaced._node, replaced._nr
        base._requires_grad = replaced._requires_grad
        retain_anew(base, *of_base)
    view.version = version_counter(target)[0] - 1  # stale: the next use replays it on the new base
    refresh(target)


def modify(
    fn: Callable[..., None], changed: Sequence[Tensor], read: Sequence[Tensor], *options: Any
) -> None:
    """Call ``fn(*changed, *read, *options)``, which changes the first ones by in-place operators.

    `fn` gets plain arrays where there are some, which costs no op call, and tensors elsewhere
    (views, tracers), so it must be written with operators that both have: ``p -= g * lr``.
    For use where no gradient is recorded.
    """
    arrays = []
    if thread.modes.trace is not None:
        fn(*changed, *read, *options)
        return
    for t in changed:
        data = t._data
        if data.__class__ is not _ndarray or t._view is not None or t._counter is INFERENCE:
            fn(*changed, *read, *options)
            return
        arrays.append(data)
    for t in read:
        arrays.append(t._data)
        if t._data.__class__ is not _ndarray:
            fn(*changed, *read, *options)
            return
    thread.modes.quietly(fn, *arrays, *options)
    for t in changed:
        count_change(t, fn.__module__)


def check_out(out: Any, name: str) -> None:
    """Raise unless `out` is a tensor or a sequence of different ones."""
    outs = out if isinstance(out, tuple | list) else (out,)
    for o in outs:
        if not isinstance(o, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(o).__name__}")
    if len({id(o) for o in outs}) < len(outs):
        raise RuntimeError(
            f"unsupported operation: {name}(out=...) got one tensor for several results; give "
            "each its own"
        )


def assign_out(out: Any, result: Any, name: str) -> Any:
    """The ``out=`` argument: resize and store; gradients are refused as in PyTorch."""
    if not isinstance(result, tuple):
        if not isinstance(out, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be one Tensor, not {len(out)}")
        return _store_out(out, result, name)
    if isinstance(out, Tensor) or len(out) != len(result):
        raise TypeError(f"{name}(): argument 'out' must be a tuple of {len(result)} Tensors")
    for o, r in zip(out, result, strict=True):
        if o._data.dtype is not r._data.dtype:
            raise RuntimeError(
                f"{name}(): Expected out tensor to have dtype {r.dtype}, but got {o.dtype} instead"
            )
    stored = [_store_out(o, r, name) for o, r in zip(out, result, strict=True)]
    return getattr(type(result), "_make", tuple)(stored)


def _store_out(out: Tensor, result: Tensor, name: str) -> Tensor:
    if thread.modes.grad and (result._requires_grad or out._requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        )
    data, shape = out._data, result._data.shape
    if data.shape != shape:
        check_mutable(out, f"{name}(out=)")
        check_cast(result._data.dtype, data.dtype)
        if out.numel():
            warnings.warn(
                f"An output with one or more elements was resized since it had shape "
                f"{list(data.shape)}, which does not match the required output shape "
                f"{list(shape)}. This behavior is deprecated; pass an empty or a fitting "
                f"out to {name}().",
                UserWarning,
                stacklevel=5,
            )
        out._data = (
            resized(data, shape) if data.__class__ is _ndarray else np.empty(shape, data.dtype)
        )
        out._view = None
    return assign(out, wrap(result._data), f"{name}(out=)")
