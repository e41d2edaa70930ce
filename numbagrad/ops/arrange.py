"""Composites that arrange tensors: joining, splitting, triangles, patches, grids of indices."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..creation import leaf
from ..tensor import Tensor, wrap
from . import elementwise as E
from . import shape as S
from . import view as V
from .elementwise import to_dtype
from .export import check_tensor, public
from .gather import gather_, sort_order, take_rows
from .reduction import cumsum
from .search import search
from .view import wrap_dim


def _several(tensors: tuple[Any, ...]) -> list[Tensor]:
    """Tensors given one by one or as one sequence, at least one."""
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("expects a non-empty TensorList")
    return [check_tensor("tensors", x) for x in tensors]


# -- at least so many dimensions ------------------------------------------------------------------


def _at_least(n: int, x: Tensor) -> Tensor:
    while x.ndim < n:
        # A vector becomes a row, and a matrix the first slice of depth 1.
        x = S.unsqueeze(x, -1 if x.ndim == 2 else 0)
    return x


def _publish_at_least(n: int) -> Callable[..., Any]:
    def at_least(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return _at_least(n, tensors[0])
        return tuple(_at_least(n, x) for x in _several(tensors))

    at_least.__doc__ = f"Each tensor with at least {n} dimensions, as views."
    return public(f"atleast_{n}d", method=False)(at_least)


atleast_1d, atleast_2d, atleast_3d = (_publish_at_least(n) for n in (1, 2, 3))

# -- joining and splitting ------------------------------------------------------------------------


@public(method=False, out=True)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the second dimension; vectors along the first."""
    xs = [_at_least(1, x) for x in _several((tensors,))]
    return S.cat(xs, 0 if xs and xs[0].ndim == 1 else 1)


@public(method=False, aliases=("row_stack",), out=True)
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the first dimension; vectors as rows."""
    return S.cat([_at_least(2, x) for x in _several((tensors,))], 0)


@public(method=False, out=True)
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the third dimension."""
    return S.cat([_at_least(3, x) for x in _several((tensors,))], 2)


@public(method=False, out=True)
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the second dimension; vectors as columns."""
    xs = _several((tensors,))
    return S.cat([x if x.ndim > 1 else V.reshape(x, (x.numel(), 1)) for x in xs], 1)


@public(method=False)
def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the tensors as blocks on its diagonal."""
    xs = [_at_least(2, x) for x in _several(tensors)]
    if any(x.ndim > 2 for x in xs):
        raise RuntimeError("block_diag: Input tensors must have 2 or fewer dimensions.")
    d = xs[0]._data.dtype
    for x in xs:
        d = dtypes.promote(d, x._data.dtype)
    width = sum(x.shape[1] for x in xs)
    rows, left = [], 0
    for x in xs:
        sides = ((0, 0), (left, width - left - x.shape[1]))
        rows.append(V.pad(E.to_dtype(x, d), widths=sides, value=0))
        left += x.shape[1]
    return S.cat(rows, 0)


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
        return S.tensor_split(x, parts, axis)

    split.__doc__ = f"Views of parts along dimension {dim}."
    public(name)(split)


_publish_split("hsplit", 1, 1)
_publish_split("vsplit", 0, 2)
_publish_split("dsplit", 2, 3)


@public()
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of the given sizes."""
    return S.split(input, list(split_sizes), dim)


# -- the order of elements ------------------------------------------------------------------------


@public()
def fliplr(input: Tensor) -> Tensor:
    """A copy with the columns in reverse order."""
    if check_tensor("fliplr", input).ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return S.flip(input, 1)


@public()
def flipud(input: Tensor) -> Tensor:
    """A copy with the rows in reverse order."""
    if check_tensor("flipud", input).ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return S.flip(input, 0)


@public()
def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """A copy turned k times by 90 degrees in the plane of two dimensions."""
    x = check_tensor("rot90", input)
    if len(dims) != 2 or x.ndim < 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    a, b = (wrap_dim(d, x.ndim) for d in dims)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got {list(dims)}")
    k %= 4
    if k == 2:
        return S.flip(x, a, b)
    if k == 0:
        return V.clone(x)
    return S.transpose(S.flip(x, b if k == 1 else a), a, b).contiguous()


# -- parts replaced -------------------------------------------------------------------------------


def _replaced(name: str, x: Tensor, src: Tensor, op: Any, **params: Any) -> Tensor:
    """`x` with the part that a view op names replaced by `src`."""
    shape = op.abstract(check_tensor(name, x)._data, **params)[0]
    if tuple(check_tensor(name, src, "src", 2)._data.shape) != tuple(shape):
        raise RuntimeError(
            f"{name}(): expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(shape)}"
        )
    value = E.to_dtype(src, x._data.dtype)
    return V.view_scatter(x, value, chain=((op, params),))


@public()
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with one slice along a dimension replaced by `src`."""
    d = wrap_dim(dim, check_tensor("select_scatter", input).ndim)
    at = (slice(None),) * d + (range(input.shape[d])[index],)
    return _replaced("select_scatter", input, src, V.slice_, index=at)


@public(out=True)
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Tensor:  # fmt: skip
    """A copy with a range of slices along a dimension replaced by `src`."""
    d = wrap_dim(dim, check_tensor("slice_scatter", input).ndim)
    a, b, c = slice(start, end, step).indices(input.shape[d])
    at = (slice(None),) * d + (slice(a, max(a, b), c),)
    return _replaced("slice_scatter", input, src, V.slice_, index=at)


@public()
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy with a diagonal replaced by `src`."""
    n = check_tensor("diagonal_scatter", input).ndim
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    return _replaced("diagonal_scatter", input, src, V.diagonal, offset=offset, dim1=a, dim2=b)


@public(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy in which the elements where the mask holds come from `source`, in order."""
    x = check_tensor("masked_scatter", input)
    check_tensor("masked_scatter", source, "source", 3)
    if check_tensor("masked_scatter", mask, "mask", 2)._data.dtype.kind != "b":
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if source._data.dtype is not x._data.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got "
            f"{x.dtype} and {source.dtype}"
        )
    x, mask = V.broadcast_all(x, mask)
    n = source.numel()
    held = mask._data
    if isinstance(held, np.ndarray) and np.count_nonzero(held) > n:
        raise RuntimeError(
            f"masked_scatter: expected source to have at least {np.count_nonzero(held)} elements, "
            f"the number of ones in mask, but it has {n}"
        )
    if not n:
        return V.clone(x)
    # The k-th place of the mask takes element k: no shape depends on values, so it can be traced.
    counted = cumsum(to_dtype(V.reshape(mask, (mask.numel(),)), dtypes.I64), dim=0)
    places = E.minimum(E.maximum(counted - 1, 0), n - 1)
    taken = take_rows(V.reshape(source, (n,)), places, dim=0)
    return E.where(mask, V.reshape(taken, tuple(x._data.shape)), x)


# -- the copying twins of views -------------------------------------------------------------------


def _publish_copy(name: str) -> None:
    view = getattr(Tensor, name)

    def copying(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        r = view(check_tensor(f"{name}_copy", input), *args, **kwargs)
        return tuple(V.clone(p) for p in r) if isinstance(r, tuple) else V.clone(r)

    copying.__doc__ = f"A copy of what `{name}` gives as a view."
    public(f"{name}_copy", method=False, out=True)(copying)


for _name in ("diagonal", "expand", "permute", "select", "split", "split_with_sizes", "squeeze",
              "t", "transpose", "unbind", "unsqueeze", "view"):  # fmt: skip
    _publish_copy(_name)


def _publish_unsafe(name: str) -> None:
    split = getattr(Tensor, name)

    def parts(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        found = split(check_tensor(f"unsafe_{name}", input), *args, **kwargs)
        for part in found:  # each may be changed, and the others do not hear of it
            part._view = part._counter = None
        return found

    parts.__doc__ = f"The parts of `{name}`, declared to share no memory, which is up to the user."
    public(f"unsafe_{name}")(parts)


for _name in ("chunk", "split", "split_with_sizes"):
    _publish_unsafe(_name)


# -- products of sets -----------------------------------------------------------------------------


@public(out=True)
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product."""
    a, b = check_tensor("kron", input), check_tensor("kron", other, "other", 2)
    n = max(a.ndim, b.ndim)
    rows = (1,) * (n - a.ndim) + tuple(a._data.shape)
    columns = (1,) * (n - b.ndim) + tuple(b._data.shape)
    left = V.reshape(a, tuple(s for r in rows for s in (r, 1)))
    right = V.reshape(b, tuple(s for c in columns for s in (1, c)))
    return V.reshape(left * right, tuple(r * c for r, c in zip(rows, columns)))


@public(method=False)
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, a row each."""
    xs = _several(tensors)
    if len(xs) == 1:
        return xs[0]
    grids = S.meshgrid(*xs, indexing="ij")
    return S.stack([S.flatten(g) for g in grids], 1)


@public(method=False)
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of r elements of a vector, a row each."""
    n = check_tensor("combinations", input).shape[0] if input.ndim == 1 else -1
    if n < 0:
        raise RuntimeError("Expect a 1D vector, but got shape " + str(list(input.shape)))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(n), r)), np.int64).reshape(-1, r)
    if r == 0:
        return V.slice_(input, index=(slice(0, 0),))
    return input[wrap(rows)]


def _triangle_indices(name: str, row: int, col: int, offset: int, dtype: Any, mask: Any) -> Tensor:
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}: row and col must be non-negative, got {row} and {col}")
    d = dtypes.of(dtypes.int64 if dtype is None else dtype).np
    return leaf(np.stack(np.nonzero(mask(np.ones((row, col), bool), offset))).astype(d))


@public(method=False)
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Rows and columns of the lower triangle of a matrix."""
    return _triangle_indices("tril_indices", row, col, offset, dtype, np.tril)


@public(method=False)
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Rows and columns of the upper triangle of a matrix."""
    return _triangle_indices("triu_indices", row, col, offset, dtype, np.triu)


@public()
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with the flattened tensor on a diagonal."""
    return S.diag_embed(S.ravel(check_tensor("diagflat", input)), offset)


@public(method=False)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Flat indices as one index tensor per dimension."""
    sizes = S.ints("unravel_index", (shape,))
    result = []
    rest = E.to_dtype(check_tensor("unravel_index", indices), dtypes.I64)
    for s in reversed(sizes):
        result.append(E.remainder(rest, s))
        rest = E.floor_divide(rest, s)
    return tuple(reversed(result))


@public(method=False, out=True)
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """True for the elements that are among `test_elements`."""
    a, b = (x if isinstance(x, Tensor) else wrap(np.asarray(x)) for x in (elements, test_elements))
    n = b.numel()
    if n == 0:
        return wrap(np.full(a._data.shape, bool(invert)))
    b = V.reshape(b, (n,))
    b = gather_(b, sort_order(b, dim=0, descending=False), dim=0)
    places = E.minimum(search(b, a, right=False), n - 1)
    return (E.ne if invert else E.eq)(a, take_rows(b, places, dim=0))


@public(method=False)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix: powers of a vector as columns."""
    if check_tensor("vander", x).ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    powers = np.arange(n) if increasing else np.arange(n)[::-1].copy()
    return E.pow(S.unsqueeze(x, 1), E.to_dtype(wrap(powers), x._data.dtype))
