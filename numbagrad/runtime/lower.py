"""From the source of a kernel to object code. Imported only to compile.

`translate` turns the source into LLVM text, or Numba does if it goes beyond that language; LLVM's
O3 pipeline then runs once, or a short one on what has no loops to vectorise.
"""

import contextlib
import gc
import time
from collections.abc import Iterator

import llvmlite.binding as llvm

from numbagrad import config
from numbagrad.errors import CompileError
from numbagrad.kernels import late
from numbagrad.runtime import loader, vectorize
from numbagrad.runtime.arithmetic import Unsupported
from numbagrad.runtime.translate import translate

timings: dict[str, float] = {}  # seconds of each stage of the newest compilation


def compile_object(
    source: str, entry: str, signature: str, symbol: str, path: str, hint: vectorize.Hint
) -> bytes:
    """Compile `entry` of `source` to the object code of a native function named `symbol`.

    Raises:
        CompileError: Numba or LLVM refuses the source, the source raises or imports what is
            not part of the cache key, or the result would call into Python or Numba's runtime.
    """
    with _without_collector():
        return _compile(source, entry, signature, symbol, path, hint)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Thousands of small objects of LLVM's text live until the end: no use in looking at all of
    the process's objects meanwhile, which would take a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _compile(
    source: str, entry: str, signature: str, symbol: str, path: str, hint: vectorize.Hint
) -> bytes:
    clock = time.perf_counter
    start = clock()
    module = _front(source, entry, signature, symbol, path, hint.bits)
    lowered = clock()
    machine = loader.target_machine()
    try:
        module = _optimise(module, machine, hint)
        optimised = clock()
        _check_symbols(module, path)
        data = machine.emit_object(module)
    except RuntimeError as error:
        raise CompileError(message(path, f"LLVM: {error}")) from cause(error)
    timings.update(
        translate=lowered - start, optimise=optimised - lowered, emit=clock() - optimised
    )
    return data


def _front(
    source: str, entry: str, signature: str, symbol: str, path: str, bits: int
) -> llvm.ModuleRef:
    try:
        text = translate(source, entry, signature, symbol, bits)
    except Unsupported:
        from numbagrad.runtime import numba_front

        return numba_front.lower(source, entry, signature, symbol, path, bits)
    return llvm.parse_assembly(text)


def message(path: str, text: str) -> str:
    """What the user sees of a kernel that cannot be compiled."""
    return f"cannot compile the kernel {path}:\n{text.strip()}"


def cause(error: Exception) -> Exception | None:
    """Show the compiler's traceback only to those who debug numbagrad."""
    return error if config.debug() else None


def _optimise(
    module: llvm.ModuleRef, machine: llvm.TargetMachine, hint: vectorize.Hint
) -> llvm.ModuleRef:
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = hint != vectorize.Hint()
    tuning.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, tuning)
    bodies = [function for function in module.functions if not function.is_declaration]
    if hint == vectorize.Hint() and len(bodies) == 1:
        # Short loops that stay scalar, and nothing to inline: O3 would take four times as long,
        # and make more code.
        manager = llvm.create_new_module_pass_manager()
        manager.add_sroa_pass()
        manager.add_simplify_cfg_pass()
        manager.add_instruction_combine_pass()
        manager.add_simplify_cfg_pass()
        manager.run(module, builder)
        return module
    if hint != vectorize.Hint():
        name = module.name
        module = llvm.parse_assembly(late.keep(vectorize.annotate(str(module), hint)))
        module.name = name
    builder.getModulePassManager().run(module, builder)
    return _put_in_place(module, builder)


def _put_in_place(module: llvm.ModuleRef, builder: llvm.PassBuilder) -> llvm.ModuleRef:
    """Inline the late functions that the kernel's loops call."""
    if not any(function.name.startswith(late.PREFIX) for function in module.functions):
        return module
    name = module.name
    text, definitions = late.define(str(module))
    module = llvm.parse_assembly(text)
    module.name = name
    defined = llvm.parse_assembly(definitions)
    defined.triple, defined.data_layout = module.triple, module.data_layout
    module.link_in(defined)
    manager = llvm.create_new_module_pass_manager()
    manager.add_always_inliner_pass()
    manager.add_global_dead_code_eliminate_pass()
    manager.add_strip_dead_prototype_pass()
    manager.run(module, builder)
    return module


# Functions of the C library that the object code may call, beside LLVM's own intrinsics. The
# second list comes with an f behind for float32.
_MEMORY = "malloc free memcpy memmove memset"
_MATH = (
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 "
    "fabs floor fma fmax fmin fmod frexp hypot ldexp lgamma log log10 log1p log2 modf nearbyint "
    "nextafter pow remainder rint round sin sinh sqrt tan tanh tgamma trunc"
)
_ALLOWED = frozenset([*_MEMORY.split(), *_MATH.split(), *(f"{name}f" for name in _MATH.split())])


def _check_symbols(module: llvm.ModuleRef, path: str) -> None:
    for function in module.functions:
        name = function.name
        if not function.is_declaration or name.startswith("llvm.") or name in _ALLOWED:
            continue
        raise CompileError(
            message(path, f"it needs {name!r} of Python or Numba's runtime: no arrays may be "
                     "allocated, nothing raised and no Python object touched in a kernel")
        )  # fmt: skip
    for variable in module.global_variables:
        if variable.is_declaration:
            raise CompileError(message(path, f"it needs the unknown variable {variable.name!r}"))
