"""In-place methods that are no op's in-place form: filling, copying, changing the shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..inplace import assign, check_history, check_mutable, check_overlap, update
from ..modes import thread
from ..tensor import Tensor, count_change, extras, method, wrap
from . import elementwise as E, view as V
from .export import NUMBERS, check_tensor, operand, public
from .registry import Op
from .shape import expand, squeeze, t, transpose, unsqueeze
from .storage import as_strided, strided


def _filled(name: str, self: Tensor, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                f"{name} only supports 0-dimension value tensor but got tensor with "
                f"{value.ndim} dimensions."
            )
        value = E.to_dtype(value, self._data.dtype)
    else:
        value = E.number_like(self, operand(name, value))
    return expand(value, tuple(self._data.shape))


@public()
def fill_(input: Tensor, value: Any) -> Tensor:
    """Store a number (or 0-d tensor) in every element.

    Raises:
        RuntimeError: the dtype cannot hold the number, such as NaN in an int tensor.
    """
    check_tensor("fill_", input)
    if isinstance(value, Tensor):
        check_mutable(input, "fill_")
    return assign(input, _filled("fill_", input, value), "fill_")


@public(method=False)
def fill(input: Tensor, value: Any) -> Tensor:
    """A copy with a number (or 0-d tensor) in every element."""
    check_tensor("fill", input)
    return E.fill(input, _filled("fill", input, value))


@public()
def zero_(input: Tensor) -> Tensor:
    """Store zeros."""
    return fill_(input, 0)


@method("copy_")
def copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    """Store the values of a tensor or number, broadcast and converted; gradients flow to it.

    Raises:
        RuntimeError: it does not broadcast to this shape, or lies partly in the same memory.
    """
    check_mutable(self, "copy_")
    if not isinstance(other, Tensor) and isinstance(other, NUMBERS):
        other = E.number_like(self, other)
    source = check_tensor("copy_", other, "other")
    if source._counter is self._counter and source is not self and self._counter is not None:
        check_overlap(self, source, "copy_")
    value = expand(source, tuple(self._data.shape))
    if value._data is self._data:
        return self
    return assign(self, value, "copy_", cast=True)


@method("fill_diagonal_")
def _fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Store a number on the main diagonal."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    mask = np.zeros(self._data.shape, bool)
    np.fill_diagonal(mask, True, wrap)
    value = E.number_like(self, fill_value)
    return update(self, E.where(_constant(mask), value, self), "fill_diagonal_")


_constant = wrap


def _reshaping(name: str, view: Callable[..., Tensor]) -> None:
    """``x.t_()`` and the like: the tensor itself becomes the view of its storage."""

    def in_place(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_history(self, f"{name}_")
        modes = thread.modes
        if modes.trace is not None:
            modes.trace.check_reshape(self, f"{name}_")
        # A history goes along even where none is recorded: it has the shape that it is for.
        grad, modes.grad = modes.grad, modes.grad or self._node is not None
        try:
            new = view(self, *args, **kwargs)
        finally:
            modes.grad = grad
        return _become(self, new, f"{name}_")

    in_place.__doc__ = f"In-place form of :func:`{name}`: the tensor itself gets the new shape."
    public(f"{name}_")(in_place)


def _become(self: Tensor, new: Tensor, name: str) -> Tensor:
    """`self` takes over what `new`, a view of it, is."""
    if self._view is not None:
        self._view = new._view
    elif new._view is not None:
        own = extras(self)
        own.reshapes += tuple(_undo(self, step) for step in new._view.chain)
    self._data = new._data
    if new._node is not None:
        self._node, self._nr, self._requires_grad = new._node, new._nr, True
    count_change(self, name)
    if self._view is not None and self._counter:
        self._view.version = self._counter[0]
    return self


def _lost(x: Tensor) -> Tensor:
    """In place of what undoes ``as_strided_``, for those who would have to: earlier views."""
    raise RuntimeError(
        "a view was made before its base was changed by as_strided_(), and cannot tell any more "
        "which elements of it are meant; make the view again, or use as_strided()"
    )


def _undo(x: Tensor, step: tuple[Op, dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
    """The view op that gives `x` back from what one `step` makes of it."""
    op, params = step
    if op is V.permute:
        dims = params["dims"]
        return op, {"dims": tuple(sorted(range(len(dims)), key=dims.__getitem__))}
    if op is strided:
        return _lost, {}
    return V.view, {"shape": tuple(x._data.shape)}


for _name, _view in {
    "t": t, "transpose": transpose, "swapaxes": transpose, "swapdims": transpose,
    "squeeze": squeeze, "unsqueeze": unsqueeze, "as_strided": as_strided,
}.items():  # fmt: skip
    _reshaping(_name, _view)
