"""Between the forward and the backward program: what is computed again, what is kept, and in whose
memory that lies."""

from __future__ import annotations

from typing import Any

from .codegen.scalar import supported
from .ir.graph import Eqn, Graph, Var


def recomputed(
    forward: list[Eqn], backward: list[Eqn], gradients: list[Any], inputs: list[Var]
) -> tuple[list[Eqn], list[Var]]:
    """What of the forward pass the backward pass computes again, and what it reads of it.

    Pointwise values and views are computed again from what they are made of: storing and
    reading one costs more time than most functions, and all of the memory.
    """
    producer = {v: e for e in forward for v in e.outputs}
    known = {*producer, *inputs}
    stack = [a for e in backward for a in e.inputs if isinstance(a, Var)]
    stack += [a for a in gradients if isinstance(a, Var)]
    again: set[int] = set()
    residuals: dict[Var, None] = {}
    while stack:
        v = stack.pop()
        if v not in known:
            continue
        e = producer.get(v)
        if e is None or not (e.op.view or supported(e)):
            residuals[v] = None
        elif id(e) not in again:
            again.add(id(e))
            stack += [a for a in e.inputs if isinstance(a, Var)]
    return [e for e in forward if id(e) in again], list(residuals)


def roots_of(graph: Graph) -> dict[Var, Var]:
    """For each variable the one whose memory it shares."""
    roots = {v: v for v in (*graph.inputs, *graph.consts)}
    for e in graph.eqns:
        for v in e.outputs:
            source = e.inputs[0] if e.inputs else None
            roots[v] = roots[source] if e.op.view and isinstance(source, Var) else v
    return roots


def shared(graph: Graph, borrowed: set[Var]) -> list[int]:
    """Which outputs lie in borrowed memory, or in that of an earlier output."""
    roots = roots_of(graph)
    taken = set(borrowed)
    shared = []
    for i, a in enumerate(graph.outputs):
        if isinstance(a, Var):
            if roots[a] in taken:
                shared.append(i)
            taken.add(roots[a])
    return shared
