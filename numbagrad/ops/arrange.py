"""Public functions that reorder, repeat and combine elements."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .. import dtypes
from ..dispatch import reads_values
from ..tensor import Tensor, method, wrap
from . import elementwise as E, view as V
from .export import check_tensor, public
from .joining import stack
from .scatter import index_select
from .shape import flatten, ints, several, transpose, unpacked, unsqueeze
from .view import wrap_dim

# -- the order of elements ------------------------------------------------------------------------


@public()
def flip(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """A copy with the order along some dimensions reversed."""
    n = check_tensor("flip", input).ndim
    axes = tuple(wrap_dim(d, n) for d in ints("flip", dims, dims=named))
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"flip(): a dim appears multiple times in the list of dims {axes}")
    return V.flip(input, dims=axes) if n else V.clone(input)


@public()
def fliplr(input: Tensor) -> Tensor:
    """A copy with the columns in reverse order."""
    if check_tensor("fliplr", input).ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@public()
def flipud(input: Tensor) -> Tensor:
    """A copy with the rows in reverse order."""
    if check_tensor("flipud", input).ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


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
        return flip(x, a, b)
    if k == 0:
        return V.clone(x)
    return transpose(flip(x, b if k == 1 else a), a, b).contiguous()


@public()
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved along dimensions, those that leave at the end enter at the start."""
    check_tensor("roll", input)
    if dims is None:
        return V.reshape(roll(flatten(input), shifts, 0), tuple(input.shape))
    start = input
    amounts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(amounts) != len(axes):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(amounts)}, dims:{len(axes)}"
        )
    for amount, dim in zip(amounts, axes, strict=True):
        d = wrap_dim(dim, input.ndim)
        n = input._data.shape[d]
        if n and amount % n:
            index = (slice(None),) * d
            cut = n - amount % n
            input = V.cat(
                V.slice_(input, index=(*index, slice(cut, n))),
                V.slice_(input, index=(*index, slice(0, cut))), dim=d,
            )  # fmt: skip
    return input if input is not start else V.clone(input)


# -- repetition -----------------------------------------------------------------------------------


@method("repeat")
def repeat(self: Tensor, *sizes: Any, **named: Any) -> Tensor:
    """A copy, tiled `sizes` times along each dimension."""
    counts = ints("repeat", sizes, repeats=named)
    shape = tuple(self._data.shape)
    if len(counts) < len(shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    shape = (1,) * (len(counts) - len(shape)) + shape
    spread = V.reshape(self, tuple(x for s in shape for x in (1, s)))
    tiled = V.expand(spread, shape=tuple(x for c, s in zip(counts, shape) for x in (c, s)))
    result = V.reshape(V.clone(tiled), tuple(c * s for c, s in zip(counts, shape)))
    result._view = None  # nobody else sees the clone
    return result


@public()
def tile(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """Tiled as NumPy's tile does: missing leading counts are 1."""
    counts = ints("tile", dims, dims=named)
    return repeat(input, (1,) * (check_tensor("tile", input).ndim - len(counts)) + counts)


@reads_values(each=True, name="repeat_interleave")
def _repeated_places(repeats: Tensor, n: int) -> Tensor:
    """0 to n - 1, each as often as `repeats` says."""
    counts = repeats._data
    return wrap(np.repeat(np.arange(n), counts if counts.ndim else int(counts)))


@public()
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element repeated in place, `repeats` times or as often as its entry there says.

    With counts alone: the positions 0, 1, ... repeated so often.
    """
    check_tensor("repeat_interleave", input)
    if repeats is None:
        return _repeated_places(input, input.numel())
    if dim is None:
        input, dim = flatten(input), 0
    d = wrap_dim(dim, input.ndim)
    if not isinstance(repeats, Tensor) and repeats < 0:
        raise RuntimeError(f"Repeats must be non-negative, got {repeats}")
    if isinstance(repeats, Tensor):
        return index_select(input, d, _repeated_places(repeats, input.shape[d]))
    shape = tuple(input._data.shape)
    spread = V.expand(unsqueeze(input, d + 1), shape=(*shape[: d + 1], repeats, *shape[d + 1 :]))
    return V.reshape(V.clone(spread), (*shape[:d], shape[d] * repeats, *shape[d + 1 :]))


# -- combinations ---------------------------------------------------------------------------------


@public(method=False)
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinate grids of vectors, with matrix ("ij") or Cartesian ("xy") indexing."""
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    xs = list(unpacked(tensors))
    for x in xs:
        if check_tensor("meshgrid", x).ndim > 1:
            raise RuntimeError(f"meshgrid: Expected 0D or 1D tensors, got shape {tuple(x.shape)}")
    swap = indexing == "xy" and len(xs) >= 2
    if swap:
        xs[0], xs[1] = xs[1], xs[0]
    shape = tuple(x.numel() for x in xs)
    grids = [
        V.expand(V.reshape(x, (1,) * i + (x.numel(),) + (1,) * (len(xs) - i - 1)), shape=shape)
        for i, x in enumerate(xs)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@public(method=False)
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, a row each."""
    xs = several(tensors)
    if len(xs) == 1:
        return xs[0]
    grids = meshgrid(*xs, indexing="ij")
    return stack([flatten(g) for g in grids], 1)


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
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix: powers of a vector as columns."""
    if check_tensor("vander", x).ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    powers = np.arange(n) if increasing else np.arange(n)[::-1].copy()
    return E.pow(unsqueeze(x, 1), E.to_dtype(wrap(powers), x._data.dtype))


@public(method=False)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Flat indices as one index tensor per dimension."""
    sizes = ints("unravel_index", (shape,))
    result = []
    check_tensor("unravel_index", indices, "indices", kinds="iu", refusal=TypeError)
    rest = E.to_dtype(indices, dtypes.I64)
    for s in reversed(sizes):
        result.append(E.remainder(rest, s))
        rest = E.floor_divide(rest, s)
    return tuple(reversed(result))
