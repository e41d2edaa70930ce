"""Distributions over vectors."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ..linalg import cholesky, inv, solve_triangular
from ..sampling import randn
from ..tensor import Size, Tensor
from . import constraints as C
from .continuous import standard_gamma
from .distribution import Distribution, named


class Dirichlet(Distribution):
    """Over vectors of probabilities."""

    has_rsample = True
    arg_constraints: ClassVar[C.Named] = {"concentration": C.independent(C.positive, 1)}
    support = C.simplex

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        above = (self.concentration - 1).clamp(min=0)
        return above / above.sum(-1, keepdim=True)

    @property
    def variance(self) -> Tensor:
        total, mean = self.concentration.sum(-1, keepdim=True), self.mean
        return mean * (1 - mean) / (total + 1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        parts = standard_gamma(self._extended_shape(sample_shape), self.concentration)
        return parts / parts.sum(-1, keepdim=True)

    def _log_norm(self) -> Tensor:
        return self.concentration.lgamma().sum(-1) - self.concentration.sum(-1).lgamma()

    def log_prob(self, value: Tensor) -> Tensor:
        return (self.concentration - 1).xlogy(self._checked(value)).sum(-1) - self._log_norm()

    def entropy(self) -> Tensor:
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        digammas = (total - k) * total.digamma() - ((a - 1) * a.digamma()).sum(-1)
        return self._log_norm() + digammas


class MultivariateNormal(Distribution):
    """The normal distribution of vectors, by covariance, precision or Cholesky factor.

    Raises:
        ValueError: not exactly one of the three, or not a matrix.

    >>> import numbagrad as ng
    >>> MultivariateNormal(ng.zeros(2), ng.eye(2)).entropy()
    tensor(2.8379)
    """

    has_rsample = True
    arg_constraints: ClassVar[C.Named] = {
        "loc": C.real_vector,
        "covariance_matrix": C.positive_definite,
        "precision_matrix": C.positive_definite,
        "scale_tril": C.lower_cholesky,
    }
    support = C.real_vector

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        name, matrix = named(
            [("covariance_matrix", covariance_matrix), ("precision_matrix", precision_matrix),
             ("scale_tril", scale_tril)], "MultivariateNormal",
        )  # fmt: skip
        if matrix.ndim < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional batches")
        batch = (loc[..., 0] + matrix[..., 0, 0]).shape
        self.loc = loc.expand((*batch, loc.shape[-1]))
        self.__dict__[name] = matrix.expand(batch + matrix.shape[-2:])
        super().__init__(batch, loc.shape[-1:], validate_args)
        if name == "scale_tril":
            self._factor = self.scale_tril
        elif name == "covariance_matrix":
            self._factor = cholesky(matrix)
        else:
            self._factor = cholesky(inv(matrix))

    def __getattr__(self, name: str) -> Any:
        # Those that were not given.
        if name == "scale_tril":
            return self._factor.expand((*self._batch_shape, *self._event_shape * 2))
        if name == "covariance_matrix":
            return self.scale_tril @ self.scale_tril.transpose(-2, -1)
        if name == "precision_matrix":
            return inv(self.covariance_matrix)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        squares = self._factor.square().sum(-1)
        return squares.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = randn(*self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self._factor @ noise.unsqueeze(-1)).squeeze(-1)

    def _log_det(self) -> Tensor:
        """Half the logarithm of the covariance's determinant."""
        return self._factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        offset = (self._checked(value) - self.loc).unsqueeze(-1)
        factor = self._factor.expand((*offset.shape[:-2], *self._event_shape * 2))
        z = solve_triangular(factor, offset, upper=False).squeeze(-1)
        n = self._event_shape[0]
        return -(n * math.log(2 * math.pi) + z.square().sum(-1)) / 2 - self._log_det()

    def entropy(self) -> Tensor:
        n = self._event_shape[0]
        found = n / 2 * (1 + math.log(2 * math.pi)) + self._log_det()
        return found.expand(self._batch_shape)

    def expand(self, batch_shape: Any) -> MultivariateNormal:
        shape = Size(batch_shape)
        factor = self.scale_tril.expand(shape + self._event_shape * 2)
        loc = self.loc.expand(shape + self._event_shape)
        return MultivariateNormal(loc, scale_tril=factor, validate_args=False)
