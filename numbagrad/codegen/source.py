"""Kernel sources: readable Numba functions for pointwise graphs."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from ..ir.graph import Graph, Var
from . import scalar
from .loops import Layout


def pointwise_source(graph: Graph, layout: Layout) -> str:
    """A kernel for a pointwise graph whose inputs, then outputs are walked as `layout` says.

    The kernel's range counts elements if there is one loop, else rows (see `loops.words`).
    """
    operands = [*graph.inputs, *graph.outputs]
    count = itertools.count()
    names: dict[Any, str] = {}
    used: set[str] = set()
    n = len(operands)
    n_in = len(graph.inputs)
    pointers = [f"p{k}" for k in range(n)]
    kinds = sorted({f"at_{_dtype(v).name}" for v in operands})

    rows = outer_loops(layout, n)
    setup: list[str] = []
    for k, v in enumerate(operands):
        offset = f" + {rows.offsets[k]}" if rows.offsets else ""
        if layout.rank == 1 and layout.inner[k] != "scalar":
            by = f"table[{rows.steps[k]}]" if k in rows.steps else _dtype(v).itemsize
            offset = f" + lo * {by}"
        setup.append(f"p{k} = at_{_dtype(v).name}(table[{k}]{offset})")
    setup += [f"s{k} = table[{w}] // {_dtype(operands[k]).itemsize}"
              for k, w in rows.steps.items()]  # fmt: skip

    loads = []
    for k, v in enumerate(graph.inputs):
        names[v] = f"x{k}"
        text = f"{pointers[k]}[{indexed(layout.inner[k], k)}]"
        if v.dtype.kind == "b":
            text += " != 0"
        line = f"x{k} = {text}"
        (setup if layout.inner[k] == "scalar" else loads).append(line)
    body = scalar.lines(graph, names, used, lambda: f"v{next(count)}")
    stores = []
    for k, a in enumerate(graph.outputs, n_in):
        text = names[a]
        if _dtype(a).kind == "b":
            text = f"np.uint8({text})"
        stores.append(f"{pointers[k]}[{indexed(layout.inner[k], k)}] = {text}")

    imports = ["import numpy as np", f"from numbagrad.kernels.memory import {', '.join(kinds)}"]
    if used:
        imports.append(f"from numbagrad.kernels.vecmath import {', '.join(sorted(used))}")
    text = [*imports, "", "", "def kernel(table, lo, hi):"]
    inner = [*loads, *body, *stores]
    if layout.rank == 1:
        text += [f"    {s}" for s in setup]
        text += ["    for i in range(hi - lo):", *(f"        {s}" for s in inner)]
    else:
        text += [f"    n = table[{n}]", *(f"    {s}" for s in rows.start)]
        text.append(f"    for {rows.counter} in range(lo, hi):")
        text += [f"        {s}" for s in setup]
        text += ["        for i in range(n):", *(f"            {s}" for s in inner)]
        text += [f"        {s}" for s in rows.step]
    return "\n".join(text) + "\n"


def _dtype(a: Any) -> np.dtype[Any]:
    assert isinstance(a, Var)
    return a.dtype


def indexed(kind: str, k: int) -> str:
    """The index at which operand `k` is in an inner loop over i."""
    return {"scalar": "0", "dense": "i"}.get(kind, f"i * s{k}")


class OuterLoops(NamedTuple):
    """Lines of source that walk the outer loops of a kernel's range, and what they know."""

    start: list[str]  # before the rows
    counter: str  # of the loop over the rows
    offsets: list[str]  # bytes to each operand's row
    step: list[str]  # after a row
    steps: dict[int, int]  # the words with the inner strides of strided operands


def outer_loops(layout: Layout, n: int) -> OuterLoops:
    """The outer loops over `n` operands: counters i0, i1, ... (see `loops.words`)."""
    outer = layout.rank - 1
    first = n + outer  # the word of the first stride
    start: list[str] = []
    step: list[str] = []
    # Divisions find the first row only: for short rows they would cost more than the rows.
    if outer > 1:
        start.append("i0 = lo")
        step.append(f"{'    ' * (outer - 1)}i0 += 1")
    for d in range(outer - 1, 0, -1):
        start += [f"r = i0 // table[{n + d}]", f"i{d} = i0 - r * table[{n + d}]", "i0 = r"]
    for d in range(1, outer):
        indent = "    " * (outer - 1 - d)
        step[:0] = [f"{indent}i{d} += 1", f"{indent}if i{d} == table[{n + d}]:",
                    f"{indent}    i{d} = 0"]  # fmt: skip
    offsets = [
        " + ".join(f"i{d} * table[{first + k * outer + d}]" for d in range(outer))
        for k in range(n if outer else 0)
    ]
    strided = [k for k, kind in enumerate(layout.inner) if kind == "strided"]
    steps = {k: first + n * outer + i for i, k in enumerate(strided)}
    return OuterLoops(start, "_" if start else "i0", offsets, step, steps)
