"""Kernels that read or add at places which an index tensor names.

An index that is out of range (a negative one is) is noted in the program's flag and read as 0: when
all kernels have run, the call raises.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..ir.graph import Eqn, Var
from ..runtime import compiler, vectorize
from . import loops
from .parts import INTEGERS, fill
from .places import Kernel, Place
from .pointwise import GRAIN, POINTWISE
from .source import indexed, outer_loops

if TYPE_CHECKING:
    from .plan import Plan

_ADDED = tuple(np.dtype(d) for d in ("f4", "f8", "i4", "i8"))
_INDEX = np.dtype(np.int64)


class _Walk(NamedTuple):
    """How a table and its index are walked together; the table does not move along `dim`."""

    shape: tuple[int, ...]
    of_table: tuple[int, ...]  # strides
    of_index: tuple[int, ...]


def _walk(how: str, table: Place, index: Place, dim: int) -> _Walk:
    """`how` is "rows" (slices of the table) or "along" (elements: the index has all dimensions)."""
    before, after = table.strides[:dim], table.strides[dim + 1 :]
    if how == "along":
        return _Walk(index.shape, (*before, 0, *after), index.strides)
    return _Walk(
        (*table.shape[:dim], *index.shape, *table.shape[dim + 1 :]),
        (*before, *(0,) * len(index.shape), *after),
        (*(0,) * len(before), *index.strides, *(0,) * len(after)),
    )


def take(plan: Plan, e: Eqn, how: str) -> bool:
    """Slices or elements of a table (input 0) where the index (input 1) says."""
    x, index = e.inputs
    out = e.outputs[0]
    if not isinstance(x, Var) or not isinstance(index, Var) or index.dtype != _INDEX:
        return False
    if x.dtype.itemsize not in INTEGERS or 0 in (*x.shape, *index.shape):
        return False
    moved = INTEGERS[x.dtype.itemsize]
    _add(plan, e, how, "take", moved, plan.places[x], plan.places[index], plan.allocate(out))
    return True


def add_at(plan: Plan, e: Eqn, how: str) -> bool:
    """Zeros, to which the values (input 0) are added where the index (input 1) says."""
    x, index = e.inputs
    out = e.outputs[0]
    if not isinstance(x, Var) or not isinstance(index, Var) or index.dtype != _INDEX:
        return False
    if out.dtype not in _ADDED or 0 in (*out.shape, *index.shape):
        return False
    values = plan.places[x]
    if how == "rows":
        shape = (*out.shape[: e.params["dim"]], *index.shape, *out.shape[e.params["dim"] + 1 :])
        if values.shape != shape:
            return False
    place = plan.allocate(out)
    fill(plan, place, 0, out.dtype)
    _add(plan, e, how, "add", out.dtype, place, plan.places[index], values)
    return True


def _add(
    plan: Plan, e: Eqn, how: str, action: str, d: np.dtype, table: Place, index: Place,
    values: Place,
) -> None:  # fmt: skip
    dim = e.params["dim"]
    walk = _walk(how, table, index, dim)
    nest = loops.collapse(walk.shape, [walk.of_table, walk.of_index, values.strides])
    layout = loops.layout_of(nest, (d.itemsize, _INDEX.itemsize, d.itemsize))
    words = loops.words(nest, layout)
    number = plan.check(
        f"{e.op.name}: an index is out of range for a dimension of extent {table.shape[dim]}"
    )
    last = len(words)
    words += [table.shape[dim], table.strides[dim], 0, number]
    places = [(0, table), (1, index), (2, values), (last + 2, plan.flag())]
    source = _source(action, d.name, layout, last)
    plan.sources.append(source)
    varied = layout.inner[1] != "scalar"
    safe = action == "take" or not varied  # or two of a loop's elements may go to one place
    address = compiler.compile_source(source, hint=POINTWISE if safe else vectorize.DEFAULT)
    extent = loops.units(nest, layout)
    inner = 1 if layout.rank == 1 else nest.extents[-1]
    # Additions to one place come one after the other.
    grain = max(1, GRAIN // inner) if action == "take" else extent
    plan.add(Kernel(address, words, places, extent, grain, e))


@functools.cache
def _source(action: str, name: str, layout: loops.Layout, last: int) -> str:
    rows = outer_loops(layout, 3)
    steps = [
        f"table[{rows.steps[k]}]" if k in rows.steps else "0" if kind == "scalar" else str(size)
        for k, (kind, size) in enumerate(
            zip(layout.inner, (np.dtype(name).itemsize, 8, np.dtype(name).itemsize), strict=True)
        )
    ]
    if layout.rank == 1:
        header = ["n = hi - lo", "bad = 0", "for _ in range(1):"]
        offsets = [f"lo * {step}" for step in steps]
    else:
        header = ["n = table[3]", "bad = 0", *rows.start, f"for {rows.counter} in range(lo, hi):"]
        offsets = rows.offsets
    find = [
        f"bad = 1 if k < 0 else (1 if k >= table[{last}] else bad)",
        "k = 0 if bad != 0 else k",
    ]
    body = [
        f"b = table[0] + {offsets[0]}",
        f"q = at_int64(table[1] + {offsets[1]})",
        f"v = at_{name}(table[2] + {offsets[2]})",
        *(f"s{k} = {steps[k]} // {size}" for k, size in ((0, np.dtype(name).itemsize), (1, 8),
                                                         (2, np.dtype(name).itemsize))
          if k in rows.steps),
    ]  # fmt: skip
    value = f"v[{indexed(layout.inner[2], 2)}]"
    if layout.inner[1] == "scalar":
        element = f"p[{indexed(layout.inner[0], 0)}]"
        body += ["k = q[0]", *find, f"p = at_{name}(b + k * table[{last + 1}])"]
        inner = []
    else:
        element = "p[0]"
        inner = [f"k = q[{indexed(layout.inner[1], 1)}]", *find,
                 f"p = at_{name}(b + k * table[{last + 1}] + i * {steps[0]})"]  # fmt: skip
    inner.append(f"{value} = {element}" if action == "take" else f"{element} = {element} + {value}")
    kinds = sorted({f"at_{name}", "at_int64"})
    lines = [f"from numbagrad.kernels.memory import {', '.join(kinds)}", "", ""]
    lines.append("def kernel(table, lo, hi):")
    lines += [f"    {s}" for s in header]
    lines += [f"        {s}" for s in body]
    lines += ["        for i in range(n):", *(f"            {s}" for s in inner)]
    lines += [f"        {s}" for s in rows.step]
    lines += ["    if bad != 0:", f"        at_int64(table[{last + 2}])[0] = table[{last + 3}]"]
    return "\n".join(lines) + "\n"
