"""Planning: where each variable of a fused graph lies, and which kernels run on it in what order.

A variable lies in a buffer (an input, an output, a piece of the arena, or what a NumPy step
returned), seen through an offset and strides. View ops move no data: they only make places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..ir.graph import FUSED, Eqn, Graph, Var, dense
from ..runtime import compiler
from . import kernels, loops, parts, rows, scalar, side_by_side
from .overwrite import overwritten
from .places import Array, Buffer, Call, Kernel, Place
from .pointwise import GRAIN, POINTWISE
from .source import pointwise_source

_ALIGNMENT = 64

#: Sources by what they depend on: planning a new size finds them here.
_sources: dict[Any, str] = {}


class Plan:
    """The kernels of a graph for fixed shapes and layouts, in groups between NumPy steps."""

    def __init__(
        self, graph: Graph, inputs: Sequence[Array], replaces: Mapping[int, int] | None = None
    ) -> None:
        self.graph = graph
        self.sources: list[str] = []
        self.buffers: list[Buffer] = []
        self.arena = 0
        self.places: dict[Var, Place] = {}
        self.views: dict[Var, Eqn] = {}
        self.groups: list[list[Kernel] | Call] = []
        #: What profiles found: calls and nanoseconds, by group and number in the group.
        self._times: dict[tuple[int, int], tuple[int, int]] = {}
        self._holes: list[tuple[int, int]] = []
        self.checks: list[str] = []
        self._flag: int | None = None
        for i, (v, a) in enumerate(zip(graph.inputs, inputs, strict=True)):
            self.places[v] = Place(self.new(Buffer("in", i)), 0, a.shape, a.strides)
        for v, a in graph.consts.items():
            self.places[v] = Place(self.new(Buffer("const", array=a)), 0, a.shape, a.strides)
        self._eqns = side_by_side.updates_last(graph)
        self._roots = self._find_roots()
        self._escaping = {self._roots[a] for a in graph.outputs if isinstance(a, Var)}
        #: Variables that are written into the result that they are a part of.
        self.inlaid = parts.inlays(graph, self._escaping)
        for v, root in self._roots.items():
            while root in self.inlaid:
                root = self._roots[self.inlaid[root][0].outputs[0]]
            self._roots[v] = root
        #: The input in whose memory a result lies, for those that replace one.
        self.overwritten = overwritten(graph, self._eqns, replaces or {}, self.places, self._roots)
        last = self._last_uses()
        for i, e in enumerate(self._eqns):
            self._emit(e)
            for v in last.get(i, ()):
                self.release(v)

    def _emit(self, e: Eqn) -> None:
        if e.op is FUSED:
            self._emit_fused(e)
        elif e.op.view:
            self._emit_view(e)
        else:
            native = e.op.native
            if native is None or not kernels.KERNELS[native[0]](self, e, native[1]):
                self._emit_numpy(e)

    # -- errors -----------------------------------------------------------------------------

    def check(self, message: str) -> int:
        """The number of an error, for a kernel that finds it to store in the :meth:`flag`."""
        self.checks.append(message)
        return len(self.checks)

    def flag(self) -> Place:
        """A number that is 0 before each call, and after it unless something was wrong."""
        if self._flag is None:
            self._flag = self.new(Buffer("flag"))
        return Place(self._flag, 0, (), ())

    # -- memory -----------------------------------------------------------------------------

    def new(self, buffer: Buffer) -> int:
        """The number of one more buffer."""
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def _find_roots(self) -> dict[Var, Var]:
        """For each variable the one whose memory it shares."""
        roots: dict[Var, Var] = {v: v for v in (*self.graph.inputs, *self.graph.consts)}
        for e in self.graph.eqns:
            for v in e.outputs:
                source = e.inputs[0] if e.inputs else None
                shares = e.op.view and isinstance(source, Var)
                roots[v] = roots[source] if shares else v  # type: ignore[index]
        return roots

    def _last_uses(self) -> dict[int, list[Var]]:
        last: dict[Var, int] = {}
        for i, e in enumerate(self._eqns):
            for a in (*e.inputs, *e.outputs):
                if isinstance(a, Var):
                    last[self._roots[a]] = i
        found: dict[int, list[Var]] = {}
        for v, i in last.items():
            found.setdefault(i, []).append(v)
        return found

    def allocate(self, v: Var) -> Place:
        """Memory for a result: an output's own, or the first hole of the arena that fits."""
        if v in self.inlaid:
            place = self.places[v] = parts.part_place(self, v)
            return place
        if v in self.overwritten:
            place = self.places[v] = self.places[self.overwritten[v]]
            return place
        strides = v.strides or dense(v.shape, v.dtype.itemsize)
        if v in self._escaping:
            buffer = self.new(Buffer("out", shape=v.shape, dtype=v.dtype))
        else:
            size = math.prod(v.shape) * v.dtype.itemsize
            buffer = self.new(Buffer("arena", self._take(size), shape=v.shape, dtype=v.dtype))
        place = self.places[v] = Place(buffer, 0, v.shape, strides)
        return place

    def _take(self, size: int) -> int:
        size = -(-size // _ALIGNMENT) * _ALIGNMENT
        for i, (start, length) in enumerate(self._holes):
            if length >= size:
                self._holes[i : i + 1] = [(start + size, length - size)] if length > size else []
                return start
        start = self.arena
        self.arena += size
        return start

    def release(self, v: Var) -> None:
        """Nobody reads the variable any more: its part of the arena is free."""
        place = self.places.get(v)
        if place is None or self.buffers[place.buffer].kind != "arena":
            return
        buffer = self.buffers[place.buffer]
        size = -(-math.prod(buffer.shape) * buffer.dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
        self._holes.append((buffer.at, size))
        self._holes.sort()
        merged: list[tuple[int, int]] = []
        for start, length in self._holes:
            if merged and merged[-1][0] + merged[-1][1] == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + length)
            else:
                merged.append((start, length))
        self._holes = merged

    # -- views ------------------------------------------------------------------------------

    def _emit_view(self, e: Eqn) -> None:
        source, out = e.inputs[0], e.outputs[0]
        assert isinstance(source, Var)
        place = self.places[source]
        try:
            place = self._view(place, source, e)
        except RuntimeError:  # the strides do not allow this shape: view a dense copy
            place = self._view(self.copy(source), source, e)
        self.places[out] = place
        self.views[out] = e

    def _view(self, place: Place, source: Var, e: Eqn) -> Place:
        # The op itself says what it does to strides: shown an array with no memory behind it.
        ghost = as_strided(np.empty(0, source.dtype), place.shape, place.strides)
        seen = e.op.evaluate(ghost, **e.params)
        offset = seen.__array_interface__["data"][0] - ghost.__array_interface__["data"][0]
        return Place(place.buffer, place.offset + offset, seen.shape, seen.strides)

    def copy(self, v: Var) -> Place:
        """A dense copy of a variable."""
        copy = Var(v.shape, v.dtype)
        target = self.allocate(copy)
        parts.move(self, self.places[v], target, v.dtype.itemsize, "copy")
        return target

    # -- steps ------------------------------------------------------------------------------

    def _emit_fused(self, e: Eqn) -> None:
        graph = e.params["graph"]
        sources = [self.places[v] for v in graph.inputs]
        if not rows.has_reductions(graph):
            self.pointwise(graph, sources, [self.allocate(v) for v in e.outputs], e)
            return
        pointwise, computed, ends = rows.split(graph)
        targets = {v: self.allocate(v) for v in computed if v in graph.outputs}
        if rows.add_rows(self, graph, e):
            return
        # A row is more than one loop: each kernel by itself.
        read = [v for v in computed if v not in targets]
        targets.update({v: self.allocate(v) for v in read})
        part = Eqn(FUSED, graph.inputs, {"graph": pointwise}, tuple(computed))
        self.pointwise(pointwise, sources, [targets[v] for v in computed], part)
        for end in ends:
            rows.add_reduction(self, end)
        for v in read:
            self.release(v)

    def pointwise(
        self, graph: Graph, sources: list[Place], targets: list[Place], what: Eqn | str
    ) -> None:
        """Run a pointwise graph on these places next, broadcast to the shape of the targets."""
        shape = targets[0].shape
        if 0 in shape:
            return
        places = [*sources, *targets]
        walk = loops.walk(
            shape,
            tuple([p.shape for p in places]),
            tuple([p.strides for p in places]),
            tuple([v.dtype.itemsize for v in (*graph.inputs, *graph.outputs)]),  # type: ignore[union-attr]
        )
        source = _source(graph, walk.layout)
        self.sources.append(source)
        self.add(
            Kernel(
                compiler.compile_source(source, hint=POINTWISE),
                walk.words,
                list(enumerate(places)),
                walk.extent,
                max(1, GRAIN // walk.inner // max(1, len(graph.eqns) // 4)),
                what,
                len(targets),
            )
        )

    def add(self, kernel: Kernel) -> None:
        """Run a kernel next, in one native call with the one before if there is one."""
        if not self.groups or isinstance(self.groups[-1], Call):
            self.groups.append([])
        group = self.groups[-1]
        assert isinstance(group, list)
        group.append(kernel)

    def _emit_numpy(self, e: Eqn) -> None:
        outputs = []
        for v in e.outputs:
            buffer = self.new(Buffer("numpy", shape=v.shape, dtype=v.dtype))
            self.places[v] = Place(buffer, 0, v.shape, dense(v.shape, v.dtype.itemsize))
            outputs.append(buffer)
        self.groups.append(Call(e, tuple(outputs)))

    def took(self, step: tuple[int, int], nanoseconds: int) -> None:
        """A profiler measured a step, given as number of the group and number in it."""
        calls, total = self._times.get(step, (0, 0))
        self._times[step] = (calls + 1, total + nanoseconds)

    def time(self, number: int, i: int) -> str:
        """What profilers measured, in words."""
        calls, total = self._times.get((number, i), (0, 0))
        return f", {total / calls / 1000:.1f} us (mean of {calls})" if calls else ""


def _source(graph: Graph, layout: loops.Layout) -> str:
    """The source of a pointwise graph, which is generated once for all sizes."""
    key = (scalar.structure(graph), layout)
    found = _sources.get(key)
    if found is None:
        found = _sources[key] = pointwise_source(graph, layout)
    return found
