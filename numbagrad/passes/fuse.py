"""Fusion: pointwise equations over one shape become one kernel.

Each equation has a level: the largest number of barriers on a path to it. A barrier lies where one
side is not pointwise or the two loop over different shapes. Equations of equal level and shape
can run in one loop, since a path from one to another that leaves the group would raise the level.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..codegen.pointwise import EQUATIONS, OPERANDS
from ..codegen.scalar import supported
from ..ir.graph import FUSED, Eqn, Graph, Var


def fuse(graph: Graph) -> Graph:
    """Replace groups of pointwise equations by one equation each, in an order that fits."""
    pointwise = [supported(e) for e in graph.eqns]
    producer: dict[Any, int] = {}
    sources: list[set[int]] = []  # the equations whose results each one reads
    readers: list[list[int]] = [[] for _ in graph.eqns]
    for i, e in enumerate(graph.eqns):
        read = {producer[a] for a in e.inputs if a in producer}
        for j in read:
            readers[j].append(i)
        sources.append(read)
        for v in e.outputs:
            producer[v] = i
    levels = _levels(graph, pointwise, sources, readers)
    groups: dict[Any, list[int]] = {}
    for i, e in enumerate(graph.eqns):
        key = (levels[i], e.outputs[0].shape) if pointwise[i] else (levels[i], i)
        groups.setdefault(key, []).append(i)
    results = {a for a in graph.outputs if isinstance(a, Var)}
    eqns: list[Eqn] = []
    for key in sorted(groups, key=_level):
        members = groups[key]
        if not pointwise[members[0]]:
            eqns.append(graph.eqns[members[0]])
            continue
        for part in _parts(graph, members):
            eqns.append(_fused(graph, part, readers, results))
    return replace(graph, eqns=tuple(eqns))


def _level(key: tuple[int, Any]) -> int:
    return key[0]


def _levels(
    graph: Graph, pointwise: list[bool], sources: list[set[int]], readers: list[list[int]]
) -> list[int]:
    """As early as possible, then pointwise equations as late as their readers allow: a value is
    computed where it is used instead of being stored for later."""
    shapes = [e.outputs[0].shape if p else None for e, p in zip(graph.eqns, pointwise, strict=True)]

    def barrier(i: int, j: int) -> int:
        """1 if equation i cannot run in one loop with its reader j."""
        shape = shapes[i]
        return 0 if shape is not None and shape == shapes[j] else 1

    levels: list[int] = []
    for i, read in enumerate(sources):
        # A view of an input is there before anything runs.
        level = -1 if graph.eqns[i].op.view else 0
        for k, j in enumerate(read):
            earliest = levels[j] + barrier(j, i)
            level = earliest if k == 0 else max(level, earliest)
        levels.append(level)
    for i in reversed(range(len(levels))):
        if pointwise[i] and readers[i]:
            levels[i] = max(levels[i], min([levels[j] - barrier(i, j) for j in readers[i]]))
    return levels


def _parts(graph: Graph, members: list[int]) -> list[list[int]]:
    """A group as kernels: connected equations together, none with too many operands."""
    if len(members) == 1:
        return [members]
    root = {i: i for i in members}

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    seen: dict[Var, int] = {}
    for i in members:
        e = graph.eqns[i]
        for v in (*[a for a in e.inputs if isinstance(a, Var)], *e.outputs):
            if v in seen:
                root[find(i)] = find(seen[v])
            seen[v] = i
    by_root: dict[int, list[int]] = {}
    for i in members:
        by_root.setdefault(find(i), []).append(i)
    parts: list[list[int]] = []
    for connected in by_root.values():
        touched = {a for i in connected for a in graph.eqns[i].inputs if isinstance(a, Var)}
        touched.update(v for i in connected for v in graph.eqns[i].outputs)
        if len(touched) <= OPERANDS and len(connected) <= EQUATIONS:
            parts.append(connected)
            continue
        part: list[int] = []
        operands: set[Var] = set()
        inner: set[Var] = set()
        for i in connected:
            e = graph.eqns[i]
            mine = {v for v in (*e.inputs, *e.outputs) if isinstance(v, Var)}
            full = len(part) == EQUATIONS or len((operands | mine) - inner) > OPERANDS
            if part and full:
                parts.append(part)
                part, operands, inner = [], set(), set()
            part.append(i)
            operands |= mine
            inner.update(e.outputs)
        parts.append(part)
    return parts


def _fused(graph: Graph, part: list[int], readers: list[list[int]], results: set[Var]) -> Eqn:
    eqns = tuple([graph.eqns[i] for i in part])
    inside = set(part)
    computed = {e.outputs[0] for e in eqns}
    reads = [a for e in eqns for a in e.inputs if isinstance(a, Var) and a not in computed]
    inputs = tuple(dict.fromkeys(reads))
    outputs = tuple([
        e.outputs[0] for i, e in zip(part, eqns, strict=True)
        if e.outputs[0] in results or not inside.issuperset(readers[i])
    ])  # fmt: skip
    return Eqn(FUSED, inputs, {"graph": Graph(inputs, eqns, outputs)}, outputs)
