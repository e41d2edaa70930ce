"""Primitives that rearrange elements: views, and the copies that undo or join them."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..dispatch import bind
from ..tensor import Tensor, wrap
from ..views import replay
from .batching import SHIFT, SHIFT_EXPAND, SHIFT_ORDER, SHIFT_VIEW
from .registry import broadcast_shapes, call, primitive

Shape = tuple[int, ...]


# -- views ----------------------------------------------------------------------------------------


def _view_array(x: Any, *, shape: Shape) -> Any:
    y = x.view()
    try:
        y.shape = shape
    except AttributeError:
        raise RuntimeError(
            f"view size {list(shape)} is not compatible with input tensor's size "
            f"{list(x.shape)} and strides (at least one dimension spans across two contiguous "
            "subspaces). Use .reshape(...) instead."
        ) from None
    return y


view = primitive(
    "view",
    _view_array,
    lambda x, shape: (shape, x.dtype),
    grad=lambda g, x_shape: reshape(g, x_shape),
    view=True,
    linear=True,
    array_rules=True,
    samples=lambda make: [
        call(make(4), shape=(2, 2)),
        call(make(), shape=(1, 1)),
        call(make(0), shape=(2, 0)),
    ],
    same=lambda shape: True,
    batch=SHIFT_VIEW,
    doc="The same elements in another shape, without a copy.",
)
permute = primitive(
    "permute",
    lambda x, dims: x.transpose(dims),
    lambda x, dims: (tuple(x.shape[d] for d in dims), x.dtype),
    grad=lambda g, dims: permute(g, dims=tuple(sorted(range(len(dims)), key=dims.__getitem__))),
    view=True,
    linear=True,
    array_rules=True,
    samples=lambda make: [call(make(2, 3, 2), dims=(2, 0, 1)), call(make(), dims=())],
    same=lambda dims: dims == tuple(range(len(dims))),
    batch=SHIFT_ORDER,
    doc="The dimensions in another order.",
)


def _other_bits(x: Any, *, dtype: Any) -> Any:
    if dtype.itemsize != x.dtype.itemsize and x.size and x.strides[-1] != x.itemsize:
        x = np.ascontiguousarray(x)  # a batch that lies otherwise
    return x.view(dtype)


view_dtype = primitive(
    "view_dtype",
    _other_bits,
    lambda x, dtype: (
        (*x.shape[:-1], x.shape[-1] * x.dtype.itemsize // dtype.itemsize)
        if dtype.itemsize != x.dtype.itemsize
        else x.shape,
        dtype,
    ),
    view=True,
    samples=lambda make: (
        [call(make(2, 4), dtype=np.dtype(np.uint8)), call(make(1), dtype=np.dtype(np.uint8))]
        if make.layout == "contiguous"
        else []
    ),
    batch=SHIFT,
    doc="The same bits in another dtype.",
)


def _expand(x: Any, *, shape: Shape) -> Any:
    offset = len(shape) - x.ndim
    strides = tuple(
        0 if i < offset or (x.shape[i - offset] == 1 and extent != 1) else x.strides[i - offset]
        for i, extent in enumerate(shape)
    )
    if x.flags.c_contiguous:
        return np.ndarray(shape, x.dtype, x, 0, strides)  # a tenth of the time of as_strided
    return as_strided(x, shape, strides)


expand = primitive(
    "expand",
    _expand,
    lambda x, shape: (shape, x.dtype),
    grad=lambda g, x_shape: _sum_to(g, x_shape),
    view=True,
    linear=True,
    array_rules=True,
    samples=lambda make: [
        call(make(2, 1), shape=(2, 2, 3)),
        call(make(), shape=(2,)),
        call(make(1), shape=(0,)),
    ],
    same=lambda shape: True,
    batch=SHIFT_EXPAND,
    doc="Dimensions of extent 1 repeated without a copy.",
)


def _sum_to(g: Any, shape: Shape) -> Any:
    from .reduction import sum_to

    return sum_to(g, shape)


def slice_shape(shape: Shape, index: tuple[Any, ...]) -> Shape:
    """The shape of ``x[index]`` for ints, slices and None (numpy's newaxis), one per dimension."""
    result = []
    axis = 0
    for item in index:
        if item is None:
            result.append(1)
            continue
        if isinstance(item, slice):
            result.append(len(range(*item.indices(shape[axis]))))
        axis += 1
    return (*result, *shape[axis:])


slice_ = primitive(
    "slice",
    lambda x, index: x[(*index, ...)],
    lambda x, index: (slice_shape(x.shape, index), x.dtype),
    grad=lambda g, x_shape, index: _sliced(g, x_shape, index),
    view=True,
    linear=True,
    array_rules=True,
    samples=lambda make: [
        call(make(3, 4), index=(slice(0, 3, 2),)),
        call(make(3, 4), index=(1, None, slice(1, 3))),
        call(make(3), index=(0,)),
        call(make(3), index=(slice(1, 1),)),
        call(make(), index=(None,)),
    ],
    same=lambda index: not any(isinstance(i, slice) and (i.step or 1) < 0 for i in index),
    batch=SHIFT,
    doc="Basic indexing by integers, slices and None.",
)


def _sliced(g: Any, shape: Shape, index: tuple[Any, ...]) -> Any:
    backwards = any(isinstance(i, slice) and (i.step or 1) < 0 for i in index)
    if (
        math.prod(g.shape) == math.prod(shape) and not backwards
    ):  # everything: new or dropped dimensions
        return reshape(g, shape)
    return slice_backward(g, shape=shape, index=index)


def _slice_backward(g: Any, *, shape: Shape, index: tuple[Any, ...]) -> Any:
    r = np.zeros(shape, g.dtype)
    r[(*index, ...)] = g
    return r


slice_backward = primitive(
    "slice_backward",
    _slice_backward,
    lambda g, shape, index: (shape, g.dtype),
    inputs=("x",),
    grad=lambda g, index: slice_(g, index=index),
    linear=True,
    array_rules=True,
    samples=lambda make: [
        call(make(2, 4), shape=(3, 4), index=(slice(0, 3, 2),)),
        call(make(), shape=(3,), index=(1,)),
    ],
    native=("parts", lambda out, x, shape, index: ([out[(*index, ...)]], 0)),
    batch=SHIFT,
    doc="Zeros with x in the place that the index names.",
)


def _diagonal(x: Any, *, offset: int, dim1: int, dim2: int) -> Any:
    y = np.diagonal(x, offset, dim1, dim2)
    y.flags.writeable = x.flags.writeable  # NumPy hands out read-only diagonals
    return y


def _diagonal_shape(x: Any, *, offset: int, dim1: int, dim2: int) -> Any:
    rows, columns = x.shape[dim1], x.shape[dim2]
    n = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    rest = tuple(e for i, e in enumerate(x.shape) if i not in (dim1, dim2))
    return (*rest, n), x.dtype


diagonal = primitive(
    "diagonal", _diagonal, _diagonal_shape,
    grad=lambda g, x_shape, offset, dim1, dim2: diagonal_backward(
        g, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2),
    view=True, linear=True, array_rules=True, samples=lambda make: [
        call(make(3, 3), offset=0, dim1=0, dim2=1), call(make(2, 3, 2), offset=-1, dim1=2, dim2=1),
        call(make(2, 2), offset=3, dim1=0, dim2=1),
    ],
    batch=SHIFT,
    doc="The diagonal of two dimensions, as the last dimension.",
)  # fmt: skip


def _diagonal_backward(g: Any, *, shape: Shape, offset: int, dim1: int, dim2: int) -> Any:
    r = np.zeros(shape, g.dtype)
    _diagonal(r, offset=offset, dim1=dim1, dim2=dim2)[...] = g
    return r


diagonal_backward = primitive(
    "diagonal_backward", _diagonal_backward, lambda g, shape, **_: (shape, g.dtype),
    grad=lambda g, offset, dim1, dim2: diagonal(g, offset=offset, dim1=dim1, dim2=dim2),
    linear=True, array_rules=True,
    samples=lambda make: [call(make(2), shape=(3, 3), offset=1, dim1=0, dim2=1)],
    native=("parts", lambda out, x, shape, **where: ([_diagonal(out, **where)], 0)),
    batch=SHIFT,
    doc="Zeros with x on the diagonal.",
)  # fmt: skip

alias = primitive(
    "alias", lambda x: x, lambda x: (x.shape, x.dtype), grad=lambda g: g, view=True, linear=True,
    array_rules=True,
    same=lambda: True,
    samples=lambda make: [call(make(2, 3)), call(make())],
    batch=SHIFT,
    doc="The tensor itself, as a view.",
)  # fmt: skip

# -- copies ---------------------------------------------------------------------------------------

clone = primitive(
    "clone", lambda x: x.copy(order="C"), lambda x: (x.shape, x.dtype), grad=lambda g: g,
    linear=True, array_rules=True,
    samples=lambda make: [call(make(2, 3)), call(make()), call(make(0))],
    pointwise="x", native=("parts", lambda out, x: ([out], None)), batch=SHIFT,
    doc="A copy, contiguous in memory.",
)  # fmt: skip


def _viewed(x: Any, chain: Any) -> Any:
    for op, params in chain:
        x = op.evaluate(x, **params)
    return x


def _view_scatter(x: Any, y: Any, *, chain: Any) -> Any:
    r = x.copy(order="K")
    try:
        _viewed(r, chain)[...] = y
    except RuntimeError:  # a program lays x out otherwise than the memory of which these are views
        places = np.arange(r.size).reshape(r.shape)
        for op, params in chain:
            places = op.evaluate(np.ascontiguousarray(places), **params)
        r = np.ascontiguousarray(r)
        r.reshape(-1)[places] = y
    return r


view_scatter = primitive(
    "view_scatter", _view_scatter, lambda x, y, chain: (x.shape, x.dtype), inputs=("x", "y"),
    grad=(
        lambda g, y_shape, y_dtype, chain: view_scatter(
            g, wrap(np.zeros(y_shape, y_dtype)), chain=chain),
        lambda g, chain: replay(g, chain),
    ),
    linear=True, samples=lambda make: [
        call(make(3, 2), make(2), chain=((slice_, {"index": (1,)}),)),
        call(make(2, 3), make(3), chain=((permute, {"dims": (1, 0)}),
                                         (slice_, {"index": (slice(None), 1)}))),
    ],
    native=("parts", lambda out, x, y, chain: ([out, _viewed(out, chain)], None)),
    batch=SHIFT,
    doc="x with the part that a chain of view ops names replaced by y.",
)  # fmt: skip
view_scatter.node_class.__name__ = "CopySlices"  # what users of PyTorch know `x[i] = y` by


def _cat(*xs: Any, dim: int) -> Any:
    return np.concatenate(xs, axis=dim)


def _cat_shape(*xs: Any, dim: int) -> Any:
    shape = list(xs[0].shape)
    shape[dim] = sum(x.shape[dim] for x in xs)
    return tuple(shape), xs[0].dtype


def _cat_grad(g: Tensor, shapes: tuple[Shape, ...], needs: tuple[bool, ...], dim: int) -> Any:
    start = 0
    parts: list[Tensor | None] = []
    for shape, needed in zip(shapes, needs, strict=True):
        stop = start + shape[dim]
        index = (slice(None),) * dim + (slice(start, stop),)
        parts.append(slice_(g, index=index) if needed else None)
        start = stop
    return parts


def _cat_parts(out: Any, *xs: Any, dim: int) -> Any:
    stops = list(itertools.accumulate(x.shape[dim] for x in xs))
    starts = [0, *stops[:-1]]
    before = (slice(None),) * dim
    return [out[(*before, slice(a, b))] for a, b in zip(starts, stops, strict=True)], None


cat = primitive(
    "cat",
    _cat,
    _cat_shape,
    inputs=("*xs",),
    grad=_cat_grad,
    linear=True,
    samples=lambda make: [
        call(make(2, 3), make(1, 3), dim=0),
        call(make(2, 1), make(2, 0), make(2, 2), dim=1),
    ],
    native=("parts", _cat_parts),
    batch=SHIFT,
    doc="Tensors joined along a dimension; all have the same dtype and rank.",
)
flip = primitive(
    "flip",
    lambda x, dims: np.flip(x, dims).copy(order="C"),
    lambda x, dims: (x.shape, x.dtype),
    grad=lambda g, dims: flip(g, dims=dims),
    linear=True,
    array_rules=True,
    samples=lambda make: [
        call(make(2, 3), dims=(1,)),
        call(make(2, 3), dims=(0, 1)),
        call(make(3), dims=()),
    ],
    native=("parts", lambda out, x, dims: ([np.flip(out, dims)], None)),
    batch=SHIFT,
    doc="The order along some dimensions reversed.",
)


def _pad_index(shape: Shape, widths: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    return tuple(slice(lo, lo + n) for n, (lo, _) in zip(shape, widths, strict=True))


pad = primitive(
    "constant_pad",
    lambda x, widths, value: np.pad(x, widths, constant_values=value),
    lambda x, widths, value: (
        tuple(n + lo + hi for n, (lo, hi) in zip(x.shape, widths, strict=True)),
        x.dtype,
    ),
    grad=lambda g, x_shape, widths: slice_(g, index=_pad_index(x_shape, widths)),
    samples=lambda make: [
        call(make(2, 3), widths=((1, 0), (0, 2)), value=1),
        call(make(2), widths=((0, 0),), value=0),
    ],
    jvp=lambda primals, tangents, out, widths, value: pad(tangents[0], widths=widths, value=0),
    native=("parts", lambda out, x, widths, value: ([out[_pad_index(x.shape, widths)]], value)),
    batch=SHIFT,
    doc="A border of a constant around the tensor; widths are not negative.",
)

# -- shapes as users give them --------------------------------------------------------------------


def wrap_dim(dim: int, ndim: int) -> int:
    """A dimension counted from either end, as one counted from the front.

    Raises:
        IndexError: there is no such dimension (a 0-d tensor has the dimension 0, as in PyTorch).
    """
    n = max(ndim, 1)
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    return dim % n


def infer_shape(shape: Shape, numel: int) -> Shape:
    """Replace the one -1 in a shape by what the number of elements demands."""
    known = math.prod(s for s in shape if s != -1)
    if any(s < -1 for s in shape):
        raise RuntimeError(f"invalid shape dimension {min(shape)} in {list(shape)}")
    if -1 in shape:
        if shape.count(-1) > 1:
            raise RuntimeError(f"only one dimension can be inferred, got shape {list(shape)}")
        if known == 0 and numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if known == 0 or numel % known:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
        return tuple(numel // known if s == -1 else s for s in shape)
    if known != numel:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return shape


def reshape(x: Any, shape: Shape) -> Any:
    """A view where the strides allow it, else a copy."""
    if x.__class__ is np.ndarray:  # in a rule that runs on arrays
        return x.reshape(shape)
    data = x._data
    if data.shape == shape:
        return bind(view, (x,), {"shape": shape}) if x._view is None else bind(alias, (x,))
    if not _viewable(data, shape):
        copy = bind(view, (clone(x),), {"shape": shape})
        copy._view = None  # nobody else sees the clone
        return copy
    return bind(view, (x,), {"shape": shape})


def is_contiguous(data: Any) -> bool:
    """Whether the elements of an array or tracer lie in row-major order without gaps."""
    if data.__class__ is np.ndarray:
        return data.flags.c_contiguous
    step = data.dtype.itemsize
    for n, stride in zip(reversed(data.shape), reversed(data.strides), strict=True):
        if n != 1:
            if stride != step:
                return 0 in data.shape
            step *= n
    return True


def _viewable(x: Any, shape: Shape) -> bool:
    if is_contiguous(x):
        return True
    if x.__class__ is np.ndarray:
        y = x.view()
    else:
        y = as_strided(np.empty(0, x.dtype), x.shape, x.strides)
    try:
        y.shape = shape
    except AttributeError:
        return False
    return True


def expand_to(x: Any, shape: Shape) -> Any:
    """`x` broadcast to `shape`, as it is if it has that shape."""
    data = x if x.__class__ is np.ndarray else x._data
    return x if data.shape == shape else expand(x, shape=shape)


def broadcast_all(*xs: Tensor) -> list[Tensor]:
    """All tensors expanded to their common shape."""
    shape = broadcast_shapes(*[x._data.shape for x in xs])
    return [expand_to(x, shape) for x in xs]
