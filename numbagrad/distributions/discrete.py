"""Distributions over whole numbers and classes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import dtypes
from ..creation import arange, eye, zeros
from ..modes import no_grad
from ..ops.elementwise import where
from ..ops.shape import broadcast_tensors
from ..sampling import multinomial, poisson, rand
from ..tensor import Size, Tensor
from . import constraints as C
from .continuous import open_unit
from .distribution import Distribution, broadcast_all, named, violates


def _off_borders(probs: Tensor) -> Tensor:
    """Probabilities whose logarithm is finite."""
    eps = dtypes.finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


def _log_sigmoid(x: Tensor) -> Tensor:
    return -where(x < 0, x.exp().log1p() - x, (-x).exp().log1p())


class _ByProbs(Distribution):
    """Given by the probabilities of single events, or by their logits."""

    def _set(self, probs: Any, logits: Any) -> Tensor:
        name, value = named([("probs", probs), ("logits", logits)], type(self).__name__)
        (value,) = broadcast_all(value)
        self.__dict__[name] = value
        return value

    def __getattr__(self, name: str) -> Any:
        # The one that was not given.
        if name == "probs":
            return self._probs_of(self.__dict__["logits"])
        if name == "logits":
            return self._logits_of(self.__dict__["probs"])
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _probs_of(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def _logits_of(self, probs: Tensor) -> Tensor:
        inside = _off_borders(probs)
        return inside.log() - (-inside).log1p()


class Bernoulli(_ByProbs):
    """1 with probability `probs`, else 0.

    >>> import numbagrad as ng
    >>> Bernoulli(probs=0.25).log_prob(ng.tensor(1.0)).exp()
    tensor(0.2500)
    """

    has_enumerate_support = True
    arg_constraints: ClassVar[C.Named] = {
        "probs": C.unit_interval,
        "logits": C.real,
    }
    support = C.boolean

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(self._set(probs, logits).shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        mode = (self.probs >= 0.5).to(self.probs.dtype)
        return where(self.probs == 0.5, math.nan, mode)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            probs = self.probs
            return (rand(*shape, dtype=probs.dtype) < probs).to(probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        value, logits = broadcast_tensors(self._checked(value), self.logits)
        return _log_sigmoid(logits) - (1 - value) * logits

    def entropy(self) -> Tensor:
        logits, probs = self.logits, self.probs
        return (1 - probs) * logits - _log_sigmoid(logits)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerated(arange(2, dtype=self.logits.dtype), expand)


class Geometric(_ByProbs):
    """The number of failures before the first success."""

    arg_constraints: ClassVar[C.Named] = {
        "probs": C.unit_interval,
        "logits": C.real,
    }
    support = C.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(self._set(probs, logits).shape, (), validate_args)
        if self._validate_args and probs is not None and violates(self.probs, C.positive):
            raise ValueError(f"Geometric: probs must be positive, got {self.probs}")

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return self.probs * 0

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            u = open_unit(self._extended_shape(sample_shape), self.probs)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        value, probs = broadcast_tensors(self._checked(value), self.probs)
        certain = where((probs == 1) & (value == 0), 0.0, probs)
        return value * (-certain).log1p() + probs.log()

    def entropy(self) -> Tensor:
        logits, probs = self.logits, self.probs
        return ((1 - probs) * logits - _log_sigmoid(logits)) / probs


class Binomial(_ByProbs):
    """The number of successes among `total_count`."""

    arg_constraints: ClassVar[C.Named] = {
        "total_count": C.nonnegative_integer, "probs": C.unit_interval, "logits": C.real
    }  # fmt: skip

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        value = self._set(probs, logits)
        self.total_count, value = broadcast_all(total_count, value)
        self.total_count = self.total_count.to(value.dtype)
        self.__dict__["probs" if probs is not None else "logits"] = value
        super().__init__(value.shape, (), validate_args)

    @property
    def support(self) -> C.Constraint:  # type: ignore[override]
        return C.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            probs, total = self.probs, zeros(*shape, dtype=self.probs.dtype)
            for i in range(int(self.total_count.max()) if self.total_count.numel() else 0):
                success = (rand(*shape, dtype=probs.dtype) < probs) & (i < self.total_count)
                total = total + success.to(probs.dtype)
            return total

    def log_prob(self, value: Tensor) -> Tensor:
        value, n, logits = self._checked(value), self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        # n * log(1 + e^logits), without overflow.
        return ways + value * logits + n * _log_sigmoid(-logits)


class Poisson(Distribution):
    """The number of events of this rate."""

    arg_constraints: ClassVar[C.Named] = {"rate": C.nonnegative}
    support = C.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return poisson(self.rate.detach().expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        rate, value = broadcast_tensors(self.rate, self._checked(value))
        return value.xlogy(rate) - rate - (value + 1).lgamma()


class Categorical(_ByProbs):
    """One of n classes, with probabilities along the last dimension (normalised), or logits.

    >>> import numbagrad as ng
    >>> d = Categorical(probs=ng.tensor([1.0, 3.0]))
    >>> d.log_prob(ng.tensor(1)).exp()
    tensor(0.7500)
    """

    has_enumerate_support = True
    arg_constraints: ClassVar[C.Named] = {
        "probs": C.simplex,
        "logits": C.real_vector,
    }

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        value = self._set(probs, logits)
        if value.ndim < 1:
            raise ValueError("`probs` or `logits` parameter must be at least one-dimensional.")
        self._num_events = value.shape[-1]
        if probs is not None:
            self.probs = value / value.sum(-1, keepdim=True)
        else:
            self.logits = value - value.logsumexp(-1, keepdim=True)
        super().__init__(value.shape[:-1], (), validate_args)

    def _probs_of(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)

    def _logits_of(self, probs: Tensor) -> Tensor:
        return _off_borders(probs).log()

    @property
    def support(self) -> C.Constraint:  # type: ignore[override]
        return C.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Size:
        """The shape of `probs` and `logits`."""
        return Size((*self._batch_shape, self._num_events))

    @property
    def mean(self) -> Tensor:
        """NaN: classes have no mean."""
        return zeros(*self._batch_shape, dtype=self.logits.dtype) * math.nan

    @property
    def variance(self) -> Tensor:
        """NaN, as the mean."""
        return self.mean

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = Size(sample_shape)
        with no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            drawn = multinomial(rows, shape.numel(), True).t()
            return drawn.reshape(shape + self._batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        index = self._checked(value).long().unsqueeze(-1)
        shape = broadcast_tensors(index[..., 0], self.logits[..., 0])[0].shape
        logits = self.logits.expand((*shape, self._num_events))
        return logits.gather(-1, index.expand((*shape, 1))).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = self.logits.clamp(min=dtypes.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerated(arange(self._num_events), expand)


class OneHotCategorical(Distribution):
    """One of n classes, as a vector that is 1 there and 0 elsewhere."""

    has_enumerate_support = True
    arg_constraints: ClassVar[C.Named] = {
        "probs": C.simplex,
        "logits": C.real_vector,
    }
    support = C.one_hot

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(
            self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args
        )

    def _given(self) -> dict[str, Tensor]:
        return self._categorical._given()

    @property
    def probs(self) -> Tensor:
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        return self._categorical.logits

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return self._one_hot(self._categorical.mode)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _one_hot(self, index: Tensor) -> Tensor:
        return eye(self._event_shape[0], dtype=self.probs.dtype)[index]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self._one_hot(self._categorical.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return self._categorical.log_prob(self._checked(value).argmax(-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self._event_shape[0]
        values = eye(n, dtype=self.probs.dtype).reshape((n, *(1,) * len(self._batch_shape), n))
        return values.expand((n, *self._batch_shape, n)) if expand else values
