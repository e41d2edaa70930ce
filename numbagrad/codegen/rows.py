"""Kernels that reduce rows as they compute them: pointwise equations with reductions at the end.

A row is summed in blocks as in :mod:`.reduce`. Where there are few rows and long ones, each is cut
into chunks of fixed size whose results are reduced once more: the bits do not depend on the number
of threads.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from ..ir.graph import Eqn, Graph, Var
from ..runtime import compiler
from . import loops, reduce, scalar
from .places import Kernel
from .pointwise import GRAIN, POINTWISE
from .reduce import BLOCK, Reduction, supported
from .source import indexed, outer_loops

if TYPE_CHECKING:
    from .plan import Plan

_CHUNK = 16 * BLOCK
_FEW = 16  # rows below which one would keep too few threads busy
_SHORTEST = 128  # elements of a row that is worth a loop of its own


def reduces(e: Eqn) -> bool:
    """Whether an equation reduces."""
    return e.op.native is not None and e.op.native[0] == "reduce"


def has_reductions(graph: Graph) -> bool:
    """Whether one of the equations of a graph reduces."""
    return any(map(reduces, graph.eqns))


def can_end(e: Eqn) -> bool:
    """Whether a reduction can stand at the end of what computes its input."""
    x = e.inputs[0]
    if not isinstance(x, Var) or 0 in x.shape or not supported(_reduction(e), x.dtype):
        return False
    dim = e.params["dim"]
    last = tuple(range(x.ndim - len(dim), x.ndim))
    return dim == last and math.prod(x.shape[d] for d in dim) >= _SHORTEST


def _reduction(e: Eqn) -> Reduction:
    return Reduction(*e.op.native[1])


def split(graph: Graph) -> tuple[Graph, list[Var], list[Eqn]]:
    """The pointwise part, with what it returns or the reductions read, and the reductions."""
    ends = [e for e in graph.eqns if reduces(e)]
    pointwise = tuple(e for e in graph.eqns if not reduces(e))
    read = {a for e in ends for a in e.inputs} | set(graph.outputs)
    outputs = [v for e in pointwise for v in e.outputs if v in read]
    return Graph(graph.inputs, pointwise, tuple(outputs)), outputs, ends


def add_rows(plan: Plan, graph: Graph, what: Eqn) -> bool:
    """Add the kernels of a graph with reductions; False if a row is not one loop for all operands.

    What the graph reads and what it returns of the shape of its loops has a place already.
    """
    ends = [e for e in graph.eqns if reduces(e)]
    x = ends[0].inputs[0]
    assert isinstance(x, Var)
    first = x.ndim - len(ends[0].params["dim"])
    kept, row = x.shape[:first], x.shape[first:]
    reduced = {v for e in ends for v in e.outputs}
    walked: list[Any] = [*graph.inputs, *(v for v in graph.outputs if v not in reduced)]
    places = [plan.places[v] for v in walked]
    strides = [loops.broadcast_strides(p.shape, p.strides, x.shape) for p in places]
    inner = loops.collapse(row, [s[first:] for s in strides])
    if len(inner.extents) > 1:
        return False
    length = math.prod(inner.extents)
    chunks = -(-length // _CHUNK) if math.prod(kept) < _FEW and length > 2 * _CHUNK else 1
    results = [e.outputs[0] for e in ends]
    if chunks > 1:
        results = [Var((*kept, chunks), v.dtype) for v in results]
    places += [plan.allocate(v) for v in results]
    outer = [s[:first] for s in strides] + [p.strides[:first] for p in places[len(walked) :]]
    nest = loops.collapse(kept, outer)
    steps = [s[0] for s in inner.strides]
    if chunks > 1:
        between = [s * _CHUNK for s in steps] + [v.dtype.itemsize for v in results]
        nest = _deeper(nest, chunks, between)
    nest = _deeper(nest, _CHUNK if chunks > 1 else length, steps + [0] * len(ends), keep=True)
    layout = loops.layout_of(nest, [v.dtype.itemsize for v in (*walked, *results)])
    words = [*loops.words(nest, layout), *([length] if chunks > 1 else [])]
    source = _source(graph, layout, chunks > 1)
    plan.sources.append(source)
    work = nest.extents[-1] * max(1, len(graph.eqns) // 4)
    address = compiler.compile_source(source, hint=POINTWISE)
    extent = loops.units(nest, layout)
    plan.add(Kernel(address, words, list(enumerate(places)), extent, max(1, GRAIN // work), what))
    if chunks > 1:
        for e, v in zip(ends, results, strict=True):
            params = {**e.params, "dim": (first,)}
            add_reduction(plan, Eqn(e.op, (v,), params, e.outputs))
            plan.release(v)
    return True


def _deeper(nest: loops.Loops, n: int, strides: list[int], keep: bool = False) -> loops.Loops:
    """One more loop inside; a loop that runs once goes unless it is to be kept."""
    if nest.extents == (1,) and not keep:
        return loops.Loops((n,), tuple((s,) for s in strides))
    inside = tuple((*s, new) for s, new in zip(nest.strides, strides, strict=True))
    return loops.Loops((*nest.extents, n), inside)


def add_reduction(plan: Plan, e: Eqn) -> bool:
    """Add the kernel of a reduction by itself; False if there is none for it."""
    x, out = e.inputs[0], e.outputs[0]
    if not isinstance(x, Var) or 0 in x.shape or not supported(_reduction(e), x.dtype):
        return False
    if can_end(e) and add_rows(plan, Graph((x,), (e,), (out,)), e):
        return True
    place = plan.places[x]
    kernel = reduce.plan(_reduction(e), place.shape, place.strides, e.params["dim"], x.dtype)
    plan.sources.append(kernel.source)
    places = [(0, place), (1, plan.allocate(out))]
    if kernel.temporary:
        temporary = Var(out.shape, out.dtype)
        places.append((2, plan.allocate(temporary)))
        plan.release(temporary)
    grain = max(1, GRAIN // kernel.work)
    address = compiler.compile_source(kernel.source)
    plan.add(Kernel(address, kernel.words, places, kernel.extent, grain, e))
    return True


#: Sources by what they depend on.
_sources: dict[Any, str] = {}


def _source(graph: Graph, layout: loops.Layout, chunked: bool) -> str:
    key = (scalar.structure(graph), layout, chunked)
    found = _sources.get(key)
    if found is None:
        found = _sources[key] = rows_source(graph, layout, chunked)
    return found


def rows_source(graph: Graph, layout: loops.Layout, chunked: bool) -> str:
    """A kernel for a graph with reductions, whose range counts rows.

    Args:
        layout: how inputs, then outputs are walked.
        chunked: the last outer loop counts chunks of the rows, whose length is the last word.
    """
    operands = [*graph.inputs, *graph.outputs]
    ends = [e for e in graph.eqns if reduces(e)]
    reduced = [e.outputs[0] for e in ends]
    n, outer = len(operands), layout.rank - 1
    rows = outer_loops(layout, n)
    names: dict[Any, str] = {}
    used: set[str] = set()
    setup = [f"b{k} = table[{k}] + {offset}" for k, offset in enumerate(rows.offsets)]
    if chunked:
        last = n + 1 + (outer - 1) + n * outer + len(rows.steps)
        setup.append(f"length = min(table[{n}], table[{last}] - i{outer - 1} * table[{n}])")
    pointers, loads = [], []
    for k, v in enumerate(operands):
        if v in reduced:
            continue
        kind, name = layout.inner[k], v.dtype.name
        step = f"table[{rows.steps[k]}]" if kind == "strided" else str(v.dtype.itemsize)
        by = "" if kind == "scalar" else f" + block * {step}"
        if kind == "strided":
            setup.append(f"s{k} = {step} // {v.dtype.itemsize}")
        if k < len(graph.inputs):
            names[v] = f"x{k}"
            line = f"x{k} = p{k}[{indexed(kind, k)}]" + (" != 0" if v.dtype.kind == "b" else "")
            if kind == "scalar":
                setup += [f"p{k} = at_{name}(b{k})", line]
                continue
            loads.append(line)
        pointers.append(f"p{k} = at_{name}(b{k}{by})")
    count = itertools.count()
    pointwise, _, _ = split(graph)
    body = scalar.lines(pointwise, names, used, lambda: f"v{next(count)}")
    for k, v in enumerate(operands):
        if k >= len(graph.inputs) and v not in reduced:
            text = f"np.uint8({names[v]})" if v.dtype.kind == "b" else names[v]
            body.append(f"p{k}[{indexed(layout.inner[k], k)}] = {text}")
    before, inside, after = [], [], []
    for j, e in enumerate(ends):
        r = _reduction(e)
        start = scalar.constant(r.start, e.outputs[0].dtype)
        before.append(f"a{j} = {start}")
        pointers.append(f"t{j} = {start}")
        inside.append(f"t{j} = {r.combine}(t{j}, {names[e.inputs[0]]})")
        after.append(f"a{j} = a{j} + t{j}" if r.adds else f"a{j} = {r.combine}(a{j}, t{j})")
    stores = [f"at_{v.dtype.name}(b{operands.index(v)})[0] = a{j}" for j, v in enumerate(reduced)]
    kinds = sorted({f"at_{v.dtype.name}" for v in operands})
    combines = sorted({_reduction(e).combine for e in ends})
    lines = [
        "import numpy as np",
        f"from numbagrad.kernels.accumulate import {', '.join(combines)}",
        f"from numbagrad.kernels.memory import {', '.join(kinds)}",
    ]
    if used:
        lines.append(f"from numbagrad.kernels.vecmath import {', '.join(sorted(used))}")
    lines += ["", "", "def kernel(table, lo, hi):"]
    lines += [f"    {s}" for s in (f"length = table[{n}]", *rows.start)]
    lines.append(f"    for {rows.counter} in range(lo, hi):")
    lines += [f"        {s}" for s in (*setup, *before)]
    lines.append(f"        for block in range(0, length, {BLOCK}):")
    lines += [f"            {s}" for s in pointers]
    lines.append(f"            for i in range(min({BLOCK}, length - block)):")
    lines += [f"                {s}" for s in (*loads, *body, *inside)]
    lines += [f"            {s}" for s in after]
    lines += [f"        {s}" for s in (*stores, *rows.step)]
    return "\n".join(lines) + "\n"
