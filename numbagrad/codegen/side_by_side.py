"""Small kernels that do not depend on each other, as the updates of an optimizer, run as one step.

Each of them is too small to be divided among threads. Together they are not: a thread then takes
whole kernels, so that the bits do not depend on the number of threads.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

from ..ir.graph import FUSED, Eqn, Graph, Var
from ..runtime import compiler
from ..runtime.vectorize import Hint
from .places import Buffer, Kernel, Place
from .pointwise import GRAIN
from .rows import has_reductions


def updates_last(graph: Graph) -> Sequence[Eqn]:
    """The equations, with small loops at the end whose results only leave the function."""
    returned = {a for a in graph.outputs if isinstance(a, Var)}
    read = {a for e in graph.eqns for a in e.inputs if isinstance(a, Var)}

    def update(e: Eqn) -> bool:
        return (
            e.op is FUSED
            and all(v in returned and v not in read for v in e.outputs)
            and math.prod(e.outputs[0].shape) <= GRAIN
            and not has_reductions(e.params["graph"])
        )

    last = [e for e in graph.eqns if update(e)]
    if len(last) < 2:
        return graph.eqns
    late = set(map(id, last))
    return [*(e for e in graph.eqns if id(e) not in late), *last]


def steps(group: Sequence[Kernel], buffers: Sequence[Buffer]) -> Iterator[Sequence[Kernel]]:
    """The kernels of a group in order, those that run at once together."""
    row: list[Kernel] = []
    for kernel in group:
        if kernel.written and kernel.extent <= kernel.grain:
            row.append(kernel)
            continue
        yield from _together(row, buffers)
        row = []
        yield [kernel]
    yield from _together(row, buffers)


def _together(row: list[Kernel], buffers: Sequence[Buffer]) -> Iterator[Sequence[Kernel]]:
    """Cut a row of small kernels where one needs what another of the same step makes."""
    if _work(row) <= 1:
        yield from ([kernel] for kernel in row)
        return
    step: list[Kernel] = []
    written: list[tuple[int, int, int]] = []
    read: list[tuple[int, int, int]] = []
    for kernel in row:
        ranges = [_range(place, buffers[place.buffer]) for _, place in kernel.places]
        reads, writes = ranges[: -kernel.written], ranges[-kernel.written :]
        if _meet(writes, read) or _meet(writes, written) or _meet(reads, written):
            yield from _one_or_each(step)
            step, written, read = [], [], []
        step.append(kernel)
        written += writes
        read += reads
    yield from _one_or_each(step)


def _one_or_each(step: list[Kernel]) -> Iterator[Sequence[Kernel]]:
    if _work(step) > 1:
        yield step
    else:
        yield from ([kernel] for kernel in step)


def _work(kernels: Sequence[Kernel]) -> float:
    """In units of what is worth a thread."""
    return sum(kernel.extent / kernel.grain for kernel in kernels)


def _range(place: Place, buffer: Buffer) -> tuple[int, int, int]:
    """What of which memory a kernel touches at most: all of a buffer, or its part of the arena."""
    if buffer.kind == "arena":
        size = math.prod(buffer.shape) * buffer.dtype.itemsize
        return -1, buffer.at, buffer.at + size
    return place.buffer, 0, 1


def _meet(some: list[tuple[int, int, int]], others: list[tuple[int, int, int]]) -> bool:
    return any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a in some for b in others)


def step(kernels: Sequence[Kernel]) -> tuple[int, int, int]:
    """Address, extent and grain of the step that runs several kernels."""
    return _runner(), len(kernels), max(1, int(len(kernels) / _work(kernels)))


def words(kernels: Sequence[Kernel]) -> list[int]:
    """What stands before the kernels' own words: address, place of its words, extent of each."""
    found: list[int] = []
    at = 3 * len(kernels)
    for kernel in kernels:
        found += (kernel.address, at, kernel.extent)
        at += len(kernel.words)
    return found


@functools.cache
def _runner() -> int:
    source = """\
from numbagrad.runtime.intrinsics import call_part


def kernel(table, lo, hi):
    for i in range(lo, hi):
        call_part(table[3 * i], table, table[3 * i + 1], table[3 * i + 2])
"""
    return compiler.compile_source(source, hint=Hint())
