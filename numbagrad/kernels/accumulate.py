"""Accumulation in kernels: additions and extrema that LLVM may reorder within a loop.

Kernels are otherwise compiled without fast-math: only these may be reordered, and only inside a
block of fixed size, so that a result does not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def add_any_order(typingctx: Any, a: Any, b: Any) -> Any:
    """a + b, as part of a sum whose order does not matter."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(a, types.Float):
            return builder.fadd(*args, flags=("reassoc", "contract"))
        return builder.add(*args)

    return a(a, a), generate


def _extremum(llvm_name: str, compare: str) -> Any:
    @intrinsic
    def extremum(typingctx: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, y = args
            if isinstance(a, types.Float):
                kind = ir.FunctionType(x.type, [x.type, x.type])
                bits = a.bitwidth
                name = f"llvm.{llvm_name}.f{bits}"
                fn = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
                return builder.call(fn, [x, y])
            signed = getattr(a, "signed", False)
            test = builder.icmp_signed if signed else builder.icmp_unsigned
            return builder.select(test(compare, x, y), x, y)

        return a(a, a), generate

    return extremum


#: The larger (smaller) of two numbers, NaN if either is: IEEE 754-2019 maximum and minimum.
larger = _extremum("maximum", ">")
smaller = _extremum("minimum", "<")
