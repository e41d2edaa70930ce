"""What the parameters and values of distributions have to satisfy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor


class Constraint:
    """A set of values; `event_dim` dimensions from the right make up one of them.

    >>> import numbagrad as ng
    >>> positive.check(ng.tensor([1.0, 0.0]))
    tensor([ True, False])
    """

    def __init__(
        self, name: str, check: Callable[[Tensor], Tensor], event_dim: int = 0, **bounds: Any
    ) -> None:
        self._name = name
        self._check = check
        self.event_dim = event_dim
        self.__dict__.update(bounds)
        self._bounds = bounds

    def check(self, value: Tensor) -> Tensor:
        """Whether each value lies in the set; NaN never does."""
        return self._check(value)

    def __repr__(self) -> str:
        return f"{self._name}({', '.join(f'{k}={v}' for k, v in self._bounds.items())})"


#: Constraints by the names of parameters.
Named = dict[str, Constraint]


def _whole(x: Tensor) -> Tensor:
    return x % 1 == 0


def greater_than(lower_bound: Any) -> Constraint:
    """Numbers above a bound."""
    return Constraint("GreaterThan", lambda x: x > lower_bound, lower_bound=lower_bound)


def greater_than_eq(lower_bound: Any) -> Constraint:
    """Numbers not below a bound."""
    return Constraint("GreaterThanEq", lambda x: x >= lower_bound, lower_bound=lower_bound)


def interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Numbers between two bounds, which belong to them."""
    return Constraint(
        "Interval",
        lambda x: (x >= lower_bound) & (x <= upper_bound),
        lower_bound=lower_bound,
        upper_bound=upper_bound,
    )


def integer_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Whole numbers between two bounds, which belong to them."""
    return Constraint(
        "IntegerInterval",
        lambda x: _whole(x) & (x >= lower_bound) & (x <= upper_bound),
        lower_bound=lower_bound,
        upper_bound=upper_bound,
    )


def independent(base: Constraint, event_dim: int) -> Constraint:
    """All of the last `event_dim` dimensions satisfy `base`."""

    def check(x: Tensor) -> Tensor:
        found = base.check(x)
        return found.flatten(-event_dim).all(-1) if event_dim else found

    return Constraint("IndependentConstraint", check, base.event_dim + event_dim)


def _simplex(x: Tensor) -> Tensor:
    return (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6)


def _one_hot(x: Tensor) -> Tensor:
    return ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1)


def _lower_cholesky(x: Tensor) -> Tensor:
    return (x.tril() == x).flatten(-2).all(-1) & (x.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _positive_definite(x: Tensor) -> Tensor:
    symmetric = ((x - x.transpose(-2, -1)).abs() < 1e-6).flatten(-2).all(-1)
    lowest = x.detach().tril() + x.detach().tril(-1).transpose(-2, -1)
    return symmetric & (lowest.logdet().isfinite() & _minors_positive(lowest))


def _minors_positive(x: Tensor) -> Tensor:
    """Sylvester's criterion."""
    found = x[..., 0, 0] > 0
    for n in range(2, x.shape[-1] + 1):
        found = found & (x[..., :n, :n].det() > 0)
    return found


real = Constraint("Real", lambda x: x == x)
real_vector = independent(real, 1)
boolean = Constraint("Boolean", lambda x: (x == 0) | (x == 1))
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
nonnegative_integer = Constraint(
    "IntegerGreaterThan", lambda x: _whole(x) & (x >= 0), lower_bound=0
)
simplex = Constraint("Simplex", _simplex, 1)
one_hot = Constraint("OneHot", _one_hot, 1)
lower_cholesky = Constraint("LowerCholesky", _lower_cholesky, 2)
positive_definite = Constraint("PositiveDefinite", _positive_definite, 2)
