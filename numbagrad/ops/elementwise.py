"""Elementwise primitives: each is one scalar expression with its derivative.

The rules are written in ops, so they differentiate, batch and compile like user code. Formulas
follow PyTorch's conjugate convention: the cotangent is multiplied by the conjugate derivative.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..eager import COMPARE, CONDITION, FLOATING, PROMOTE, REAL, DtypeRule
from ..kernels import reference as ref
from ..tensor import Tensor, wrap
from .batching import SHIFT, batch_elementwise
from .registry import Op, broadcast_shapes, call, elementwise, primitive

_XY = ("x", "y")


def conj(x: Any) -> Any:
    """The complex conjugate; real tensors and numbers as they are."""
    if isinstance(x, Tensor):
        return conjugate(x) if x._data.dtype.kind == "c" else x
    if isinstance(x, np.ndarray):
        return x.conj() if x.dtype.kind == "c" else x
    return x.conjugate() if isinstance(x, complex) else x


# -- arithmetic -----------------------------------------------------------------------------------

add = elementwise(
    "add", "x + y", np.add, inputs=_XY, unit=(-0.0, -0.0),
    grad=(lambda g: g, lambda g: g), linear=True,
    doc="x + y.",
    operators=("__add__", "__radd__", "__iadd__"),
)  # fmt: skip


def _no_bool(what: str) -> DtypeRule:
    def resolve(xs: Any) -> Any:
        if any(x is True or x is False or getattr(x, "dtype", None) == dtypes.BOOL for x in xs):
            raise RuntimeError(
                f"{what} bool tensor is not supported. If you are trying to invert a mask, use the "
                "`~` or `logical_not()` operator instead."
            )
        return PROMOTE.resolve(xs)

    return DtypeRule("promote", resolve)


# A product of bools is an integer in PyTorch's square and pow.
COUNTING = DtypeRule("counting", lambda xs: PROMOTE.resolve([*xs, 1]))

sub = elementwise(
    "sub", "x - y", np.subtract, inputs=_XY, kinds="iufc", unit=(None, 0),
    dtype=_no_bool("Subtraction, the `-` operator, with a"),
    grad=(lambda g: g, lambda g: neg(g)), linear=True,
    doc="x - y.",
    operators=("__sub__", "__rsub__", "__isub__"),
)  # fmt: skip
mul = elementwise(
    "mul", "x * y", np.multiply, inputs=_XY, unit=(1, 1),
    grad=(lambda g, y: g * conj(y), lambda g, x: g * conj(x)),
    doc="x * y.",
    public=("mul", "multiply"), operators=("__mul__", "__rmul__", "__imul__"),
)  # fmt: skip
div = elementwise(
    "div", "x / y", np.true_divide, inputs=_XY, dtype=FLOATING, unit=(None, 1),
    grad=(lambda g, y: g / conj(y), lambda g, x, y: -g * conj((x / y) / y)),
    doc="x / y, in floating point.", domain=((-3, 3), (0.5, 3)),
    operators=("__truediv__", "__rtruediv__", "__itruediv__"),
)  # fmt: skip
floor_divide = elementwise(
    "floor_divide", "floor_divide(x, y)", ref.floor_divide, inputs=_XY, kinds="iuf",
    grad=(lambda g: fill(g, 0), lambda g: fill(g, 0)), domain=((0.2, 0.8), (1.1, 3)),
    doc="x / y rounded towards minus infinity.",
    public=("floor_divide",), operators=("__floordiv__", "__rfloordiv__", "__ifloordiv__"),
)  # fmt: skip
remainder = elementwise(
    "remainder", "remainder(x, y)", ref.remainder, inputs=_XY, kinds="iuf",
    grad=(lambda g: g, lambda g, x, y: -g * floor(x / y)),
    doc="The remainder of x / y, with the sign of y.", domain=((0.2, 0.8), (1.1, 3)),
    public=("remainder",), operators=("__mod__", "__rmod__", "__imod__"),
)  # fmt: skip
fmod = elementwise(
    "fmod", "fmod(x, y)", ref.fmod, inputs=_XY, kinds="iuf",
    grad=(lambda g: g, lambda g, x, y: -g * trunc(x / y)),
    doc="The remainder of x / y, with the sign of x.", domain=((0.2, 0.8), (1.1, 3)),
    public=("fmod",),
)  # fmt: skip
neg = elementwise(
    "neg", "-x", np.negative, kinds="iufc", dtype=_no_bool("Negation, the `-` operator, on a"),
    grad=lambda g: -g, linear=True,
    doc="-x.", public=("neg", "negative"),
)  # fmt: skip
square = elementwise(
    "square", "x * x", np.square, dtype=COUNTING, grad=lambda g, x: g * conj(x * 2),
    doc="x * x.", public=("square",),
)  # fmt: skip
reciprocal = elementwise(
    "reciprocal", "1 / x", np.reciprocal, dtype=FLOATING, grad=lambda g, out: -g * conj(out * out),
    doc="1 / x.", domain=((0.5, 3),), public=("reciprocal",),
)  # fmt: skip


def _pow_grad_base(g: Any, x: Any, y: Any) -> Any:
    # At exponent 0 the slope is 0 even where x ** -1 is infinite.
    if not isinstance(y, Tensor | np.ndarray):
        return fill(g, 0) if y == 0 else g * conj(y * pow(x, y - 1))
    slope = y * pow(x, y - 1)
    return where(eq(y, 0), fill(slope, 0), g * conj(slope))


def _pow_grad_exponent(g: Any, x: Any, y: Any, out: Any) -> Any:
    # 0 ** y is flat in y for y >= 0, where log(0) would give NaN.
    if not isinstance(x, Tensor | np.ndarray):
        x = fill(out, x)
    safe = where(eq(x, 0), fill(x, 1), x)
    flat = logical_and(eq(x, 0), ge(real(y), 0))
    slope = out * log(safe)
    return where(flat, fill(slope, 0), g * conj(where(eq(x, 0), out * log(x), slope)))


pow = elementwise(
    "pow", "pow(x, y)", ref.power, inputs=_XY, kinds="iufc",
    grad=(_pow_grad_base, _pow_grad_exponent),
    doc="x to the power y.", domain=((0.5, 3), (-2, 3)),
)  # fmt: skip
maximum = elementwise(
    "maximum", "maximum(x, y)", np.maximum, inputs=_XY, kinds="biuf", refusal=RuntimeError,
    grad=(
        lambda g, x, y: where(x < y, fill(g, 0), where(eq(x, y), g * 0.5, g)),
        lambda g, x, y: where(y < x, fill(g, 0), where(eq(x, y), g * 0.5, g)),
    ),
    doc="The larger of x and y; NaN if either is. A tie shares the gradient, at NaN both get it.",
    public=("maximum",),
)  # fmt: skip
minimum = elementwise(
    "minimum", "minimum(x, y)", np.minimum, inputs=_XY, kinds="biuf", refusal=RuntimeError,
    grad=(
        lambda g, x, y: where(x > y, fill(g, 0), where(eq(x, y), g * 0.5, g)),
        lambda g, x, y: where(y > x, fill(g, 0), where(eq(x, y), g * 0.5, g)),
    ),
    doc="The smaller of x and y; NaN if either is. A tie shares the gradient.",
    public=("minimum",),
)  # fmt: skip
#: At or above the bound the gradient passes, below it is the bound's; at NaN there is none.
at_least = elementwise(
    "at_least", "maximum(x, y)", np.maximum, inputs=_XY, kinds="biuf",
    grad=(lambda g, x, y: where(x >= y, g, 0.0), lambda g, x, y: where(x < y, g, 0.0)),
    doc="x, but not below y; NaN if either is.",
)  # fmt: skip
at_most = elementwise(
    "at_most", "minimum(x, y)", np.minimum, inputs=_XY, kinds="biuf",
    grad=(lambda g, x, y: where(x <= y, g, 0.0), lambda g, x, y: where(x > y, g, 0.0)),
    doc="x, but not above y; NaN if either is.",
)  # fmt: skip


def _radius(x: Any, y: Any) -> Any:
    """The square of the distance from 0, where 1 stands for 0: the angle there has no slope."""
    r = x * x + y * y
    return where(eq(r, 0), fill(r, 1), r)


atan2 = elementwise(
    "atan2", "atan2(x, y)", np.arctan2, inputs=_XY, dtype=FLOATING, kinds="biuf",
    grad=(lambda g, x, y: g * (y / _radius(x, y)), lambda g, x, y: g * (-x / _radius(x, y))),
    doc="The angle of the point (y, x), in radians in [-pi, pi].", domain=((0.5, 3), (0.5, 3)),
    public=("atan2", "arctan2"),
)  # fmt: skip
copysign = elementwise(
    "copysign", "copysign(x, y)", np.copysign, inputs=_XY, dtype=FLOATING, kinds="biuf",
    grad=(lambda g, x, out: where(eq(x, 0), fill(g, 0), g * (out / x)), lambda g: fill(g, 0)),
    doc="The magnitude of x with the sign of y.", domain=((0.5, 3), (0.5, 3)),
    public=("copysign",),
)  # fmt: skip

# -- selection and constants ----------------------------------------------------------------------

_BLENDED = 4096  # elements from which on branches that are guessed wrong take longer than blending
_BITS = {np.dtype(d): np.dtype(f"i{d[1]}") for d in ("f4", "f8", "i4", "i8")}


def select(condition: Any, x: Any, y: Any) -> Any:
    """``numpy.where``; large arrays are blended bit by bit."""
    d: Any = x.dtype if isinstance(x, np.ndarray) else getattr(y, "dtype", None)
    shape = condition.shape
    bits = _BITS.get(d) if condition.size >= _BLENDED and condition.dtype.kind == "b" else None
    if bits is None:
        return np.where(condition, x, y)
    a, b = (v if isinstance(v, np.ndarray) else np.array(v, d) for v in (x, y))
    if a.dtype != b.dtype or a.shape not in ((), shape) or b.shape not in ((), shape):
        return np.where(condition, x, y)
    # NumPy branches on each element: seven times as long, if the condition has no pattern.
    a, b = a.view(bits), b.view(bits)
    r = np.negative(condition.astype(bits))
    r &= a ^ b
    r ^= b
    return r.view(d)


where = elementwise(
    "where", "x if condition else y", select, inputs=("condition", "x", "y"), dtype=CONDITION,
    grad=(
        None,
        lambda g, condition: where(condition, g, fill(g, 0)),
        lambda g, condition: where(condition, fill(g, 0), g),
    ),
    doc="x where the condition holds, else y.",
)  # fmt: skip


def _fill(x: Any, y: Any) -> Any:
    return np.full(np.broadcast_shapes(np.shape(x), np.shape(y)), y, dtype=np.asarray(x).dtype)


fill = elementwise(
    "fill", "y", _fill, inputs=_XY,
    grad=(lambda g: fill(g, 0), lambda g: g), uniform=1,
    doc="y in the shape of x.",
)  # fmt: skip

# -- exponentials and powers ----------------------------------------------------------------------

exp = elementwise("exp", "exp(x)", np.exp, dtype=FLOATING, grad=lambda g, out: g * conj(out),
                  doc="e to the x.", public=("exp",))  # fmt: skip
exp2 = elementwise("exp2", "exp2(x)", np.exp2, dtype=FLOATING,
                   grad=lambda g, out: g * conj(out) * math.log(2),
                   doc="2 to the x.", public=("exp2",))  # fmt: skip
expm1 = elementwise("expm1", "expm1(x)", np.expm1, dtype=FLOATING,
                    grad=lambda g, out: g * conj(out + 1),
                    doc="exp(x) - 1, accurate near 0.", public=("expm1",))  # fmt: skip
log = elementwise("log", "log(x)", np.log, dtype=FLOATING, grad=lambda g, x: g / conj(x),
                  doc="The natural logarithm.", domain=((0.2, 4),), public=("log",))  # fmt: skip
log2 = elementwise(
    "log2",
    "log2(x)",
    np.log2,
    dtype=FLOATING,
    grad=lambda g, x: g / conj(x * math.log(2)),
    doc="The logarithm to base 2.",
    domain=((0.2, 4),),
    public=("log2",),
)
log10 = elementwise("log10", "log10(x)", np.log10, dtype=FLOATING,
                    grad=lambda g, x: g / conj(x * math.log(10)),
                    doc="The logarithm to base 10.", domain=((0.2, 4),),
                    public=("log10",))  # fmt: skip
log1p = elementwise("log1p", "log1p(x)", np.log1p, dtype=FLOATING,
                    grad=lambda g, x: g / conj(x + 1),
                    doc="log(1 + x), accurate near 0.", domain=((-0.5, 3),),
                    public=("log1p",))  # fmt: skip
sqrt = elementwise("sqrt", "sqrt(x)", np.sqrt, dtype=FLOATING,
                   grad=lambda g, out: g / conj(out * 2),
                   doc="The square root.", domain=((0.2, 4),), public=("sqrt",))  # fmt: skip
rsqrt = elementwise("rsqrt", "1 / sqrt(x)", ref.rsqrt, dtype=FLOATING,
                    grad=lambda g, out: g * -0.5 * conj(out * out * out),
                    doc="1 / sqrt(x).", domain=((0.2, 4),), public=("rsqrt",))  # fmt: skip

# -- trigonometric and hyperbolic -----------------------------------------------------------------

sin = elementwise("sin", "sin(x)", np.sin, dtype=FLOATING, grad=lambda g, x: g * conj(cos(x)),
                  doc="The sine of x radians.", public=("sin",))  # fmt: skip
cos = elementwise("cos", "cos(x)", np.cos, dtype=FLOATING, grad=lambda g, x: g * -conj(sin(x)),
                  doc="The cosine of x radians.", public=("cos",))  # fmt: skip
tan = elementwise(
    "tan",
    "tan(x)",
    np.tan,
    dtype=FLOATING,
    grad=lambda g, out: g * conj(out * out + 1),
    doc="The tangent of x radians.",
    domain=((-1.2, 1.2),),
    public=("tan",),
)
asin = elementwise("asin", "asin(x)", np.arcsin, dtype=FLOATING,
                   grad=lambda g, x: g * conj(rsqrt(1 - x * x)),
                   doc="The inverse sine, in radians.", domain=((-0.9, 0.9),),
                   public=("asin", "arcsin"))  # fmt: skip
acos = elementwise("acos", "acos(x)", np.arccos, dtype=FLOATING,
                   grad=lambda g, x: g * -conj(rsqrt(1 - x * x)),
                   doc="The inverse cosine, in radians.", domain=((-0.9, 0.9),),
                   public=("acos", "arccos"))  # fmt: skip
atan = elementwise("atan", "atan(x)", np.arctan, dtype=FLOATING,
                   grad=lambda g, x: g / conj(x * x + 1),
                   doc="The inverse tangent, in radians.", public=("atan", "arctan"))  # fmt: skip
sinh = elementwise("sinh", "sinh(x)", np.sinh, dtype=FLOATING,
                   grad=lambda g, x: g * conj(cosh(x)),
                   doc="The hyperbolic sine.", public=("sinh",))  # fmt: skip
cosh = elementwise("cosh", "cosh(x)", np.cosh, dtype=FLOATING,
                   grad=lambda g, x: g * conj(sinh(x)),
                   doc="The hyperbolic cosine.", public=("cosh",))  # fmt: skip
tanh = elementwise("tanh", "tanh(x)", np.tanh, dtype=FLOATING,
                   grad=lambda g, out: g * conj(1 - out * out),
                   doc="The hyperbolic tangent.", public=("tanh",))  # fmt: skip
asinh = elementwise("asinh", "asinh(x)", np.arcsinh, dtype=FLOATING,
                    grad=lambda g, x: g * conj(rsqrt(x * x + 1)),
                    doc="The inverse hyperbolic sine.", public=("asinh", "arcsinh"))  # fmt: skip
acosh = elementwise("acosh", "acosh(x)", np.arccosh, dtype=FLOATING,
                    grad=lambda g, x: g * conj(rsqrt(x - 1) * rsqrt(x + 1)),
                    doc="The inverse hyperbolic cosine.", domain=((1.2, 4),),
                    public=("acosh", "arccosh"))  # fmt: skip
atanh = elementwise("atanh", "atanh(x)", np.arctanh, dtype=FLOATING,
                    grad=lambda g, x: g / conj(1 - x * x),
                    doc="The inverse hyperbolic tangent.", domain=((-0.8, 0.8),),
                    public=("atanh", "arctanh"))  # fmt: skip

# -- special functions ----------------------------------------------------------------------------

sigmoid = elementwise("sigmoid", "sigmoid(x)", ref.sigmoid, dtype=FLOATING,
                      grad=lambda g, out: g * conj((1 - out) * out),
                      doc="1 / (1 + exp(-x)).", public=("sigmoid",))  # fmt: skip
erf = elementwise("erf", "erf(x)", ref.erf, dtype=FLOATING, kinds="biuf",
                  grad=lambda g, x: g * (exp(-x * x) * (2 / math.sqrt(math.pi))),
                  doc="The error function.", public=("erf",))  # fmt: skip
erfc = elementwise("erfc", "erfc(x)", ref.erfc, dtype=FLOATING, kinds="biuf",
                   grad=lambda g, x: g * (exp(-x * x) * (-2 / math.sqrt(math.pi))),
                   doc="1 - erf(x), accurate for large x.", public=("erfc",))  # fmt: skip
erfinv = elementwise("erfinv", "erfinv(x)", ref.erfinv, dtype=FLOATING, kinds="biuf",
                     grad=lambda g, out: g * (exp(out * out) * (math.sqrt(math.pi) / 2)),
                     doc="The inverse of erf on [-1, 1].", domain=((-0.9, 0.9),),
                     public=("erfinv",))  # fmt: skip
lgamma = elementwise("lgamma", "lgamma(x)", ref.lgamma, dtype=FLOATING, kinds="biuf",
                     grad=lambda g, x: g * digamma(x),
                     doc="The logarithm of the absolute value of gamma.", domain=((0.5, 4),),
                     public=("lgamma",))  # fmt: skip
digamma = elementwise("digamma", "digamma(x)", ref.digamma, dtype=FLOATING, kinds="biuf",
                      grad=lambda g, x: g * trigamma(x),
                      doc="The derivative of lgamma.", domain=((0.5, 4),),
                      public=("digamma",))  # fmt: skip

trigamma = elementwise("trigamma", "trigamma(x)", ref.trigamma, dtype=FLOATING, kinds="biuf",
                       grad=lambda g, x: g * (zeta(3, x) * -2),
                       doc="The second derivative of lgamma.", domain=((0.5, 4),))  # fmt: skip
zeta = elementwise("zeta", "zeta(x, y)", ref.zeta, inputs=_XY, dtype=FLOATING, kinds="biuf",
                   grad=(None, lambda g, x, y: g * (-x * zeta(x + 1, y))),
                   doc="Hurwitz's zeta function: the sum of (y + k) ** -x over k >= 0.",
                   domain=((1.5, 4), (0.5, 4)))  # fmt: skip

# -- absolute value, sign, rounding ---------------------------------------------------------------

sgn = elementwise("sgn", "sgn(x)", ref.sgn, kinds="biufc", doc="x / |x|, and 0 at 0.",
                  grad=lambda g, x, out: _sgn_grad(g, x, out), public=("sgn",))  # fmt: skip


def _sgn_grad(g: Any, x: Any, out: Any) -> Any:
    if out._data.dtype.kind != "c":
        return fill(g, 0)
    r = abs(x)
    zero = eq(r, 0)
    # No division by 0 even where its result is not taken: its transpose would be NaN.
    slope = (g - out * real(g * conj(out))) / where(zero, fill(r, 1), r)
    return where(zero, fill(slope, 0), slope)


abs = elementwise("abs", "abs(x)", np.abs, dtype=REAL, kinds="iufc", grad=lambda g, x: g * sgn(x),
                  doc="The absolute value; the slope at 0 is 0.", domain=((0.2, 3),),
                  public=("abs", "absolute"))  # fmt: skip
sign = elementwise("sign", "sign(x)", ref.sign, kinds="biuf", grad=lambda g: fill(g, 0),
                   doc="-1, 0 or 1.", domain=((0.2, 3),), public=("sign",))  # fmt: skip


def _rounding(name: str, reference: Any, doc: str, **facts: Any) -> Op:
    return elementwise(name, f"{name}(x)", lambda x: x if x.dtype.kind in "iu" else reference(x),
                       kinds="iuf", grad=lambda g: fill(g, 0), doc=doc,
                       domain=((0.1, 0.4),), **facts)  # fmt: skip


floor = _rounding("floor", np.floor, "Rounded down.", public=("floor",))
ceil = _rounding("ceil", np.ceil, "Rounded up.", public=("ceil",))
trunc = _rounding("trunc", np.trunc, "Rounded towards 0.", public=("trunc", "fix"))
rint = _rounding("rint", np.rint, "Rounded to the nearest integer, ties to even.")
relu = elementwise("relu", "maximum(x, 0)", lambda x: np.maximum(x, 0), kinds="iuf",
                   grad=lambda g, out: where(out <= 0, 0.0, g),
                   doc="max(x, 0); the slope at 0 is 0, at NaN 1.", domain=((0.2, 3),),
                   public=("relu",))  # fmt: skip

# -- comparison and logic -------------------------------------------------------------------------


def _comparison(name: str, sign_: str, reference: Any, aliases: tuple[str, ...] = ()) -> Op:
    return elementwise(name, f"x {sign_} y", reference, inputs=_XY, dtype=COMPARE,
                       kinds="biufc" if name in ("eq", "ne") else "biuf",
                       doc=f"x {sign_} y, elementwise.", public=(name, *aliases),
                       operators=(f"__{name}__", "", ""))  # fmt: skip


eq = _comparison("eq", "==", np.equal)
ne = _comparison("ne", "!=", np.not_equal, ("not_equal",))
lt = _comparison("lt", "<", np.less, ("less",))
le = _comparison("le", "<=", np.less_equal, ("less_equal",))
gt = _comparison("gt", ">", np.greater, ("greater",))
ge = _comparison("ge", ">=", np.greater_equal, ("greater_equal",))

isnan = elementwise("isnan", "x != x", np.isnan, dtype=COMPARE, doc="True where x is NaN.",
                    public=("isnan",))  # fmt: skip
isinf = elementwise(
    "isinf",
    "abs(x) == inf",
    np.isinf,
    dtype=COMPARE,
    doc="True where x is infinite.",
    public=("isinf",),
)
isfinite = elementwise("isfinite", "abs(x) < inf", np.isfinite, dtype=COMPARE,
                       doc="True where x is neither infinite nor NaN.",
                       public=("isfinite",))  # fmt: skip
logical_not = elementwise("logical_not", "x == 0", np.logical_not, dtype=COMPARE,
                          doc="True where x is 0.", public=("logical_not",))  # fmt: skip
logical_and = elementwise("logical_and", "(x != 0) & (y != 0)", np.logical_and, inputs=_XY,
                          dtype=COMPARE, doc="Both are nonzero.",
                          public=("logical_and",))  # fmt: skip
logical_or = elementwise("logical_or", "(x != 0) | (y != 0)", np.logical_or, inputs=_XY,
                         dtype=COMPARE, doc="Either is nonzero.",
                         public=("logical_or",))  # fmt: skip
logical_xor = elementwise("logical_xor", "(x != 0) ^ (y != 0)", np.logical_xor, inputs=_XY,
                          dtype=COMPARE, doc="Just one is nonzero.",
                          public=("logical_xor",))  # fmt: skip
bitwise_not = elementwise(
    "bitwise_not",
    "~x",
    np.invert,
    kinds="biu",
    doc="The bits inverted; for bool, not.",
    public=("bitwise_not",),
)
bitwise_and = elementwise(
    "bitwise_and",
    "x & y",
    np.bitwise_and,
    inputs=_XY,
    kinds="biu",
    doc="Bitwise and.",
    public=("bitwise_and",),
    operators=("__and__", "__rand__", "__iand__"),
)
bitwise_or = elementwise(
    "bitwise_or",
    "x | y",
    np.bitwise_or,
    inputs=_XY,
    kinds="biu",
    doc="Bitwise or.",
    public=("bitwise_or",),
    operators=("__or__", "__ror__", "__ior__"),
)
bitwise_xor = elementwise(
    "bitwise_xor",
    "x ^ y",
    np.bitwise_xor,
    inputs=_XY,
    kinds="biu",
    doc="Bitwise exclusive or.",
    public=("bitwise_xor",),
    operators=("__xor__", "__rxor__", "__ixor__"),
)
bitwise_left_shift = elementwise(
    "bitwise_left_shift", "x << y", np.left_shift, inputs=_XY, kinds="iu",
    doc="x shifted left by y bits.", public=("bitwise_left_shift",),
    domain=((0, 9), (0, 4)), operators=("__lshift__", "__rlshift__", "__ilshift__"),
)  # fmt: skip
bitwise_right_shift = elementwise(
    "bitwise_right_shift", "x >> y", np.right_shift, inputs=_XY, kinds="iu",
    doc="x shifted right by y bits.", public=("bitwise_right_shift",),
    domain=((0, 9), (0, 4)), operators=("__rshift__", "__rrshift__", "__irshift__"),
)  # fmt: skip

# -- dtype and complex parts ----------------------------------------------------------------------


def _cast(x: Any, *, dtype: np.dtype[Any]) -> Any:
    if x.dtype.kind == "c" and dtype.kind in "fiu":
        x = x.real
    return x.astype(dtype)


cast = primitive(
    "to_copy",
    _cast,
    lambda x, dtype: (x.shape, dtype),
    grad=lambda g, x_dtype: to_dtype(g, x_dtype),
    linear=True,
    samples=lambda make: [
        call(make(2, 3), dtype=dtypes.complex128.np),
        call(make(2), dtype=dtypes.I64),
    ],
    pointwise="x",
    keeps_layout=True,
    same=lambda dtype: True,
    batch=SHIFT,
    doc="The values in another dtype.",
)


def to_dtype(x: Tensor, d: np.dtype[Any]) -> Tensor:
    """`x` in the NumPy dtype `d`; `x` itself if it has that dtype."""
    return x if x._data.dtype is d else cast(x, dtype=d)


conjugate = elementwise("conj", "conj(x)", np.conj, grad=lambda g: conj(g),
                        doc="The complex conjugate.")  # fmt: skip
real_part = primitive(
    "real",
    lambda x: x.real,
    lambda x: (x.shape, dtypes.real_of(x.dtype)),
    grad=lambda g, x_dtype: to_dtype(g, x_dtype),
    kinds="c",
    view=True,
    samples=lambda make: [call(make(2, 3)), call(make())],
    linear=True,
    batch=SHIFT,
    doc="The real part.",
)
imag_part = primitive(
    "imag", lambda x: x.imag, lambda x: (x.shape, dtypes.real_of(x.dtype)),
    grad=lambda g, x_dtype: to_dtype(g, x_dtype) * 1j, kinds="c", view=True,
    samples=lambda make: [call(make(2, 3)), call(make())],
    linear=True,
    batch=SHIFT,
    doc="The imaginary part.",
)  # fmt: skip


def to_floating(x: Tensor) -> Tensor:
    """Integers and bools in the default floating dtype, other tensors as they are."""
    return to_dtype(x, dtypes.get_default_dtype().np) if x._data.dtype.kind in "biu" else x


def number_like(x: Tensor, value: Any) -> Tensor:
    """A number as a 0-d tensor of the dtype of `x`, so that it does not promote anything."""
    return wrap(dtypes.scalar(value, x._data.dtype))


def real(x: Any) -> Any:
    """The real part; real tensors and numbers as they are."""
    if isinstance(x, Tensor):
        return real_part(x) if x._data.dtype.kind == "c" else x
    return x.real


def complex_of(d: np.dtype[Any]) -> np.dtype[Any]:
    """The complex dtype whose parts hold numbers of `d`."""
    return dtypes.complex128.np if d in (np.float64, np.complex128) else dtypes.complex64.np


def _complex(x: Any, y: Any) -> Any:
    x, y = np.broadcast_arrays(x, y)
    r = np.empty(x.shape, complex_of(x.dtype))
    r.real, r.imag = x, y
    return r


make_complex = primitive(
    "complex", _complex,
    lambda x, y: (broadcast_shapes(x.shape, y.shape), complex_of(x.dtype)),
    inputs=_XY, grad=(lambda g: real_part(g), lambda g: imag_part(g)), kinds="f",
    samples=lambda make: [call(make(2, 3), make(3))],
    linear=True,
    batch=batch_elementwise,
    doc="x + i y from two real tensors.",
)  # fmt: skip
