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


Emit = Callable[[Any, Sequence[Sequence[Any]]], Sequence[Any]]


class _Late(NamedTuple):
    element: Any
    arity: int
    emit: Emit


PREFIX = "numbagrad_late_"
_known: dict[str, _Late] = {}


def call(builder: Any, name: str, emit: Emit, args: Sequence[Any]) -> Any:
    """A call of the late function `name` on numbers or vectors of one type.

    Args:
        emit: ``emit(builder, calls)`` writes the function for several calls with such arguments
            at once, and returns their results.
    """
    kind = args[0].type
    vector = isinstance(kind, ir.VectorType)
    element = kind.element if vector else kind
    name = f"{PREFIX}{name}_{element.intrinsic_name}"
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


_DECLARED = re.compile(rf"^declare .*?@({PREFIX}\w+)\(", re.MULTILINE)
_CALL = re.compile(
    r"^  (?P<result>%[\w.]+) = .*?call (?P<kind><\d+ x \w+>|float|double) "
    rf"@(?P<symbol>(?P<name>{PREFIX}\w+?)(?:_v(?P<width>\d+))?)\((?P<args>.*)\)[^)]*$"
)
_USED = "@llvm.compiler.used = "


def keep(module: str) -> str:
    """The text of a module in which LLVM does not drop the variants that nobody calls yet."""
    names = _DECLARED.findall(module)
    if not names:
        return module
    items = ", ".join(f"ptr @{name}" for name in names)
    used = f"{_USED}appending global [{len(names)} x ptr] [{items}]"
    return f'{module}\n{used}, section "llvm.metadata"\n'


def define(module: str) -> tuple[str, str]:
    """The text of a module that :func:`keep` returned, ready to be linked with a second one that
    defines the late functions it calls.

    An interleaved loop calls a function for several vectors in a row. That becomes one call, so
    that one branch can decide for all of them.
    """
    lines: list[str] = []
    row: list[re.Match[str]] = []
    definitions = ir.Module()
    declarations: dict[str, str] = {}
    for line in module.splitlines():
        if line.startswith(_USED):
            continue
        call = _CALL.match(line) if PREFIX in line else None
        if row and (call is None or not _continues(row, call)):
            lines += _call_once(row, definitions, declarations)
            row = []
        if call is not None:
            row.append(call)
        else:
            lines.append(line)
    return "\n".join([*lines, *declarations.values(), ""]), str(definitions)


def _continues(row: list[re.Match[str]], call: re.Match[str]) -> bool:
    """Whether `call` calls what the calls of `row` do, and needs none of their results."""
    used = re.findall(r"%[\w.]+", call["args"])
    return call["symbol"] == row[0]["symbol"] and not any(c["result"] in used for c in row)


def _call_once(
    row: list[re.Match[str]], definitions: ir.Module, declarations: dict[str, str]
) -> list[str]:
    """One call in place of a row of calls of one function, which is defined if it is new."""
    first, count = row[0], len(row)
    symbol = f"{first['symbol']}_x{count}"
    results = f"[{count} x {first['kind']}]"
    if symbol not in declarations:
        late = _known[first["name"]]
        kind = ir.VectorType(late.element, int(first["width"])) if first["width"] else late.element
        _define(definitions, symbol, late, kind, count)
        kinds = ", ".join([first["kind"]] * (count * late.arity))
        declarations[symbol] = f"declare {results} @{symbol}({kinds})"
    # LLVM numbers nameless values in their order: this one has a name.
    everything = f"%late.{first['result'][1:]}"
    args = ", ".join(call["args"] for call in row)
    return [f"  {everything} = call {results} @{symbol}({args})"] + [
        f"  {call['result']} = extractvalue {results} {everything}, {i}"
        for i, call in enumerate(row)
    ]


def _define(module: ir.Module, symbol: str, late: _Late, kind: Any, count: int) -> None:
    results = ir.ArrayType(kind, count)
    function = ir.Function(module, ir.FunctionType(results, [kind] * (late.arity * count)), symbol)
    function.linkage = "linkonce_odr"
    set.add(function.attributes, "alwaysinline")
    builder = ir.IRBuilder(function.append_basic_block())
    calls = [function.args[i * late.arity : (i + 1) * late.arity] for i in range(count)]
    packed = ir.Constant(results, ir.Undefined)
    for i, value in enumerate(late.emit(builder, calls)):
        packed = builder.insert_value(packed, value, i)
    builder.ret(packed)
