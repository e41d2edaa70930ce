"""Special functions under the names of ``torch.special``."""

from __future__ import annotations

import math
from typing import Any

from .ops import composite as C, elementwise as E, math as M
from .ops.export import EXPORTS, NAMESPACES, accepts_out, check_tensor, operands
from .tensor import Tensor

_SAME = (
    "digamma", "erf", "erfc", "erfinv", "exp2", "expm1", "log1p", "logit", "logsumexp", "polygamma",
    "round", "sinc", "xlogy",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _SAME:
        return EXPORTS[name]
    if name in NAMESPACES["special"]:
        return NAMESPACES["special"][name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@accepts_out
def expit(input: Tensor) -> Tensor:
    """The logistic function 1 / (1 + exp(-x))."""
    return E.sigmoid(check_tensor("expit", input))


@accepts_out
def gammaln(input: Tensor) -> Tensor:
    """The logarithm of the absolute value of gamma."""
    return E.lgamma(check_tensor("gammaln", input))


@accepts_out
def psi(input: Tensor) -> Tensor:
    """The derivative of gammaln."""
    return E.digamma(check_tensor("psi", input))


@accepts_out
def multigammaln(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p."""
    return C.mvlgamma(input, p)


@accepts_out
def zeta(input: Any, other: Any) -> Tensor:
    """Hurwitz's zeta function; differentiable in `other`."""
    if not isinstance(other, Tensor):
        check_tensor("zeta", input)
    return E.zeta(input, other)


@accepts_out
def entr(input: Tensor) -> Tensor:
    """-x log(x), 0 at 0 and -inf below."""
    x = E.to_floating(check_tensor("entr", input))
    inside = E.where(E.gt(x, 0), x, E.fill(x, 1))
    outside = E.where(E.lt(x, 0), E.fill(x, -math.inf), E.where(E.isnan(x), x, E.fill(x, 0)))
    return E.where(E.gt(x, 0), -inside * E.log(inside), outside)


@accepts_out
def xlog1py(input: Any, other: Any) -> Tensor:
    """input * log1p(other), and 0 where input is 0 (NaN where other is NaN)."""
    return M.xlog1py(*operands("xlog1py", input, other))


def ndtr(input: Tensor) -> Tensor:
    """The cumulative distribution function of the standard normal."""
    return E.erfc(check_tensor("ndtr", input) * -math.sqrt(0.5)) * 0.5


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """exp(x) along a dimension, scaled to the sum 1."""
    return EXPORTS["softmax"](input, dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of softmax."""
    return EXPORTS["log_softmax"](input, dim, dtype=dtype)
