"""Elementwise composites that need no rule of their own."""

from __future__ import annotations

import math

import numpy as np

from ..inplace import in_place_form
from ..tensor import Tensor, method
from . import elementwise as E
from .export import check_promoted, check_tensor, operands, public


@public(out=True)
def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of both; the number where one is NaN."""
    check_promoted("fmax", "biuf", input, other, refusal=RuntimeError)
    return E.where(E.logical_or(E.ge(input, other), E.isnan(other)), input, other)


@public(out=True)
def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of both; the number where one is NaN."""
    check_promoted("fmin", "biuf", input, other, refusal=RuntimeError)
    return E.where(E.logical_or(E.le(input, other), E.isnan(other)), input, other)


@public(out=True)
def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2**input + 2**other) without overflow."""
    check_tensor("logaddexp2", input)
    check_tensor("logaddexp2", other, "other", 2)
    check_promoted("logaddexp2", "f", input, other)
    top = E.maximum(input, other).detach()
    top = E.where(E.isfinite(top), top, E.fill(top, 0))
    return E.log2(E.exp2(input - top) + E.exp2(other - top)) + top


@public(inplace=True, out=True)
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input * 2**other."""
    input, other = operands("ldexp", input, other)
    return E.mul(input, E.pow(2.0, other))


@public(inplace=True, out=True)
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor of integers."""
    return _gcd(check_tensor("gcd", input), check_tensor("gcd", other, "other", 2))


@public(inplace=True, out=True)
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple of integers."""
    return _lcm(check_tensor("lcm", input), check_tensor("lcm", other, "other", 2))


_gcd = E.elementwise(
    "gcd", "gcd(x, y)", np.gcd, inputs=("x", "y"), kinds="iu",
    doc="The greatest common divisor.",
)  # fmt: skip
_lcm = E.elementwise(
    "lcm", "lcm(x, y)", np.lcm, inputs=("x", "y"), kinds="iu", doc="The least common multiple.",
)  # fmt: skip


@public(method=False, out=True)
def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma."""
    x = check_tensor("polygamma", input, "input", 2)
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    if n < 2:
        return E.trigamma(x) if n else E.digamma(x)
    return E.zeta(n + 1, x) * ((-1) ** (n + 1) * math.factorial(n))


@method("polygamma")
def _polygamma(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma."""
    return polygamma(n, self)


method("polygamma_")(in_place_form("polygamma_", _polygamma))


@public(inplace=True, out=True)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p."""
    x = E.to_floating(check_tensor("mvlgamma", input, kinds="iufc", refusal=RuntimeError))
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    constant = p * (p - 1) / 4 * math.log(math.pi)
    total = E.lgamma(x)
    for j in range(1, p):
        total = total + E.lgamma(x - j / 2)
    return total + constant
