"""In-place methods that are no op's in-place form: filling, copying, changing the shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..inplace import assign
from ..tensor import Tensor, method, wrap
from . import elementwise as E
from .export import check_tensor, operand, public
from .shape import expand, squeeze, t, transpose, unsqueeze


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


@method("fill_")
def fill_(self: Tensor, value: Any) -> Tensor:
    """Store a number (or 0-d tensor) in every element.

    Raises:
        RuntimeError: the dtype cannot hold the number, such as NaN in an int tensor.
    """
    return assign(self, _filled("fill_", self, value), "fill_")


@public(method=False)
def fill(input: Tensor, value: Any) -> Tensor:
    """A copy with a number (or 0-d tensor) in every element."""
    check_tensor("fill", input)
    return E.fill(input, _filled("fill", input, value))


@method("zero_")
def zero_(self: Tensor) -> Tensor:
    """Store zeros."""
    return fill_(self, 0)


@method("copy_")
def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Store the values of `src`, broadcast and converted; gradients flow to `src`."""
    value = expand(check_tensor("copy_", src, "other"), tuple(self._data.shape))
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
    return assign(self, E.where(_constant(mask), value, self), "fill_diagonal_")


_constant = wrap


def _reshaping(name: str, view: Callable[..., Tensor]) -> None:
    """``x.t_()`` and the like: the tensor itself becomes the view of its storage."""

    def in_place(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return _become(self, view(self, *args, **kwargs), f"{name}_")

    in_place.__doc__ = f"In-place form of :func:`{name}`: the tensor itself gets the new shape."
    method(f"{name}_")(in_place)


def _become(self: Tensor, new: Tensor, name: str) -> Tensor:
    if self._requires_grad and self._node is None:
        raise RuntimeError(
            f"a leaf Variable that requires grad is being used in an in-place operation ({name}); "
            "use the out-of-place form"
        )
    self._data, self._node, self._nr = new._data, new._node, new._nr
    self._requires_grad = new._requires_grad
    if self._view is not None:
        self._view = new._view
    self._counter = new._counter
    if self._counter:
        self._counter[0] += 1
        if self._view is not None:
            self._view.version = self._counter[0]
    return self


for _name, _view in {
    "t": t, "transpose": transpose, "swapaxes": transpose, "swapdims": transpose,
    "squeeze": squeeze, "unsqueeze": unsqueeze,
}.items():  # fmt: skip
    _reshaping(_name, _view)
