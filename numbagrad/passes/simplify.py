"""Algebraic identities that hold for every IEEE number, NaN, infinities and -0.0 included."""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Atom, Eqn, Graph, Var


def _identity(e: Eqn) -> Atom | None:
    """The input that the equation's result always equals bit for bit, or None."""
    name, inputs, out = e.op.name, e.inputs, e.outputs[0]
    x = inputs[0]
    same: Atom | None = None
    if name in ("mul", "div") and inputs[1].__class__ in (int, float) and inputs[1] == 1:
        same = x
    elif name == "mul" and x.__class__ in (int, float) and x == 1:
        same = inputs[1]
    elif name in ("view", "permute", "expand", "alias", "to_copy"):
        unchanged = name != "permute" or e.params["dims"] == tuple(range(out.ndim))
        same = x if unchanged and name != "alias" else None
    if isinstance(same, Var) and same.shape == out.shape and same.dtype == out.dtype:
        return same
    return None


def _uniform(e: Eqn, known: dict[Var, Atom]) -> Atom | None:
    """The number that every element of the equation's result is, if that is plain to see."""
    if e.op.name == "fill" and not isinstance(e.inputs[1], Var):
        return e.inputs[1]
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
