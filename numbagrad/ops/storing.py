"""Methods that overwrite a tensor: copy_, fill_, zero_."""

from __future__ import annotations

from typing import Any

from ..inplace import assign, check_mutable
from ..tensor import Tensor, method
from . import elementwise as E
from .export import check_tensor, operand
from .registry import broadcast_shapes
from .view import expand_to


@method("copy_")
def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Store the values of `src`, which broadcasts, converted to this tensor's dtype.

    Raises:
        RuntimeError: the shape of `src` does not broadcast to this tensor's.
    """
    check_mutable(self, "copy_")
    check_tensor("copy_", src, "other")
    shape = self._data.shape
    if src._data.shape != shape:
        if broadcast_shapes(src._data.shape, shape) != shape:
            raise RuntimeError(
                f"output with shape {list(shape)} doesn't match the broadcast shape "
                f"{list(broadcast_shapes(src._data.shape, shape))} (copy_)"
            )
        src = expand_to(src, shape)
    return assign(self, src, "copy_", cast=True)


@method("fill_")
def fill_(self: Tensor, value: Any) -> Tensor:
    """Store one value (a number or a 0-d tensor) everywhere.

    Raises:
        RuntimeError: `value` is a tensor with dimensions, or a number that the dtype has not.
    """
    check_mutable(self, "fill_")
    value = operand("fill_", value)
    if isinstance(value, Tensor):
        if value._data.shape:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{len(value._data.shape)} dimensions."
            )
        value = E.to_dtype(value, self._data.dtype)
    elif isinstance(value, complex) and self._data.dtype.kind != "c":
        raise RuntimeError(f"value cannot be converted to type {self.dtype.name} without overflow")
    elif value != value and self._data.dtype.kind in "iu":
        raise RuntimeError(
            f"value cannot be converted to type {self.dtype.name} without overflow: an integer "
            "tensor holds no NaN; use a floating-point tensor"
        )
    return assign(self, E.fill(self.detach(), value), "fill_", cast=True)


@method("zero_")
def zero_(self: Tensor) -> Tensor:
    """Store 0 everywhere."""
    return fill_(self, 0)
