"""Random tensors with PyTorch's functions, from the counter-based streams of `ops.random`.

A :class:`Generator` is a seed and the offset of the next unused block of its stream. Each call
reserves the blocks it needs in one step under a lock, so threads never share a number, and draws
from them; what it draws depends on the seed and the offset alone.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import dtypes
from .creation import parse_size
from .devices import CPU, check_device, device
from .inplace import assign, assign_out, check_mutable
from .locks import free_in_child
from .modes import thread
from .ops import elementwise as E
from .ops.export import EXPORTS, check_tensor, publish
from .ops.random import blocks, inverse_cdf, random_integers, random_normal, random_uniform
from .ops.registry import broadcast_shapes
from .tensor import Tensor, method, wrap

_SEEDS = 1 << 64
#: What a new Generator starts from, as in PyTorch.
DEFAULT_SEED = 67280421310721

_moving = free_in_child(threading.Lock())  # the offset of any generator


def _key(seed: int, offset: int) -> np.ndarray[Any, Any]:
    """The first block at an offset of a stream, as `ops.random` takes it."""
    return np.array([seed - _SEEDS if seed >> 63 else seed, offset], np.int64)


class Generator:
    """A stream of random numbers; functions take it as ``generator=``.

    Args:
        device: "cpu".

    >>> import numbagrad as ng
    >>> g = ng.Generator().manual_seed(0)
    >>> a = ng.rand(3, generator=g)
    >>> b = ng.rand(3, generator=g.manual_seed(0))
    >>> ng.equal(a, b)
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self._seed = DEFAULT_SEED
        self._offset = 0
        if thread.modes.trace is not None:  # each call of the function makes a new one
            thread.modes.trace.reseed(self, _key(DEFAULT_SEED, 0))

    @property
    def device(self) -> device:
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed`: an integer from -2**63 to 2**64 - 1."""
        seed = seed.__index__()
        if not -_SEEDS // 2 <= seed < _SEEDS:
            raise RuntimeError(
                f"Overflow when unpacking long: a seed is between -2**63 and 2**64 - 1, got {seed}"
            )
        if thread.modes.trace is not None:
            thread.modes.trace.reseed(self, _key(seed % _SEEDS, 0))
            return self
        with _moving:
            self._seed, self._offset = seed % _SEEDS, 0
        return self

    def seed(self) -> int:
        """Start a stream that nobody can foresee; returns its seed."""
        seed = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def get_state(self) -> Tensor:
        """Seed and offset as 16 bytes, for :meth:`set_state`."""
        trace = thread.modes.trace
        if trace is not None:
            key, skipped = trace.random_place(self)
            words = (key + wrap(np.array([0, skipped]))).reshape(2, 1)
            state = (words >> wrap(np.arange(0, 64, 8)) & 255).to(dtypes.uint8).reshape(16)
            trace.remember_state(self, state)
            return state
        with _moving:
            return wrap(np.array([self._seed, self._offset], np.uint64).view(np.uint8))

    def set_state(self, state: Tensor) -> Generator:
        """Go back to where :meth:`get_state` was called.

        Raises:
            TypeError: not a tensor of bytes.
            RuntimeError: not 16 of them.
        """
        data = check_tensor("set_state", state, "new_state")._data
        if data.dtype != np.uint8:
            raise TypeError(f"expected a tensor of dtype uint8, but got {state.dtype}")
        if data.shape != (16,):
            raise RuntimeError(
                f"RNG state is wrong size: expected shape (16,), got {tuple(state.shape)}; pass "
                "what get_state() returned"
            )
        if thread.modes.trace is not None:
            thread.modes.trace.set_random_state(self, state)
            return self
        with _moving:
            self._seed, self._offset = np.ascontiguousarray(data).view(np.uint64).tolist()
        return self

    def clone_state(self) -> Generator:
        """Another generator at the same place of the same stream."""
        return Generator().set_state(self.get_state())

    def take(self, count: int) -> Tensor:
        """Reserve `count` blocks; returns the key of the first (see `ops.random`)."""
        with _moving:
            seed, offset = self._seed, self._offset
            self._offset = offset + count
        return wrap(_key(seed, offset))

    def move_to(self, key: Any, skipped: int) -> None:
        """Continue so many blocks behind a key that :meth:`take` returned."""
        seed, offset = key.tolist()
        with _moving:
            self._seed, self._offset = seed % _SEEDS, offset + skipped

    def __repr__(self) -> str:
        return f"<numbagrad.Generator seed={self._seed} offset={self._offset}>"

    def __reduce__(self) -> Any:
        return _rebuild, (self.get_state(),)


def _rebuild(state: Tensor) -> Generator:
    return Generator().set_state(state)


default_generator = Generator()
default_generator.seed()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the same seed, the same numbers.

    >>> import numbagrad as ng
    >>> _ = ng.manual_seed(0)
    >>> ng.rand(3)
    tensor([0.0347, 0.0115, 0.6120])
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Bring the default generator back to a state that :func:`get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(enabled: bool = True) -> Iterator[None]:
    """Random calls inside do not move the default generator."""
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


# -- drawing --------------------------------------------------------------------------------------

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
    words = _integers(-_SEEDS // 2, _SEEDS // 2, (n,), dtypes.I64, generator)
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
    if (x < 0).any():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    rate = x.double()
    parts = max(1, math.ceil(rate.max().item() / _LARGEST_RATE)) if rate.numel() else 0
    total = rate * 0
    for _ in range(parts):
        total = total + _poisson(rate / parts, generator)
    return total.to(x.dtype)


def _poisson(rate: Tensor, generator: Generator | None) -> Tensor:
    """By inversion: how many partial sums of the distribution stay below a uniform number."""
    u = rand(tuple(rate.shape), dtype=rate.dtype, generator=generator)
    term = (-rate).exp()
    below, count = term, rate * 0
    k = 0
    # The sums end below 1 by rounding; terms that are 0 at the end add nothing.
    while (open_ := (u > below) & (term > 0)).any():
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
    randint_like, poisson, manual_seed, seed, initial_seed, get_rng_state, set_rng_state,
):  # fmt: skip
    EXPORTS[_f.__name__] = _f
publish("bernoulli", bernoulli, methods=("bernoulli",))
publish("multinomial", multinomial, methods=("multinomial",))
