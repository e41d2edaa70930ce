"""Kernel sources for reductions over any dimensions of a strided array.

Floating sums run over blocks of :data:`BLOCK` elements, whose sums are then added one by one: the
rounding error grows with BLOCK / lanes + n / BLOCK instead of n, and the result does not depend
on the number of threads, since a row is never divided between two.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ..ir.graph import dense
from . import loops, scalar

BLOCK = 1024  # elements of a row summed in any order
ROWS = 64  # rows added up in a temporary before it is added to the result


class Reduction(NamedTuple):
    """What a kernel does with the elements: `combine` (of kernels.accumulate), beginning with
    `start`."""

    combine: str
    start: float

    @property
    def adds(self) -> bool:
        """Whether partial results may be added up in any order that is fixed."""
        return self.combine == "add_any_order"


class Plan(NamedTuple):
    """A reduction kernel: its source, table words (addresses first), extent, work per unit."""

    source: str
    words: list[int]
    extent: int
    work: int
    temporary: bool  # the kernel takes a temporary like the result as third address


def supported(r: Reduction, d: np.dtype[Any]) -> bool:
    """Whether there is a kernel for this reduction of this dtype."""
    return d in (np.float32, np.float64) or (r.adds and d.kind in "iu" and d.itemsize == 8)


@functools.lru_cache(loops.REMEMBERED)
def plan(
    r: Reduction, shape: tuple[int, ...], strides: tuple[int, ...], dim: tuple[int, ...],
    d: np.dtype[Any],
) -> Plan:  # fmt: skip
    """The kernel for reducing `dim` of an array of this shape into a dense result."""
    kept = [i for i in range(len(shape)) if i not in dim]
    out_strides = dense(tuple(shape[i] for i in kept), d.itemsize)
    outer = loops.collapse(
        tuple(shape[i] for i in kept), [tuple(strides[i] for i in kept), out_strides]
    )
    inner = loops.collapse(tuple(shape[i] for i in dim), [tuple(strides[i] for i in dim)])
    if (
        outer.extents[-1] > 1
        and outer.strides[0][-1] == d.itemsize
        and inner.strides[0][-1] != d.itemsize
    ):
        return _columns(r, outer, inner, d)
    return _rows(r, outer, inner, d)


def _header(r: Reduction, d: np.dtype[Any]) -> list[str]:
    return [
        "import numpy as np",
        f"from numbagrad.kernels.accumulate import {r.combine}",
        f"from numbagrad.kernels.memory import at_{d.name}",
        "",
        "",
        "def kernel(table, lo, hi):",
    ]


def _decode(target: str, index: str, extents: int, extent_word: int, stride_words: list[int],
            names: list[str]) -> list[str]:  # fmt: skip
    """Lines that turn a flat index into byte offsets, one name for each list of strides."""
    lines = [f"{target} = {index}"]
    lines += [f"{n} = 0" for n in names]
    for e in range(extents - 1, -1, -1):
        if e:
            lines.append(f"q = {target} // table[{extent_word + e}]")
            lines.append(f"i = {target} - q * table[{extent_word + e}]")
        else:
            lines.append(f"i = {target}")
        for n, w in zip(names, stride_words, strict=True):
            lines.append(f"{n} += i * table[{w + e}]")
        if e:
            lines.append(f"{target} = q")
    return lines


def _rows(r: Reduction, outer: loops.Loops, inner: loops.Loops, d: np.dtype[Any]) -> Plan:
    """One result per unit; the innermost reduced dimension is the vector loop."""
    words = [0, 0, inner.extents[-1], inner.strides[0][-1], math.prod(inner.extents[:-1])]
    words += [*outer.extents, *outer.strides[0], *outer.strides[1]]
    words += [*inner.extents[:-1], *inner.strides[0][:-1]]
    dense = inner.strides[0][-1] == d.itemsize
    source = _rows_source(r, d, len(outer.extents), len(inner.extents), dense)
    return Plan(source, words, math.prod(outer.extents), math.prod(inner.extents), False)


@functools.cache
def _rows_source(r: Reduction, d: np.dtype[Any], ko: int, ki: int, dense: bool) -> str:
    first = 5
    second = first + 3 * ko
    combine = r.combine
    at = "k" if dense else "k * s"
    floating_sum = r.adds and d.kind == "f"
    start = scalar.constant(r.start, d)
    body = [
        "n = table[2]",
        f"s = table[3] // {d.itemsize}",
        "for row in range(lo, hi):",
        *("    " + x for x in _decode("r", "row", ko, first, [first + ko, first + 2 * ko],
                                      ["a", "b"])),
        f"    total = {start}",
        "    for o in range(table[4]):",
    ]  # fmt: skip
    if ki > 1:
        body += [
            "        " + x for x in _decode("t", "o", ki - 1, second, [second + ki - 1], ["c"])
        ]
    else:
        body.append("        c = 0")
    body.append(f"        p = at_{d.name}(table[0] + a + c)")
    if floating_sum:
        body += [
            f"        for block in range(0, n, {BLOCK}):",
            f"            m = min({BLOCK}, n - block)",
            f"            x = at_{d.name}(table[0] + a + c + block * table[3])",
            f"            part = {start}",
            "            for k in range(m):",
            f"                part = {combine}(part, x[{at}])",
            "            total = total + part",
        ]
    else:
        body += ["        for k in range(n):", f"            total = {combine}(total, p[{at}])"]
    body.append(f"    at_{d.name}(table[1] + b)[0] = total")
    return "\n".join([*_header(r, d), *("    " + x for x in body)]) + "\n"


def _columns(r: Reduction, outer: loops.Loops, inner: loops.Loops, d: np.dtype[Any]) -> Plan:
    """Rows are added up into the result; the innermost kept dimension is the vector loop."""
    words = [0, 0, 0, outer.extents[-1], math.prod(inner.extents)]
    words += [*outer.extents[:-1], *outer.strides[0][:-1], *outer.strides[1][:-1]]
    words += [*inner.extents, *inner.strides[0]]
    one = len(outer.extents) == 1
    extent = outer.extents[-1] if one else math.prod(outer.extents[:-1])
    work = math.prod(inner.extents) * (1 if one else outer.extents[-1])
    source = _columns_source(r, d, len(outer.extents), len(inner.extents))
    return Plan(source, words, extent, work, True)


@functools.cache
def _columns_source(r: Reduction, d: np.dtype[Any], ko: int, ki: int) -> str:
    first = 5
    second = first + 3 * (ko - 1)
    combine = r.combine
    one = ko == 1
    size = d.itemsize
    body: list[str] = []
    if one:
        body += ["first, last = lo, hi", "for row in range(1):", "    a = 0", "    b = 0"]
    else:
        body += ["first, last = 0, table[3]", "for row in range(lo, hi):"]
        strides = [first + ko - 1, first + 2 * (ko - 1)]
        body += ["    " + x for x in _decode("r", "row", ko - 1, first, strides, ["a", "b"])]
    plus = "y[k] + t[k]" if r.adds else f"{combine}(y[k], t[k])"
    body += [
        f"    y = at_{d.name}(table[1] + b + first * {size})",
        f"    t = at_{d.name}(table[2] + b + first * {size})",
        "    n = last - first",
        f"    for group in range(0, table[4], {ROWS}):",
        f"        for o in range(group, min(table[4], group + {ROWS})):",
        *("            " + x for x in _decode("f", "o", ki, second, [second + ki], ["c"])),
        f"            x = at_{d.name}(table[0] + a + c + first * {size})",
        "            if o == group:",
        "                for k in range(n):",
        "                    t[k] = x[k]",
        "            else:",
        "                for k in range(n):",
        f"                    t[k] = {combine}(t[k], x[k])",
        "        if group == 0:",
        "            for k in range(n):",
        "                y[k] = t[k]",
        "        else:",
        "            for k in range(n):",
        f"                y[k] = {plus}",
    ]
    return "\n".join([*_header(r, d), *("    " + x for x in body)]) + "\n"
