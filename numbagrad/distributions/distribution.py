"""The base class of distributions, and distributions made of others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

import numpy as np

from .. import dtypes
from ..creation import tensor
from ..modes import no_grad, thread
from ..ops.shape import broadcast_tensors
from ..tensor import Size, Tensor
from .constraints import Constraint, independent


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Tensors and numbers as tensors of one shape.

    Raises:
        ValueError: something else.
    """
    given = [v for v in values if isinstance(v, Tensor)]
    for v in values:
        if not isinstance(v, Tensor | int | float | np.number):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects "
                f"implementing __torch_function__: got {type(v).__name__}"
            )
    floats = [t.dtype for t in given if t.is_floating_point()]
    dtype = floats[0] if floats else dtypes.get_default_dtype()
    tensors = [v if isinstance(v, Tensor) else tensor(v, dtype=dtype) for v in values]
    return tuple(broadcast_tensors(*tensors))


def violates(value: Tensor, constraint: Constraint) -> bool:
    """Whether values break a constraint, as far as is known: in a compiled function nothing is."""
    if thread.modes.trace is not None or not isinstance(value._data, np.ndarray):
        return False
    return not constraint.check(value).all()


class Distribution:
    """A probability distribution over tensors of shape `event_shape`, for each of `batch_shape`.

    Parameters are tensors or numbers, and broadcast. Values that cannot be are refused, unless
    `validate_args` is False: with a ValueError by the constructor and by :meth:`log_prob`.
    """

    has_rsample: ClassVar[bool] = False
    has_enumerate_support: ClassVar[bool] = False
    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support: Any = None
    _validate_args = True

    def __init__(
        self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                self._check_parameter(name, constraint)

    def _check_parameter(self, name: str, constraint: Constraint) -> None:
        value = self.__dict__.get(name)
        if isinstance(value, Tensor) and violates(value, constraint):
            raise ValueError(
                f"Expected parameter {name} ({type(value).__name__} of shape "
                f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                f"{constraint!r}, but found invalid values:\n{value}"
            )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Set whether distributions check their arguments unless said otherwise.

        Raises:
            ValueError: no bool.
        """
        if value not in (True, False):
            raise ValueError("set_default_validate_args() takes True or False")
        Distribution._validate_args = value

    # -- shapes -----------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters: one distribution for each element."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one value."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size(sample_shape) + self._batch_shape + self._event_shape

    def _given(self) -> dict[str, Tensor]:
        """The parameters as they were given, by their names in the constructor."""
        return {k: self.__dict__[k] for k in self.arg_constraints if k in self.__dict__}

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch expanded."""
        shape, more = Size(batch_shape), len(self._batch_shape)
        expanded = {k: v.expand(shape + v.shape[more:]) for k, v in self._given().items()}
        return type(self)(**expanded, validate_args=False)

    # -- what is known of it ----------------------------------------------------------------

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Tensor:
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples through which gradients flow to the parameters, where there are such."""
        raise NotImplementedError

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Samples of shape ``sample_shape + batch_shape + event_shape``, without a gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def sample_n(self, n: int) -> Tensor:
        """`n` samples."""
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density or probability at `value`.

        Raises:
            ValueError: `value` is not in the support, or of a wrong shape.
        """
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to `value`."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The inverse of :meth:`cdf`."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along a new first dimension."""
        raise NotImplementedError

    def _enumerated(self, values: Tensor, expand: bool) -> Tensor:
        values = values.reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values

    def _checked(self, value: Any) -> Any:
        """`value`, if the distribution can take it."""
        if not self._validate_args:
            return value
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        event = len(self._event_shape)
        if value.shape[value.ndim - event :] != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(value.shape), reversed(expected), strict=False):
            if 1 not in (i, j) and i != j:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs "
                    f"{expected}."
                )
        support = self.support
        if support is not None and violates(value, support):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) of the distribution {self!r}, but found "
                f"invalid values:\n{value}"
            )
        return value

    def __repr__(self) -> str:
        shown = [f"{k}: {v if v.numel() == 1 else v.size()}" for k, v in self._given().items()]
        return f"{type(self).__name__}({', '.join(shown)})"


class Independent(Distribution):
    """The last batch dimensions of another distribution as part of its values.

    >>> import numbagrad as ng
    >>> d = Independent(ng.distributions.Normal(ng.zeros(2, 3), 1.0), 1)
    >>> d.log_prob(ng.zeros(2, 3)).shape, d.event_shape
    (numbagrad.Size([2]), numbagrad.Size([3]))
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        batch = base_distribution.batch_shape
        if reinterpreted_batch_ndims > len(batch):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                f"{reinterpreted_batch_ndims} vs {len(batch)}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        kept = len(batch) - reinterpreted_batch_ndims
        event = batch[kept:] + base_distribution.event_shape
        super().__init__(batch[:kept], event, validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        return independent(self.base_dist.support, self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def expand(self, batch_shape: Any) -> Self:
        inner = self._event_shape[: self.reinterpreted_batch_ndims]
        base = self.base_dist.expand(Size(batch_shape) + inner)
        return type(self)(base, self.reinterpreted_batch_ndims, validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def _summed(self, x: Tensor) -> Tensor:
        n = self.reinterpreted_batch_ndims
        return x.sum(tuple(range(-n, 0))) if n else x

    def log_prob(self, value: Tensor) -> Tensor:
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self._summed(self.base_dist.entropy())

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """A mixture: weights by a Categorical, components along the last batch dimension.

    Raises:
        ValueError: the weights are no Categorical, or their number is not that of the components.
    """

    def __init__(
        self,
        mixture_distribution: Any,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        from .discrete import Categorical

        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("The Mixture distribution needs to be an instance of Categorical")
        batch = component_distribution.batch_shape
        if not batch or batch[-1] != mixture_distribution.probs.shape[-1]:
            raise ValueError(
                "`mixture_distribution component` does not equal "
                "`component_distribution.batch_shape[-1]`"
            )
        self.mixture_distribution = mixture_distribution
        self.component_distribution = component_distribution
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args)

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        return self.component_distribution.support

    def _weights(self) -> Tensor:
        probs = self.mixture_distribution.probs
        return probs.reshape(probs.shape + (1,) * len(self._event_shape))

    @property
    def _dim(self) -> int:
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Tensor:
        return (self._weights() * self.component_distribution.mean).sum(self._dim)

    @property
    def variance(self) -> Tensor:
        """That of the components, and that of their means."""
        components, weights = self.component_distribution, self._weights()
        around = (components.mean - self.mean.unsqueeze(self._dim)).square()
        return (weights * (components.variance + around)).sum(self._dim)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._checked(value).unsqueeze(self._dim)
        weights = self.mixture_distribution.logits.log_softmax(-1)
        return (self.component_distribution.log_prob(value) + weights).logsumexp(-1)

    def cdf(self, value: Tensor) -> Tensor:
        found = self.component_distribution.cdf(value.unsqueeze(self._dim))
        return (found * self.mixture_distribution.probs).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            samples = self.component_distribution.sample(sample_shape)
            index = chosen.reshape(chosen.shape + (1,) * (len(self._event_shape) + 1))
            shape = list(samples.shape)
            shape[self._dim] = 1
            dim = len(chosen.shape)
            return samples.gather(dim, index.expand(shape)).squeeze(dim)

    def __repr__(self) -> str:
        return (
            f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
        )


def named(values: Iterable[tuple[str, Any]], kind: str) -> tuple[str, Tensor]:
    """The one of two parametrisations that was given.

    Raises:
        ValueError: both or none.
    """
    found = [(name, value) for name, value in values if value is not None]
    if len(found) != 1:
        names = " or ".join(f"`{name}`" for name, _ in values)
        raise ValueError(f"{kind}: either {names} must be specified, but not both.")
    return found[0]
