"""Distributions over real numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ..creation import empty, zeros
from ..modes import is_grad_enabled
from ..ops.elementwise import where
from ..ops.gamma import igamma
from ..sampling import rand, randn
from ..tensor import Tensor
from . import constraints as C
from .distribution import Distribution, broadcast_all, violates

_LOG_2PI = math.log(2 * math.pi)
_EULER = 0.57721566490153286060


def open_unit(shape: Any, like: Tensor) -> Tensor:
    """Uniform in (0, 1), both ends excluded: logarithms of it and of 1 - it are finite."""
    u = rand(*shape, dtype=like.dtype)
    tiny = 2.0**-25 if like.itemsize < 8 else 2.0**-54
    return u.clamp(min=tiny)


class _LocScale(Distribution):
    """A standard distribution, moved by `loc` and stretched by `scale`."""

    has_rsample = True
    arg_constraints: ClassVar[C.Named] = {"loc": C.real, "scale": C.positive}
    support = C.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    def _standard(self, shape: Any) -> Tensor:
        """Samples of the standard distribution."""
        raise NotImplementedError

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + self.scale * self._standard(self._extended_shape(sample_shape))

    def _normed(self, value: Tensor) -> Tensor:
        return (self._checked(value) - self.loc) / self.scale

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc


class Normal(_LocScale):
    """The normal distribution of mean `loc` and standard deviation `scale`.

    >>> import numbagrad as ng
    >>> Normal(0.0, 1.0).log_prob(ng.tensor(0.0))
    tensor(-0.9189)
    """

    def _standard(self, shape: Any) -> Tensor:
        return randn(*shape, dtype=self.loc.dtype)

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale.square()

    def log_prob(self, value: Tensor) -> Tensor:
        return -self._normed(value).square() / 2 - self.scale.log() - _LOG_2PI / 2

    def cdf(self, value: Tensor) -> Tensor:
        return 0.5 * (1 + (self._normed(value) / math.sqrt(2)).erf())

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * _LOG_2PI + self.scale.log()


class Laplace(_LocScale):
    """The double exponential distribution around `loc`."""

    def _standard(self, shape: Any) -> Tensor:
        u = open_unit(shape, self.loc) * 2 - 1
        return -u.sign() * (-u.abs()).log1p()

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale.square()

    def log_prob(self, value: Tensor) -> Tensor:
        return -(2 * self.scale).log() - self._normed(value).abs()

    def cdf(self, value: Tensor) -> Tensor:
        z = self._normed(value)
        return 0.5 - 0.5 * z.sign() * (-z.abs()).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (-2 * term.abs()).log1p()

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()


class Cauchy(_LocScale):
    """The Cauchy distribution around `loc`; it has no mean."""

    def _standard(self, shape: Any) -> Tensor:
        return ((open_unit(shape, self.loc) - 0.5) * math.pi).tan()

    @property
    def mean(self) -> Tensor:
        return self.loc * math.nan

    @property
    def variance(self) -> Tensor:
        return self.loc * 0 + math.inf

    def log_prob(self, value: Tensor) -> Tensor:
        return -math.log(math.pi) - self.scale.log() - self._normed(value).square().log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return self._normed(value).atan() / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()


class Gumbel(_LocScale):
    """The distribution of the maximum of many (type I)."""

    def _standard(self, shape: Any) -> Tensor:
        return -(-open_unit(shape, self.loc).log()).log()

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * _EULER

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (math.pi**2 / 6)

    def log_prob(self, value: Tensor) -> Tensor:
        z = -self._normed(value)
        return z - z.exp() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        return (-(-self._normed(value)).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + 1 + _EULER


class LogNormal(Distribution):
    """The exponential of a normal variable of mean `loc` and standard deviation `scale`."""

    has_rsample = True
    arg_constraints: ClassVar[C.Named] = {"loc": C.real, "scale": C.positive}
    support = C.positive

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def base_dist(self) -> Normal:
        """The distribution of the logarithm."""
        return Normal(self.loc, self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale.square() / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Tensor:
        square = self.scale.square()
        return square.expm1() * (2 * self.loc + square).exp()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        log = self._checked(value).log()
        return self.base_dist.log_prob(log) - log

    def cdf(self, value: Tensor) -> Tensor:
        return self.base_dist.cdf(self._checked(value).log())

    def icdf(self, value: Tensor) -> Tensor:
        return self.base_dist.icdf(value).exp()

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc


class HalfNormal(Distribution):
    """The absolute value of a normal variable of mean 0."""

    has_rsample = True
    arg_constraints: ClassVar[C.Named] = {"scale": C.positive}
    support = C.nonnegative

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = broadcast_all(scale)
        super().__init__(self.scale.shape, (), validate_args)

    @property
    def _normal(self) -> Normal:
        return Normal(0.0, self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Tensor:
        return self.scale * 0

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._normal.rsample(sample_shape).abs()

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value)
        return where(value >= 0, self._normal.log_prob(value) + math.log(2), -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        return 2 * self._normal.cdf(self._checked(value)) - 1

    def icdf(self, value: Tensor) -> Tensor:
        return self._normal.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        return self._normal.entropy() - math.log(2)


class Uniform(Distribution):
    """Uniform on [low, high).

    Raises:
        ValueError: `low` is not below `high`.
    """

    has_rsample = True
    arg_constraints: ClassVar[C.Named] = {"low": C.real, "high": C.real}

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, (), validate_args)
        if self._validate_args and violates(self.high - self.low, C.positive):
            raise ValueError("Uniform is not defined when low >= high")

    @property
    def support(self) -> C.Constraint:  # type: ignore[override]
        return C.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        return self.high * math.nan

    @property
    def stddev(self) -> Tensor:
        return (self.high - self.low) / math.sqrt(12)

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = rand(*self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value)
        inside = (self.low <= value) & (self.high > value)
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        return ((self._checked(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()


class Exponential(Distribution):
    """The waiting time for events of this rate."""

    has_rsample = True
    arg_constraints: ClassVar[C.Named] = {"rate": C.positive}
    support = C.nonnegative

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate.reciprocal()

    @property
    def mode(self) -> Tensor:
        return self.rate * 0

    @property
    def variance(self) -> Tensor:
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = rand(*self._extended_shape(sample_shape), dtype=self.rate.dtype)
        return -(-u).log1p() / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        return self.rate.log() - self.rate * self._checked(value)

    def cdf(self, value: Tensor) -> Tensor:
        return -(-self.rate * self._checked(value)).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        return -(-value).log1p() / self.rate

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()


def standard_gamma(shape: Any, concentration: Tensor) -> Tensor:
    """Samples of rate 1, with a gradient.

    The gradient moves a sample so that it stays the same quantile (Figurnov, Mohamed & Mnih, 2018).
    """
    z = _drawn_gamma(shape, concentration)
    if not is_grad_enabled():
        return z
    a = concentration.expand(shape)
    quantile = igamma(a, z)
    density = ((a - 1).xlogy(z) - z - a.lgamma()).exp()
    return z - (quantile - quantile.detach()) / density.detach()


def _drawn_gamma(shape: Any, concentration: Tensor) -> Tensor:
    """Samples of rate 1 by rejection (Marsaglia & Tsang, 2000); no gradient flows through them."""
    a = concentration.detach().expand(shape)
    boosted = where(a < 1, a + 1, a)
    d = boosted - 1 / 3
    c = (9 * d).rsqrt()
    found, open_ = empty(*a.shape, dtype=a.dtype), zeros(*a.shape) == 0
    while open_.any():
        x = randn(*a.shape, dtype=a.dtype)
        v = (1 + c * x).pow(3)
        u = open_unit(a.shape, a)
        accepted = (v > 0) & (u.log() < 0.5 * x.square() + d * (1 - v + v.clamp(min=1e-30).log()))
        found = where(open_ & accepted, d * v, found)
        open_ = open_ & ~accepted
    # A smaller concentration follows from that plus one.
    return where(a < 1, found * open_unit(a.shape, a).pow(1 / a), found)


class Gamma(Distribution):
    """The gamma distribution.

    >>> import numbagrad as ng
    >>> a = ng.tensor(2.0, requires_grad=True)
    >>> Gamma(a, 1.0).rsample((3,)).requires_grad
    True
    """

    has_rsample = True
    arg_constraints: ClassVar[C.Named] = {
        "concentration": C.positive,
        "rate": C.positive,
    }
    support = C.nonnegative

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.square()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return standard_gamma(shape, self.concentration) / self.rate

    def cdf(self, value: Tensor) -> Tensor:
        return igamma(self.concentration, self.rate * self._checked(value))

    def log_prob(self, value: Tensor) -> Tensor:
        value, a = self._checked(value), self.concentration
        return a.xlogy(self.rate) + (a - 1).xlogy(value) - self.rate * value - a.lgamma()

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()


class Beta(Distribution):
    """The beta distribution."""

    has_rsample = True
    arg_constraints: ClassVar[C.Named] = {
        "concentration1": C.positive,
        "concentration0": C.positive,
    }
    support = C.unit_interval

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.shape, (), validate_args)

    @property
    def _total(self) -> Tensor:
        return self.concentration1 + self.concentration0

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / self._total

    @property
    def mode(self) -> Tensor:
        a, b = ((c - 1).clamp(min=0) for c in (self.concentration1, self.concentration0))
        return a / (a + b)

    @property
    def variance(self) -> Tensor:
        total = self._total
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        a, b = (standard_gamma(shape, c) for c in (self.concentration1, self.concentration0))
        return a / (a + b)

    def _log_norm(self) -> Tensor:
        return self.concentration1.lgamma() + self.concentration0.lgamma() - self._total.lgamma()

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value)
        powers = (self.concentration1 - 1).xlogy(value)
        return powers + (self.concentration0 - 1).xlogy(1 - value) - self._log_norm()

    def entropy(self) -> Tensor:
        a, b, total = self.concentration1, self.concentration0, self._total
        digammas = (a - 1) * a.digamma() + (b - 1) * b.digamma()
        return self._log_norm() - digammas + (total - 2) * total.digamma()
