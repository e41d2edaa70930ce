"""Public reductions: sums, means, extrema, variances, norms, scans."""

from __future__ import annotations

import builtins
import math
import warnings
from typing import Any

import numpy as np

from .. import dtypes, return_types
from ..tensor import Tensor, method, wrap
from . import elementwise as E, reduction as R, view as V
from .export import check_kinds, check_tensor, public
from .factor import svd
from .shape import ints
from .view import wrap_dim

Dim = Any


def dims(name: str, dim: Dim, ndim: int) -> tuple[int, ...]:
    """The reduced dimensions, sorted; None or () means all."""
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return tuple(range(ndim))
    wrapped = [wrap_dim(d, ndim) for d in ((dim,) if isinstance(dim, int) else dim)]
    if len(set(wrapped)) != len(wrapped):
        raise RuntimeError(
            f"{name}(): dim {wrapped[-1]} appears multiple times in the list of dims"
        )
    return tuple(sorted(wrapped)) if ndim else ()


def _accumulated(x: Tensor, dtype: Any) -> Tensor:
    """Integers and bools are summed in int64; `dtype` converts first."""
    if dtype is not None:
        return E.to_dtype(x, dtypes.of(dtype).np)
    return E.to_dtype(x, dtypes.I64) if x._data.dtype.kind in "biu" else x


@public(out=True)
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim` (one or several), or over everything.

    >>> import numbagrad as ng
    >>> ng.ones(2, 3).sum(dim=1)
    tensor([3., 3.])
    """
    check_tensor("sum", input)
    x = _accumulated(input, dtype)
    return R.sum_(x, dim=dims("sum", dim, x.ndim), keepdim=keepdim)


@public(out=True)
def nansum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum with NaNs counted as 0."""
    check_tensor("nansum", input, kinds="biuf", refusal=RuntimeError)
    return sum(E.where(E.isnan(input), E.number_like(input, 0), input), dim, keepdim, dtype=dtype)


@public(out=True)
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The arithmetic mean over `dim`, or over everything.

    Raises:
        RuntimeError: the tensor is of an integer dtype and `dtype` does not say otherwise.
    """
    x = check_tensor("mean", input)
    if dtype is not None:
        x = E.to_dtype(x, dtypes.of(dtype).np)
    if x._data.dtype.kind in "biu":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {x.dtype}; convert it with .float() or pass dtype=ng.float32"
        )
    axes = dims("mean", dim, x.ndim)
    return R.sum_(x, dim=axes, keepdim=keepdim) / _count(x, axes)


def _count(x: Tensor, axes: tuple[int, ...]) -> int:
    return math.prod(x._data.shape[a] for a in axes)


@public(out=True)
def nanmean(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The mean of the elements that are not NaN."""
    if check_tensor("nanmean", input)._data.dtype.kind in "biu":
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{input.dtype}"
        )
    valid = E.logical_not(E.isnan(input))
    return nansum(input, dim, keepdim) / sum(valid, dim, keepdim)


@public(out=True)
def prod(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over one dimension, or over everything."""
    check_tensor("prod", input)
    x = _accumulated(input, dtype)
    return R.prod(x, dim=dims("prod", dim, x.ndim), keepdim=keepdim)


def _extremum(name: str, input: Tensor, dim: Any, keepdim: bool) -> Any:
    full, arg = (R.amax, R.argmax) if name == "max" else (R.amin, R.argmin)
    if dim is None:
        check_kinds(full, input)
        if input.numel() == 0:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        return full(input, dim=tuple(range(input.ndim)), keepdim=False)
    indices = _arg(name, arg, input, dim, True)
    values = _take(input, indices, dim)
    if not keepdim:
        values, indices = _squeeze(values, dim), _squeeze(indices, dim)
    return indices, values


def _squeeze(x: Tensor, dim: int) -> Tensor:
    from .shape import squeeze

    return squeeze(x, dim)


def _take(x: Tensor, indices: Tensor, dim: int) -> Tensor:
    from .scatter import gather

    return gather(x, dim, indices)


def _arg(name: str, op: Any, x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    check_kinds(op, check_tensor(name, x))
    if dim is None:
        if x.numel() == 0:
            raise IndexError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0."
            )
        r = op(V.reshape(x, (x.numel(),)), dim=0)
        return V.reshape(r, (1,) * x.ndim) if keepdim else r
    d = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        return wrap(np.zeros((), np.int64))
    if x.shape[d] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    r = op(x, dim=d)
    return V.slice_(r, index=(slice(None),) * d + (None,)) if keepdim else r


@public(out=True)
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The maximum of everything; of a dimension with its indices; or elementwise with a tensor."""
    check_tensor("max", input)
    if isinstance(dim, Tensor):
        return E.maximum(input, dim)
    if dim is None:
        return _extremum("max", input, None, keepdim)
    indices, values = _extremum("max", input, dim, keepdim)
    return return_types.max(values, indices)


@public(out=True)
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The minimum of everything; of a dimension with its indices; or elementwise with a tensor."""
    check_tensor("min", input)
    if isinstance(dim, Tensor):
        return E.minimum(input, dim)
    if dim is None:
        return _extremum("min", input, None, keepdim)
    indices, values = _extremum("min", input, dim, keepdim)
    return return_types.min(values, indices)


def _nonempty(name: str, x: Tensor, dim: Dim, axes: tuple[int, ...]) -> None:
    if dim in ((), None) and x.numel() == 0:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
            "reduction dim with the 'dim' argument."
        )
    for a in axes:
        if x._data.shape[a] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {a} to have non-zero size.")


@public(out=True)
def amax(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The maximum over dimensions; equal maxima share the gradient."""
    axes = dims("amax", dim, check_tensor("amax", input).ndim)
    check_kinds(R.amax, input)
    _nonempty("amax", input, dim, axes)
    return R.amax(input, dim=axes, keepdim=keepdim)


@public(out=True)
def amin(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The minimum over dimensions; equal minima share the gradient."""
    axes = dims("amin", dim, check_tensor("amin", input).ndim)
    check_kinds(R.amin, input)
    _nonempty("amin", input, dim, axes)
    return R.amin(input, dim=axes, keepdim=keepdim)


@public(out=True)
def aminmax(input: Tensor, *, dim: Any = None, keepdim: bool = False) -> Any:
    """Minimum and maximum."""
    axis = () if dim is None else dim
    return return_types.aminmax(amin(input, axis, keepdim), amax(input, axis, keepdim))


@public(out=True)
def argmax(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The index of the maximum along a dimension, or in the flattened tensor; int64."""
    check_tensor("argmax", input, kinds="iuf", refusal=RuntimeError)
    return _arg("argmax", R.argmax, input, dim, keepdim)


@public(out=True)
def argmin(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The index of the minimum along a dimension, or in the flattened tensor; int64."""
    check_tensor("argmin", input, kinds="iuf", refusal=RuntimeError)
    return _arg("argmin", R.argmin, input, dim, keepdim)


def _truth(x: Tensor, r: Tensor) -> Tensor:
    return E.to_dtype(r, x._data.dtype) if x._data.dtype == np.uint8 else r


@public(out=True)
def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """True where all elements are nonzero."""
    axes = dims("all", dim, check_tensor("all", input).ndim)
    return _truth(input, R.all_(input, dim=axes, keepdim=keepdim))


@public(out=True)
def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """True where some element is nonzero."""
    axes = dims("any", dim, check_tensor("any", input).ndim)
    return _truth(input, R.any_(input, dim=axes, keepdim=keepdim))


@public()
def count_nonzero(input: Tensor, dim: Dim = None) -> Tensor:
    """How many elements are nonzero; int64."""
    return sum(E.ne(input, 0), dim)


def _correction(unbiased: Any, correction: Any) -> float:
    if unbiased is not None:
        return 1 if unbiased else 0
    return 1 if correction is None else correction


def _variance(name: str, x: Tensor, dim: Dim, keepdim: bool, correction: float) -> Tensor:
    if check_tensor(name, x)._data.dtype.kind in "biu":
        raise RuntimeError(
            f"std and var only support floating point and complex dtypes, got {x.dtype}"
        )
    axes = dims(name, dim, x.ndim)
    centered = x - mean(x, axes, True) if axes else x - x
    squares = E.square(E.abs(centered)) if x.is_complex() else E.square(centered)
    n = _count(x, axes)
    if n <= correction:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).",
            UserWarning,
            stacklevel=4,
        )
    return R.sum_(squares, dim=axes, keepdim=keepdim) * _divided(n - correction)


def _divided(n: float) -> float:
    return 1 / n if n > 0 else math.inf


@public(out=True)
def var(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *,
    correction: Any = None,
) -> Tensor:  # fmt: skip
    """The variance; divides by the number of elements less `correction` (default 1)."""
    dim, unbiased = _var_args(dim, unbiased)
    return _variance("var", input, dim, keepdim, _correction(unbiased, correction))


def _var_args(dim: Any, unbiased: Any) -> tuple[Any, Any]:
    return (None, dim) if isinstance(dim, bool) else (dim, unbiased)


@public(out=True)
def std(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *,
    correction: Any = None,
) -> Tensor:  # fmt: skip
    """The standard deviation: the root of :func:`var`."""
    dim, unbiased = _var_args(dim, unbiased)
    return _root(_variance("std", input, dim, keepdim, _correction(unbiased, correction)))


def _root(x: Tensor) -> Tensor:
    """sqrt whose gradient at 0 is 0 times infinity's limit, 0, as in PyTorch's std and norm."""
    zero = E.eq(x, 0)
    return E.where(zero, E.fill(x, 0), E.sqrt(E.where(zero, E.fill(x, 1), x)))


@public(method=False)
def var_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *,
    correction: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Variance and mean."""
    dim, unbiased = _var_args(dim, unbiased)
    return (
        var(input, dim, unbiased, keepdim, correction=correction),
        mean(input, dim, keepdim),
    )


@public(method=False)
def std_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *,
    correction: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Standard deviation and mean."""
    dim, unbiased = _var_args(dim, unbiased)
    return (
        std(input, dim, unbiased, keepdim, correction=correction),
        mean(input, dim, keepdim),
    )


@public(out=True)
def logsumexp(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) without overflow: the maximum is taken out first."""
    x = check_tensor("logsumexp", input)
    if x._data.dtype.kind in "biu":
        x = E.to_dtype(x, dtypes.get_default_dtype().np)
    axes = dims("logsumexp", dim, x.ndim)
    if _count(x, axes) == 0:
        return E.log(R.sum_(E.exp(x), dim=axes, keepdim=keepdim))
    # An infinite maximum is not subtracted: inf - inf would be NaN.
    top = R.amax(E.real(x).detach(), dim=axes, keepdim=True)
    top = E.where(E.isfinite(top), top, E.fill(top, 0))
    total = R.sum_(E.exp(x - top), dim=axes, keepdim=True)
    result = E.log(total) + top
    if keepdim:
        return result
    return V.reshape(result, R.reduced_shape(tuple(x._data.shape), axes, False))


@public(out=True)
def norm(
    input: Tensor, p: Any = "fro", dim: Dim = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The vector p-norm over dimensions: Euclidean by default; p may be 0, inf or -inf."""
    x = check_tensor("norm", input)
    if dtype is not None:
        x = E.to_dtype(x, dtypes.of(dtype).np)
    if x._data.dtype.kind in "biu":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype}"
        )
    axes = dims("norm", dim, x.ndim)
    if p == "nuc":
        return _nuclear(x, dim, keepdim)
    order = 2.0 if p in ("fro", None) else float(p)
    magnitude = E.abs(x)
    if order == 2:
        squares = E.square(magnitude) if x.is_complex() else E.square(x)
        return _root(R.sum_(squares, dim=axes, keepdim=keepdim))
    if order == 1:
        return R.sum_(magnitude, dim=axes, keepdim=keepdim)
    if order == math.inf:
        return R.amax(magnitude, dim=axes, keepdim=keepdim)
    if order == -math.inf:
        return R.amin(magnitude, dim=axes, keepdim=keepdim)
    if order == 0:
        nonzero = E.to_dtype(E.ne(x, 0), magnitude._data.dtype)
        # A step function: its gradient is 0.
        return R.sum_(nonzero + E.fill(magnitude, 0), dim=axes, keepdim=keepdim)
    if 0 < order < 2:  # the derivative of a power is infinite at 0, that of the norm counts as 0
        zero = E.eq(magnitude, 0)
        powers = E.where(zero, 0, E.pow(E.where(zero, 1, magnitude), order))
    else:
        powers = E.pow(magnitude, order)
    total = R.sum_(powers, dim=axes, keepdim=keepdim)
    flat = E.eq(total, 0)
    root = E.pow(E.where(flat, 1, total), 1 / order)
    return E.where(flat, 0 if order > 0 else math.inf, root)


def _nuclear(x: Tensor, dim: Dim, keepdim: bool) -> Tensor:
    """The sum of the singular values of the matrices in two dimensions."""
    axes = dims("norm", dim, x.ndim)
    if len(axes) != 2:
        raise RuntimeError(f"norm: the nuclear norm is of matrices: give two dims, not {dim}")
    rest = tuple(d for d in range(x.ndim) if d not in axes)
    values = svd(V.permute(x, dims=(*rest, *axes)), full=False)[1]
    total = R.sum_(values, dim=(values.ndim - 1,), keepdim=False)
    return V.reshape(total, R.reduced_shape(tuple(x._data.shape), axes, True)) if keepdim else total


@public(inplace=True, out=True)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along a dimension."""
    x = check_tensor("cumsum", _accumulated(check_tensor("cumsum", input), dtype), kinds="iufc")
    d = wrap_dim(dim, x.ndim)
    return R.cumsum(x, dim=d) if x.ndim else V.clone(x)


@public(inplace=True, out=True)
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products along a dimension."""
    x = check_tensor("cumprod", _accumulated(check_tensor("cumprod", input), dtype), kinds="iufc")
    d = wrap_dim(dim, x.ndim)
    return R.cumprod(x, dim=d) if x.ndim else V.clone(x)


@public(out=True)
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Differences of neighbours along a dimension, n times; for bools, whether they differ."""
    x = check_tensor("diff", input)
    if x.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = wrap_dim(dim, x.ndim)
    if n == 0:
        return V.clone(x)
    parts = [p for p in (prepend, x, append) if p is not None]
    if len(parts) > 1:
        from .joining import cat

        x = cat(parts, d)
    index = (slice(None),) * d
    minus = E.logical_xor if x._data.dtype.kind == "b" else E.sub
    for _ in range(builtins.min(n, x._data.shape[d])):
        x = minus(
            V.slice_(x, index=(*index, slice(1, None))),
            V.slice_(x, index=(*index, slice(0, builtins.max(x._data.shape[d] - 1, 0)))),
        )
    return x


@public()
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if check_tensor("trace", input, kinds="iufc").ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return sum(V.diagonal(input, offset=0, dim1=0, dim2=1))


@method("sum_to_size")
def _sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed over what broadcasting from `size` would have added."""
    shape = ints("sum_to_size", size)
    extra = self.ndim - len(shape)
    have = self._data.shape[extra:]
    if extra < 0 or builtins.any(a not in (1, b) for a, b in zip(shape, have)):
        raise RuntimeError(
            f"size {{{list(shape)}}} is not expandable to size {{{list(self.shape)}}}."
        )
    if shape == tuple(self._data.shape) and shape:
        return self
    x = E.to_dtype(self, dtypes.I64) if self._data.dtype.kind in "biu" else self
    return R.sum_to(x, shape) if shape else sum(x)
