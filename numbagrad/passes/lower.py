"""Lowering: ops that say how they are made of ops with kernels are replaced by those."""

from __future__ import annotations

from typing import Any

from ..ir.graph import Atom, Eqn, Graph, Var
from ..ir.trace import trace


def lower(graph: Graph) -> Graph:
    """Replace each equation whose op has a `lower` rule by what the rule computes."""
    if all(e.op.lower is None for e in graph.eqns):
        return graph
    renamed: dict[Var, Atom] = {}
    eqns: list[Eqn] = []
    consts = dict(graph.consts)

    def current(a: Atom) -> Atom:
        return renamed.get(a, a) if isinstance(a, Var) else a

    for e in graph.eqns:
        if renamed:
            e = e.reading([current(a) for a in e.inputs])
        if e.op.lower is None:
            eqns.append(e)
            continue
        inner = _traced(e)
        tensors = [a for a in e.inputs if isinstance(a, Var)]
        local: dict[Var, Atom] = dict(zip(inner.inputs, tensors, strict=True))
        for ie in inner.eqns:
            inputs = [local.get(a, a) if isinstance(a, Var) else a for a in ie.inputs]
            eqns.append(ie.reading(inputs))
        consts.update(inner.consts)
        for v, a in zip(e.outputs, inner.outputs, strict=True):
            renamed[v] = local.get(a, a) if isinstance(a, Var) else a
    return Graph(graph.inputs, tuple(eqns), tuple(current(a) for a in graph.outputs), consts)


def _traced(e: Eqn) -> Graph:
    def rule(*tensors: Any) -> Any:
        given = iter(tensors)
        values = [next(given) if isinstance(a, Var) else a for a in e.inputs]
        return e.op.lower(*values, **e.params)

    return trace(rule, [(a.shape, a.dtype) for a in e.inputs if isinstance(a, Var)])
