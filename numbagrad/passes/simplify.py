"""Algebraic identities that hold for every IEEE number, NaN, infinities and -0.0 included."""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Atom, Eqn, Graph, Var


def _identity(e: Eqn) -> Atom | None:
    """The input that the equation's result always equals bit for bit, or None."""
    name, inputs, out = e.op.name, e.inputs, e.outputs[0]
    x = inputs[0]
    same: Atom | None = None
    if name in ("mul", "div") and len(inputs) == 2 and not isinstance(inputs[1], Var):
        same = x if inputs[1] == 1 else None
    elif name in ("view", "permute", "expand", "alias", "to_copy"):
        unchanged = name != "permute" or e.params["dims"] == tuple(range(out.ndim))
        same = x if unchanged and name != "alias" else None
    if isinstance(same, Var) and same.shape == out.shape and same.dtype == out.dtype:
        return same
    return None


def simplify(graph: Graph) -> Graph:
    """Drop equations that hand an input on unchanged."""
    renamed: dict[Var, Atom] = {}
    eqns: list[Eqn] = []

    def current(a: Atom) -> Atom:
        return renamed.get(a, a) if isinstance(a, Var) else a

    for e in graph.eqns:
        e = replace(e, inputs=tuple(current(a) for a in e.inputs))
        same = _identity(e)
        if same is None:
            eqns.append(e)
        else:
            renamed[e.outputs[0]] = same
    return replace(graph, eqns=tuple(eqns), outputs=tuple(current(a) for a in graph.outputs))
