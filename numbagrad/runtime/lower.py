"""From the source of a kernel to object code. Imported, with Numba, only to compile.

Numba types and lowers the function to LLVM text; its own two optimisation pipelines, its Python
wrappers and its machine code emission are skipped, and LLVM's O3 pipeline runs once.
"""

import ast
import re
import time
from collections.abc import Callable
from types import CodeType
from typing import Any

import llvmlite.binding as llvm
from numba.core import codegen, compiler, compiler_lock, errors, registry, types
from numba.core.runtime.nrt import rtsys

from numbagrad import config
from numbagrad.errors import CompileError
from numbagrad.runtime import loader, vectorize

_word = types.int64
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "kernel": (types.void, (types.CPointer(_word), _word, _word)),
    "unary": (_word, (_word,)),
    "binary": (_word, (_word, _word)),
}
_LLVM = {
    "kernel": ("void", ("ptr", "i64", "i64")),
    "unary": ("i64", ("i64",)),
    "binary": ("i64", ("i64", "i64")),
}
_IMPORTABLE = ("numbagrad", "numba", "numpy", "math", "llvmlite")

timings: dict[str, float] = {}  # seconds of each stage of the newest compilation


def compile_object(
    source: str, entry: str, signature: str, symbol: str, path: str, hint: vectorize.Hint
) -> bytes:
    """Compile `entry` of `source` to the object code of a native function named `symbol`.

    Raises:
        CompileError: Numba or LLVM refuses the source, the source raises or imports what is
            not part of the cache key, or the result would call into Python or Numba's runtime.
    """
    clock = time.perf_counter
    start = clock()
    function = _define(source, entry, path)
    # Numba's lock also guards LLVM's parser and the type caches.
    with compiler_lock.global_compiler_lock:
        try:
            library, inner = _lower(function, signature)
            typed = clock()
            module = _link(library, inner, symbol, signature, hint.bits)
        except errors.NumbaError as error:
            raise CompileError(_message(path, _shorten(error, source))) from _cause(error)
        except _INTERNAL as error:
            text = f"{type(error).__name__}: {error}"
            raise CompileError(_message(path, text)) from _cause(error)
        linked = clock()
        machine = loader.target_machine()
        try:
            module = _optimise(module, machine, hint)
            optimised = clock()
            _check_symbols(module, path)
            data = machine.emit_object(module)
        except RuntimeError as error:
            raise CompileError(_message(path, f"LLVM: {error}")) from _cause(error)
    timings.update(
        type_and_lower=typed - start,
        link=linked - typed,
        optimise=optimised - linked,
        emit=clock() - optimised,
    )
    return data


# What Numba's own defects look like from outside.
_INTERNAL = (AssertionError, AttributeError, LookupError, NotImplementedError, RuntimeError,
             TypeError, ValueError)  # fmt: skip


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _message(path: str, text: str) -> str:
    return f"cannot compile the kernel {path}:\n{text.strip()}"


def _cause(error: Exception) -> Exception | None:
    """Show Numba's traceback only to those who debug numbagrad."""
    return error if config.debug() else None


def _shorten(error: Exception, source: str) -> str:
    """Keep of Numba's message what concerns the source, and add the line it is about."""
    noise = ("Failed in nopython", "During:", "raised from", "File ", "<source")
    texts = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines()]
    # What follows is the list of all overloads that Numba tried.
    end = next((i for i, text in enumerate(texts) if text.startswith("There are ")), len(texts))
    lines = [text for text in texts[:end] if text and not text.startswith(noise)]
    number = getattr(getattr(error, "loc", None), "line", 0)
    code = source.splitlines()
    if 0 < number <= len(code):
        lines.append(f"line {number}: {code[number - 1].strip()}")
    return "\n".join(lines)


def _define(source: str, entry: str, path: str) -> Callable[..., Any]:
    try:
        tree = ast.parse(source, path)
    except SyntaxError as error:
        raise CompileError(_message(path, f"line {error.lineno}: {error.msg}")) from _cause(error)
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.Assert):
            text = f"line {node.lineno}: a kernel cannot raise, nobody would see it"
            raise CompileError(_message(path, text))
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = ["." * node.level + (node.module or "")]
        for module in modules:
            if module.split(".")[0] not in _IMPORTABLE:
                text = f"it may import {', '.join(_IMPORTABLE)} only, not {module!r}"
                raise CompileError(_message(path, text))
    code: CodeType = compile(tree, path, "exec")
    namespace: dict[str, Any] = {"__name__": f"numbagrad_kernel_{entry}"}
    try:
        exec(code, namespace)
    except Exception as error:
        raise CompileError(_message(path, f"{type(error).__name__}: {error}")) from _cause(error)
    function = namespace.get(entry)
    if function is None:
        raise CompileError(_message(path, f"it does not define {entry!r}"))
    return getattr(function, "py_func", function)


class _RawLibrary(codegen.JITCodeLibrary):
    """Collects a function's modules without optimising them or making them executable."""

    def add_llvm_module(self, ll_module: llvm.ModuleRef) -> None:
        self._final_module.link_in(ll_module)

    def add_linking_library(self, library: Any) -> None:
        # Numba links its reference counting runtime into everything; kernels own no objects.
        if library is not rtsys.library:
            super().add_linking_library(library)

    def link(self) -> llvm.ModuleRef:
        """Return this library's module with the functions it calls linked in."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        return self._final_module


def _lower(function: Callable[..., Any], signature: str) -> tuple[_RawLibrary, str]:
    target = registry.cpu_target
    context: Any = target.target_context
    flags: Any = compiler.Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"  # a division by zero gives inf or nan and stays vectorisable
    flags.noalias = False
    library = _RawLibrary(context.codegen(), function.__name__)
    restype, argtypes = _SIGNATURES[signature]
    result = compiler.compile_extra(
        target.typing_context, context, function, argtypes, restype, flags, {}, library=library
    )
    return library, result.fndesc.llvm_func_name


def _link(
    library: _RawLibrary, inner: str, symbol: str, signature: str, bits: int
) -> llvm.ModuleRef:
    """Add the C entry point and make everything else private to the module."""
    restype, argtypes = _LLVM[signature]
    params = ", ".join(f"{kind} %a{i}" for i, kind in enumerate(argtypes))
    types_ = ", ".join(argtypes)
    # Numba's convention: i32 status (result by pointer, exception by pointer, arguments). A
    # source that raises was refused, so that the status is 0.
    value = f"  %v = load i64, ptr %r\n  ret {restype} %v" if restype != "void" else "  ret void"
    # All code is inlined here, and so follows this function's wish for a vector width.
    width = f'"prefer-vector-width"="{bits}"' if bits else ""
    text = f"""
declare i32 @{inner}(ptr, ptr, {types_})
define {restype} @{symbol}({params}) {width} {{
  %r = alloca i64
  %e = alloca ptr
  %s = call i32 @{inner}(ptr %r, ptr %e, {params})
{value}
}}
"""
    module = library.link()
    module.link_in(llvm.parse_assembly(text))
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    module.get_function(inner).add_function_attribute("alwaysinline")
    return module


def _optimise(
    module: llvm.ModuleRef, machine: llvm.TargetMachine, hint: vectorize.Hint
) -> llvm.ModuleRef:
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    if hint.interleave or hint.independent:
        name = module.name
        module = llvm.parse_assembly(vectorize.annotate(str(module), hint))
        module.name = name
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    tuning.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, tuning)
    manager = builder.getModulePassManager()
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
            _message(path, f"it needs {name!r} of Python or Numba's runtime: no arrays may be "
                     "allocated, nothing raised and no Python object touched in a kernel")
        )  # fmt: skip
    for variable in module.global_variables:
        if variable.is_declaration:
            raise CompileError(_message(path, f"it needs the unknown variable {variable.name!r}"))
