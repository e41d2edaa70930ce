"""Accumulation in kernels: additions and extrema that LLVM may reorder within a loop.

Kernels are otherwise compiled without fast-math: only these may be reordered, and only inside a
block of fixed size, so that a result does not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from numbagrad.kernels.language import Intrinsic, same_kind


@same_kind
def add_any_order(builder: Any, a: Any, b: Any) -> Any:
    """a + b, as part of a sum whose order does not matter."""
    if isinstance(a.type, ir.IntType):
        return builder.add(a, b)
    return builder.fadd(a, b, flags=("reassoc", "contract"))


@same_kind
def multiply_any_order(builder: Any, a: Any, b: Any) -> Any:
    """a * b, as part of a product of floats whose order does not matter."""
    return builder.fmul(a, b, flags=("reassoc", "contract"))


def _extremum(name: str) -> Intrinsic:
    def emit(builder: Any, a: Any, b: Any) -> Any:
        symbol = f"llvm.{name}.{'f32' if isinstance(a.type, ir.FloatType) else 'f64'}"
        function = builder.module.globals.get(symbol)
        if function is None:
            kind = ir.FunctionType(a.type, [a.type, a.type])
            function = ir.Function(builder.module, kind, symbol)
        return builder.call(function, [a, b])

    emit.__name__ = name
    return same_kind(emit)


#: The larger (smaller) of two floats, NaN if either is: IEEE 754-2019 maximum and minimum.
larger = _extremum("maximum")
smaller = _extremum("minimum")
