"""Special functions without a compiled form: modified Bessel functions and the scaled erfc.

Derivatives: NIST Digital Library of Mathematical Functions, 7.10 and 10.29.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..kernels import series
from ..tensor import Tensor
from . import elementwise as E
from .batching import SHIFT, batch_elementwise
from .export import check_promoted, check_tensor, public
from .registry import Op, broadcast_shapes, call, primitive


def real_function(
    name: str, fn: Callable[[Any], Any], grad: Callable[..., Any], doc: str,
    domain: tuple[float, float] | None = None,
) -> Op:  # fmt: skip
    """Declare a function of real numbers (samples from `domain`) computed in double precision."""
    limits = {} if domain is None else {"low": domain[0], "high": domain[1]}
    return primitive(
        name,
        lambda x: np.asarray(fn(x.astype(np.float64, copy=False)), np.float64).astype(x.dtype),
        lambda x: (tuple(x.shape), x.dtype),
        kinds="f",
        grad=grad,
        batch=SHIFT,
        samples=lambda make: [call(make(2, 3, **limits)), call(make(**limits))],
        doc=doc,
    )


def over(x: Any, y: Any, at_zero: float) -> Any:
    """x / y, and its limit where y is 0."""
    zero = E.eq(y, 0)
    return E.where(zero, at_zero, x / E.where(zero, 1, y))


_i0 = real_function("i0", series.i0, lambda g, x: g * _i1(x),
               "The modified Bessel function of the first kind of order 0.")  # fmt: skip
_i1 = real_function("i1", series.i1, lambda g, x, out: g * (_i0(x) - over(out, x, 0.5)),
               "The modified Bessel function of the first kind of order 1.")  # fmt: skip
_i0e = real_function("i0e", series.i0e, lambda g, x, out: g * (_i1e(x) - E.sgn(x) * out),
                "exp(-|x|) times the modified Bessel function of order 0.")  # fmt: skip
_i1e = real_function("i1e", series.i1e,
                lambda g, x, out: g * (_i0e(x) - over(out, x, 0.5) - E.sgn(x) * out),
                "exp(-|x|) times the modified Bessel function of order 1.")  # fmt: skip
_erfcx = real_function("erfcx", series.erfcx,
                  lambda g, x, out: g * (2 * x * out - 2 / math.sqrt(math.pi)),
                  "exp(x^2) erfc(x).")  # fmt: skip


_ndtri = real_function(
    "ndtri", series.ndtri,
    lambda g, out: g * E.exp(E.square(out) * 0.5) * math.sqrt(2 * math.pi),
    "The inverse of the cumulative distribution function of the standard normal.",
    domain=(0.1, 0.9),
)  # fmt: skip


@public("i0", namespace="special", out=True)
@public(inplace=True, out=True)
def i0(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 0.

    >>> import numbagrad as ng
    >>> ng.i0(ng.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """
    return _i0(E.to_floating(check_tensor("i0", input, kinds="biuf")))


@public(namespace="special", out=True)
def i0e(input: Tensor) -> Tensor:
    """exp(-|x|) times the modified Bessel function of order 0."""
    return _i0e(E.to_floating(check_tensor("i0e", input, kinds="biuf")))


@public(namespace="special", out=True)
def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 1."""
    return _i1(E.to_floating(check_tensor("i1", input, kinds="biuf")))


@public(namespace="special", out=True)
def i1e(input: Tensor) -> Tensor:
    """exp(-|x|) times the modified Bessel function of order 1."""
    return _i1e(E.to_floating(check_tensor("i1e", input, kinds="biuf")))


@public(namespace="special", out=True)
def erfcx(input: Tensor) -> Tensor:
    """exp(x^2) erfc(x), which does not underflow for large x."""
    return _erfcx(E.to_floating(check_tensor("erfcx", input, kinds="biuf")))


@public(namespace="special", out=True)
def ndtri(input: Tensor) -> Tensor:
    """The inverse of `ndtr`, accurate in the tails; NaN outside of [0, 1]."""
    return _ndtri(E.to_floating(check_tensor("ndtri", input, kinds="biuf")))


@public(namespace="special", out=True)
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of the cumulative distribution function of the standard normal."""
    x = E.to_floating(check_tensor("log_ndtr", input, kinds="biuf"))
    t = x * math.sqrt(0.5)
    left = E.lt(x, -1)
    # Where the function itself underflows, erfc is taken in its scaled form.
    low = E.where(left, t, -1.0)
    high = E.where(left, 1.0, t)
    return E.where(left, E.log(_erfcx(-low) * 0.5) - low * low, E.log1p(E.erfc(high) * -0.5))


_nextafter = primitive(
    "nextafter",
    lambda x, y: np.asarray(np.nextafter(x, y)),
    lambda x, y: (broadcast_shapes(x.shape, y.shape), dtypes.result_dtype((x, y))),
    inputs=("x", "y"),
    kinds="f",
    grad=(
        lambda g, x, y: E.where(E.eq(x, y), g * 0.5, g),
        lambda g, x, y: E.where(E.eq(x, y), g * 0.5, E.fill(g, 0)),
    ),
    batch=batch_elementwise,
    samples=lambda make: [call(make(2, 3), make(3)), call(make(), make(2))],
    doc="The next number after x towards y.",
)


@public(inplace=True, out=True)
def nextafter(input: Tensor, other: Tensor) -> Tensor:
    """The next number after `input` towards `other`."""
    x, y = check_tensor("nextafter", input), check_tensor("nextafter", other, "other", 2)
    check_promoted("nextafter", "f", x, y)
    return _nextafter(x, y)
