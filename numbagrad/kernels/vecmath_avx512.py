"""AVX-512 takes a float apart and puts it together in one instruction each.

LLVM has no generic form of these, so that loops get them late (:mod:`numbagrad.kernels.late`).
Each is exact but for the one rounding of a subnormal result; operands are those of the
Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from numbagrad.kernels import late
from numbagrad.kernels.vecmath_lane import Lane

_I32 = ir.IntType(32)
_ROUND_AS_USUAL = 4
# A mantissa in [1, 2), without the sign of zero; NaN for negative numbers.
_OF_LOGARITHM = 0b1100


@functools.cache
def available() -> bool:
    """Whether this machine, for which kernels are compiled, has these instructions."""
    features = llvm.get_host_cpu_features()
    return all(features.get(name, False) for name in ("avx512f", "avx512vl", "avx512dq"))


def scale(x: Lane, k: Lane) -> Lane:
    """``x * 2**k`` for an integral k, with one rounding; overflows and underflows gradually."""
    return _late("scalef", x, k)


def exponent(x: Lane) -> Lane:
    """``floor(log2(|x|))``; -inf for 0, and inf for infinity."""
    return _late("getexp", x)


def mantissa(x: Lane) -> Lane:
    """``x * 2**-exponent(x)`` for x > 0; 1 for zeros and inf, NaN for negative numbers."""
    return _late("getmant", x, immediate=_OF_LOGARITHM)


def _late(operation: str, *lanes: Lane, immediate: int | None = None) -> Lane:
    def emit(builder: Any, calls: Sequence[Sequence[Any]]) -> list[Any]:
        return [_instruction(builder, operation, args, immediate) for args in calls]

    builder = lanes[0].builder
    return Lane(builder, late.call(builder, operation, emit, [lane.value for lane in lanes]))


def _instruction(builder: Any, operation: str, args: Sequence[Any], immediate: int | None) -> Any:
    kind = args[0].type
    vector = isinstance(kind, ir.VectorType)
    element, count = (kind.element, kind.count) if vector else (kind, 1)
    bits = 64 if isinstance(element, ir.DoubleType) else 32
    width = max(count, 128 // bits)
    if width > count:
        args = [_widen(builder, a, width) for a in args]
    kind = ir.VectorType(element, width)
    mask = ir.IntType(max(width, 8))
    operands = list(args)
    if immediate is not None:
        operands.append(_I32(immediate))
    operands += [ir.Constant(kind, ir.Undefined), mask(-1)]
    if width * bits == 512:
        operands.append(_I32(_ROUND_AS_USUAL))
    suffix = f"{'pd' if bits == 64 else 'ps'}.{width * bits}"
    symbol = f"llvm.x86.avx512.mask.{operation}.{suffix}"
    function = builder.module.globals.get(symbol)
    if function is None:
        function = ir.Function(
            builder.module, ir.FunctionType(kind, [o.type for o in operands]), symbol
        )
    result = builder.call(function, operands)
    if not vector:
        return builder.extract_element(result, _I32(0))
    return result if width == count else _lanes(builder, result, range(count))


def _widen(builder: Any, value: Any, width: int) -> Any:
    """`value` as the first lanes of a vector of `width`."""
    if isinstance(value.type, ir.VectorType):
        return _lanes(builder, value, range(width))
    kind = ir.VectorType(value.type, width)
    return builder.insert_element(ir.Constant(kind, [1.0] * width), value, _I32(0))


def _lanes(builder: Any, value: Any, lanes: Sequence[int]) -> Any:
    """Those lanes of a vector; any one for a lane that it does not have."""
    last = value.type.count - 1
    pick = ir.Constant(ir.VectorType(_I32, len(lanes)), [_I32(min(i, last)) for i in lanes])
    return builder.shuffle_vector(value, value, pick)
