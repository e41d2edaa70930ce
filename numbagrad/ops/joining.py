"""Public functions that join tensors, and those that split one into parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from .. import dtypes
from ..tensor import Tensor
from . import view as V
from .elementwise import to_dtype
from .export import check_tensor, public
from .shape import at_least, ints, several, unsqueeze
from .view import wrap_dim

# -- joining --------------------------------------------------------------------------------------


def _joinable(name: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name}(): argument 'tensors' must be tuple of Tensors, not Tensor")
    xs = list(tensors)
    for i, x in enumerate(xs):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}"
            )
    if not xs:
        error = ValueError if name == "cat" else RuntimeError  # as in PyTorch
        raise error(f"{name}(): expected a non-empty list of Tensors")
    d = xs[0]._data.dtype
    for x in xs[1:]:
        d = dtypes.promote(d, x._data.dtype)
    return [to_dtype(x, d) for x in xs]


@public(aliases=("concat", "concatenate"), method=False, out=True)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along a dimension; the other extents must agree."""
    xs = _joinable("cat", tensors)
    kept = [x for x in xs if x._data.shape != (0,)] or xs[:1]  # PyTorch's legacy empty tensors
    first = kept[0]._data.shape
    if not first:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    d = wrap_dim(dim, len(first))
    for i, x in enumerate(kept[1:], 1):
        shape = x._data.shape
        if len(shape) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}"
            )
        for axis, (s, f) in enumerate(zip(shape, first, strict=True)):
            if axis != d and s != f:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {d}. Expected size {f} but "
                    f"got size {s} for tensor number {i} in the list."
                )
    return V.cat(*kept, dim=d)


@public(method=False, out=True)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, joined along a new dimension."""
    xs = _joinable("stack", tensors)
    first = xs[0]._data.shape
    for i, x in enumerate(xs):
        if x._data.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                f"{list(x._data.shape)} at entry {i}"
            )
    d = wrap_dim(dim, len(first) + 1)
    return V.cat(*[unsqueeze(x, d) for x in xs], dim=d)


@public(method=False, out=True)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the second dimension; vectors along the first."""
    xs = [at_least(1, x) for x in several((tensors,))]
    return cat(xs, 0 if xs and xs[0].ndim == 1 else 1)


@public(method=False, aliases=("row_stack",), out=True)
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the first dimension; vectors as rows."""
    return cat([at_least(2, x) for x in several((tensors,))], 0)


@public(method=False, out=True)
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the third dimension."""
    return cat([at_least(3, x) for x in several((tensors,))], 2)


@public(method=False, out=True)
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the second dimension; vectors as columns."""
    xs = several((tensors,))
    return cat([x if x.ndim > 1 else V.reshape(x, (x.numel(), 1)) for x in xs], 1)


@public(method=False)
def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the tensors as blocks on its diagonal."""
    xs = [at_least(2, x) for x in several(tensors)]
    if any(x.ndim > 2 for x in xs):
        raise RuntimeError("block_diag: Input tensors must have 2 or fewer dimensions.")
    d = xs[0]._data.dtype
    for x in xs:
        d = dtypes.promote(d, x._data.dtype)
    width = sum(x.shape[1] for x in xs)
    rows, left = [], 0
    for x in xs:
        sides = ((0, 0), (left, width - left - x.shape[1]))
        rows.append(V.pad(to_dtype(x, d), widths=sides, value=0))
        left += x.shape[1]
    return cat(rows, 0)


# -- splitting ------------------------------------------------------------------------------------


def _multi_view(parts: list[Tensor]) -> tuple[Tensor, ...]:
    for p in parts:
        if p._view is not None and p._view.creation == "default":
            p._view.creation = "multi"
    return tuple(parts)


@public()
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts: all of one size (but the last), or of the given sizes."""
    shape = check_tensor("split", tensor)._data.shape
    if not shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, len(shape))
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and shape[d]):
            raise RuntimeError(f"split expects split_size be positive, but got {size}")
        count = max(1, -(-shape[d] // size)) if size else 1
        sizes = [min(size, shape[d] - i * size) for i in range(count)]
    else:
        sizes = list(ints("split", tuple(split_size_or_sections)))
        if sum(sizes) != shape[d] or any(s < 0 for s in sizes):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {shape[d]} (input "
                f"tensor's size at dimension {d}), but got split_sizes={sizes}"
            )
    parts = []
    start = 0
    for s in sizes:
        parts.append(V.slice_(tensor, index=(slice(None),) * d + (slice(start, start + s),)))
        start += s
    return _multi_view(parts)


@public()
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of the given sizes."""
    return split(input, list(split_sizes), dim)


@public()
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` consecutive parts of equal size (but the last)."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    shape = check_tensor("chunk", input)._data.shape
    if not shape:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    extent = shape[wrap_dim(dim, len(shape))]
    if extent == 0:
        return split(input, [0] * chunks, dim)
    return split(input, -(-extent // chunks), dim)


@public()
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts: a number of nearly equal ones, or those between the given indices."""
    shape = check_tensor("tensor_split", input)._data.shape
    if not shape:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got 0-d")
    d = wrap_dim(dim, len(shape))
    n = shape[d]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        k, extra = divmod(n, indices_or_sections)
        bounds = [0]
        for i in range(indices_or_sections):
            bounds.append(bounds[-1] + k + (1 if i < extra else 0))
    else:
        bounds = [0, *ints("tensor_split", tuple(indices_or_sections)), n]
    index = (slice(None),) * d
    return tuple([V.slice_(input, index=(*index, slice(a, b))) for a, b in pairwise(bounds)])


@public()
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all slices along a dimension."""
    shape = check_tensor("unbind", input)._data.shape
    if not shape:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, len(shape))
    return _multi_view([V.slice_(input, index=(slice(None),) * d + (i,)) for i in range(shape[d])])


def _publish_split(name: str, dim: int, least: int) -> None:
    def split(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        x = check_tensor(name, input)
        if x.ndim < least:
            raise RuntimeError(
                f"{name} requires a tensor with at least {least} dimension, but got a tensor with "
                f"{x.ndim} dimensions!"
            )
        axis = 0 if name == "hsplit" and x.ndim == 1 else dim
        parts = indices_or_sections
        if isinstance(parts, int) and (parts == 0 or x.shape[axis] % parts):
            raise RuntimeError(
                f"{name} attempted to split along dimension {axis}, but the size of the dimension "
                f"{x.shape[axis]} is not divisible by the split_size {parts}!"
            )
        return tensor_split(x, parts, axis)

    split.__doc__ = f"Views of parts along dimension {dim}."
    public(name)(split)


_publish_split("hsplit", 1, 1)
_publish_split("vsplit", 0, 2)
_publish_split("dsplit", 2, 3)


def _publish_unsafe(split: Callable[..., tuple[Tensor, ...]]) -> None:
    name = f"unsafe_{split.__name__}"

    def parts(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        found = split(check_tensor(name, input), *args, **kwargs)
        for part in found:  # each may be changed, and the others do not hear of it
            part._view = part._counter = None
        return found

    parts.__doc__ = (
        f"The parts of `{split.__name__}`, declared to share no memory, which is up to the user."
    )
    public(name)(parts)


for _split in (chunk, split, split_with_sizes):
    _publish_unsafe(_split)
