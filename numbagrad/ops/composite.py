"""Composites of everyday mathematics that need no rule of their own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes, return_types
from ..dispatch import values_of
from ..inplace import in_place_form
from ..tensor import Tensor, method, wrap
from . import elementwise as E
from . import math as M
from . import reduce as D
from . import reduction as R
from . import shape as S
from . import view as V
from .arrange import roll
from .batching import SHIFT
from .diagonals import diagonal
from .export import check_promoted, check_tensor, operands, public
from .gather import gather_, scatter_add_zeros
from .linalg import matmul as _matmul
from .products import bmm, dot
from .registry import call, primitive
from .search import running_place, search
from .view import wrap_dim

# -- elementwise ----------------------------------------------------------------------------------


@public(out=True)
def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of both; the number where one is NaN."""
    check_promoted("fmax", "biuf", input, other, refusal=RuntimeError)
    return E.where(E.logical_or(E.ge(input, other), E.isnan(other)), input, other)


@public(out=True)
def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of both; the number where one is NaN."""
    check_promoted("fmin", "biuf", input, other, refusal=RuntimeError)
    return E.where(E.logical_or(E.le(input, other), E.isnan(other)), input, other)


@public(out=True)
def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2**input + 2**other) without overflow."""
    check_tensor("logaddexp2", input)
    check_tensor("logaddexp2", other, "other", 2)
    check_promoted("logaddexp2", "f", input, other)
    top = E.maximum(input, other).detach()
    top = E.where(E.isfinite(top), top, E.fill(top, 0))
    return E.log2(E.exp2(input - top) + E.exp2(other - top)) + top


@public(inplace=True, out=True)
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input * 2**other."""
    input, other = operands("ldexp", input, other)
    return E.mul(input, E.pow(2.0, other))


@public(inplace=True, out=True)
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor of integers."""
    return _gcd(check_tensor("gcd", input), check_tensor("gcd", other, "other", 2))


@public(inplace=True, out=True)
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple of integers."""
    return _lcm(check_tensor("lcm", input), check_tensor("lcm", other, "other", 2))


_gcd = E.elementwise(
    "gcd", "gcd(x, y)", np.gcd, inputs=("x", "y"), kinds="iu",
    doc="The greatest common divisor.",
)  # fmt: skip
_lcm = E.elementwise(
    "lcm", "lcm(x, y)", np.lcm, inputs=("x", "y"), kinds="iu", doc="The least common multiple.",
)  # fmt: skip


@public(method=False, out=True)
def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma."""
    x = check_tensor("polygamma", input, "input", 2)
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    if n < 2:
        return E.trigamma(x) if n else E.digamma(x)
    return E.zeta(n + 1, x) * ((-1) ** (n + 1) * math.factorial(n))


@method("polygamma")
def _polygamma(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma."""
    return polygamma(n, self)


method("polygamma_")(in_place_form("polygamma_", _polygamma))


@public(inplace=True, out=True)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p."""
    x = E.to_floating(check_tensor("mvlgamma", input, kinds="iufc", refusal=RuntimeError))
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    constant = p * (p - 1) / 4 * math.log(math.pi)
    total = E.lgamma(x)
    for j in range(1, p):
        total = total + E.lgamma(x - j / 2)
    return total + constant


# -- complex tensors as pairs of reals ------------------------------------------------------------


# -- reductions and scans -------------------------------------------------------------------------


def _running(name: str, input: Tensor, dim: int) -> Any:
    x = check_tensor(name, input, kinds="biuf")
    kind = getattr(return_types, name)
    d = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        return kind(V.clone(x), wrap(np.zeros((), np.int64)))
    indices = running_place(x, dim=d, largest=name == "cummax")
    return kind(gather_(x, indices, dim=d), indices)


@public(out=True)
def cummax(input: Tensor, dim: int) -> Any:
    """Running maxima along a dimension, and where they are."""
    return _running("cummax", input, dim)


@public(out=True)
def cummin(input: Tensor, dim: int) -> Any:
    """Running minima along a dimension, and where they are."""
    return _running("cummin", input, dim)


@public(out=True)
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Logarithms of the running sums of exponentials along a dimension, without overflow."""
    x = check_tensor("logcumsumexp", input, kinds="fc")
    d = wrap_dim(dim, x.ndim)
    if x.ndim == 0 or x.numel() == 0:
        return V.clone(x)
    # Each prefix with its own maximum taken out: exact for any spread, at quadratic cost.
    n = x._data.shape[d]
    row = S.unsqueeze(S.movedim(x, d, -1), -2)
    keep = wrap(np.tri(n, dtype=bool))
    rows = E.where(keep, row, E.number_like(row, -math.inf))
    return S.movedim(D.logsumexp(rows, -1), -1, d)


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


def _spacings(name: str, y: Tensor, x: Any, dx: Any, dim: int) -> tuple[Tensor, Any, int]:
    d = wrap_dim(dim, check_tensor(name, y, "y", kinds="iufc", refusal=RuntimeError).ndim)
    index = (slice(None),) * d
    n = y._data.shape[d]
    sums = V.slice_(y, index=(*index, slice(1, max(n, 1)))) + V.slice_(
        y, index=(*index, slice(0, max(n - 1, 0))))  # fmt: skip
    if x is None:
        return sums, dx if dx is not None else 1, d
    check_tensor(name, x, "x", 2, kinds="iufc", refusal=RuntimeError)
    steps = D.diff(x, dim=-1 if x.ndim == 1 else dim)
    if x.ndim == 1:
        steps = V.reshape(steps, (steps.numel(), *(1,) * (y.ndim - d - 1)))
    return sums, steps, d


@public(method=False, aliases=("trapz",))
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral along a dimension by the trapezoidal rule."""
    sums, steps, d = _spacings("trapezoid", y, x, dx, dim)
    return D.sum(sums * steps, d) / 2


@public(method=False)
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1
) -> Tensor:
    """Running integrals along a dimension by the trapezoidal rule."""
    sums, steps, d = _spacings("cumulative_trapezoid", y, x, dx, dim)
    return D.cumsum(sums * steps / 2, d)


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


# -- products and distances -----------------------------------------------------------------------


@public(out=True)
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of conj(input) * other for two vectors."""
    return dot(E.conj(check_tensor("vdot", input)), other)


@public(inplace=True, out=True)
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """beta * input + alpha * the sum of the products of a batch of matrices."""
    from .products import _combined

    return _combined("addbmm", input, R.sum_(bmm(batch1, batch2), dim=(0,), keepdim=False), beta,
                     alpha)  # fmt: skip


@public(out=True)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product along a dimension of extent 3."""
    x, y = V.broadcast_all(check_tensor("cross", input), check_tensor("cross", other, "other", 2))
    check_promoted("cross", "iufc", x, y)
    if dim is None:
        dim = next((i for i, s in enumerate(x._data.shape) if s == 3), -1)
        if dim < 0:
            raise RuntimeError("no dimension of size 3 in input")
    d = wrap_dim(dim, x.ndim)
    if x._data.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {x.shape[d]}"
        )
    return roll(x, -1, d) * roll(y, -2, d) - roll(x, -2, d) * roll(y, -1, d)


@public()
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference."""
    return D.norm(input - other, p)


@public(method=False)
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:  # fmt: skip
    """The p-norm distances between all rows of two (batches of) matrices."""
    a = check_tensor("cdist", x1, "x1", kinds="f", refusal=RuntimeError)
    b = check_tensor("cdist", x2, "x2", 2, kinds="f", refusal=RuntimeError)
    if a.ndim < 2 or b.ndim < 2:
        raise RuntimeError("cdist only supports at least 2D tensors, X1 got: " + f"{a.ndim}D")
    if a._data.shape[-1] != b._data.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {b.shape[-1]}"
        )
    return D.norm(S.unsqueeze(a, -2) - S.unsqueeze(b, -3), p, -1)


@public(inplace=True, out=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """The slices along a dimension scaled down to a p-norm of at most `maxnorm`."""
    x = check_tensor("renorm", input)
    if x.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {x.ndim} dimensions")
    if p <= 0 or maxnorm < 0:
        raise RuntimeError(f"renorm: needs p > 0 and maxnorm >= 0, got {p} and {maxnorm}")
    d = wrap_dim(dim, x.ndim)
    others = [i for i in range(x.ndim) if i != d]
    norm = D.norm(x, p, others, True)
    scale = E.where(E.gt(norm, maxnorm), maxnorm / (norm + 1e-7), E.fill(norm, 1))
    return x * scale


# -- windows of a dimension -----------------------------------------------------------------------


def _window(x: Any, *, dim: int, size: int, step: int) -> Any:
    return np.lib.stride_tricks.sliding_window_view(x, size, dim, writeable=x.flags.writeable)[
        (slice(None),) * dim + (slice(None, None, step),)
    ]


def _window_shape(x: Any, *, dim: int, size: int, step: int) -> Any:
    return (
        *x.shape[:dim], (x.shape[dim] - size) // step + 1, *x.shape[dim + 1 :], size,
    ), x.dtype  # fmt: skip


def _unwindow(x: Any, *, shape: tuple[int, ...], dim: int, size: int, step: int) -> Any:
    r = np.zeros(shape, x.dtype)
    for i in range(size):
        at = (slice(None),) * dim + (slice(i, i + (x.shape[dim] - 1) * step + 1, step),)
        r[at] += x[..., i]
    return r


_unfold = primitive(
    "unfold", _window, _window_shape, view=True, linear=True,
    grad=lambda g, x_shape, dim, size, step: _fold(g, shape=x_shape, dim=dim, size=size, step=step),
    samples=lambda make: [
        call(make(5), dim=0, size=3, step=1), call(make(2, 5), dim=1, size=2, step=2)],
    batch=SHIFT,
    doc="Windows of a dimension, as a new last dimension.",
)  # fmt: skip
_fold = primitive(
    "unfold_backward", _unwindow, lambda x, shape, **_: (shape, x.dtype), linear=True,
    grad=lambda g, dim, size, step: _unfold(g, dim=dim, size=size, step=step),
    samples=lambda make: [call(make(3, 3), shape=(5,), dim=0, size=3, step=1)],
    batch=SHIFT,
    doc="The sums of what windows of a dimension hold for each place.",
)  # fmt: skip


@method("unfold")
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of `size`, `step` apart, as a new last dimension."""
    d = wrap_dim(dimension, self.ndim)
    x = self if self.ndim else V.reshape(self, (1,))
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not 0 <= size <= x._data.shape[d]:
        raise RuntimeError(
            f"maximum size for tensor at dimension {d} is {x.shape[d]} but size is {size}"
        )
    return (
        _unfold(x, dim=d, size=size, step=step)
        if self.ndim
        else V.slice_(x, index=(slice(0, size),))
    )


@method("sum_to_size")
def _sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed over what broadcasting from `size` would have added."""
    shape = S.ints("sum_to_size", size)
    extra = self.ndim - len(shape)
    if extra < 0 or any(a not in (1, b) for a, b in zip(shape, self._data.shape[max(extra, 0) :])):
        raise RuntimeError(
            f"size {{{list(shape)}}} is not expandable to size {{{list(self.shape)}}}."
        )
    if shape == tuple(self._data.shape) and shape:
        return self
    x = E.to_dtype(self, dtypes.I64) if self._data.dtype.kind in "biu" else self
    return R.sum_to(x, shape) if shape else D.sum(x)


@public(inplace=True)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with elements stored (or added) at the given places of the flattened tensor."""
    from .scatter import index_put

    flat = V.reshape(check_tensor("put", input), (input.numel(),))
    values = V.reshape(source, (source.numel(),))
    places = V.reshape(index, (index.numel(),))
    return V.reshape(index_put(flat, (places,), values, accumulate), tuple(input._data.shape))


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
    # The last interval includes its end; what lies outside is counted beside them.
    edges = low + (high - low) * wrap(np.arange(bins + 1) / bins)
    places = search(edges, x, right=True) - 1
    places = E.where(E.eq(x, high), bins - 1, places)
    outside = E.logical_not(E.logical_and(E.ge(x, low), E.le(x, high)))
    places = E.where(outside, bins, E.minimum(places, bins - 1))
    counts = scatter_add_zeros(E.fill(x, 1), places, shape=(bins + 1,), dim=0)
    return E.to_dtype(V.slice_(counts, index=(slice(0, bins),)), input._data.dtype)
