"""Views: how one is declared, why one may not be changed, and how one follows its base.

A view shares the memory of its base: an in-place change of one changes both, and only the tape can
be out of date. A view is brought up to date when it is next looked at: the ops that made it are
applied again to what the base has become.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

from .modes import thread
from .tape import node_hooks
from .tensor import INFERENCE, Tensor, View, version_counter

_ndarray = np.ndarray

_BOTH_INSIDE = (
    "Make the view and the change either both inside the block, if no gradient is to follow the "
    "change, or both outside."
)
_WHY_NOT = {
    "multi": "It is one of several views that one function returned (split, chunk, unbind): such "
    "views may not be modified inplace. Take the part by indexing, or use the out-of-place form.",
    "function": "It was created inside a custom Function (or because an input was returned as-is), "
    "whose backward the change would override, leading to incorrect gradients. You can fix this "
    "by cloning the output of the custom Function.",
    "no_grad": "It was created in no_grad mode. " + _BOTH_INSIDE,
    "inference": "It was created in inference mode. " + _BOTH_INSIDE,
}


def stale_view_error(t: Tensor, name: str | None = None) -> RuntimeError:
    """`t` is a view that cannot follow a change: of its base, or its own by the op `name`."""
    assert t._view is not None
    if t._node is not None:
        subject = f"Output {t._nr} of {t._node.name()} is a view and"
    else:
        subject = "This tensor is a view and"
    what = "its base or another view of its base has been modified inplace"
    if name is not None:
        what = f"is being modified inplace by {name}"
    return RuntimeError(f"{subject} {what} with grad mode enabled. {_WHY_NOT[t._view.creation]}")


def make_view(out: Tensor, x: Tensor, op: Any, params: dict[str, Any]) -> None:
    """Declare `out` a view of `x` made by ``op(x, **params)``."""
    if x._counter is INFERENCE:
        out._counter = INFERENCE
        if out._data.__class__ is _ndarray:
            return  # shares the memory, and nobody counts its changes
        creation = "inference"
    else:
        out._counter = version_counter(x)
        modes = thread.modes
        creation = "inference" if modes.inference else "default" if modes.grad else "no_grad"
    base = x if x._view is None else x._view.base
    if creation != "default" and base._requires_grad:
        out._requires_grad = True  # a leaf, as in PyTorch
    counter = out._counter
    step = ((op, params),)
    if x._view is None:
        out._view = View(x, step, counter[0] if counter else 0, creation)
    else:
        view = x._view
        if creation == "default":
            creation = view.creation
        out._view = View(view.base, view.chain + step, counter[0] if counter else 0, creation)


def replay(base: Tensor, chain: Iterable[Any]) -> Tensor:
    """Apply a chain of view ops."""
    for op, params in chain:
        base = op(base, **params)
    return base


def refresh(t: Tensor) -> None:
    """Bring a view up to date after its base was changed in place."""
    view = t._view
    if view is None:
        return
    counter = t._counter
    base = view.base
    if not counter or view.version == counter[0]:
        if base._requires_grad and not t._requires_grad and view.creation != "detached":
            t._requires_grad = True  # the base was told to require grad, which is no change
        return
    if base._extras is not None and view.reshapes < len(base._extras.reshapes):
        undo = base._extras.reshapes[view.reshapes :]
        view.chain = undo[::-1] + view.chain
        view.reshapes += len(undo)
    wanted = base._requires_grad or t._node is not None
    follows = view.creation in ("default", "detached")
    if wanted and not follows and thread.modes.grad and not thread.modes.inference:
        raise stale_view_error(t)
    traced = base._data.__class__ is not _ndarray
    if not traced:
        # The memory is shared: only the tape can be out of date.
        if not wanted:
            view.version = counter[0]
            return
        if not follows:
            return
    version = counter[0]
    grad, thread.modes.grad = thread.modes.grad, True
    try:
        fresh = replay(base, view.chain)
    finally:
        thread.modes.grad = grad
    view.version = version
    if not view.is_leaf and view.creation != "function":
        old = t._node, t._nr
        t._node, t._nr, t._requires_grad = fresh._node, fresh._nr, fresh._requires_grad
        retain_anew(t, *old)
    if fresh._data.__class__ is not _ndarray:
        if t._data.__class__ is _ndarray:
            base._data.interpreter.change(t)
        t._data = fresh._data


def retain_anew(t: Tensor, node: Any, nr: int) -> None:
    """Let ``retain_grad`` mean the present value of `t`, which was output `nr` of `node`."""
    if t._extras is not None and t._extras.retains_grad and t._node is not node:
        if node is not None and node.hooks is not None:
            node.hooks.retain.pop(nr, None)
        if t._node is not None:
            node_hooks(t._node).retain[t._nr] = weakref.ref(t)
