"""Raw memory, atomics and indirect calls for kernels. Imported only to compile.

Addresses are int64 throughout, and memory is read and written in words of 64 bits: the tables of
programs and the pool's state.
"""

from typing import Any

from llvmlite import ir

from numbagrad.kernels.language import WORD, intrinsic, pointer
from numbagrad.runtime import loader

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)


def _function(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _element(builder: Any, base: Any, index: Any) -> Any:
    """Pointer to word `index` of the block at the address `base`."""
    return builder.gep(builder.inttoptr(base, _I64.as_pointer()), [index])


@intrinsic(WORD, WORD, returns=WORD)
def load(builder, base, index):
    """Return word `index` of the block at `base`."""
    return builder.load(_element(builder, base, index))


@intrinsic(WORD, WORD, returns=WORD)
def load32(builder, base, index):
    """Return the 32-bit integer at the start of word `index` of the block at `base`."""
    pointer = builder.bitcast(_element(builder, base, index), _I32.as_pointer())
    return builder.sext(builder.load(pointer), _I64)


@intrinsic(WORD, WORD, WORD)
def store(builder, base, index, value):
    """Write word `index` of the block at `base`."""
    builder.store(value, _element(builder, base, index))


@intrinsic(WORD, WORD, returns=WORD)
def atomic_load(builder, base, index):
    """Read word `index` of the block at `base`, sequentially consistent."""
    return builder.load_atomic(_element(builder, base, index), "seq_cst", 8)


@intrinsic(WORD, WORD, WORD)
def atomic_store(builder, base, index, value):
    """Write word `index` of the block at `base`, sequentially consistent."""
    builder.store_atomic(value, _element(builder, base, index), "seq_cst", 8)


@intrinsic(WORD, WORD, WORD, returns=WORD)
def atomic_add(builder, base, index, value):
    """Add to word `index` of the block at `base` and return what was there before."""
    return builder.atomic_rmw("add", _element(builder, base, index), value, "seq_cst")


@intrinsic(WORD, WORD, WORD, WORD, returns=WORD)
def compare_swap(builder, base, index, expected, value):
    """Write word `index` of `base` if it holds `expected`; return what was there before."""
    pointer = _element(builder, base, index)
    result = builder.cmpxchg(pointer, expected, value, "seq_cst", "seq_cst")
    return builder.extract_value(result, 0)


@intrinsic()
def pause(builder):
    """Tell the CPU that this is a spinning loop."""
    architecture = loader.host()[0].split("-")[0]
    if architecture in ("x86_64", "amd64", "i686"):
        kind = ir.FunctionType(ir.VoidType(), ())
        builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), ())
    elif architecture in ("aarch64", "arm64"):
        kind = ir.FunctionType(ir.VoidType(), (_I32,))
        hint = builder.module.declare_intrinsic("llvm.aarch64.hint", (), kind)
        builder.call(hint, (_I32(1),))


@intrinsic(WORD, WORD, WORD, WORD)
def call_kernel(builder, function, table, lo, hi):
    """Call the kernel at the address `function`."""
    kind = ir.FunctionType(ir.VoidType(), (_I64, _I64, _I64))
    builder.call(_function(builder, function, kind), (table, lo, hi))


@intrinsic(WORD, pointer(WORD), WORD, WORD)
def call_part(builder, function, table, word, extent):
    """Call the kernel at the address `function` on [0, extent), with the table from `word` on."""
    start = builder.ptrtoint(builder.gep(table, [word]), _I64)
    kind = ir.FunctionType(ir.VoidType(), (_I64, _I64, _I64))
    builder.call(_function(builder, function, kind), (start, _I64(0), extent))


@intrinsic(WORD, WORD, returns=WORD)
def monotonic(builder, clock_gettime, clock):
    """Return nanoseconds of the clock number `clock`."""
    with builder.goto_entry_block():
        time = builder.alloca(ir.ArrayType(_I64, 2))  # struct timespec
    kind = ir.FunctionType(_I32, (_I32, time.type))
    number = builder.trunc(clock, _I32)
    builder.call(_function(builder, clock_gettime, kind), (number, time))
    words = builder.load(time)
    seconds = builder.mul(builder.extract_value(words, 0), _I64(1_000_000_000))
    return builder.add(seconds, builder.extract_value(words, 1))


_MASK_WORDS = 16  # of a cpu_set_t


@intrinsic(WORD, WORD, WORD)
def keep_off(builder, set_affinity, allowed, cpu):
    """Let this thread run on the CPUs of the mask at the address `allowed` except one.

    If that leaves none the system refuses, and nothing changes.
    """
    with builder.goto_entry_block():
        others = builder.alloca(ir.ArrayType(_I64, _MASK_WORDS))
    word = builder.lshr(cpu, _I64(6))
    bit = builder.shl(_I64(1), builder.and_(cpu, _I64(63)))
    for i in range(_MASK_WORDS):
        mine = builder.load(_element(builder, allowed, _I64(i)))
        without = builder.and_(mine, builder.not_(bit))
        kept = builder.select(builder.icmp_unsigned("==", word, _I64(i)), without, mine)
        builder.store(kept, builder.gep(others, [_I32(0), _I32(i)]))
    size = _I64(8 * _MASK_WORDS)
    _call(builder, set_affinity, _I64(0), size, builder.ptrtoint(others, _I64))


def _call(builder: Any, function: Any, *args: Any) -> Any:
    kind = ir.FunctionType(_I64, (_I64,) * len(args))
    return builder.call(_function(builder, function, kind), args)


@intrinsic(WORD, returns=WORD)
def call0(builder, function):
    """Call the C function at the address `function` without arguments."""
    return _call(builder, function)


@intrinsic(WORD, WORD, returns=WORD)
def call1(builder, function, a):
    """Call the C function at the address `function` with one word."""
    return _call(builder, function, a)


@intrinsic(WORD, WORD, WORD, returns=WORD)
def call2(builder, function, a, b):
    """Call the C function at the address `function` with two words."""
    return _call(builder, function, a, b)


@intrinsic(WORD, WORD, WORD, WORD, returns=WORD)
def call3(builder, function, a, b, c):
    """Call the C function at the address `function` with three words."""
    return _call(builder, function, a, b, c)


@intrinsic(WORD, WORD, WORD, WORD, WORD, returns=WORD)
def call4(builder, function, a, b, c, d):
    """Call the C function at the address `function` with four words."""
    return _call(builder, function, a, b, c, d)
