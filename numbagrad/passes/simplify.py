"""Algebraic identities that hold for every IEEE number, NaN, infinities and -0.0 included."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..ir.graph import Atom, Eqn, Graph, Var


def _identity(e: Eqn) -> Var | None:
    """The input that the equation's result always equals bit for bit, or None."""
    out = e.outputs[0]
    for x in _candidates(e):
        if isinstance(x, Var) and x.shape == out.shape and x.dtype == out.dtype:
            return x
    return None


def _candidates(e: Eqn) -> list[Atom]:
    op = e.op
    if op.same is not None:
        return [e.inputs[0]] if op.same(**e.params) else []
    d = e.outputs[0].dtype
    if not op.unit or d.kind == "c":  # a complex product is four real ones: inf * (1 + 0i) is NaN
        return []
    x, y = e.inputs
    return [
        other
        for number, unit, other in ((y, op.unit[1], x), (x, op.unit[0], y))
        if unit is not None and _is(number, unit, d)
    ]


def _is(a: Atom, unit: float, d: np.dtype) -> bool:
    if a.__class__ not in (int, float) or a != unit:
        return False
    return d.kind != "f" or math.copysign(1, a) == math.copysign(1, unit)  # type: ignore[arg-type]


def _uniform(e: Eqn, known: dict[Var, Atom]) -> Atom | None:
    """The number that every element of the equation's result is, if that is plain to see."""
    if e.op.uniform is not None:
        a = e.inputs[e.op.uniform]
        return None if isinstance(a, Var) else a
    if e.op.view and isinstance(e.inputs[0], Var):
        return known.get(e.inputs[0])
    return None


def _with_numbers(e: Eqn, known: dict[Var, Atom]) -> Eqn:
    """The equation with uniform inputs as numbers, where that changes neither shape nor dtype."""
    if e.op.reference is None or not any(a in known for a in e.inputs if isinstance(a, Var)):
        return e
    for i, a in enumerate(e.inputs):
        if isinstance(a, Var) and a in known and not (e.op.dtype_rule.condition and i == 0):
            inputs = (*e.inputs[:i], known[a], *e.inputs[i + 1 :])
            if not any(isinstance(x, Var) for x in inputs):
                continue
            out = e.outputs[0]
            same_types = e.op.dtype_rule.resolve(inputs) == e.op.dtype_rule.resolve(e.inputs)
            if same_types and e.op.abstract(*inputs) == (out.shape, out.dtype):
                e = replace(e, inputs=inputs)
    return e


def simplify(graph: Graph) -> Graph:
    """Drop equations that hand an input on unchanged; read uniform arrays as numbers."""
    renamed: dict[Var, Atom] = {}
    uniform: dict[Var, Atom] = {}
    eqns: list[Eqn] = []

    def current(a: Atom) -> Atom:
        return renamed.get(a, a) if isinstance(a, Var) else a

    for e in graph.eqns:
        e = _with_numbers(replace(e, inputs=tuple(current(a) for a in e.inputs)), uniform)
        number = _uniform(e, uniform)
        if number is not None:
            uniform[e.outputs[0]] = number
        same = _identity(e)
        if same is None:
            eqns.append(e)
        else:
            renamed[e.outputs[0]] = same
    return replace(graph, eqns=tuple(eqns), outputs=tuple(current(a) for a in graph.outputs))
