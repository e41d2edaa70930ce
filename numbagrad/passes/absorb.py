"""Reductions are part of the kernel that computes what they read: one pass over the memory less."""

from __future__ import annotations

from dataclasses import replace

from ..codegen.rows import can_end, reduces
from ..ir.graph import FUSED, Eqn, Graph, Var


def absorb(graph: Graph) -> Graph:
    """Put reductions of the last dimensions at the end of the fused equation before them."""
    producer: dict[Var, int] = {}
    readers: dict[Var, list[int]] = {}
    taken: dict[int, list[int]] = {}  # the reductions, by the fused equation
    for i, e in enumerate(graph.eqns):
        if e.op is FUSED:
            producer.update(dict.fromkeys(e.outputs, i))
        for a in e.inputs:
            if isinstance(a, Var):
                readers.setdefault(a, []).append(i)
        x = e.inputs[0] if e.inputs else None
        if isinstance(x, Var) and x in producer and reduces(e) and can_end(e):
            ends = taken.setdefault(producer[x], [])
            if not ends or graph.eqns[ends[0]].params["dim"] == e.params["dim"]:
                ends.append(i)
    if not taken:
        return graph
    gone = {i for ends in taken.values() for i in ends}
    results = {a for a in graph.outputs if isinstance(a, Var)}
    eqns: list[Eqn] = []
    for i, e in enumerate(graph.eqns):
        if i in taken:
            ends = tuple(graph.eqns[k] for k in taken[i])
            outputs = tuple(
                v for v in e.outputs if v in results or not gone.issuperset(readers.get(v, ()))
            )
            outputs += tuple(v for end in ends for v in end.outputs)
            inner: Graph = e.params["graph"]
            inner = Graph(inner.inputs, (*inner.eqns, *ends), outputs)
            eqns.append(Eqn(FUSED, e.inputs, {"graph": inner}, outputs))
        elif i not in gone:
            eqns.append(e)
    return replace(graph, eqns=tuple(eqns))
