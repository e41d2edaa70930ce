"""Rounding, signs, extrema, square roots, and exact remainders."""

from __future__ import annotations

import math

from numbagrad.kernels.vecmath_exp import scale_in_two_steps
from numbagrad.kernels.vecmath_lane import (
    TINY,
    Constants,
    Lane,
    copysign_of,
    fabs,
    fma,
    round_to,
    select,
    sqrt_exact,
    vector,
)


@vector(ulp=(0.5, 0.5), domain=(0.0, math.inf))
def sqrt(x: Lane) -> Lane:
    """The processor's square root."""
    return sqrt_exact(x)


@vector(ulp=(1.5, 1.5), domain=(0.0, math.inf))
def rsqrt(x: Lane) -> Lane:
    """1 / sqrt(x), two roundings."""
    return 1.0 / sqrt_exact(x)


@vector(ulp=(0.5, 0.5))
def sign(x: Lane) -> Lane:
    """-1, 0 or 1; 0 for NaN, as in PyTorch."""
    return select(x > 0.0, x.const(1.0), select(x < 0.0, x.const(-1.0), 0.0))


@vector(ulp=(0.5, 0.5))
def floor(x: Lane) -> Lane:
    """The largest integer that is not above x."""
    return round_to("floor", x)


@vector(ulp=(0.5, 0.5))
def ceil(x: Lane) -> Lane:
    """The smallest integer that is not below x."""
    return round_to("ceil", x)


@vector(ulp=(0.5, 0.5))
def trunc(x: Lane) -> Lane:
    """The integer part."""
    return round_to("trunc", x)


@vector(ulp=(0.5, 0.5))
def round_(x: Lane) -> Lane:
    """The nearest integer, ties to even."""
    return round_to("rint", x)


@vector(ulp=(0.5, 0.5))
def copysign(x: Lane, y: Lane) -> Lane:
    """|x| with the sign of y."""
    return copysign_of(x, y)


@vector(ulp=(0.5, 0.5))
def maximum(x: Lane, y: Lane) -> Lane:
    """The larger one; NaN if either is NaN."""
    return select(x.is_nan(), x, select(x > y, x, y))


@vector(ulp=(0.5, 0.5))
def minimum(x: Lane, y: Lane) -> Lane:
    """The smaller one; NaN if either is NaN."""
    return select(x.is_nan(), x, select(x < y, x, y))


def _fmod_f32(x: Lane, y: Lane) -> Lane:
    """In float64 lanes, six steps of 51 quotient bits cover every pair of exponents."""
    rest, divisor = fabs(x).to_f64(), fabs(y).to_f64()
    divisor = select(divisor.equals(math.inf), divisor.const(1.0), divisor)
    inverse = 1.0 / divisor
    for step in reversed(range(6)):
        part = divisor * 2.0 ** (51 * step)
        quotient = round_to("trunc", rest * (inverse * 2.0 ** (-51 * step)))
        # Exact; the quotient may be one off, either way.
        rest = fma(-quotient, part, rest)
        rest = select(rest < 0.0, rest + part, rest)
        rest = select(rest >= part, rest - part, rest)
    return rest.to_f32()


def _exponent(a: Lane) -> Lane:
    """The exponent of a float64, subnormals included."""
    subnormal = a < TINY
    field = select(subnormal, a * 2.0**60, a).bits() >> 52
    return field - select(subnormal, field.const(60), 0)


def _fmod_f64(x: Lane, y: Lane) -> Lane:
    """A loop that takes 50 quotient bits a turn: usually one turn."""
    builder = x.builder
    rest, divisor = fabs(x), fabs(y)
    undefined = divisor.equals(0.0) | rest.equals(math.inf)
    rest = select(undefined, rest.const(0.0), rest)
    exponent = _exponent(divisor)
    start = builder.block
    head, body, after = (builder.append_basic_block(f"fmod_{p}") for p in ("head", "body", "end"))
    builder.branch(head)
    builder.position_at_end(head)
    phi = builder.phi(rest.value.type)
    phi.add_incoming(rest.value, start)
    rest = Lane(builder, phi)
    builder.cbranch((rest >= divisor).value, body, after)
    builder.position_at_end(body)
    excess = _exponent(rest) - exponent - 50
    part = scale_in_two_steps(divisor, select(excess > 0, excess, 0))
    turn = fma(-round_to("trunc", rest / part), part, rest)
    turn = select(turn < 0.0, turn + part, turn)
    turn = select(turn >= part, turn - part, turn)
    phi.add_incoming(turn.value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return select(undefined, rest.const(math.nan), rest)


@vector(ulp=(0.5, 0.5), vectorizes=Constants(True, False))
def fmod(x: Lane, y: Lane) -> Lane:
    """x - y * trunc(x / y), exact, with the sign of x: quotient bits are taken off in steps."""
    rest = (_fmod_f64 if x.is_f64 else _fmod_f32)(x, y)
    rest = select(fabs(y).equals(math.inf) & (fabs(x) < math.inf), fabs(x), rest)
    rest = select(x.is_nan() | y.is_nan(), x + y, rest)
    return copysign_of(rest, x)


@vector(ulp=(0.5, 0.5), vectorizes=Constants(True, False))
def remainder(x: Lane, y: Lane) -> Lane:
    """x - y * floor(x / y), with the sign of y unless it is zero: fmod, plus y if signs differ."""
    rest = fmod(x, y)
    differs = (rest < 0.0) ^ (y < 0.0)
    return select(differs & ~rest.equals(0.0), rest + y, rest)
