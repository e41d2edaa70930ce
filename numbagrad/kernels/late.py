"""Functions that take their place in a loop only after LLVM has vectorised it.

LLVM's loop vectoriser calls vector variants of a scalar function, but it cannot make vectors of
instructions that exist for whole vectors only, nor of a branch that a whole vector takes or not.
A kernel therefore calls such a function by its name (:func:`call`) while the vectoriser runs;
afterwards :func:`define` writes what is called, and LLVM puts that in place of the calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir

# Numbers in a vector: registers of 512 bits at most.
_WIDTHS = {"float": (2, 4, 8, 16), "double": (2, 4, 8)}
# They read nothing but their arguments, so LLVM may move and merge the calls. Not all of these
# are known to llvmlite.
_PURE = ("nounwind", "willreturn", "memory(none)")


class _Late(NamedTuple):
    element: Any
    arity: int
    emit: Callable[..., Any]


_known: dict[str, _Late] = {}


def call(builder: Any, name: str, emit: Callable[..., Any], args: Sequence[Any]) -> Any:
    """A call of the late function `name` on numbers or vectors of one type.

    Args:
        emit: ``emit(builder, *args)`` writes the function for such a type and returns its result.
    """
    kind = args[0].type
    vector = isinstance(kind, ir.VectorType)
    element = kind.element if vector else kind
    name = f"numbagrad_late_{name}_{element.intrinsic_name}"
    _known[name] = _Late(element, len(args), emit)
    symbol = f"{name}_v{kind.count}" if vector else name
    function = builder.module.globals.get(symbol)
    if function is None:
        function = _declare(builder.module, name, kind)
    return builder.call(function, args)


def _declare(module: Any, name: str, kind: Any) -> Any:
    """The scalar function, which knows its variants, or one variant."""
    late = _known[name]

    def declare(symbol: str, kind: Any) -> Any:
        function = ir.Function(module, ir.FunctionType(kind, [kind] * late.arity), symbol)
        for attribute in _PURE:
            set.add(function.attributes, attribute)
        return function

    if isinstance(kind, ir.VectorType):
        return declare(f"{name}_v{kind.count}", kind)
    mappings = []
    for width in _WIDTHS[str(kind)]:
        symbol = f"{name}_v{width}"
        if symbol not in module.globals:
            declare(symbol, ir.VectorType(kind, width))
        mappings.append(f"_ZGV_LLVM_N{width}{'v' * late.arity}_{name}({symbol})")
    function = declare(name, kind)
    set.add(function.attributes, f'"vector-function-abi-variant"="{",".join(mappings)}"')
    return function


_DECLARED = re.compile(r"^declare .*?@(numbagrad_late_\w+)\(", re.MULTILINE)
_CALLED = re.compile(r"call .*?@(numbagrad_late_\w+?)(?:_v(\d+))?\(")
_USED = re.compile(r"^@llvm\.compiler\.used = .*\n", re.MULTILINE)


def keep(module: str) -> str:
    """The text of a module in which LLVM does not drop the variants that nobody calls yet."""
    names = _DECLARED.findall(module)
    if not names:
        return module
    items = ", ".join(f"ptr @{name}" for name in names)
    used = f"@llvm.compiler.used = appending global [{len(names)} x ptr] [{items}]"
    return f'{module}\n{used}, section "llvm.metadata"\n'


def release(module: str) -> str:
    """The inverse of :func:`keep`."""
    return _USED.sub("", module)


def called(module: str) -> list[tuple[str, str]]:
    """Name and width of the late functions that the text of a module calls."""
    return sorted(set(_CALLED.findall(module)))


def define(module: str) -> str:
    """A module with the functions that the text of `module` calls, to be linked and inlined."""
    defined = ir.Module()
    for name, width in called(module):
        element, arity, emit = _known[name]
        kind = ir.VectorType(element, int(width)) if width else element
        symbol = f"{name}_v{width}" if width else name
        function = ir.Function(defined, ir.FunctionType(kind, [kind] * arity), symbol)
        function.linkage = "linkonce_odr"
        set.add(function.attributes, "alwaysinline")
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(emit(builder, *function.args))
    return str(defined)
