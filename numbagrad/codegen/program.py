"""From a fused graph to steps: native programs, and NumPy where an op has no kernel.

A variable lies in a buffer (an input, an output, a piece of the arena, or what a NumPy step
returned), seen through an offset and strides. View ops move no data: they only make places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..ir.graph import FUSED, Eqn, Graph, Var
from ..runtime import blas, compiler, memory
from ..runtime import layout as at
from ..runtime.executor import Binding, Program, Step
from . import loops
from .pointwise import GRAIN
from .source import pointwise_source

Array = np.ndarray[Any, Any]
_ALIGNMENT = 64
_BLAS = (np.dtype(np.float32), np.dtype(np.float64))


class Place(NamedTuple):
    """Where a variable lies: index of the buffer, offset and strides in bytes."""

    buffer: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Buffer(NamedTuple):
    """Memory of one kind: "in" (argument), "const", "out", "arena" (at an offset), "numpy"."""

    kind: str
    index: int = 0  # of the argument, or the offset in the arena
    array: Any = None
    shape: tuple[int, ...] = ()
    dtype: Any = None


class Call(NamedTuple):
    """A NumPy step: evaluates one equation."""

    eqn: Eqn
    outputs: tuple[int, ...]


class Native(NamedTuple):
    """A native step: a program and the buffers whose addresses it takes."""

    program: Program
    buffers: tuple[int, ...]


def _dense(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    return tuple(itemsize * math.prod(shape[d + 1 :]) for d in range(len(shape)))


class Executable:
    """A fused graph planned for fixed shapes and layouts: ``executable(*arrays) -> arrays``."""

    def __init__(self, graph: Graph, inputs: Sequence[Array]) -> None:
        self.graph = graph
        self.sources: list[str] = []
        self.steps: list[Native | Call] = []
        self.buffers: list[Buffer] = []
        self.arena = 0
        self._places: dict[Var, Place] = {}
        self._views: dict[Var, Eqn] = {}
        self._holes: list[tuple[int, int]] = []
        self._native: list[tuple[int, list[int], list[tuple[int, Place]], int, int]] = []
        for i, (v, a) in enumerate(zip(graph.inputs, inputs, strict=True)):
            self._places[v] = Place(self._new(Buffer("in", i)), 0, a.shape, a.strides)
        for v, a in graph.consts.items():
            self._places[v] = Place(self._new(Buffer("const", array=a)), 0, a.shape, a.strides)
        self._roots = self._find_roots()
        self._escaping = {self._roots[a] for a in graph.outputs if isinstance(a, Var)}
        last = self._last_uses()
        for i, e in enumerate(graph.eqns):
            self._emit(e)
            for v in last.get(i, ()):
                self._release(v)
        self._flush()
        self._outs = [i for i, b in enumerate(self.buffers) if b.kind == "out"]
        self._arena_slots = [i for i, b in enumerate(self.buffers) if b.kind == "arena"]

    # -- planning ---------------------------------------------------------------------------

    def _new(self, buffer: Buffer) -> int:
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def _find_roots(self) -> dict[Var, Var]:
        """For each variable the one whose memory it shares."""
        roots: dict[Var, Var] = {v: v for v in (*self.graph.inputs, *self.graph.consts)}
        for e in self.graph.eqns:
            for v in e.outputs:
                source = e.inputs[0] if e.inputs else None
                shares = getattr(e.op, "view", False) and isinstance(source, Var)
                roots[v] = roots[source] if shares else v  # type: ignore[index]
        return roots

    def _last_uses(self) -> dict[int, list[Var]]:
        last: dict[Var, int] = {}
        for i, e in enumerate(self.graph.eqns):
            for a in (*e.inputs, *e.outputs):
                if isinstance(a, Var):
                    last[self._roots[a]] = i
        found: dict[int, list[Var]] = {}
        for v, i in last.items():
            found.setdefault(i, []).append(v)
        return found

    def _allocate(self, v: Var) -> Place:
        """Memory for a result: an output's own, or the first hole of the arena that fits."""
        strides = _dense(v.shape, v.dtype.itemsize)
        if v in self._escaping:
            buffer = self._new(Buffer("out", shape=v.shape, dtype=v.dtype))
        else:
            size = math.prod(v.shape) * v.dtype.itemsize
            buffer = self._new(Buffer("arena", self._take(size), shape=v.shape, dtype=v.dtype))
        place = self._places[v] = Place(buffer, 0, v.shape, strides)
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

    def _release(self, v: Var) -> None:
        place = self._places.get(v)
        if place is None or self.buffers[place.buffer].kind != "arena":
            return
        buffer = self.buffers[place.buffer]
        size = -(-math.prod(buffer.shape) * buffer.dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
        self._holes.append((buffer.index, size))
        self._holes.sort()
        merged: list[tuple[int, int]] = []
        for start, length in self._holes:
            if merged and merged[-1][0] + merged[-1][1] == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + length)
            else:
                merged.append((start, length))
        self._holes = merged

    def _emit(self, e: Eqn) -> None:
        if e.op is FUSED:
            self._emit_fused(e)
        elif e.op.view:
            self._emit_view(e)
        elif e.op.name == "matmul" and self._emit_matmul(e):
            return
        else:
            self._emit_numpy(e)

    def _emit_view(self, e: Eqn) -> None:
        source, out = e.inputs[0], e.outputs[0]
        assert isinstance(source, Var)
        place = self._places[source]
        try:
            place = self._view(place, source, e)
        except RuntimeError:  # the strides do not allow this shape: view a dense copy
            place = self._view(self._copy(source), source, e)
        self._places[out] = place
        self._views[out] = e

    def _view(self, place: Place, source: Var, e: Eqn) -> Place:
        # The op itself says what it does to strides: shown an array with no memory behind it.
        ghost = as_strided(np.empty(0, source.dtype), place.shape, place.strides)
        seen = e.op.evaluate(ghost, **e.params)
        offset = seen.__array_interface__["data"][0] - ghost.__array_interface__["data"][0]
        return Place(place.buffer, place.offset + offset, seen.shape, seen.strides)

    def _copy(self, v: Var) -> Place:
        """A dense copy of a variable."""
        copy = Var(v.shape, v.dtype)
        target = self._allocate(copy)
        x = Var(v.shape, v.dtype)
        self._pointwise(Graph((x,), (), (x,)), [self._places[v]], [target], v.shape)
        return target

    def _emit_fused(self, e: Eqn) -> None:
        graph = e.params["graph"]
        sources = [self._places[v] for v in graph.inputs]
        targets = [self._allocate(v) for v in e.outputs]
        self._pointwise(graph, sources, targets, e.outputs[0].shape)

    def _pointwise(
        self, graph: Graph, sources: list[Place], targets: list[Place], shape: tuple[int, ...]
    ) -> None:
        if 0 in shape:
            return
        places = [*sources, *targets]
        operands = [*graph.inputs, *graph.outputs]
        strides = [loops.broadcast_strides(p.shape, p.strides, shape) for p in places]
        nest = loops.collapse(shape, strides)
        layout = loops.layout_of(nest, [v.dtype.itemsize for v in operands])  # type: ignore[union-attr]
        source = pointwise_source(graph, layout)
        self.sources.append(source)
        inner = 1 if layout.rank == 1 else nest.extents[-1]
        self._native.append((
            compiler.compile_source(source), loops.words(nest, layout), list(enumerate(places)),
            loops.units(nest, layout), max(1, GRAIN // inner // max(1, len(graph.eqns) // 4)),
        ))  # fmt: skip

    def _emit_matmul(self, e: Eqn) -> bool:
        x, y = e.inputs
        out = e.outputs[0]
        if not isinstance(x, Var) or not isinstance(y, Var) or out.dtype not in _BLAS:
            return False
        if x.ndim != 2 or y.ndim != 2 or 0 in (*x.shape, *y.shape):
            return False
        a, trans_a, lda = self._matrix(x)
        b, trans_b, ldb = self._matrix(y)
        c = self._allocate(out)
        m, n = out.shape
        g = blas.gemm(
            out.dtype, m, n, x.shape[1], lda=lda, ldb=ldb, ldc=n, trans_a=trans_a, trans_b=trans_b
        )
        self._native.append(
            (g.kernel, list(g.words), [(at.G_A, a), (at.G_B, b), (at.G_C, c)], g.extent, g.grain)
        )
        return True

    def _matrix(self, v: Var) -> tuple[Place, bool, int]:
        """A matrix as BLAS can read it: its place, whether transposed, its row stride."""
        place = self._places[v]
        size = v.dtype.itemsize
        rows, columns = v.shape
        row, column = (s // size for s in place.strides)
        if (column == 1 or columns == 1) and (row >= columns or rows == 1):
            return place, False, max(row, columns) if rows > 1 else columns
        if (row == 1 or rows == 1) and (column >= rows or columns == 1):
            return place, True, max(column, rows) if columns > 1 else rows
        return self._copy(v), False, columns

    def _emit_numpy(self, e: Eqn) -> None:
        self._flush()
        outputs = []
        for v in e.outputs:
            buffer = self._new(Buffer("numpy", shape=v.shape, dtype=v.dtype))
            self._places[v] = Place(buffer, 0, v.shape, _dense(v.shape, v.dtype.itemsize))
            outputs.append(buffer)
        self.steps.append(Call(e, tuple(outputs)))

    def _flush(self) -> None:
        """Make one program of the kernels collected so far."""
        if not self._native:
            return
        steps: list[Step] = []
        words: list[int] = []
        buffers: dict[int, int] = {}
        bindings: list[Binding] = []
        for kernel, own, places, extent, grain in self._native:
            steps.append(Step(kernel, len(words), extent, grain))
            for word, place in places:
                buffer = self.buffers[place.buffer]
                arena = buffer.kind == "arena"
                # All pieces of the arena are one argument, by convention number -1.
                argument = buffers.setdefault(-1 if arena else place.buffer, len(buffers))
                offset = place.offset + (buffer.index if arena else 0)
                bindings.append(Binding(len(words) + word, argument, offset))
            words += own
        program = Program(steps, words, bindings, len(buffers))
        self.steps.append(Native(program, tuple(buffers)))
        self._native = []

    # -- running ----------------------------------------------------------------------------

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Run on arrays of the planned shapes and strides."""
        memories: dict[int, Array] = {}
        for i, b in enumerate(self.buffers):
            if b.kind == "in":
                memories[i] = arrays[b.index]
            elif b.kind == "const":
                memories[i] = b.array
            elif b.kind == "out":
                memories[i] = memory.empty(b.shape, b.dtype)
        if self.arena:
            arena = memories[-1] = memory.empty((self.arena,), np.dtype(np.uint8))
            for i in self._arena_slots:
                b = self.buffers[i]
                memories[i] = np.ndarray(b.shape, b.dtype, arena, b.index)
        for step in self.steps:
            if isinstance(step, Native):
                step.program.run(tuple([memories[b] for b in step.buffers]))
            else:
                e = step.eqn
                values = [self._array(a, memories) for a in e.inputs]
                result = e.op.evaluate(*values, **e.params)
                results = result if isinstance(result, tuple) else (result,)
                for b, r in zip(step.outputs, results, strict=True):
                    memories[b] = np.ascontiguousarray(r).reshape(r.shape)
        return [self._array(a, memories) for a in self.graph.outputs]

    def _array(self, a: Any, memories: dict[int, Array]) -> Any:
        """A variable as an array, at run time."""
        if not isinstance(a, Var):
            return a
        place = self._places[a]
        base = memories[place.buffer]
        if base.shape == place.shape and base.strides == place.strides and place.offset == 0:
            return base
        if base.flags.c_contiguous and base.nbytes:
            # Through the bytes: the place may be a view of a dense copy, of any shape.
            start = base.reshape(-1).view(np.uint8)[place.offset :]
            return as_strided(start[: a.dtype.itemsize].view(a.dtype), place.shape, place.strides)
        e = self._views[a]
        return e.op.evaluate(self._array(e.inputs[0], memories), **e.params)
