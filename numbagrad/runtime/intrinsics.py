"""Raw memory, atomics and indirect calls as Numba intrinsics. Imported only to compile.

Addresses are int64 throughout, and memory is read and written in words of 64 bits: the tables of
programs and the pool's state.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)
_word = types.int64

Function = Callable[..., Any]
# Callers pass one argument less than is written here: Numba adds the typing context.
intrinsic = cast(Callable[[Function], Function], extending.intrinsic)
# A function for kernels only: its wrappers for Python cost a third of the compile time.
_options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
inner: Callable[[Function], Function] = cast(Any, numba.njit)(**_options)


def _function(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _element(builder: Any, base: Any, index: Any) -> Any:
    """Pointer to word `index` of the block at the address `base`."""
    return builder.gep(builder.inttoptr(base, _I64.as_pointer()), [index])


@intrinsic
def load(typingctx, base, index):
    """Return word `index` of the block at `base`."""

    def generate(context, builder, signature, args):
        return builder.load(_element(builder, args[0], args[1]))

    return _word(_word, _word), generate


@intrinsic
def load32(typingctx, base, index):
    """Return the 32-bit integer at the start of word `index` of the block at `base`."""

    def generate(context, builder, signature, args):
        pointer = builder.bitcast(_element(builder, args[0], args[1]), _I32.as_pointer())
        return builder.sext(builder.load(pointer), _I64)

    return _word(_word, _word), generate


@intrinsic
def store(typingctx, base, index, value):
    """Write word `index` of the block at `base`."""

    def generate(context, builder, signature, args):
        builder.store(args[2], _element(builder, args[0], args[1]))
        return context.get_dummy_value()

    return types.void(_word, _word, _word), generate


@intrinsic
def atomic_load(typingctx, base, index):
    """Read word `index` of the block at `base`, sequentially consistent."""

    def generate(context, builder, signature, args):
        return builder.load_atomic(_element(builder, args[0], args[1]), "seq_cst", 8)

    return _word(_word, _word), generate


@intrinsic
def atomic_store(typingctx, base, index, value):
    """Write word `index` of the block at `base`, sequentially consistent."""

    def generate(context, builder, signature, args):
        builder.store_atomic(args[2], _element(builder, args[0], args[1]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(_word, _word, _word), generate


@intrinsic
def atomic_add(typingctx, base, index, value):
    """Add to word `index` of the block at `base` and return what was there before."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", _element(builder, args[0], args[1]), args[2], "seq_cst")

    return _word(_word, _word, _word), generate


@intrinsic
def compare_swap(typingctx, base, index, expected, value):
    """Write word `index` of `base` if it holds `expected`; return what was there before."""

    def generate(context, builder, signature, args):
        pointer = _element(builder, args[0], args[1])
        result = builder.cmpxchg(pointer, args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(result, 0)

    return _word(_word, _word, _word, _word), generate


@intrinsic
def pause(typingctx):
    """Tell the CPU that this is a spinning loop."""

    def generate(context, builder, signature, args):
        architecture = context.codegen().magic_tuple()[0].split("-")[0]
        if architecture in ("x86_64", "amd64", "i686"):
            kind = ir.FunctionType(ir.VoidType(), ())
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), ())
        elif architecture in ("aarch64", "arm64"):
            kind = ir.FunctionType(ir.VoidType(), (_I32,))
            hint = builder.module.declare_intrinsic("llvm.aarch64.hint", (), kind)
            builder.call(hint, (_I32(1),))
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def call_kernel(typingctx, function, table, lo, hi):
    """Call the kernel at the address `function`."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), (_I64, _I64, _I64))
        builder.call(_function(builder, args[0], kind), args[1:])
        return context.get_dummy_value()

    return types.void(_word, _word, _word, _word), generate


@intrinsic
def monotonic(typingctx, clock_gettime, clock):
    """Return nanoseconds of the clock number `clock`."""

    def generate(context, builder, signature, args):
        time = cgutils.alloca_once(builder, ir.ArrayType(_I64, 2))  # struct timespec
        kind = ir.FunctionType(_I32, (_I32, time.type))
        number = builder.trunc(args[1], _I32)
        builder.call(_function(builder, args[0], kind), (number, time))
        words = builder.load(time)
        seconds = builder.mul(builder.extract_value(words, 0), _I64(1_000_000_000))
        return builder.add(seconds, builder.extract_value(words, 1))

    return _word(_word, _word), generate


def _caller(count: int) -> Any:
    kind = ir.FunctionType(_I64, (_I64,) * count)

    def generate(context, builder, signature, args):
        return builder.call(_function(builder, args[0], kind), args[1:])

    return _word(*(_word,) * (count + 1)), generate


@intrinsic
def call0(typingctx, function):
    """Call the C function at the address `function` without arguments."""
    return _caller(0)


@intrinsic
def call1(typingctx, function, a):
    """Call the C function at the address `function` with one word."""
    return _caller(1)


@intrinsic
def call2(typingctx, function, a, b):
    """Call the C function at the address `function` with two words."""
    return _caller(2)


@intrinsic
def call3(typingctx, function, a, b, c):
    """Call the C function at the address `function` with three words."""
    return _caller(3)


@intrinsic
def call4(typingctx, function, a, b, c, d):
    """Call the C function at the address `function` with four words."""
    return _caller(4)
