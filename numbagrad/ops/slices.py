"""Slices along a dimension: views of them, and copies in which they are replaced."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import view as V
from .elementwise import to_dtype
from .export import check_tensor, public
from .view import wrap_dim


@public()
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of `length` slices along a dimension from `start`."""
    shape = check_tensor("narrow", input)._data.shape
    d = wrap_dim(dim, len(shape))
    if not shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor):
        if start.ndim or start._data.dtype.kind not in "iu":
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = start.item()
    if not -shape[d] <= start <= shape[d]:
        raise IndexError(
            f"start out of range (expected to be in range of [{-shape[d]}, {shape[d]}], but got "
            f"{start})"
        )
    start = start + shape[d] if start < 0 else start
    if length < 0 or not 0 <= start <= shape[d] - length:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({shape[d]})."
        )
    return V.slice_(input, index=(slice(None),) * d + (slice(start, start + length),))


@public(out=True)
def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A copy of `length` slices along a dimension from `start`."""
    return V.clone(narrow(input, dim, start, length))


@public()
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of one slice along a dimension."""
    shape = check_tensor("select", input)._data.shape
    d = wrap_dim(dim, len(shape))
    if not -shape[d] <= index < shape[d]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at dimension "
            f"{d}"
        )
    return V.slice_(input, index=(slice(None),) * d + (index % shape[d],))


def replaced(name: str, x: Tensor, src: Tensor, op: Any, **params: Any) -> Tensor:
    """`x` with the part that a view op names replaced by `src`."""
    shape = op.abstract(check_tensor(name, x)._data, **params)[0]
    if tuple(check_tensor(name, src, "src", 2)._data.shape) != tuple(shape):
        raise RuntimeError(
            f"{name}(): expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(shape)}"
        )
    value = to_dtype(src, x._data.dtype)
    return V.view_scatter(x, value, chain=((op, params),))


@public()
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with one slice along a dimension replaced by `src`."""
    d = wrap_dim(dim, check_tensor("select_scatter", input).ndim)
    at = (slice(None),) * d + (range(input.shape[d])[index],)
    return replaced("select_scatter", input, src, V.slice_, index=at)


@public(out=True)
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Tensor:  # fmt: skip
    """A copy with a range of slices along a dimension replaced by `src`."""
    d = wrap_dim(dim, check_tensor("slice_scatter", input).ndim)
    a, b, c = slice(start, end, step).indices(input.shape[d])
    at = (slice(None),) * d + (slice(a, max(a, b), c),)
    return replaced("slice_scatter", input, src, V.slice_, index=at)
