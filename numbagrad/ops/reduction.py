"""Primitives that reduce dimensions, and scans along one.

Every reduction takes ``dim``: a sorted tuple of non-negative dimensions, already checked, and
``keepdim``. NumPy sums pairwise, which keeps the error at O(log n) ulp.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..dispatch import values_of
from ..tensor import Tensor
from .batching import SHIFT
from .elementwise import conj, div, eq, fill, mul, where
from .registry import call, primitive
from .view import expand_to, flip, reshape

Shape = tuple[int, ...]
Dims = tuple[int, ...]


def kept_shape(shape: Shape, dim: Dims) -> Shape:
    """The shape with the reduced dimensions kept at extent 1."""
    return tuple(1 if i in dim else s for i, s in enumerate(shape))


def reduced_shape(shape: Shape, dim: Dims, keepdim: bool) -> Shape:
    """The shape without the reduced dimensions, or with them at extent 1."""
    if keepdim:
        return kept_shape(shape, dim)
    return tuple(s for i, s in enumerate(shape) if i not in dim)


def restore(g: Any, shape: Shape, dim: Dims) -> Any:
    """`g` with its reduced dimensions back, expanded to `shape`."""
    return expand_to(reshape(g, kept_shape(shape, dim)), shape)


def _same_dtype(x: Any, dim: Dims, keepdim: bool) -> Any:
    return reduced_shape(x.shape, dim, keepdim), x.dtype


def _to(dtype: np.dtype[Any]) -> Callable[..., Any]:
    return lambda x, dim, keepdim: (reduced_shape(x.shape, dim, keepdim), dtype)


def _sum(x: Any, *, dim: Dims, keepdim: bool) -> Any:
    if x.dtype == np.float16:  # accumulate in float32, as PyTorch does
        return np.asarray(np.add.reduce(x, axis=dim, dtype=np.float32, keepdims=keepdim)).astype(
            x.dtype
        )
    return np.asarray(np.add.reduce(x, axis=dim, dtype=x.dtype, keepdims=keepdim))


def reductions(make: Any) -> list[Any]:
    """Samples of an op that reduces any dimensions."""
    return [
        call(make(2, 3), dim=(1,), keepdim=False), call(make(2, 3, 2), dim=(0, 2), keepdim=True),
        call(make(2, 2), dim=(0, 1), keepdim=False), call(make(), dim=(), keepdim=False),
        call(make(0, 2), dim=(1,), keepdim=False),
    ]  # fmt: skip


def _per_element(x: Any, **_: Any) -> int:
    return math.prod(x.shape)


sum_ = primitive(
    "sum", _sum, _same_dtype, grad=lambda g, x_shape, dim: restore(g, x_shape, dim), linear=True,
    array_rules=True,
    samples=lambda make: [*reductions(make), call(make(0, 2), dim=(0,), keepdim=False)],
    native=("reduce", ("add_any_order", 0)),
    flops=_per_element,
    batch=SHIFT,
    doc="The sum over dimensions.",
)  # fmt: skip


def sum_to(g: Any, shape: Shape) -> Any:
    """Sum `g` over what broadcasting added, so that it has `shape`."""
    have = g.shape if g.__class__ is np.ndarray else g._data.shape
    extra = len(have) - len(shape)
    if extra < 0 or any(s not in (1, h) for s, h in zip(shape, have[extra:], strict=True)):
        return expand_to(g, shape)  # a rule gave a gradient that still broadcasts
    dim = tuple(i for i, h in enumerate(have) if i < extra or (shape[i - extra] == 1 and h != 1))
    if not dim:
        return expand_to(g, shape)
    g = sum_(g, dim=dim, keepdim=True)
    return reshape(g, shape) if extra else expand_to(g, shape)


def _prod(x: Any, *, dim: Dims, keepdim: bool) -> Any:
    return np.asarray(np.multiply.reduce(x, axis=dim, dtype=x.dtype, keepdims=keepdim))


def _prod_grad(g: Tensor, x: Tensor, dim: Dims) -> Tensor:
    """The product of all others: exclusive products from both ends, right where x has zeros."""
    rest = tuple(i for i in range(x.ndim) if i not in dim)
    order = rest + dim
    kept = tuple(x._data.shape[i] for i in rest)
    n = math.prod(x._data.shape[i] for i in dim)
    moved = reshape(x.permute(order), (*kept, n))
    axis = len(rest)
    if n == 0:
        return restore(g, tuple(x.shape), dim)
    ones = fill(moved[..., :1], 1)
    before = cumprod(_cat([ones, moved[..., :-1]], axis), dim=axis)
    after = flip(
        cumprod(flip(_cat([moved[..., 1:], ones], axis), dims=(axis,)), dim=axis), dims=(axis,)
    )
    others = (before * after).reshape([x.shape[i] for i in order])
    back = tuple(sorted(range(x.ndim), key=order.__getitem__))
    return restore(g, tuple(x.shape), dim) * conj(others.permute(back))


def _cat(xs: list[Tensor], dim: int) -> Tensor:
    from .view import cat

    return cat(*xs, dim=dim)


prod = primitive(
    "prod",
    _prod,
    _same_dtype,
    grad=_prod_grad,
    samples=lambda make: [*reductions(make), call(make(0, 2), dim=(0,), keepdim=False)],
    native=("reduce", ("multiply_any_order", 1)),
    flops=_per_element,
    batch=SHIFT,
    doc="The product over dimensions.",
)


def _extremum_grad(g: Tensor, x: Tensor, out: Tensor, dim: Dims) -> Tensor:
    shape = tuple(x.shape)
    best = restore(out, shape, dim)
    # Where the extremum is NaN the gradient goes to the NaNs.
    hit = where(eq(best, best), eq(x, best), x != x)
    share = restore(g, shape, dim)
    count = sum_(hit.to(dtypes.int64), dim=dim, keepdim=True)
    return where(hit, div(share, count), fill(share, 0))


amax = primitive(
    "amax", lambda x, dim, keepdim: np.asarray(np.maximum.reduce(x, axis=dim, keepdims=keepdim)),
    _same_dtype, grad=_extremum_grad, kinds="biuf",
    samples=reductions,
    native=("reduce", ("larger", -math.inf)),
    flops=_per_element,
    batch=SHIFT,
    doc="The maximum over dimensions; ties share the gradient.",
)  # fmt: skip
amin = primitive(
    "amin", lambda x, dim, keepdim: np.asarray(np.minimum.reduce(x, axis=dim, keepdims=keepdim)),
    _same_dtype, grad=_extremum_grad, kinds="biuf",
    samples=reductions,
    native=("reduce", ("smaller", math.inf)),
    flops=_per_element,
    batch=SHIFT,
    doc="The minimum over dimensions; ties share the gradient.",
)  # fmt: skip
all_ = primitive(
    "all", lambda x, dim, keepdim: np.asarray(np.logical_and.reduce(x, axis=dim, keepdims=keepdim)),
    _to(dtypes.BOOL), samples=reductions,
    batch=SHIFT,
    doc="True where all elements are nonzero.",
)  # fmt: skip
any_ = primitive(
    "any", lambda x, dim, keepdim: np.asarray(np.logical_or.reduce(x, axis=dim, keepdims=keepdim)),
    _to(dtypes.BOOL), samples=reductions,
    batch=SHIFT,
    doc="True where some element is nonzero.",
)  # fmt: skip


def _arg(name: str, reference: Any, what: str) -> Any:
    return primitive(
        name,
        lambda x, dim: np.asarray(reference(x, axis=dim), np.int64),
        lambda x, dim: (reduced_shape(x.shape, (dim,), False), dtypes.I64),
        kinds="biuf",
        refusal=RuntimeError,
        samples=lambda make: [
            call(make(2, 3), dim=1), call(make(2, 3), dim=0), call(make(3), dim=0)],
        batch=SHIFT,
        doc=f"The index of the first {what} along a dimension; of the first NaN if any.",
    )  # fmt: skip


argmax = _arg("argmax", np.argmax, "maximum")
argmin = _arg("argmin", np.argmin, "minimum")

# -- scans ----------------------------------------------------------------------------------------

cumsum = primitive(
    "cumsum",
    lambda x, dim: np.cumsum(x, axis=dim, dtype=x.dtype),
    lambda x, dim: (x.shape, x.dtype),
    grad=lambda g, dim: flip(cumsum(flip(g, dims=(dim,)), dim=dim), dims=(dim,)),
    linear=True,
    array_rules=True,
    samples=lambda make: [call(make(2, 3), dim=0), call(make(2, 3), dim=1), call(make(0), dim=0)],
    batch=SHIFT,
    doc="Running sums along a dimension.",
)


def _cumprod_grad(g: Tensor, x: Tensor, out: Tensor, dim: int) -> Tensor:
    """Where no zero has been met, sums of g * out / x; after a zero, products without it."""
    weighted = mul(g, conj(out))
    plain = _reversed_cumsum(weighted, dim) / conj(where(eq(x, 0), fill(x, 1), x))
    known = values_of(x)
    if x.numel() == 0 or (known is not None and not (known == 0).any()):
        return plain
    # Element k gets sum_{i >= k} g_i * prod_{j <= i, j != k} x_j: quadratic, only with zeros.
    columns = []
    n = x.shape[dim]
    for k in range(n):
        index = (slice(None),) * dim
        ones = fill(x[(*index, slice(k, k + 1))], 1)
        replaced = _cat([x[(*index, slice(0, k))], ones, x[(*index, slice(k + 1, None))]], dim)
        products = cumprod(replaced, dim=dim)[(*index, slice(k, None))]
        terms = g[(*index, slice(k, None))] * conj(products)
        columns.append(sum_(terms, dim=(dim,), keepdim=True))
    return _cat(columns, dim) if columns else plain


def _reversed_cumsum(x: Tensor, dim: int) -> Tensor:
    return flip(cumsum(flip(x, dims=(dim,)), dim=dim), dims=(dim,))


cumprod = primitive(
    "cumprod",
    lambda x, dim: np.cumprod(x, axis=dim, dtype=x.dtype),
    lambda x, dim: (x.shape, x.dtype),
    grad=_cumprod_grad,
    samples=lambda make: [call(make(2, 3), dim=0), call(make(2, 3), dim=1), call(make(0), dim=0)],
    batch=SHIFT,
    doc="Running products along a dimension.",
)
