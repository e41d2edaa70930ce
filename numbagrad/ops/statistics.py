"""Quantiles, covariances and histograms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..creation import linspace
from ..dispatch import values_of
from ..tensor import Tensor, wrap
from . import elementwise as E, math as M, reduce as D, reduction as R, shape as S, view as V
from .diagonals import diagonal
from .export import check_tensor, public
from .gather import gather_
from .linalg import matmul as _matmul
from .sorting import counted
from .view import wrap_dim


@public(out=True)
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Tensor:  # fmt: skip
    """The q-quantiles along a dimension (or of everything), between elements if need be."""
    return _quantile("quantile", input, q, dim, keepdim, interpolation, skip_nan=False)


@public(out=True)
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Tensor:  # fmt: skip
    """The q-quantiles of what is not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, skip_nan=True)


def _quantile(
    name: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str,
    skip_nan: bool,
) -> Tensor:  # fmt: skip
    x = check_tensor(name, input)
    if x.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if x.numel() == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    if not isinstance(q, Tensor):
        q = wrap(np.asarray(q, x._data.dtype))
    if q._data.dtype is not x._data.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    known = values_of(q)
    if known is not None and ((known < 0) | (known > 1)).any():
        raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q.tolist()}")
    if dim is None:
        rows, d = S.flatten(x), 0
    else:
        rows, d = x, wrap_dim(dim, x.ndim)
    rows = S.movedim(rows, d, -1) if rows.ndim else V.reshape(rows, (1,))
    ordered = rows.sort(-1)[0]
    nan = E.isnan(ordered)
    last: Any = rows._data.shape[-1] - 1
    if skip_nan:
        present = E.to_dtype(E.logical_not(nan), x._data.dtype)
        last = E.maximum(R.sum_(present, dim=(rows.ndim - 1,), keepdim=True) - 1, 0)
    position = V.reshape(q, (q.numel(),)) * last
    if interpolation == "nearest":
        position = E.rint(position)
    below, above = E.floor(position), E.ceil(position)
    if interpolation in ("lower", "higher"):
        below = above = below if interpolation == "lower" else above
    fraction = position - below
    if interpolation == "midpoint":
        fraction = E.fill(fraction, 0.5)
    shape = (*rows._data.shape[:-1], q.numel())
    a, b = (
        gather_(ordered, V.expand_to(E.to_dtype(i, dtypes.I64), shape), dim=ordered.ndim - 1)
        for i in (below, above)
    )
    result = M.lerp(a, b, fraction)
    if not skip_nan:
        bad = D.any(nan, -1, True)
        result = E.where(bad, E.number_like(result, math.nan), result)
    result = S.movedim(result, -1, 0)  # the quantiles come first
    if keepdim:
        shape = (1,) * x.ndim if dim is None else tuple(
            1 if i == d else s for i, s in enumerate(x._data.shape))  # fmt: skip
        result = V.reshape(result, (result._data.shape[0], *shape))
    return result if q.ndim else V.slice_(result, index=(0,))


@public()
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The covariance matrix of variables (rows) over observations (columns)."""
    x = check_tensor("cov", input, kinds="iufc", refusal=RuntimeError)
    if x.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {x.ndim}"
        )
    x = E.to_floating(V.reshape(x, (1, x.numel())) if x.ndim < 2 else x)
    weights = None
    for name, w, kinds in (("fweights", fweights, "iu"), ("aweights", aweights, "f")):
        if w is not None:
            if w.ndim > 1:
                raise RuntimeError(
                    f"cov(): expected {name} to have one or fewer dimensions but got {w.ndim}"
                )
            if w._data.dtype.kind not in kinds:
                raise RuntimeError(f"cov(): {name} must not be of dtype {w.dtype}")
            if w.numel() != x._data.shape[1]:
                raise RuntimeError(
                    f"cov(): expected {name} to have the same numel as there are observations in "
                    f"the input but got {w.numel()} != {x.shape[1]}"
                )
            known = values_of(w)
            if known is not None and (known < 0).any():
                raise RuntimeError(f"cov(): {name} cannot be negative")
            weights = w if weights is None else weights * w
    if weights is None:
        total: Any = x._data.shape[1]
        mean = D.mean(x, 1, True)
    else:
        total = D.sum(weights)
        mean = D.sum(x * weights, 1, True) / total
    norm = total - correction
    if aweights is not None and correction:
        norm = total - correction * D.sum(weights * aweights) / total
    centered = x - mean
    weighted = centered if weights is None else centered * weights
    norm = M.clamp(norm, min=0) if isinstance(norm, Tensor) else max(norm, 0)
    result = _matmul(weighted, E.conj(S.transpose(centered, 0, 1))) / norm
    return S.squeeze(result)


@public()
def corrcoef(input: Tensor) -> Tensor:
    """The matrix of Pearson's correlation coefficients of variables (rows)."""
    c = cov(input)
    if c.ndim == 0:
        return c / c
    deviation = E.sqrt(E.real(diagonal(c)))
    r = c / S.unsqueeze(deviation, 1) / S.unsqueeze(deviation, 0)
    return r if r.is_complex() else M.clamp(r, -1, 1)


@public(out=True)
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall in each of `bins` equal intervals from min to max."""
    x = check_tensor("histc", input, kinds="f")
    if bins <= 0:
        raise RuntimeError(f"bins must be > 0, but got {bins}")
    x = E.to_dtype(V.reshape(x, (x.numel(),)), dtypes.F64)
    low, high = (wrap(np.asarray(v, np.float64)) for v in (min, max))
    if min == max and x.numel():
        low, high = D.aminmax(x)
    same = E.eq(low, high)
    low, high = E.where(same, low - 1, low), E.where(same, high + 1, high)
    edges = linspace(low, high, bins + 1, dtype=dtypes.float64)
    return E.to_dtype(counted(x, edges), input._data.dtype)
