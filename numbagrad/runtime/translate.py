"""From the source of a kernel to LLVM text, without Numba. Imported only to compile.

Generated kernels and the native runner use a small part of Numba's language: numbers and pointers,
assignments, `if`, `while`, `for` over `range`, calls of intrinsics and of other such functions,
which are put in place. Their types follow from the arguments in one walk over the syntax tree, so
that a kernel is translated in a few milliseconds and nobody waits for Numba's import. Whatever
lies outside this part raises `Unsupported`: then Numba compiles the source, and its
meaning here is the one that it has there.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from numbagrad.kernels.language import KINDS, WORD, Intrinsic, Kind, pointer
from numbagrad.runtime.arithmetic import BOOL, Arithmetic, Typed, Unsupported

_DEEPEST = 30  # functions put into each other: more is a recursion


class _Variable(NamedTuple):
    kind: Kind
    slot: Any


class _Source(NamedTuple):
    """A function by its syntax tree, and what its global names mean."""

    tree: ast.FunctionDef
    names: dict[str, Any]


ENTRIES: dict[str, tuple[Kind | None, tuple[Kind, ...]]] = {
    "kernel": (None, (pointer(WORD), WORD, WORD)),
    "unary": (WORD, (WORD,)),
    "binary": (WORD, (WORD, WORD)),
}
"""Result and arguments of the entry function, by the name of the signature."""


def translate(source: str, entry: str, signature: str, symbol: str, bits: int) -> str:
    """Return an LLVM module with `entry` of `source` as the function `symbol`.

    Args:
        bits: the vector width that LLVM is to prefer; 0 leaves it the choice.

    Raises:
        Unsupported: Numba must compile this source, or say what is wrong with it.
    """
    target = _definitions(source).get(entry)
    if not isinstance(target, _Source):
        if not inspect.isfunction(target):
            raise Unsupported(f"there is no function {entry!r}")
        target = _source_of(target)
    result, kinds = ENTRIES[signature]
    module = ir.Module(name=symbol)
    returns = ir.VoidType() if result is None else result.llvm
    function = ir.Function(module, ir.FunctionType(returns, [k.llvm for k in kinds]), symbol)
    for attribute in ("nounwind", *([f'"prefer-vector-width"="{bits}"'] if bits else [])):
        set.add(function.attributes, attribute)  # llvmlite does not know all of them
    writer = _Writer(ir.IRBuilder(function.append_basic_block("entry")))
    arguments = [Typed(k, a) for k, a in zip(kinds, function.args, strict=True)]
    value = writer.inline(target, arguments)
    if result is None:
        writer.builder.ret_void()
    else:
        writer.builder.ret(writer.cast(value, result).value)
    return str(module)


def _definitions(source: str) -> dict[str, Any]:
    """What the names of a source text mean: its functions, and what it imports."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise Unsupported(str(error)) from None
    names: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = _Source(node, names)
        elif isinstance(node, ast.Import) and all(a.name == "numpy" for a in node.names):
            names.update({a.asname or a.name: np for a in node.names})
        elif (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").startswith("numbagrad.")
        ):
            module = importlib.import_module(node.module or "")
            for a in node.names:
                names[a.asname or a.name] = getattr(module, a.name, None)
        else:
            raise Unsupported(f"line {node.lineno}: {ast.unparse(node)}")
    return names


def _source_of(function: Any) -> _Source:
    """A function of this package by its syntax tree."""
    name = function.__module__
    if not name.startswith("numbagrad."):
        raise Unsupported(f"{name}.{function.__name__} is not part of numbagrad")
    tree = _functions(name).get(function.__name__)
    if tree is None or tree.decorator_list:
        raise Unsupported(f"{name}.{function.__name__} is not a plain function of its module")
    return _Source(tree, function.__globals__)


@functools.cache  # for each function `inspect.getsource` would read the whole module again
def _functions(module: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


class _Frame:
    """One function while it is written: its variables, and where `return` goes."""

    def __init__(self, source: _Source, leave: Any) -> None:
        self.names = source.names
        self.locals: dict[str, Any] = {}
        self.leave = leave
        self.result: _Variable | None = None
        self.loops: list[tuple[Any, Any]] = []  # where `continue` and `break` go


class _Writer(Arithmetic):
    """Writes functions, one inside the other, into one LLVM function."""

    def __init__(self, builder: Any) -> None:
        super().__init__(builder)
        self.frames: list[_Frame] = []

    @property
    def frame(self) -> _Frame:
        return self.frames[-1]

    def inline(self, source: _Source, args: list[Any]) -> Any:
        """Write the body of a function in place; returns its result."""
        spec = source.tree.args
        if (
            len(self.frames) > _DEEPEST
            or len(args) != len(spec.args)
            or spec.vararg or spec.kwarg or spec.kwonlyargs or spec.defaults
        ):  # fmt: skip
            raise Unsupported(f"the call of {source.tree.name}")
        frame = _Frame(source, self.builder.append_basic_block("leave"))
        self.frames.append(frame)
        assigned = {n.id for n in ast.walk(source.tree)
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
        for parameter, value in zip(spec.args, args, strict=True):
            if parameter.arg in assigned:
                self._assign_name(parameter.arg, value)
            else:
                frame.locals[parameter.arg] = value
        self._block(source.tree.body)
        self._go(frame.leave)
        self.builder.position_at_end(frame.leave)
        self.frames.pop()
        if frame.result is None:
            return None
        return Typed(frame.result.kind, self.builder.load(frame.result.slot))

    # -- statements -------------------------------------------------------------------------

    def _block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if self.builder.block.is_terminated:
                return  # behind a return, break or continue
            write = getattr(self, f"_{type(statement).__name__}", None)
            if write is None:
                raise Unsupported(f"line {statement.lineno}: {ast.unparse(statement)}")
            write(statement)

    def _go(self, block: Any) -> None:
        if not self.builder.block.is_terminated:
            self.builder.branch(block)

    def _Pass(self, node: ast.Pass) -> None:
        pass

    def _Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # else a docstring
            self.eval(node.value)

    def _Assign(self, node: ast.Assign) -> None:
        (target,) = node.targets if len(node.targets) == 1 else (None,)
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            values = [self.eval(e) for e in node.value.elts]
            for t, v in zip(target.elts, values, strict=True):
                self._assign(t, v)
        else:
            self._assign(target, self.eval(node.value))

    def _AugAssign(self, node: ast.AugAssign) -> None:
        if not isinstance(node.target, ast.Name):
            raise Unsupported(f"line {node.lineno}: {ast.unparse(node)}")
        before = self.eval(ast.Name(node.target.id))
        value = self.binary(type(node.op).__name__, before, self.eval(node.value))
        self._assign(node.target, value)

    def _assign(self, target: ast.expr | None, value: Any) -> None:
        if isinstance(target, ast.Name):
            self._assign_name(target.id, value)
        elif isinstance(target, ast.Subscript):
            item, place = self._element(target)
            self.builder.store(self.cast(value, item).value, place)
        else:
            raise Unsupported("an assignment to something else than a name or an element")

    def _assign_name(self, name: str, value: Any) -> None:
        value = self.typed(value)
        variable = self.frame.locals.get(name)
        if variable is None:
            variable = self.frame.locals[name] = _Variable(value.kind, self._slot(value.kind, name))
        if not isinstance(variable, _Variable) or variable.kind != value.kind:
            raise Unsupported(f"{name} gets values of several kinds")
        self.builder.store(value.value, variable.slot)

    def _slot(self, kind: Kind, name: str) -> Any:
        with self.builder.goto_entry_block():
            return self.builder.alloca(kind.llvm, name=name)

    def _Return(self, node: ast.Return) -> None:
        if node.value is not None:
            value = self.typed(self.eval(node.value))
            frame = self.frame
            if frame.result is None:
                frame.result = _Variable(value.kind, self._slot(value.kind, "result"))
            if frame.result.kind != value.kind:
                raise Unsupported("a function returns values of several kinds")
            self.builder.store(value.value, frame.result.slot)
        self._go(self.frame.leave)

    def _If(self, node: ast.If) -> None:
        test = self.eval(node.test)
        if not isinstance(test, Typed):
            self._block(node.body if test else node.orelse)
            return
        yes, after = self._blocks("yes", "after")
        no = self.builder.append_basic_block("no") if node.orelse else after
        self.builder.cbranch(self.cast(test, BOOL).value, yes, no)
        for block, body in ((yes, node.body), (no, node.orelse)):
            if block is not after:
                self.builder.position_at_end(block)
                self._block(body)
                self._go(after)
        self.builder.position_at_end(after)

    def _blocks(self, *names: str) -> list[Any]:
        return [self.builder.append_basic_block(name) for name in names]

    def _While(self, node: ast.While) -> None:
        test, body, after = self._blocks("test", "body", "after")
        self._go(test)
        self.builder.position_at_end(test)
        condition = self.cast(self.eval(node.test), BOOL).value
        self.builder.cbranch(condition, body, after)
        self.builder.position_at_end(body)
        with self._loop(node, test, after):
            self._block(node.body)
        self._go(test)
        self.builder.position_at_end(after)

    def _For(self, node: ast.For) -> None:
        call = node.iter
        if (
            not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Name)
            or call.func.id != "range"
            or not isinstance(node.target, ast.Name)
        ):
            raise Unsupported(f"line {node.lineno}: a loop over {ast.unparse(call)}")
        bounds = [self.eval(a) for a in call.args]
        step = bounds[2] if len(bounds) == 3 else 1
        if isinstance(step, Typed) or step < 1:
            raise Unsupported(f"line {node.lineno}: a step that is not a positive constant")
        start, stop = (0, bounds[0]) if len(bounds) == 1 else bounds[:2]
        end = self.cast(stop, WORD).value
        counter = self._slot(WORD, "counter")
        self.builder.store(self.cast(start, WORD).value, counter)
        test, body, following, after = self._blocks("test", "body", "following", "after")
        self._go(test)
        self.builder.position_at_end(test)
        value = self.builder.load(counter)
        self.builder.cbranch(self.builder.icmp_signed("<", value, end), body, after)
        self.builder.position_at_end(body)
        self._assign_name(node.target.id, Typed(WORD, value))
        with self._loop(node, following, after):
            self._block(node.body)
        self._go(following)
        self.builder.position_at_end(following)
        # Below `end` before the addition: with a step of 1 it cannot overflow.
        flags = ("nsw",) if step == 1 else ()
        self.builder.store(self.builder.add(value, WORD.llvm(step), flags=flags), counter)
        self._go(test)
        self.builder.position_at_end(after)

    @contextlib.contextmanager
    def _loop(self, node: ast.For | ast.While, following: Any, after: Any) -> Iterator[None]:
        if node.orelse:
            raise Unsupported(f"line {node.lineno}: else behind a loop")
        self.frame.loops.append((following, after))
        yield
        self.frame.loops.pop()

    def _Continue(self, node: ast.Continue) -> None:
        self._go(self.frame.loops[-1][0])

    def _Break(self, node: ast.Break) -> None:
        self._go(self.frame.loops[-1][1])

    # -- expressions ------------------------------------------------------------------------

    def eval(self, node: ast.expr) -> Any:
        """The value of an expression: a :class:`Typed`, or a Python object that is known now."""
        evaluate = getattr(self, f"_{type(node).__name__}", None)
        if evaluate is None:
            raise Unsupported(f"the expression {ast.unparse(node)}")
        return evaluate(node)

    def _Constant(self, node: ast.Constant) -> Any:
        if not isinstance(node.value, bool | int | float):
            raise Unsupported(f"the constant {node.value!r}")
        return node.value

    def _Name(self, node: ast.Name) -> Any:
        for names in (self.frame.locals, self.frame.names, _BUILTINS):
            if node.id in names:
                found = names[node.id]
                if isinstance(found, _Variable):
                    return Typed(found.kind, self.builder.load(found.slot))
                return found
        raise Unsupported(f"the name {node.id!r}")

    def _Attribute(self, node: ast.Attribute) -> Any:
        if self.eval(node.value) is not np or node.attr not in ("nan", "inf", *KINDS):
            raise Unsupported(f"the attribute {ast.unparse(node)}")
        return KINDS[node.attr] if node.attr in KINDS else getattr(np, node.attr)

    def _Subscript(self, node: ast.Subscript) -> Any:
        item, place = self._element(node)
        return Typed(item, self.builder.load(place))

    def _element(self, node: ast.Subscript) -> tuple[Kind, Any]:
        base = self.eval(node.value)
        if not isinstance(base, Typed) or base.kind.item is None:
            raise Unsupported(f"an element of {ast.unparse(node.value)}")
        index = self.cast(self.eval(node.slice), WORD).value
        return base.kind.item, self.builder.gep(base.value, [index], inbounds=True)

    def _UnaryOp(self, node: ast.UnaryOp) -> Any:
        return self.unary(type(node.op).__name__, self.eval(node.operand))

    def _BinOp(self, node: ast.BinOp) -> Any:
        return self.binary(type(node.op).__name__, self.eval(node.left), self.eval(node.right))

    def _Compare(self, node: ast.Compare) -> Any:
        if len(node.ops) != 1:
            raise Unsupported(f"the comparison {ast.unparse(node)}")
        name = type(node.ops[0]).__name__
        return self.compare(name, self.eval(node.left), self.eval(node.comparators[0]))

    def _BoolOp(self, node: ast.BoolOp) -> Typed:
        """`and`, `or` of conditions: what follows is evaluated only if it decides."""
        decided = isinstance(node.op, ast.Or)
        after = self.builder.append_basic_block("decided")
        incoming = []
        for k, e in enumerate(node.values):
            value = self.eval(e)
            if isinstance(value, Typed) and value.kind != BOOL:
                raise Unsupported(f"{ast.unparse(e)} as a condition whose value is used")
            test = self.cast(value, BOOL).value
            incoming.append((test, self.builder.block))
            if k + 1 == len(node.values):
                self.builder.branch(after)
            else:
                more = self.builder.append_basic_block("undecided")
                yes, no = (after, more) if decided else (more, after)
                self.builder.cbranch(test, yes, no)
                self.builder.position_at_end(more)
        self.builder.position_at_end(after)
        result = self.builder.phi(BOOL.llvm)
        for value, block in incoming:
            result.add_incoming(value, block)
        return Typed(BOOL, result)

    def _IfExp(self, node: ast.IfExp) -> Any:
        test = self.eval(node.test)
        if not isinstance(test, Typed):
            return self.eval(node.body if test else node.orelse)
        if any(isinstance(n, ast.Call | ast.Subscript)
               for branch in (node.body, node.orelse) for n in ast.walk(branch)
               ) and not _only_casts(node):  # fmt: skip
            return self._either(test, node)
        x, y = self.eval(node.body), self.eval(node.orelse)
        if not (isinstance(x, Typed) and isinstance(y, Typed) and x.kind == y.kind):
            x, y = self.alike(x, y)
        return Typed(x.kind, self.builder.select(self.cast(test, BOOL).value, x.value, y.value))

    def _either(self, test: Typed, node: ast.IfExp) -> Typed:
        """Evaluate only the branch that is wanted."""
        yes, no, after = self._blocks("yes", "no", "after")
        self.builder.cbranch(self.cast(test, BOOL).value, yes, no)
        found = []
        for block, branch in ((yes, node.body), (no, node.orelse)):
            self.builder.position_at_end(block)
            value = self.typed(self.eval(branch))
            found.append((value, self.builder.block))
            self.builder.branch(after)
        self.builder.position_at_end(after)
        if found[0][0].kind != found[1][0].kind:
            raise Unsupported(f"{ast.unparse(node)}: two kinds")
        result = self.builder.phi(found[0][0].kind.llvm)
        for value, block in found:
            result.add_incoming(value.value, block)
        return Typed(found[0][0].kind, result)

    def _Call(self, node: ast.Call) -> Any:
        if node.keywords:
            raise Unsupported(f"keyword arguments: {ast.unparse(node)}")
        function = self.eval(node.func)
        args = [self.eval(a) for a in node.args]
        if isinstance(function, Kind) and len(args) == 1:
            return self.cast(args[0], function)
        if isinstance(function, Intrinsic):
            return self._intrinsic(function, args)
        if function in (min, max) and len(args) == 2:
            return self.extremum("<" if function is min else ">", *args)
        if function is abs and len(args) == 1 and isinstance(args[0], Typed):
            return self.absolute(args[0])
        if isinstance(function, _Source):
            return self.inline(function, args)
        if inspect.isfunction(function):
            return self.inline(_source_of(function), args)
        raise Unsupported(f"the call {ast.unparse(node)}")

    def _intrinsic(self, function: Intrinsic, args: list[Any]) -> Any:
        given = tuple(self.typed(a).kind for a in args)
        try:
            wanted, result = function.resolve(given)
        except TypeError as error:
            raise Unsupported(str(error)) from None
        for have, want in zip(given, wanted, strict=True):
            if have != want and not (have.family in "biu" and want == WORD):
                raise Unsupported(f"{function.name} takes {want}, not {have}")
        values = [self.cast(a, kind).value for a, kind in zip(args, wanted, strict=True)]
        value = function.emit(self.builder, *values)
        return None if result is None else Typed(result, value)


_BUILTINS = {"min": min, "max": max, "abs": abs, "bool": BOOL, "int": WORD}


def _only_casts(node: ast.IfExp) -> bool:
    """Whether the branches call nothing but conversions such as ``np.float32(x)``."""
    return all(
        isinstance(n, ast.Call) and ast.unparse(n.func).removeprefix("np.") in KINDS
        for branch in (node.body, node.orelse)
        for n in ast.walk(branch)
        if isinstance(n, ast.Call | ast.Subscript)
    )
