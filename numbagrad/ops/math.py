"""Public elementwise functions that take more than tensors, or are composed of primitives."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from .. import dtypes
from ..eager import FLOATING
from ..kernels import reference as ref
from ..tensor import Tensor, wrap
from . import elementwise as E, view as V
from .export import check_promoted, check_tensor, operand, operands, public, publish_operators


def _scaled(x: Any, alpha: Any) -> Any:
    if not isinstance(x, Tensor):
        return x * alpha
    kind = x._data.dtype.kind
    if isinstance(alpha, bool) and kind != "b":
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, complex) and kind != "c":
        raise RuntimeError(
            "For non-complex input tensors, argument alpha must not be a complex number."
        )
    if isinstance(alpha, float) and kind in "biu":
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    return x * E.number_like(x, alpha)


@public(inplace=True, out=True)
def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha * other.

    >>> import numbagrad as ng
    >>> ng.add(ng.ones(2), ng.ones(2), alpha=10)
    tensor([11., 11.])
    """
    input, other = operands("add", input, other)
    return E.add(input, other if alpha == 1 else _scaled(other, alpha))


@public(inplace=True, out=True, aliases=("subtract",))
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other."""
    input, other = operands("sub", input, other)
    return E.sub(input, other if alpha == 1 else _scaled(other, alpha))


@public(inplace=True, out=True)
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input."""
    input, other = operands("rsub", input, other)
    return E.sub(other, input if alpha == 1 else _scaled(input, alpha))


@public(inplace=True, out=True, aliases=("divide",))
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; `rounding_mode` "trunc" or "floor" rounds the quotient."""
    input, other = operands("div", input, other)
    if rounding_mode is None:
        return E.div(input, other)
    if rounding_mode == "floor":
        return E.floor_divide(input, other)
    if rounding_mode == "trunc":
        d = dtypes.result_dtype([x._data if isinstance(x, Tensor) else x for x in (input, other)])
        if d.kind in "iu":
            # (x - fmod(x, y)) is a multiple of y: its floor division is exact.
            return E.floor_divide(E.sub(input, E.fmod(input, other)), other)
        check_promoted("div", "iuf", input, other)
        return E.trunc(E.div(input, other))
    raise RuntimeError(
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
        f"'{rounding_mode}'"
    )


@public(inplace=True, out=True)
def true_divide(input: Any, other: Any) -> Tensor:
    """input / other."""
    return div(input, other)


@public(inplace=True, out=True)
def pow(input: Any, exponent: Any) -> Tensor:
    """input to the power exponent; either may be a number."""
    if not isinstance(exponent, Tensor):
        check_tensor("pow", input)
        exponent = operand("pow", exponent)
        if isinstance(exponent, int) and exponent < 0 and input._data.dtype.kind in "biu":
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if exponent == 2 and not isinstance(exponent, complex):
            if input._data.dtype.kind in "biu" and isinstance(exponent, float):
                return E.pow(input, exponent)
            if input._data.dtype.kind != "b":
                return E.square(input)
        if input._data.dtype.kind == "b" and isinstance(exponent, bool):
            return V.clone(input) if exponent else E.fill(input, True)
    elif input is True and check_tensor("pow", exponent)._data.dtype.kind == "b":
        return E.fill(exponent, True)
    return E.pow(operand("pow", input), exponent)


publish_operators(pow, "__pow__", "__rpow__", "__ipow__")


@public(inplace=True, out=True)
def float_power(input: Any, exponent: Any) -> Tensor:
    """The power in double precision."""

    if not isinstance(exponent, Tensor):
        check_tensor("float_power", input)

    def wide(x: Any) -> Any:
        if isinstance(x, Tensor):
            return E.to_dtype(x, np.dtype("c16" if x.is_complex() else "f8"))
        return x

    return E.pow(wide(input), wide(exponent))


def _pos(self: Tensor) -> Tensor:
    return self


Tensor.__pos__ = _pos  # type: ignore[attr-defined]
Tensor.__neg__ = lambda self: E.neg(self)  # type: ignore[method-assign]
Tensor.__abs__ = lambda self: E.abs(self)  # type: ignore[attr-defined]


def _invert(self: Tensor) -> Tensor:
    if self._data.dtype.kind in "fc":
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors, "
            f"got {self.dtype}"
        )
    return E.bitwise_not(self)


Tensor.__invert__ = _invert  # type: ignore[method-assign]


@public()
def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    return check_tensor("positive", input, kinds="iufc", refusal=RuntimeError)


@public(inplace=True, out=True)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Rounded to `decimals` places, halves to even."""
    x = check_tensor("round", input)
    if decimals == 0:
        return E.rint(x)
    check_tensor("round with decimals", x, kinds="f")
    scale = 10.0 ** builtins.abs(decimals)
    return E.rint(x * scale) / scale if decimals > 0 else E.rint(x / scale) * scale


@public(inplace=True, out=True)
def frac(input: Tensor) -> Tensor:
    """x - trunc(x)."""
    check_tensor("frac", input, kinds="f")
    return input - E.trunc(input)


@public(inplace=True, out=True, aliases=("clip",))
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limited to [min, max]; either may be None, a number or a tensor.

    Inside and at the bounds the gradient passes, outside it is 0. NaN stays NaN, without gradient.
    """
    x = check_tensor("clamp", input, kinds="biuf")
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if min is not None:
        x = _bounded(E.at_least, x, operand("clamp", min))
    if max is not None:
        x = _bounded(E.at_most, x, operand("clamp", max))
    return x


def _bounded(op: Any, x: Tensor, bound: Any) -> Tensor:
    if isinstance(bound, float) and x._data.dtype.kind in "biu":
        x = E.to_dtype(x, dtypes.get_default_dtype().np)
    return op(x, bound)


@public(inplace=True, out=True)
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Limited from below."""
    return clamp(input, min=min)


@public(inplace=True, out=True)
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Limited from above."""
    return clamp(input, max=max)


@public(out=True)
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`; without both, the indices where it holds."""
    check_tensor("where", condition, "condition")
    if input is None and other is None:
        from .indexing import nonzero

        return nonzero(condition, as_tuple=True)
    if condition._data.dtype.kind not in "b":
        if condition._data.dtype != np.uint8:
            raise RuntimeError(
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{condition.dtype}; compare it first, for instance condition != 0"
            )
        condition = E.to_dtype(condition, dtypes.BOOL)
    return E.where(condition, operand("where", input), operand("where", other))


def _method_where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    return where(condition, self, other)


Tensor.where = _method_where  # type: ignore[method-assign]


@public(inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value` (a number or 0-d tensor) where the mask holds, else `input`; in its dtype."""
    check_tensor("masked_fill", input)
    if check_tensor("masked_fill", mask, "mask", 2)._data.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
        if dtypes.can_cast(value.dtype, input.dtype) or value._data.dtype.kind != "c":
            value = E.to_dtype(value, input._data.dtype)
        else:
            value = E.number_like(input, value.item())
    else:
        value = E.number_like(input, operand("masked_fill", value))
    return E.where(mask, value, input)


@public(inplace=True, out=True)
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight * (end - input), computed from the nearer end."""
    for name, x in (("end", end), ("weight", weight)):
        if isinstance(x, Tensor) and x._data.dtype is not check_tensor("lerp", input)._data.dtype:
            raise RuntimeError(f"expected dtype {input.dtype} for `{name}` but got dtype {x.dtype}")
    check_promoted("lerp", "fc", input, end)
    difference = end - input
    if isinstance(weight, Tensor):
        near = E.lt(E.abs(weight), 0.5)
        return E.where(near, input + weight * difference, end - difference * (1 - weight))
    if builtins.abs(weight) < 0.5:
        return input + weight * difference
    return end - difference * (1 - weight)


@public(inplace=True, out=True)
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    check_promoted("addcmul", "iufc", input, tensor1, tensor2)
    return input + (tensor1 * tensor2 if value == 1 else tensor1 * tensor2 * value)


@public(inplace=True, out=True)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 / tensor2."""
    check_promoted("addcdiv", "fc", tensor1, tensor2, refusal=RuntimeError)
    return input + (tensor1 / tensor2 if value == 1 else tensor1 * value / tensor2)


@public(out=True)
def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(input) + exp(other)) without overflow."""
    check_tensor("logaddexp", input)
    check_tensor("logaddexp", other, "other", 2)
    check_promoted("logaddexp", "fc", input, other)
    if input.is_complex() or other.is_complex():
        # log(1 + exp(b - a)) + a for the larger a, whose imaginary part is kept as it is.
        first = E.ge(E.real(input), E.real(other))
        high, low = E.where(first, input, other), E.where(first, other, input)
        empty = E.eq(E.real(high), -math.inf)  # -inf - -inf is NaN
        return E.where(empty, high, E.log1p(E.exp(E.where(empty, low, low - high))) + high)
    first = E.ge(input, other)
    high, low = E.where(first, input, other), E.where(first, other, input)
    equal = E.logical_and(E.eq(high, low), E.isinf(high))  # inf - inf is NaN
    return E.where(equal, high, high + E.log1p(E.exp(low - high)))


@public(inplace=True, out=True)
def hypot(input: Tensor, other: Tensor) -> Tensor:
    """sqrt(input**2 + other**2) without overflow."""
    check_promoted("hypot", "f", input, other)
    big = E.maximum(E.abs(input), E.abs(other)).detach()
    scale = E.where(E.logical_and(big > 0, E.isfinite(big)), big, E.fill(big, 1))
    r = E.sqrt(E.square(input / scale) + E.square(other / scale)) * scale
    infinite = E.logical_or(E.isinf(input), E.isinf(other))  # also beside NaN
    return E.where(infinite, E.fill(r, math.inf), r)


def _xlogy_slope(g: Any, x: Any, y: Any, log: Any, edge: float) -> Any:
    """The slope in x: the logarithm, but 0 where that of 0 is not finite."""
    if not isinstance(y, Tensor | np.ndarray):
        y = E.fill(x, y)
    return g * E.where(E.logical_and(E.eq(x, 0), y <= edge), 0.0, log(y))


xlogy = E.elementwise(
    "xlogy", "(y if y != y else 0.0) if x == 0 else x * log(y)", ref.xlogy,
    inputs=("x", "y"), dtype=FLOATING, kinds="biuf",
    grad=(
        lambda g, x, y: _xlogy_slope(g, x, y, E.log, 0),
        lambda g, x, y: g * (x / y),
    ),
    doc="x log(y), 0 where x is 0 (NaN where y is NaN).", domain=((-2, 2), (0.5, 3)),
    public=("xlogy",),
)  # fmt: skip
xlog1py = E.elementwise(
    "xlog1py", "(y if y != y else 0.0) if x == 0 else x * log1p(y)", ref.xlog1py,
    inputs=("x", "y"), dtype=FLOATING, kinds="biuf",
    grad=(
        lambda g, x, y: _xlogy_slope(g, x, y, E.log1p, -1),
        lambda g, x, y: g * (x / (y + 1)),
    ),
    doc="x log1p(y), 0 where x is 0 (NaN where y is NaN).", domain=((-2, 2), (0.5, 3)),
)  # fmt: skip


@public(inplace=True, out=True)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x limited to [eps, 1 - eps] if eps is given."""
    x = E.to_floating(check_tensor("logit", input, kinds="biuf"))
    x = x if eps is None else clamp(x, eps, 1 - eps)
    return E.log(x) - E.log1p(-x)


@public(inplace=True, out=True)
def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0."""
    y = E.to_floating(check_tensor("sinc", input)) * math.pi
    near = E.lt(E.abs(y), 0.1)
    far = E.where(near, E.fill(y, 1), y)
    # A series near 0, where derivatives of the quotient would cancel.
    s = E.square(E.where(near, y, E.fill(y, 0)))
    terms = 1 - s / 110 * (1 - s / 156)
    for k in (8, 6, 4, 2):
        terms = 1 - s / (k * (k + 1)) * terms
    return E.where(near, terms, E.sin(far) / far)


@public(inplace=True, out=True)
def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and infinities replaced by numbers (by default 0 and the largest ones)."""
    x = check_tensor("nan_to_num", input)
    if x._data.dtype.kind in "biu":
        return x
    limits = np.finfo(x._data.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    x = E.where(E.isnan(x), E.fill(x, nan), x)
    x = E.where(E.eq(x, math.inf), E.fill(x, high), x)
    return E.where(E.eq(x, -math.inf), E.fill(x, low), x)


@public(inplace=True, out=True)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above 0, `values` at 0."""
    if input._data.dtype is not check_tensor("heaviside", values, "values", 2)._data.dtype:
        raise RuntimeError(
            f"heaviside is not yet implemented for tensors with different dtypes: {input.dtype} "
            f"and {values.dtype}; convert one with .to(dtype)"
        )
    check_tensor("heaviside", input, kinds="biuf", refusal=RuntimeError)
    above = E.to_dtype(input > 0, input._data.dtype)
    return E.where(E.eq(input, 0), values, above)


@public(inplace=True, out=True)
def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians."""
    check_tensor("deg2rad", input, kinds="biuf", refusal=RuntimeError)
    return input * (math.pi / 180)


@public(inplace=True, out=True)
def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees."""
    check_tensor("rad2deg", input, kinds="biuf", refusal=RuntimeError)
    return input * (180 / math.pi)


@public(out=True)
def angle(input: Tensor) -> Tensor:
    """The argument of complex numbers in radians; 0 or pi for real ones."""
    if input.is_complex():
        return E.atan2(E.imag_part(input), E.real_part(input))
    x = input if input.is_floating_point() else E.to_dtype(input, dtypes.get_default_dtype().np)
    r = E.where(x < 0, E.fill(x, math.pi), E.fill(x, 0))
    return E.where(E.isnan(x), x, r)


@public(method=False, out=True)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers from absolute values and angles."""
    check_tensor("polar", abs, "abs", kinds="f", refusal=RuntimeError)
    check_tensor("polar", angle, "angle", 2, kinds="f", refusal=RuntimeError)
    return E.make_complex(abs * E.cos(angle), abs * E.sin(angle))


# -- comparisons of whole tensors -----------------------------------------------------------------


@public()
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """True where |input - other| <= atol + rtol * |other|."""
    if input.dtype != other.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}")
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance}")
    close = E.eq(input, other)
    if equal_nan:
        close = E.logical_or(close, E.logical_and(E.isnan(input), E.isnan(other)))
    if input._data.dtype.kind in "fc" or rtol or atol:
        a, b = (E.to_dtype(x, np.dtype("f8")) if x._data.dtype.kind in "biu" else x
                for x in (input, other))  # fmt: skip
        error = E.abs(a - b)
        within = E.le(error, E.abs(b * rtol) + atol)
        close = E.logical_or(close, E.logical_and(E.isfinite(error), within))
    return close


@public()
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """True if all elements are close; see :func:`isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@public()
def equal(input: Tensor, other: Tensor) -> bool:
    """True if both have the same shape and equal elements.

    Raises:
        TypeError: not two tensors.
    """
    if not isinstance(other, Tensor):
        raise TypeError(
            f"equal(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}"
        )
    if input._data.shape != other._data.shape:
        return False
    return bool(E.eq(input, other).all())


@public(out=True)
def isposinf(input: Tensor) -> Tensor:
    """True where x is +inf."""
    check_tensor("isposinf", input, kinds="biuf", refusal=RuntimeError)
    return E.eq(input, math.inf)


@public(out=True)
def isneginf(input: Tensor) -> Tensor:
    """True where x is -inf."""
    check_tensor("isneginf", input, kinds="biuf", refusal=RuntimeError)
    return E.eq(input, -math.inf)


@public(inplace=False)
def isreal(input: Tensor) -> Tensor:
    """True where the imaginary part is 0."""
    if input.is_complex():
        return E.eq(E.imag_part(input), 0)
    return wrap(np.ones(input._data.shape, bool))


@public(out=True)
def signbit(input: Tensor) -> Tensor:
    """True where the sign bit is set (also for -0.0)."""
    if input._data.dtype.kind == "f":
        return E.lt(E.copysign(E.fill(input, 1), input), 0)
    return E.lt(input, 0)
