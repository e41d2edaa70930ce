"""Scalar code: one line of kernel source per equation of a pointwise graph."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.graph import Eqn, Graph, Var
from ..kernels.names import VECMATH

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_OTHERS = tuple(np.dtype(d) for d in ("i1", "i2", "i4", "i8", "u1", "?"))
_NUMBERS = (float, int, bool)
_PYTHON = ("abs",)  # functions in expressions that are Python's own
_NEEDS_FLOAT = (ast.Call, ast.Div, ast.FloorDiv, ast.LShift, ast.RShift, ast.Pow)


def cast(text: str, have: np.dtype[Any], want: np.dtype[Any]) -> str:
    """Kernel source that casts a value as NumPy does."""
    if have.kind == "f" and want.kind in "iu" and want.itemsize < 4:
        text = f"np.int32({text})"  # then the low bits: C's way, which wraps around
    return f"{type_call(want)}({text})"


def type_call(d: np.dtype[Any]) -> str:
    """The constructor that casts to a dtype in kernel source."""
    return "bool" if d.kind == "b" else f"np.{d.name}"


def constant(value: Any, d: np.dtype[Any]) -> str:
    """A number as a literal of a dtype."""
    if d.kind == "b":
        return repr(bool(value))
    if d.kind == "f":
        value = float(value)
        if value != value or value in (float("inf"), float("-inf")):
            text = "np.nan" if value != value else "np.inf" if value > 0 else "-np.inf"
            return f"np.{d.name}({text})"
    return f"np.{d.name}({value!r})"


def supported(e: Eqn) -> bool:
    """Whether an equation can be part of a kernel: else its NumPy reference runs."""
    if e.op.pointwise is None:
        return False
    compute = _compute(e)
    dtypes = [compute, *(a.dtype for a in (*e.inputs, *e.outputs) if isinstance(a, Var))]
    if any(d not in _FLOATS and d not in _OTHERS for d in dtypes):
        return False
    return _has_code(e.op.pointwise, compute)


def _compute(e: Eqn) -> np.dtype[Any]:
    """The dtype in which an equation is computed."""
    rule = e.op.dtype_rule
    first: Any = e.inputs[0]
    if rule is None:
        return first.dtype
    # One floating dtype throughout is the common case and needs no rule.
    d = getattr(first, "dtype", None)
    if d in _FLOATS and not rule.condition:
        for a in e.inputs:
            if (a.dtype is not d) if a.__class__ is Var else (a.__class__ not in _NUMBERS):  # type: ignore[union-attr]
                break
        else:
            return d  # type: ignore[return-value]
    return rule.resolve(e.inputs)[0]


@functools.cache  # planning a new size asks again for each equation
def _has_code(expr: str, compute: np.dtype[Any]) -> bool:
    for node in ast.walk(ast.parse(expr, mode="eval")):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name not in VECMATH and name not in _PYTHON:
                return False
        if isinstance(node, _NEEDS_FLOAT) and compute not in _FLOATS:
            return False
    return True


@functools.cache
def _template(expr: str, compute: np.dtype[Any]) -> tuple[str, frozenset[str]]:
    """An expression to be filled with operands by name, and the functions it calls."""
    used: set[str] = set()
    body = _Names(compute, used).visit(ast.parse(expr, mode="eval"))
    return ast.unparse(ast.fix_missing_locations(body)), frozenset(used)


class _Names(ast.NodeTransformer):
    """Puts places for operands, typed constants and vecmath functions into an expression."""

    def __init__(self, compute: np.dtype[Any], used: set[str]) -> None:
        self.compute = compute
        self.used = used

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id == "inf":
            return ast.parse(constant(np.inf, self.compute), mode="eval").body
        return ast.Name(f"{{{node.id}}}")

    def visit_Constant(self, node: ast.Constant) -> Any:
        return ast.parse(constant(node.value, self.compute), mode="eval").body

    def visit_Call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name not in _PYTHON:
            name = f"{name}_f{self.compute.itemsize * 8}"
            self.used.add(name)
        return ast.Call(ast.Name(name), [self.visit(a) for a in node.args], [])


def structure(graph: Graph) -> Any:
    """What the code of a pointwise graph depends on: equal for graphs of other shapes."""
    number: dict[Any, int] = {}
    for v in graph.inputs:
        number[v] = len(number)
    eqns = []
    for e in graph.eqns:
        reads = [number[a] if a.__class__ is Var else (a.__class__, repr(a)) for a in e.inputs]
        out = e.outputs[0]
        number[out] = len(number)
        # The dtypes of the operands as they are: numbers and 0-d tensors promote differently.
        eqns.append((e.op.name, _compute(e), out.dtype, *reads))
    return (
        tuple([v.dtype for v in graph.inputs]),
        tuple(eqns),
        tuple([number[a] for a in graph.outputs]),
    )


def lines(
    graph: Graph, names: dict[Any, str], used: set[str], fresh: Callable[[], str]
) -> list[str]:
    """Assignments that compute the graph's equations; `names` maps variables to local names.

    The functions called are added to `used`.
    """
    result = []
    for e in graph.eqns:
        compute, rule = _compute(e), e.op.dtype_rule
        operands = {}
        for i, (name, a) in enumerate(zip(e.op.inputs, e.inputs, strict=True)):
            exempt = rule is not None and rule.condition and i == 0
            if isinstance(a, Var):
                text = names[a]
                if a.dtype != compute and not exempt:
                    text = cast(text, a.dtype, compute)
            else:
                text = constant(a, compute)
            operands[name] = text
        template, functions = _template(e.op.pointwise, compute)
        used |= functions
        text = template.format(**operands)
        want = e.outputs[0].dtype
        if want != compute or compute.kind in "iu":
            text = cast(text, compute, want)
        target = names[e.outputs[0]] = fresh()
        result.append(f"{target} = {text}")
    return result
