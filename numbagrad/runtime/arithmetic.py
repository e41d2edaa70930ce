"""Numbers of the kernel language: what arithmetic, comparisons and conversions are in LLVM.

The rules are Numba's: integers of any size are computed with as 64-bit words, floats in the wider
of their types, and a float never meets an integer without a conversion that is written down.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir

from numbagrad.kernels.language import KINDS, WORD, Kind

BOOL, F32, F64 = KINDS["bool"], KINDS["float32"], KINDS["float64"]


class Unsupported(Exception):
    """The source goes beyond the language of this module."""


class Typed(NamedTuple):
    """A value of the kernel; what is known now (a number, a function) is a plain Python object."""

    kind: Kind
    value: Any


class Arithmetic:
    """Emits the code of operations on values, at the end of the builder's block."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder  # llvmlite's classes are not typed

    # -- operations, by the names that Python's syntax trees have for them ---------------------

    def unary(self, name: str, value: Any) -> Any:
        """`not`, a minus or `~` in front of a value."""
        b = self.builder
        if name == "Not":
            if not isinstance(value, Typed):
                return not value
            return Typed(BOOL, b.not_(self.cast(value, BOOL).value))
        if not isinstance(value, Typed):
            if name == "USub" and not isinstance(value, bool):
                return -value
        elif value.kind == BOOL and name == "Invert":
            return Typed(BOOL, b.not_(value.value))
        elif value.kind.family == "f" and name == "USub":
            return Typed(value.kind, b.fneg(value.value))
        elif value.kind.family in "iu" and name in ("USub", "Invert"):
            word = self.cast(value, WORD).value
            return Typed(WORD, b.neg(word) if name == "USub" else b.not_(word))
        raise Unsupported(f"{name} of {value}")

    def binary(self, name: str, x: Any, y: Any) -> Any:
        """An arithmetic operation of two values."""
        if not isinstance(x, Typed) and not isinstance(y, Typed):
            if isinstance(x, int) and isinstance(y, int) and name in _ON_KNOWN:
                return _ON_KNOWN[name](x, y)
            raise Unsupported(f"{name} of two constants")
        x, y = self.alike(x, y, bits=name in ("BitAnd", "BitOr", "BitXor"))
        code = (_FLOAT_CODE if x.kind.family == "f" else _INTEGER_CODE).get(name)
        if code is not None:
            return Typed(x.kind, getattr(self.builder, code)(x.value, y.value))
        if x.kind == WORD and name in ("FloorDiv", "Mod"):
            return self._floor(name, x.value, y.value)
        raise Unsupported(f"{name} of {x.kind} and {y.kind}")

    def _floor(self, name: str, x: Any, y: Any) -> Typed:
        """Division of words that rounds down; 0 where the divisor is 0, as in NumPy."""
        b = self.builder
        zero = WORD.llvm(0)
        by_zero = b.icmp_signed("==", y, zero)
        divisor = b.select(by_zero, WORD.llvm(1), y)
        rest = b.srem(x, divisor)
        # The remainder of the machine has the sign of x, the wanted one that of y.
        other = b.and_(b.icmp_signed("!=", rest, zero), b.icmp_signed("<", b.xor(rest, y), zero))
        if name == "FloorDiv":
            value = b.add(b.sdiv(x, divisor), b.select(other, WORD.llvm(-1), zero))
        else:
            value = b.add(rest, b.select(other, y, zero))
        return Typed(WORD, b.select(by_zero, zero, value))

    def compare(self, name: str, x: Any, y: Any) -> Any:
        """A comparison; false where a float is NaN, except for `!=`."""
        if name not in _COMPARISONS:
            raise Unsupported(f"the comparison {name}")
        sign, on_known = _COMPARISONS[name]
        if not isinstance(x, Typed) and not isinstance(y, Typed):
            return on_known(x, y)
        x, y = self.alike(x, y)
        b = self.builder
        if x.kind.family != "f":
            return Typed(BOOL, b.icmp_signed(sign, x.value, y.value))
        compare = b.fcmp_unordered if sign == "!=" else b.fcmp_ordered
        return Typed(BOOL, compare(sign, x.value, y.value))

    def extremum(self, sign: str, x: Any, y: Any) -> Typed:
        """The smaller ("<") or larger (">") of two words."""
        x, y = self.alike(x, y)
        if x.kind != WORD:
            raise Unsupported(f"the smaller or larger of two {x.kind}")
        test = self.builder.icmp_signed(sign, x.value, y.value)
        return Typed(WORD, self.builder.select(test, x.value, y.value))

    def absolute(self, x: Typed) -> Typed:
        """The absolute value."""
        b = self.builder
        if x.kind.family == "f":
            function = b.module.declare_intrinsic("llvm.fabs", [x.kind.llvm])
            return Typed(x.kind, b.call(function, [x.value]))
        word = self.cast(x, WORD).value
        negative = b.icmp_signed("<", word, WORD.llvm(0))
        return Typed(WORD, b.select(negative, b.neg(word), word))

    # -- kinds ---------------------------------------------------------------------------------

    def typed(self, value: Any) -> Typed:
        """A value of the kernel for what may be known now: a word, float64 or bool."""
        if isinstance(value, Typed):
            return value
        for python, kind in ((bool, BOOL), (int, WORD), (float, F64)):
            if isinstance(value, python):
                return Typed(kind, ir.Constant(kind.llvm, value))
        raise Unsupported(f"{value!r} as a value")

    def cast(self, value: Any, to: Kind) -> Typed:
        """A value as NumPy and C convert it: ``np.float32(x)``, ``bool(x)``."""
        if not isinstance(value, Typed):
            if not isinstance(value, bool | int | float) or to.family == "p":
                raise Unsupported(f"{value!r} as {to}")
            python: Callable[[Any], Any] = {"b": bool, "f": float}.get(to.family, int)
            return Typed(to, ir.Constant(to.llvm, python(value)))
        kind, x, b = value.kind, value.value, self.builder
        if kind == to:
            return value
        if "p" in (kind.family, to.family):
            raise Unsupported(f"{kind} as {to}")
        if to == BOOL:
            if kind.family == "f":
                return Typed(BOOL, b.fcmp_unordered("!=", x, ir.Constant(kind.llvm, 0.0)))
            return Typed(BOOL, b.icmp_signed("!=", x, ir.Constant(kind.llvm, 0)))
        signed = kind.family == "i"
        if to.family == "f":
            if kind.family == "f":
                convert = b.fpext if to.bits > kind.bits else b.fptrunc
            else:
                convert = b.sitofp if signed else b.uitofp
        elif kind.family == "f":
            # By way of an integer that holds more, as C compilers do it for small ones.
            wide = KINDS["int64"] if to.bits == 64 else KINDS["int32"]
            return self.cast(Typed(wide, b.fptosi(x, wide.llvm)), to)
        elif to.bits <= kind.bits:
            convert = b.trunc if to.bits < kind.bits else b.bitcast
        else:
            convert = b.sext if signed else b.zext
        return Typed(to, convert(x, to.llvm))

    def alike(self, x: Any, y: Any, *, bits: bool = False) -> tuple[Typed, Typed]:
        """Two operands of the kind that Numba computes with: integers are words."""
        families = {v.kind.family if isinstance(v, Typed) else "i" if isinstance(v, int) else "f"
                    for v in (x, y)}  # fmt: skip
        if families <= set("biu"):
            both = bits and all(isinstance(v, Typed) and v.kind == BOOL for v in (x, y))
            kind = BOOL if both else WORD
        elif families == {"f"}:
            kinds = [v.kind if isinstance(v, Typed) else F64 for v in (x, y)]
            kind = F32 if kinds == [F32, F32] else F64
        else:
            raise Unsupported("arithmetic of a float and something else")
        return self.cast(x, kind), self.cast(y, kind)


_INTEGER_CODE = {"Add": "add", "Sub": "sub", "Mult": "mul", "LShift": "shl", "RShift": "ashr",
                 "BitAnd": "and_", "BitOr": "or_", "BitXor": "xor"}  # fmt: skip
_FLOAT_CODE = {"Add": "fadd", "Sub": "fsub", "Mult": "fmul", "Div": "fdiv"}
_ON_KNOWN: dict[str, Callable[[int, int], int]] = {
    "Add": operator.add, "Sub": operator.sub, "Mult": operator.mul,
    "BitAnd": operator.and_, "BitOr": operator.or_, "BitXor": operator.xor,
}  # fmt: skip
_COMPARISONS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "Eq": ("==", operator.eq), "NotEq": ("!=", operator.ne), "Lt": ("<", operator.lt),
    "LtE": ("<=", operator.le), "Gt": (">", operator.gt), "GtE": (">=", operator.ge),
}  # fmt: skip
