"""Kernel sources: readable Numba functions for pointwise graphs."""

from __future__ import annotations

import itertools
from typing import Any

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
    dense = [kind == "dense" for kind in layout.inner]
    strided = [k for k, kind in enumerate(layout.inner) if kind == "strided"]
    base = n if layout.rank == 1 else n + 1 + (layout.rank - 2) + n * (layout.rank - 1)
    stride_word = {k: base + i for i, k in enumerate(strided)}
    kinds = sorted({f"at_{_dtype(v).name}" for v in operands})

    start: list[str] = []
    setup: list[str] = []
    step: list[str] = []
    if layout.rank == 1:
        for k, v in enumerate(operands):
            size = _dtype(v).itemsize
            offset = {"dense": f" + lo * {size}", "scalar": ""}.get(
                layout.inner[k], f" + lo * table[{stride_word.get(k)}]"
            )
            setup.append(f"p{k} = at_{_dtype(v).name}(table[{k}]{offset})")
        setup += [f"s{k} = table[{w}] // {_dtype(operands[k]).itemsize}"
                  for k, w in stride_word.items()]  # fmt: skip
    else:
        outer = layout.rank - 1
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
        first = n + 1 + (layout.rank - 2)
        for k, v in enumerate(operands):
            terms = " + ".join(f"i{d} * table[{first + k * outer + d}]" for d in range(outer))
            setup.append(f"p{k} = at_{_dtype(v).name}(table[{k}] + {terms})")
        setup += [f"s{k} = table[{w}] // {_dtype(operands[k]).itemsize}"
                  for k, w in stride_word.items()]  # fmt: skip

    loads = []
    for k, v in enumerate(graph.inputs):
        names[v] = f"x{k}"
        text = f"{pointers[k]}[{_index(k, dense, layout)}]"
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
        stores.append(f"{pointers[k]}[{_index(k, dense, layout)}] = {text}")

    imports = ["import numpy as np", f"from numbagrad.kernels.memory import {', '.join(kinds)}"]
    if used:
        imports.append(f"from numbagrad.kernels.vecmath import {', '.join(sorted(used))}")
    text = [*imports, "", "", "def kernel(table, lo, hi):"]
    inner = [*loads, *body, *stores]
    if layout.rank == 1:
        text += [f"    {s}" for s in setup]
        text += ["    for i in range(hi - lo):", *(f"        {s}" for s in inner)]
    else:
        text += [f"    n = table[{n}]", *(f"    {s}" for s in start)]
        text += [f"    for {'_' if start else 'i0'} in range(lo, hi):"]
        text += [f"        {s}" for s in setup]
        text += ["        for i in range(n):", *(f"            {s}" for s in inner)]
        text += [f"        {s}" for s in step]
    return "\n".join(text) + "\n"


def _dtype(a: Any) -> np.dtype[Any]:
    assert isinstance(a, Var)
    return a.dtype


def _index(k: int, dense: list[bool], layout: Layout) -> str:
    if layout.inner[k] == "scalar":
        return "0"
    return "i" if dense[k] else f"i * s{k}"
