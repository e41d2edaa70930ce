"""Dead code: equations whose results nobody reads."""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Eqn, Graph, Var


def dce(graph: Graph) -> Graph:
    """Without equations that do not lead to an output."""
    live = {a for a in graph.outputs if isinstance(a, Var)}
    kept: list[Eqn] = []
    for e in reversed(graph.eqns):
        if any(v in live for v in e.outputs):
            kept.append(e)
            live.update(a for a in e.inputs if isinstance(a, Var))
    consts = {v: array for v, array in graph.consts.items() if v in live}
    return replace(graph, eqns=tuple(reversed(kept)), consts=consts)
