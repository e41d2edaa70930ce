"""Lanes: the small expression language in which the vecmath functions are written.

A :class:`Lane` wraps one LLVM value; Python operators on it emit LLVM instructions.  A function
written over lanes therefore serves float32 and float64 (and explicit LLVM vectors) from one body,
lands in the caller's loop without a call, costs no type inference, and never widens float32
to float64 by accident.  :func:`vector` turns such a function into the intrinsics ``<name>_f32``
and ``<name>_f64`` of the kernel language and records its error bound in :data:`REGISTRY`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from numbagrad.kernels import late
from numbagrad.kernels.language import KINDS, Intrinsic, Kind

type_f32, type_f64 = ir.FloatType(), ir.DoubleType()


class Constants(NamedTuple):
    """What a formula uses in float32 and in float64: coefficients, or one number."""

    f32: Any
    f64: Any


Number = float | int | Constants


class Lane:
    """A float, integer or boolean LLVM value with Python operators (comparisons are ordered)."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder  # llvmlite's classes are not typed
        self.value = value

    @property
    def element(self) -> Any:
        kind = self.value.type
        return kind.element if isinstance(kind, ir.VectorType) else kind

    @property
    def is_float(self) -> bool:
        return isinstance(self.element, ir.FloatType | ir.DoubleType)

    @property
    def is_f64(self) -> bool:
        return self.element in (type_f64, ir.IntType(64))

    def pick(self, choice: Constants) -> Any:
        """The member of ``choice`` for this lane's width."""
        return choice.f64 if self.is_f64 else choice.f32

    def with_element(self, element: Any) -> Any:
        """This lane's type (scalar or vector) with another element type."""
        kind = self.value.type
        return ir.VectorType(element, kind.count) if isinstance(kind, ir.VectorType) else element

    def const(self, number: Number) -> Lane:
        """``number``, rounded to this lane's own type."""
        value = self.pick(number) if isinstance(number, Constants) else number
        value = float(value) if self.is_float else int(value)
        kind = self.value.type
        splat = [value] * kind.count if isinstance(kind, ir.VectorType) else value
        return Lane(self.builder, ir.Constant(kind, splat))

    def _coerce(self, other: Lane | Number) -> Lane:
        return other if isinstance(other, Lane) else self.const(other)

    def _binary(self, other: Lane | Number, float_op: str, int_op: str, swap: bool = False) -> Lane:
        right = self._coerce(other)
        left, right = (right, self) if swap else (self, right)
        emit = getattr(self.builder, float_op if self.is_float else int_op)
        return Lane(self.builder, emit(left.value, right.value))

    def __add__(self, other: Lane | Number) -> Lane:
        return self._binary(other, "fadd", "add")

    def __sub__(self, other: Lane | Number) -> Lane:
        return self._binary(other, "fsub", "sub")

    def __rsub__(self, other: Number) -> Lane:
        return self._binary(other, "fsub", "sub", swap=True)

    def __mul__(self, other: Lane | Number) -> Lane:
        return self._binary(other, "fmul", "mul")

    def __truediv__(self, other: Lane | Number) -> Lane:
        return self._binary(other, "fdiv", "")

    def __rtruediv__(self, other: Number) -> Lane:
        return self._binary(other, "fdiv", "", swap=True)

    def __and__(self, other: Lane | Number) -> Lane:
        return self._binary(other, "", "and_")

    def __or__(self, other: Lane | Number) -> Lane:
        return self._binary(other, "", "or_")

    def __xor__(self, other: Lane | Number) -> Lane:
        return self._binary(other, "", "xor")

    def __lshift__(self, other: Lane | Number) -> Lane:
        return self._binary(other, "", "shl")

    def __rshift__(self, other: Lane | Number) -> Lane:
        """Arithmetic shift: the sign bit is repeated."""
        return self._binary(other, "", "ashr")

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Lane:
        return Lane(self.builder, self.builder.fneg(self.value))

    def __invert__(self) -> Lane:
        return Lane(self.builder, self.builder.not_(self.value))

    def compare(self, op: str, other: Lane | Number) -> Lane:
        """``self op other``: false where a float is NaN, except for ``!=``."""
        right = self._coerce(other).value
        if not self.is_float:
            return Lane(self.builder, self.builder.icmp_signed(op, self.value, right))
        emit = self.builder.fcmp_unordered if op == "!=" else self.builder.fcmp_ordered
        return Lane(self.builder, emit(op, self.value, right))

    def __lt__(self, other: Lane | Number) -> Lane:
        return self.compare("<", other)

    def __le__(self, other: Lane | Number) -> Lane:
        return self.compare("<=", other)

    def __gt__(self, other: Lane | Number) -> Lane:
        return self.compare(">", other)

    def __ge__(self, other: Lane | Number) -> Lane:
        return self.compare(">=", other)

    def equals(self, other: Lane | Number) -> Lane:
        return self.compare("==", other)

    def is_nan(self) -> Lane:
        return self.compare("!=", self)

    def bits(self) -> Lane:
        """The float's bits as a signed integer of the same width."""
        kind = self.with_element(ir.IntType(64 if self.is_f64 else 32))
        return Lane(self.builder, self.builder.bitcast(self.value, kind))

    def from_bits(self) -> Lane:
        """The inverse of :meth:`bits`."""
        kind = self.with_element(type_f64 if self.is_f64 else type_f32)
        return Lane(self.builder, self.builder.bitcast(self.value, kind))

    def small_to_float(self) -> Lane:
        """An integer of fewer than 22 bits as a float (AVX2 cannot convert int64)."""
        return (self + self.const(SHIFT_BITS)).from_bits() - SHIFT

    def to_i32(self) -> Lane:
        return Lane(self.builder, self.builder.trunc(self.value, self.with_element(ir.IntType(32))))

    def to_f64(self) -> Lane:
        return Lane(self.builder, self.builder.fpext(self.value, self.with_element(type_f64)))

    def to_f32(self) -> Lane:
        return Lane(self.builder, self.builder.fptrunc(self.value, self.with_element(type_f32)))


def select(condition: Lane, yes: Lane | Number, no: Lane | Number) -> Lane:
    """``yes`` where ``condition`` holds, else ``no``; at least one of them is a lane."""
    if not isinstance(yes, Lane):
        assert isinstance(no, Lane)
        yes = no.const(yes)
    no = yes._coerce(no)
    return Lane(yes.builder, yes.builder.select(condition.value, yes.value, no.value))


def _intrinsic(name: str, *args: Lane) -> Lane:
    """A call of ``llvm.<name>`` overloaded on the type of the lanes."""
    first = args[0]
    kind = first.value.type
    short = "f64" if first.is_f64 else "f32"
    suffix = f"v{kind.count}{short}" if isinstance(kind, ir.VectorType) else short
    module = first.builder.module
    symbol = f"llvm.{name}.{suffix}"
    function = module.globals.get(symbol)
    if function is None:
        function = ir.Function(module, ir.FunctionType(kind, [kind] * len(args)), symbol)
    return Lane(first.builder, first.builder.call(function, [a.value for a in args]))


def fma(a: Lane, b: Lane | Number, c: Lane | Number) -> Lane:
    """``a * b + c`` with one rounding."""
    return _intrinsic("fma", a, a._coerce(b), a._coerce(c))


def sqrt_exact(x: Lane) -> Lane:
    return _intrinsic("sqrt", x)


def fabs(x: Lane) -> Lane:
    return _intrinsic("fabs", x)


def copysign_of(magnitude: Lane | Number, sign: Lane) -> Lane:
    return _intrinsic("copysign", sign._coerce(magnitude), sign)


def round_to(mode: str, x: Lane) -> Lane:
    """Round to an integer; ``mode`` is ``floor``, ``ceil``, ``trunc`` or ``rint``."""
    return _intrinsic(mode, x)


def table_row(name: str, rows: Callable[[], list[list[float]]], index: Lane) -> list[Lane]:
    """The float64 entries of row ``index`` (a scalar) of a constant table that ``rows`` makes."""
    builder = index.builder
    table: Any = builder.module.globals.get(name)
    if table is None:
        content = rows()
        row_type = ir.ArrayType(type_f64, len(content[0]))
        kind = ir.ArrayType(row_type, len(content))
        table = ir.GlobalVariable(builder.module, kind, name)
        table.initializer = ir.Constant(kind, [ir.Constant(row_type, row) for row in content])
        table.linkage, table.global_constant = "linkonce_odr", True
    zero = ir.Constant(ir.IntType(64), 0)
    width = table.value_type.element.count
    columns = [ir.Constant(ir.IntType(64), column) for column in range(width)]
    pointers = [builder.gep(table, [zero, index.value, column]) for column in columns]
    return [Lane(builder, builder.load(pointer)) for pointer in pointers]


def rarely(
    condition: Callable[[Lane], Lane],
    name: str,
    function: Callable[[Lane], Lane],
    x: Lane,
    usual: Lane,
) -> Lane:
    """``function(x)`` where ``condition(x)`` holds, behind a branch; ``usual`` elsewhere.

    Vectors that a loop works on at once share the branch: it is taken for any of their lanes.
    """

    def emit(builder: Any, calls: Sequence[Sequence[Any]]) -> list[Any]:
        flags = [condition(Lane(builder, x)) for x, _ in calls]
        kind = calls[0][0].type
        anywhere = functools.reduce(Lane.__or__, flags).value
        if isinstance(kind, ir.VectorType):
            anywhere = builder.bitcast(anywhere, ir.IntType(kind.count))
            anywhere = builder.icmp_unsigned("!=", anywhere, anywhere.type(0))
        before = builder.block
        with builder.if_then(anywhere, likely=False):
            slow = [
                builder.call(_outside(builder.module, name, function, condition, kind), call)
                for call in calls
            ]
            slow_block = builder.block
        results = [builder.phi(kind) for _ in calls]
        for result, (_, usual), changed in zip(results, calls, slow, strict=True):
            result.add_incoming(usual, before)
            result.add_incoming(changed, slow_block)
        return results

    return Lane(x.builder, late.call(x.builder, name, emit, [x.value, usual.value]))


def _outside(
    module: Any,
    name: str,
    function: Callable[[Lane], Lane],
    condition: Callable[[Lane], Lane],
    kind: Any,
) -> Any:
    """A function of its own for ``rarely``; the one for vectors goes lane by lane."""
    vector = isinstance(kind, ir.VectorType)
    element = kind.element if vector else kind
    symbol = f"numbagrad_{name}_{element.intrinsic_name}" + (f"_v{kind.count}" if vector else "")
    known = module.globals.get(symbol)
    if known is not None:
        return known
    outside = ir.Function(module, ir.FunctionType(kind, [kind, kind]), symbol)
    outside.linkage = "linkonce_odr"
    # Not all of these are known to llvmlite.
    for attribute in ("noinline", "cold", "nounwind", "willreturn"):
        set.add(outside.attributes, attribute)
    builder = ir.IRBuilder(outside.append_basic_block("entry"))
    x, usual = outside.args
    if not vector:
        far = Lane(builder, x)
        builder.ret(select(condition(far), function(far), Lane(builder, usual)).value)
        return outside
    i32 = ir.IntType(32)
    entry, test, far, after, end = (
        builder.block,
        *(outside.append_basic_block(part) for part in ("test", "far", "after", "end")),
    )
    builder.branch(test)
    builder.position_at_end(test)
    lane, result = builder.phi(i32), builder.phi(kind)
    one = Lane(builder, builder.extract_element(x, lane))
    builder.cbranch(condition(one).value, far, after)
    builder.position_at_end(far)
    value = builder.call(_outside(module, name, function, condition, element), [one.value] * 2)
    changed = builder.insert_element(result, value, lane)
    builder.branch(after)
    builder.position_at_end(after)
    merged, following = builder.phi(kind), builder.add(lane, i32(1))
    merged.add_incoming(result, test)
    merged.add_incoming(changed, far)
    for phi, first, then in ((lane, i32(0), following), (result, usual, merged)):
        phi.add_incoming(first, entry)
        phi.add_incoming(then, after)
    builder.cbranch(builder.icmp_unsigned("<", following, i32(kind.count)), test, end)
    builder.position_at_end(end)
    builder.ret(merged)
    return outside


def polynomial(x: Lane, coefficients: Constants | Sequence[float]) -> Lane:
    """``c[0] + c[1]*x + c[2]*x**2 + ...``: even and odd terms apart, for two short chains."""
    c = x.pick(coefficients) if isinstance(coefficients, Constants) else coefficients
    if len(c) < 5:
        return horner(x, c)
    square = x * x
    return fma(horner(square, c[1::2]), x, horner(square, c[0::2]))


def horner(x: Lane, coefficients: Sequence[float]) -> Lane:
    total = x.const(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = fma(total, x, c)
    return total


# Adding this constant to |x| < 2**21 (2**50) leaves rint(x) in the low bits of the sum.
SHIFT = Constants(1.5 * 2.0**23, 1.5 * 2.0**52)
SHIFT_BITS = Constants(0x4B400000, 0x4338000000000000)
MANTISSA_BITS = Constants(23, 52)
ONE_BITS = Constants(127 << 23, 1023 << 52)
TINY = Constants(float(np.finfo(np.float32).tiny), float(np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class VectorFunction:
    """One vecmath function: the lane code, and the facts that tests and docs read."""

    name: str
    emit: Callable[..., Lane]
    arity: int
    ulp: Constants  # largest error in units in the last place; 0.5 is correctly rounded
    domain: Constants  # (low, high): where the bound holds and the result is not a constant
    vectorizes: Constants  # False: exact by a data-dependent loop
    compiled: Constants  # the intrinsics for float32 and float64


REGISTRY: dict[str, VectorFunction] = {}


def _intrinsic_of(name: str, emit: Callable[..., Lane], arity: int, kind: Kind) -> Intrinsic:
    kinds = (kind,) * arity

    def resolve(given: tuple[Kind, ...]) -> tuple[tuple[Kind, ...], Kind]:
        # No implicit cast: a float64 that reaches a float32 kernel is a bug of its author.
        if given != kinds:
            raise TypeError(f"{name} takes {kinds}, not {given}")
        return kinds, kind

    def generate(builder: ir.IRBuilder, *args: ir.Value) -> ir.Value:
        return emit(*[Lane(builder, a) for a in args]).value

    return Intrinsic(name, arity, resolve, generate, emit.__doc__)


_ALWAYS = Constants(True, True)


def vector(
    ulp: tuple[float, float],
    domain: tuple[float, float] | Constants = (-math.inf, math.inf),
    *,
    vectorizes: Constants = _ALWAYS,
) -> Callable[[Callable[..., Lane]], Callable[..., Lane]]:
    """Register a lane function under its own name; ``ulp`` is (float32 bound, float64 bound)."""

    def register(emit: Callable[..., Lane]) -> Callable[..., Lane]:
        name = emit.__name__.rstrip("_")
        arity = emit.__code__.co_argcount
        compiled = Constants(
            _intrinsic_of(f"{name}_f32", emit, arity, KINDS["float32"]),
            _intrinsic_of(f"{name}_f64", emit, arity, KINDS["float64"]),
        )
        where = domain if isinstance(domain, Constants) else Constants(domain, domain)
        REGISTRY[name] = VectorFunction(
            name, emit, arity, Constants(*ulp), where, vectorizes, compiled
        )
        return emit

    return register
