"""Numba as the compiler of kernels that go beyond `translate`. Imported, with Numba, only for them.

Numba types and lowers the function to LLVM; its own two optimisation pipelines, its Python wrappers
and its machine code emission are skipped.
"""

import ast
import inspect
import re
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, cast

import llvmlite.binding as llvm
import numba
from numba.core import codegen, compiler, compiler_lock, errors, registry, types
from numba.core.runtime.nrt import rtsys
from numba.extending import intrinsic

from numbagrad.errors import CompileError
from numbagrad.kernels.language import KINDS, Intrinsic, Kind
from numbagrad.runtime.lower import cause, message
from numbagrad.runtime.translate import ENTRIES

_IMPORTABLE = ("numbagrad", "numba", "numpy", "math", "llvmlite")


def lower(
    source: str, entry: str, signature: str, symbol: str, path: str, bits: int
) -> llvm.ModuleRef:
    """An LLVM module with `entry` of `source` as the function `symbol`, not yet optimised.

    Raises:
        CompileError: Numba refuses the source, or it raises or imports what it may not.
    """
    function = _define(source, entry, path)
    # Numba's lock also guards LLVM's parser and the type caches.
    with compiler_lock.global_compiler_lock:
        try:
            library, inner = _lower(function, signature)
            return _link(library, inner, symbol, signature, bits)
        except errors.NumbaError as error:
            raise CompileError(message(path, _shorten(error, source))) from cause(error)
        except _INTERNAL as error:
            text = f"{type(error).__name__}: {error}"
            raise CompileError(message(path, text)) from cause(error)


# What Numba's own defects look like from outside.
_INTERNAL = (AssertionError, AttributeError, LookupError, NotImplementedError, RuntimeError,
             TypeError, ValueError)  # fmt: skip


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


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
        raise CompileError(message(path, f"line {error.lineno}: {error.msg}")) from cause(error)
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.Assert):
            text = f"line {node.lineno}: a kernel cannot raise, nobody would see it"
            raise CompileError(message(path, text))
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = ["." * node.level + (node.module or "")]
        for module in modules:
            if module.split(".")[0] not in _IMPORTABLE:
                text = f"it may import {', '.join(_IMPORTABLE)} only, not {module!r}"
                raise CompileError(message(path, text))
    code: CodeType = compile(tree, path, "exec")
    namespace: dict[str, Any] = {"__name__": f"numbagrad_kernel_{entry}"}
    try:
        exec(code, namespace)
    except Exception as error:
        raise CompileError(message(path, f"{type(error).__name__}: {error}")) from cause(error)
    function = namespace.get(entry)
    if function is None:
        raise CompileError(message(path, f"it does not define {entry!r}"))
    return _numba_function(getattr(function, "py_func", function)).py_func


def _numba_type(kind: Kind) -> Any:
    if kind.item is not None:
        return types.CPointer(_numba_type(kind.item))
    return types.boolean if kind == KINDS["bool"] else getattr(types, kind.name)


_KINDS = {_numba_type(kind): kind for kind in KINDS.values()}


def _numba_intrinsic(declared: Intrinsic) -> Any:
    """An intrinsic of the kernel language as one of Numba's."""

    def resolve(typingctx: Any, *args: Any) -> Any:
        plain = [types.unliteral(a) for a in args]
        if any(a not in _KINDS for a in plain):
            return None
        try:
            wanted, result = declared.resolve(tuple(_KINDS[a] for a in plain))
        except TypeError:
            return None

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            value = declared.emit(builder, *values)
            return context.get_dummy_value() if result is None else value

        returns = types.void if result is None else _numba_type(result)
        return returns(*map(_numba_type, wanted)), generate

    # Numba passes what follows a star as one tuple, so each argument needs a name.
    names = ["typingctx", *(f"a{i}" for i in range(declared.arity))]
    parameter = inspect.Parameter
    cast(Any, resolve).__signature__ = inspect.Signature(
        [parameter(name, parameter.POSITIONAL_OR_KEYWORD) for name in names]
    )
    return cast(Any, intrinsic)(resolve)


def _numba_function(function: Any) -> Any:
    """A function of the kernel language, and those that it calls, as Numba's."""
    names = dict(function.__globals__)
    for name in function.__code__.co_names:
        value = names.get(name)
        if isinstance(value, Intrinsic):
            names[name] = _numba_intrinsic(value)
        elif isinstance(value, FunctionType):
            names[name] = _numba_function(value)
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    # Its wrappers for Python cost a third of the compile time.
    return cast(Any, numba.njit)(no_cpython_wrapper=True, no_cfunc_wrapper=True)(copy)


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
    returns, kinds = ENTRIES[signature]
    restype = types.void if returns is None else _numba_type(returns)
    argtypes = tuple(_numba_type(kind) for kind in kinds)
    result = compiler.compile_extra(
        target.typing_context, context, function, argtypes, restype, flags, {}, library=library
    )
    return library, result.fndesc.llvm_func_name


def _link(
    library: _RawLibrary, inner: str, symbol: str, signature: str, bits: int
) -> llvm.ModuleRef:
    """Add the C entry point and make everything else private to the module."""
    returns, kinds = ENTRIES[signature]
    restype = "void" if returns is None else "i64"
    argtypes = ["i64" if kind.item is None else "ptr" for kind in kinds]
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
