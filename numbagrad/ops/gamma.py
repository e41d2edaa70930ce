"""The regularised incomplete gamma functions, differentiable in both arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..kernels import igamma as kernel
from ..tensor import Tensor
from . import elementwise as E
from .batching import batch_elementwise
from .export import check_promoted, check_tensor, public
from .math import xlogy
from .registry import Op, broadcast_shapes, call, primitive


def _function(
    name: str, fn: Callable[..., Any], grad: tuple[Callable[..., Any], ...], doc: str, **facts: Any
) -> Op:
    """Declare a function of two real tensors of one dtype, computed in double precision."""
    return primitive(
        name,
        lambda a, x: np.asarray(fn(a, x)).astype(dtypes.result_dtype((a, x))),
        lambda a, x: (broadcast_shapes(a.shape, x.shape), dtypes.result_dtype((a, x))),
        inputs=("a", "x"),
        kinds="f",
        grad=grad,
        batch=batch_elementwise,
        samples=lambda make: [
            call(make(2, 3, low=0.5, high=3.0), make(3, low=0.5, high=3.0)),
            call(make(low=0.5, high=3.0), make(2, low=0.5, high=3.0)),
        ],
        doc=doc,
        **facts,
    )


def _density(a: Any, x: Any) -> Any:
    """The derivative of P in x: x**(a - 1) exp(-x) / gamma(a), and its limit at 0."""
    return E.exp(xlogy(a - 1, x) - x - E.lgamma(a))


def _no_second_derivative(g: Any) -> Any:
    raise NotImplementedError(
        "the second derivative of igamma with respect to its first argument is not implemented; "
        "detach() the argument if it is not wanted"
    )


def _constant(a: Any) -> Any:
    """In place of `a` in checks by differences, which look at second derivatives too."""
    return E.fill(a.detach(), 1.5)


_slope = _function(
    "igamma_slope", kernel.gammainc_slope,
    (_no_second_derivative, lambda g, a, x: g * _density(a, x) * (E.log(x) - E.digamma(a))),
    "The derivative of the lower incomplete gamma function in its first argument.",
    checked=lambda a, x: _slope(_constant(a), x),
)  # fmt: skip
_lower = _function(
    "igamma", kernel.gammainc,
    (lambda g, a, x: g * _slope(a, x), lambda g, a, x: g * _density(a, x)),
    "The lower incomplete gamma function P(a, x).",
    checked=lambda a, x: _lower(_constant(a), x),
)  # fmt: skip
_upper = _function(
    "igammac", kernel.gammaincc,
    (lambda g, a, x: -g * _slope(a, x), lambda g, a, x: -g * _density(a, x)),
    "The upper incomplete gamma function Q(a, x) = 1 - P(a, x).",
    checked=lambda a, x: _upper(_constant(a), x),
)  # fmt: skip


def _pair(name: str, a: Any, x: Any) -> tuple[Tensor, Tensor]:
    check_promoted(name, "f", check_tensor(name, a), check_tensor(name, x, "other", 2))
    d = dtypes.result_dtype((a._data, x._data))
    return E.to_dtype(a, d), E.to_dtype(x, d)


@public("gammainc", namespace="special", out=True)
@public(inplace=True, out=True)
def igamma(input: Tensor, other: Tensor) -> Tensor:
    """P(input, other): the integral of t^(input - 1) exp(-t) from 0 to `other`, over gamma(input).

    NaN unless both are at least 0. Differentiable in both arguments; twice in `other` only.

    >>> import numbagrad as ng
    >>> ng.igamma(ng.tensor([1.0, 2.0]), ng.tensor([1.0, 1.0]))
    tensor([0.6321, 0.2642])
    """
    return _lower(*_pair("igamma", input, other))


@public("gammaincc", namespace="special", out=True)
@public(inplace=True, out=True)
def igammac(input: Tensor, other: Tensor) -> Tensor:
    """1 - :func:`igamma`, accurate where that is nearly 1."""
    return _upper(*_pair("igammac", input, other))
