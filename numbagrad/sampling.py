"""Random tensors with PyTorch's functions, from the counter-based streams of `ops.random`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import dtypes
from .creation import parse_size
from .devices import check_device
from .dispatch import values_of
from .inplace import assign, assign_out, check_mutable
from .modes import thread
from .ops import elementwise as E
from .ops.export import EXPORTS, check_tensor, publish
from .ops.random import blocks, inverse_cdf, random_integers, random_normal, random_uniform
from .ops.registry import broadcast_shapes
from .random import Generator, default_generator
from .tensor import Tensor, method

Shape = tuple[int, ...]


def _reserve(generator: Generator | None, count: int) -> tuple[Tensor, int]:
    """The key of `count` unused blocks, and how many to skip from there."""
    if generator is None:
        generator = default_generator
    interpreter = thread.modes.batch or thread.modes.trace
    if interpreter is None:
        return generator.take(count), 0
    return interpreter.reserve(generator, count)


def _draw(op: Any, shape: Shape, d: np.dtype[Any], generator: Generator | None) -> Tensor:
    if d.kind not in "fc":
        raise NotImplementedError(
            f"{op.name} is not implemented for {dtypes.of(d)}; draw floats, or use randint"
        )
    key, skip = _reserve(generator, blocks(shape, d))
    return op(key, shape=shape, dtype=d, skip=skip)


def uniform(shape: Shape, d: np.dtype[Any], generator: Generator | None = None) -> Tensor:
    """Uniform numbers in [0, 1) of the NumPy dtype `d`: what dropout and the like build on."""
    return _draw(random_uniform, shape, d, generator)


def _integers(
    low: int, high: int, shape: Shape, d: np.dtype[Any], generator: Generator | None
) -> Tensor:
    """Integers in [low, high)."""
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    if d.kind in "iu":
        limits = np.iinfo(d)
        if low < limits.min or high - 1 > limits.max:
            raise RuntimeError(f"the range {low} to {high - 1} is out of bounds for {dtypes.of(d)}")
    # One word of 64 bits per element, whatever the dtype.
    key, skip = _reserve(generator, blocks(shape, dtypes.I64))
    return random_integers(key, shape=shape, low=low, count=high - low, dtype=d, skip=skip)


def _finish(t: Tensor, out: Tensor | None, requires_grad: bool, name: str) -> Tensor:
    if out is not None:
        t = assign_out(out, t, name)
    if requires_grad:
        t.requires_grad_()
    return t


def _dtype(dtype: Any, default: Any = None) -> np.dtype[Any]:
    return dtypes.of(dtype or default or dtypes.get_default_dtype()).np


def rand(
    *size: Any, generator: Generator | None = None, out: Tensor | None = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform numbers in [0, 1) in the given shape."""
    check_device(device)
    t = _draw(random_uniform, parse_size("rand", size), _dtype(dtype), generator)
    return _finish(t, out, requires_grad, "rand")


def randn(
    *size: Any, generator: Generator | None = None, out: Tensor | None = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal numbers of mean 0 and variance 1 in the given shape."""
    check_device(device)
    t = _draw(random_normal, parse_size("randn", size), _dtype(dtype), generator)
    return _finish(t, out, requires_grad, "randn")


def randint(
    *bounds_and_size: Any, low: Any = 0, high: Any = None, size: Any = None,
    generator: Generator | None = None, out: Tensor | None = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``randint(low=0, high, size)``: integers from low to high - 1, int64 unless said otherwise.

    >>> import numbagrad as ng
    >>> ng.randint(3, 5, (2, 4)).shape
    numbagrad.Size([2, 4])
    """
    check_device(device)
    given = list(bounds_and_size)
    if size is None:
        if not given:
            raise TypeError("randint() missing the argument 'size': pass a tuple of ints")
        size = given.pop()
    if high is None:
        if not given:
            raise TypeError("randint() missing the argument 'high'")
        high = given.pop()
    if given:
        low = given.pop()
    if given:
        raise TypeError("randint() takes low, high and size")
    shape = parse_size("randint", (tuple(size),))
    t = _integers(low.__index__(), high.__index__(), shape, _dtype(dtype, dtypes.int64), generator)
    return _finish(t, out, requires_grad, "randint")


def randperm(
    n: int, *, generator: Generator | None = None, out: Tensor | None = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers 0 to n - 1 in random order: the order of n random words (ties: 1 in 2**64)."""
    check_device(device)
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    words = _integers(-1 << 63, 1 << 63, (n,), dtypes.I64, generator)
    order = E.to_dtype(words.argsort(), _dtype(dtype, dtypes.int64))
    return _finish(order, out, requires_grad, "randperm")


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None,
    out: Tensor | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal numbers; mean and standard deviation are numbers (with `size`) or tensors."""
    check_device(device)
    tensors = [t.detach() for t in (mean, std) if isinstance(t, Tensor)]
    if not isinstance(std, Tensor) and std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if isinstance(std, Tensor) and isinstance(std._data, np.ndarray) and (std._data < 0).any():
        raise RuntimeError("normal expects all elements of std >= 0.0")
    if tensors:
        shape = broadcast_shapes(*[t._data.shape for t in tensors])
        d = dtypes.result_dtype([t._data for t in tensors])
    elif size is None:
        raise TypeError("normal() of two numbers needs the argument 'size': pass a tuple of ints")
    else:
        shape, d = parse_size("normal", (size,)), _dtype(dtype)
    mean, std = (t.detach() if isinstance(t, Tensor) else t for t in (mean, std))
    t = E.add(E.mul(_draw(random_normal, shape, d, generator), std), mean)
    return _finish(t, out, requires_grad, "normal")


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """1 with the probability that `input` says (or `p`, in its shape), else 0.

    Raises:
        RuntimeError: a probability outside [0, 1].
    """
    x = check_tensor("bernoulli", input).detach()
    d = x._data.dtype
    if p is None and d.kind != "f":
        raise NotImplementedError(
            f"bernoulli expects floating-point probabilities, got {input.dtype}; use .float()"
        )
    t = _bernoulli(x if p is None else p, x._data.shape, generator)
    return _finish(E.to_dtype(t, d), out, False, "bernoulli")


def _bernoulli(p: Any, shape: Shape, generator: Generator | None) -> Tensor:
    """A bool tensor, True with probability `p`."""
    if isinstance(p, Tensor):
        p = p.detach()
        data = p._data
        inside = not isinstance(data, np.ndarray) or bool(((data >= 0) & (data <= 1)).all())
    else:
        inside = 0 <= p <= 1
    if not inside:
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false: a probability lies outside "
            "[0, 1]"
        )
    d = p._data.dtype if isinstance(p, Tensor) and p._data.dtype.kind == "f" else dtypes.F32
    return E.lt(_draw(random_uniform, shape, d, generator), p)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *,
    generator: Generator | None = None, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Indices drawn with the weights in each row of `input`, of one or two dimensions.

    Args:
        input: non-negative weights, shape (k,) or (rows, k); they need not sum to 1.
        num_samples: how many per row.
        replacement: an index may come up again.

    Returns:
        int64 indices, shape (num_samples,) or (rows, num_samples).

    Raises:
        RuntimeError: weights that are negative, infinite, NaN or all zero; more samples without
            replacement than there are weights.
    """
    weights = check_tensor("multinomial", input).detach()
    _check_weights(weights, num_samples, replacement)
    weights = E.to_dtype(weights, dtypes.F64)
    rows = weights._data.shape[:-1]
    if replacement:
        u = _draw(random_uniform, (*rows, num_samples), dtypes.F64, generator)
        t = inverse_cdf(weights.cumsum(-1), u)
    else:
        # The order of weight / exponential is that of successive draws without replacement.
        e = _exponential(weights._data.shape, dtypes.F64, generator)
        t = E.div(weights, e).topk(num_samples, -1)[1]
    return _finish(t, out, False, "multinomial")


def _check_weights(weights: Tensor, n: int, replacement: bool) -> None:
    data = weights._data
    if not 1 <= len(data.shape) <= 2:
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, got {len(data.shape)} dimensions")
    if data.dtype.kind != "f":
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{weights.dtype}; use .float()"
        )
    if n <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, got {n}")
    if not replacement and n > data.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
            f"{n} > {data.shape[-1]}"
        )
    if not isinstance(data, np.ndarray):
        return
    if not (np.isfinite(data) & (data >= 0)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    positive = np.count_nonzero(data, axis=-1)
    if (positive == 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and (positive < n).any():
        raise RuntimeError(
            "invalid multinomial distribution (with replacement=False, not enough non-negative "
            f"category to sample): {n} samples, {positive.min()} positive weights"
        )


def rand_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """:func:`rand` in the shape and dtype of `input`."""
    d = dtype or check_tensor("rand_like", input).dtype
    return rand(
        input._data.shape, generator=generator, dtype=d, device=device, requires_grad=requires_grad
    )


def randn_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """:func:`randn` in the shape and dtype of `input`."""
    d = dtype or check_tensor("randn_like", input).dtype
    return randn(
        input._data.shape, generator=generator, dtype=d, device=device, requires_grad=requires_grad
    )


def randint_like(
    input: Tensor, *bounds: int, low: int = 0, high: int | None = None,
    generator: Generator | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """:func:`randint` in the shape and dtype of `input`."""
    d = dtype or check_tensor("randint_like", input).dtype
    return randint(
        *bounds, low=low, high=high, size=input._data.shape, generator=generator, dtype=d,
        device=device, requires_grad=requires_grad,
    )  # fmt: skip


# -- in place -------------------------------------------------------------------------------------


def _real_dtype(t: Tensor, name: str) -> np.dtype[Any]:
    """The dtype to draw in for `t`; checks first, so that a refused call reserves nothing."""
    check_mutable(t, name)
    return t._data.dtype


def _scaled(t: Tensor, factor: Any, shift: Any) -> Tensor:
    """t * factor + shift, without the steps that change nothing."""
    if factor != 1:
        t = E.mul(t, factor)
    return E.add(t, shift) if shift != 0 else t


@method("uniform_")
def _uniform_(
    self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with uniform numbers in [from, to)."""
    d = _real_dtype(self, "uniform_")
    if from_ > to:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={from_} > to={to}"
        )
    t = _draw(random_uniform, self._data.shape, d, generator)
    return assign(self, _scaled(t, to - from_, from_), "uniform_")


@method("normal_")
def _normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with normal numbers."""
    d = _real_dtype(self, "normal_")
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    t = _draw(random_normal, self._data.shape, d, generator)
    return assign(self, _scaled(t, std, mean), "normal_")


@method("bernoulli_")
def _bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with 1 (with probability p, a number or a tensor that broadcasts) and 0."""
    _real_dtype(self, "bernoulli_")
    t = _bernoulli(p, self._data.shape, generator)
    return assign(self, t, "bernoulli_", cast=True)


def _exponential(shape: Shape, d: np.dtype[Any], generator: Generator | None) -> Tensor:
    # The uniform 0 stands for the numbers below the smallest step; it must not become an exact 0.
    smallest = 2.0**-54 if d is dtypes.F64 else 2.0**-25
    u = _draw(random_uniform, shape, d, generator)
    return E.maximum(E.neg(E.log1p(E.neg(u))), smallest)


@method("exponential_")
def _exponential_(
    self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with exponentially distributed numbers of rate lambd."""
    d = _real_dtype(self, "exponential_")
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    t = _exponential(self._data.shape, d, generator)
    return assign(self, _scaled(t, 1 / lambd, 0), "exponential_")


def _real_only(t: Tensor, name: str) -> np.dtype[Any]:
    d = _real_dtype(t, name)
    if d.kind != "f":
        raise NotImplementedError(f'"{name}" not implemented for {t.dtype}: it draws real numbers')
    return d


@method("cauchy_")
def _cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers of the Cauchy distribution: median + sigma * tan(pi * (u - 1/2))."""
    d = _real_only(self, "cauchy_")
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    u = _draw(random_uniform, self._data.shape, d, generator)
    return assign(self, _scaled(E.tan((u - 0.5) * math.pi), sigma, median), "cauchy_")


@method("log_normal_")
def _log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers whose logarithms are normal with this mean and standard deviation."""
    d = _real_only(self, "log_normal_")
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    t = _draw(random_normal, self._data.shape, d, generator)
    return assign(self, E.exp(_scaled(t, std, mean)), "log_normal_")


@method("geometric_")
def _geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with the numbers of trials up to the first success of probability p."""
    own = _real_dtype(self, "geometric_")
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    trials = _exponential(self._data.shape, own if own.kind == "f" else dtypes.F64, generator)
    return assign(self, E.ceil(trials * (-1 / math.log1p(-p))), "geometric_", cast=True)


#: e^-rate must not underflow: larger rates are sums of smaller ones.
_LARGEST_RATE = 80.0


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of events, each of the rate that `input` says, in its dtype.

    Raises:
        NotImplementedError: `input` is not floating-point.
        RuntimeError: a negative rate.

    >>> import numbagrad as ng
    >>> ng.poisson(ng.zeros(2))
    tensor([0., 0.])
    """
    x = check_tensor("poisson", input).detach()
    if not x.is_floating_point():
        raise NotImplementedError(f'"poisson" not implemented for {x.dtype}; use .float()')
    if _some(x < 0):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    rate = x.double()
    known = values_of(rate)  # of all elements of a batch; of a trace, item() says what is wrong
    largest = rate.max().item() if known is None else known.max(initial=0)
    parts = max(1, math.ceil(largest / _LARGEST_RATE)) if rate.numel() else 0
    total = rate * 0
    for _ in range(parts):
        total = total + _poisson(rate / parts, generator)
    return total.to(x.dtype)


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of successes in `count` trials of probability `prob`; the shapes broadcast.

    Raises:
        NotImplementedError: tensors that are not floating-point.
        RuntimeError: two dtypes.
        ValueError: a negative count, or a probability outside of [0, 1].

    >>> import numbagrad as ng
    >>> ng.binomial(ng.tensor([4.0, 4.0]), ng.tensor([0.0, 1.0]))
    tensor([0., 4.])
    """
    n = check_tensor("binomial", count, "count", kinds="f").detach()
    p = check_tensor("binomial", prob, "prob", 2, kinds="f").detach()
    if n.dtype is not p.dtype:
        raise RuntimeError(
            f"binomial(): count and prob must have one dtype, but they are {n.dtype} and "
            f"{p.dtype}; convert one with .to(dtype)"
        )
    if (n < 0).any() or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("binomial(): needs count >= 0 and 0 <= prob <= 1")
    shape = broadcast_shapes(tuple(n.shape), tuple(p.shape))
    trials = E.trunc(n.double().expand(shape))
    prob = p.double().expand(shape)
    # By inversion, of the rarer outcome: p(k + 1) / p(k) = (n - k) / (k + 1) * p / (1 - p).
    rare = E.where(prob > 0.5, 1 - prob, prob)
    parts = max(1, math.ceil((trials * rare).max().item() / _LARGEST_RATE)) if trials.numel() else 0
    found = trials * 0
    for i in range(parts):  # (1 - p)^n must not underflow: sums of parts of the trials
        share = E.floor((trials + i) / parts)
        found = found + _rare_successes(share, rare, generator)
    return E.where(prob > 0.5, trials - found, found).to(n.dtype)


def _rare_successes(n: Tensor, p: Tensor, generator: Generator | None) -> Tensor:
    u = rand(tuple(n.shape), dtype=n.dtype, generator=generator)
    odds = p / (1 - p)
    term = E.exp(n * E.log1p(-p))
    below, count = term, n * 0
    k = 0
    # The terms end below 1 by rounding; those that are 0 at the end add nothing.
    while (open_ := (u > below) & (count < n) & (term > 0)).any():
        count = count + open_.to(n.dtype)
        term = term * odds * (n - k) / (k + 1)
        below = below + term
        k += 1
    return count


def _some(t: Tensor) -> bool:
    """Whether any element is true, of any element of a batch."""
    known = values_of(t)
    return bool(t.any() if known is None else known.any())


def _poisson(rate: Tensor, generator: Generator | None) -> Tensor:
    """By inversion: how many partial sums of the distribution stay below a uniform number."""
    u = rand(tuple(rate.shape), dtype=rate.dtype, generator=generator)
    term = (-rate).exp()
    below, count = term, rate * 0
    k = 0
    # The sums end below 1 by rounding; terms that are 0 at the end add nothing.
    while _some(open_ := (u > below) & (term > 0)):
        k += 1
        count = count + open_.to(rate.dtype)
        term = term * rate / k
        below = below + term
    return count


@method("random_")
def _random_(self: Tensor, *bounds: int, generator: Generator | None = None) -> Tensor:
    """``random_(from=0, to)``: fill with integers in [from, to).

    Without bounds: up to the largest integer of the dtype, for floats up to the largest below
    which all integers have an exact float.
    """
    d = _real_dtype(self, "random_")
    if len(bounds) > 2:
        raise TypeError(f"random_() takes from and to, got {len(bounds)} numbers")
    if bounds:
        low, high = (0, *bounds)[-2:]
    elif d.kind == "b":
        low, high = 0, 2
    elif d.kind == "f":
        low, high = 0, (1 << np.finfo(d).nmant + 1) + 1
    else:
        low, high = 0, int(np.iinfo(d).max) + 1
    return assign(self, _integers(int(low), int(high), self._data.shape, d, generator), "random_")


for _f in (
    rand, randn, randint, randperm, normal, bernoulli, multinomial, rand_like, randn_like,
    randint_like, binomial, poisson,
):  # fmt: skip
    EXPORTS[_f.__name__] = _f
publish("bernoulli", bernoulli, methods=("bernoulli",))
publish("multinomial", multinomial, methods=("multinomial",))
