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

from ..ir.graph import FUSED, Eqn, Graph, Var, type_name
from ..modes import thread
from ..runtime import blas, compiler, memory
from ..runtime import layout as at
from ..runtime.executor import Binding, Guard, Program, Step
from . import loops, reduce
from .pointwise import GRAIN, POINTWISE
from .source import pointwise_source

Array = np.ndarray[Any, Any]
_ALIGNMENT = 64
_BYTES = np.dtype(np.uint8)
_NOTHING = np.empty(0, _BYTES)
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
    at: int = 0  # number of the argument, or offset in the arena
    array: Any = None
    shape: tuple[int, ...] = ()
    dtype: Any = None


class Call(NamedTuple):
    """A NumPy step: evaluates one equation."""

    eqn: Eqn
    outputs: tuple[int, ...]


class _Kernel(NamedTuple):
    """A native step while planning: where its words point to is known, not yet what is passed."""

    address: int
    words: list[int]
    places: list[tuple[int, Place]]  # (word, what it points to)
    extent: int
    grain: int
    label: str


def _touched(place: Place) -> int:
    """Bytes of memory under a place: a broadcast dimension counts once."""
    seen = [n for n, s in zip(place.shape, place.strides) if s]
    smallest = min((s for s in place.strides if s), default=0)
    return math.prod(seen) * smallest


def _allocation(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[Any, Any, Any]:
    small = math.prod(shape) * dtype.itemsize < memory.POOLED
    return (np.empty if small else memory.empty), shape, dtype


def _dense(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    return tuple(itemsize * math.prod(shape[d + 1 :]) for d in range(len(shape)))


class Executable:
    """A fused graph planned for fixed shapes and layouts: ``executable(*arrays) -> arrays``."""

    def __init__(self, graph: Graph, inputs: Sequence[Array]) -> None:
        self.graph = graph
        self.sources: list[str] = []
        self.steps: list[Program | Call] = []
        self.buffers: list[Buffer] = []
        self.arena = 0
        self._places: dict[Var, Place] = {}
        self._views: dict[Var, Eqn] = {}
        self._holes: list[tuple[int, int]] = []
        self._planned: list[list[_Kernel] | Call] = []
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
        self._finish(inputs)

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
        self._holes.append((buffer.at, size))
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
        elif not self._emit_reduction(e):
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
        self._pointwise(Graph((x,), (), (x,)), [self._places[v]], [target], v.shape, "copy")
        return target

    def _emit_fused(self, e: Eqn) -> None:
        graph = e.params["graph"]
        sources = [self._places[v] for v in graph.inputs]
        targets = [self._allocate(v) for v in e.outputs]
        ops = ", ".join(x.op.name for x in graph.eqns)
        self._pointwise(graph, sources, targets, e.outputs[0].shape, f"fused {ops}")

    def _pointwise(
        self,
        graph: Graph,
        sources: list[Place],
        targets: list[Place],
        shape: tuple[int, ...],
        label: str,
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
        self._add(
            _Kernel(
                compiler.compile_source(source, hint=POINTWISE),
                loops.words(nest, layout),
                list(enumerate(places)),
                loops.units(nest, layout),
                max(1, GRAIN // inner // max(1, len(graph.eqns) // 4)),
                label,
            )
        )

    def _add(self, kernel: _Kernel) -> None:
        if not self._planned or isinstance(self._planned[-1], Call):
            self._planned.append([])
        group = self._planned[-1]
        assert isinstance(group, list)
        group.append(kernel)

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
        places = [(at.G_A, a), (at.G_B, b), (at.G_C, c)]
        label = f"matmul {m}x{x.shape[1]} @ {x.shape[1]}x{n}"
        self._add(_Kernel(g.kernel, list(g.words), places, g.extent, g.grain, label))
        return True

    def _emit_reduction(self, e: Eqn) -> bool:
        x, out = (e.inputs[0] if e.inputs else None), e.outputs[0]
        if not isinstance(x, Var) or 0 in x.shape or not reduce.supported(e.op.name, x.dtype):
            return False
        place = self._places[x]
        dim = e.params["dim"]
        plan = reduce.plan(e.op.name, place.shape, place.strides, dim, x.dtype)
        self.sources.append(plan.source)
        places = [(0, place), (1, self._allocate(out))]
        if plan.temporary:
            temporary = Var(out.shape, out.dtype)
            places.append((2, self._allocate(temporary)))
            self._release(temporary)
        grain = max(1, GRAIN // plan.work)
        address = compiler.compile_source(plan.source)
        label = f"{e.op.name} over {dim} of {type_name(x)}"
        self._add(_Kernel(address, plan.words, places, plan.extent, grain, label))
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
        outputs = []
        for v in e.outputs:
            buffer = self._new(Buffer("numpy", shape=v.shape, dtype=v.dtype))
            self._places[v] = Place(buffer, 0, v.shape, _dense(v.shape, v.dtype.itemsize))
            outputs.append(buffer)
        self._planned.append(Call(e, tuple(outputs)))

    def _finish(self, inputs: Sequence[Array]) -> None:
        """Number what a call passes to every program, and make the programs.

        The order: arguments, constants, outputs, results of NumPy steps, the arena.
        """
        kinds = ("in", "const", "out", "numpy")
        order = [i for k in kinds for i, b in enumerate(self.buffers) if b.kind == k]
        self._slot = {b: n for n, b in enumerate(order)}
        self._arena_slot = len(order)
        count = len(order) + 1
        self._consts = [b.array for b in self.buffers if b.kind == "const"]
        # What to allocate at each call: how, shape, dtype. The arena comes last.
        self._fresh = [
            _allocation(b.shape, b.dtype) for b in self.buffers if b.kind == "out"
        ]  # fmt: skip
        self._fresh_arena = _allocation((self.arena,), _BYTES) if self.arena else None
        self._later = [_NOTHING] * sum(b.kind == "numpy" for b in self.buffers)
        guards = [Guard.of(a) for a in inputs] + [None] * (count - len(inputs))
        for group in self._planned:
            if isinstance(group, Call):
                self.steps.append(group)
            else:
                self.steps.append(self._program(group, count, guards))
        self._results = [self._place_of(a) for a in self.graph.outputs]

    def _program(self, group: list[_Kernel], count: int, guards: list[Guard | None]) -> Program:
        steps: list[Step] = []
        words: list[int] = []
        bindings: list[Binding] = []
        for kernel in group:
            steps.append(Step(kernel.address, len(words), kernel.extent, kernel.grain))
            for word, place in kernel.places:
                buffer = self.buffers[place.buffer]
                arena = buffer.kind == "arena"
                slot = self._arena_slot if arena else self._slot[place.buffer]
                offset = place.offset + (buffer.at if arena else 0)
                bindings.append(Binding(len(words) + word, slot, offset))
            words += kernel.words
        return Program(steps, words, bindings, count, guards=guards)

    def _place_of(self, a: Any) -> tuple[int, Any]:
        """For an output: its slot if it fills that, else -1 and the atom."""
        if isinstance(a, Var):
            place = self._places[a]
            buffer = self.buffers[place.buffer]
            whole = place.offset == 0 and buffer.kind == "out"
            if (
                whole
                and place.shape == buffer.shape
                and place.strides == _dense(place.shape, a.dtype.itemsize)
            ):
                return self._slot[place.buffer], None
        return -1, a

    def describe(self) -> list[str]:
        """What runs, in order: a line per kernel or NumPy step, then the memory."""
        lines = []
        for number, group in enumerate(self._planned):
            if isinstance(group, Call):
                lines.append(f"step {number}: NumPy: {group.eqn.op.name} (no kernel for it)")
                continue
            lines.append(f"step {number}: one native call of {len(group)} kernels")
            for k in group:
                moved = sum(_touched(p) for _, p in k.places)
                split = "in chunks" if k.extent > k.grain else "on one thread"
                lines.append(f"    {k.label}: touches {moved} bytes, {split}")
        outs = sum(math.prod(b.shape) * b.dtype.itemsize for b in self.buffers if b.kind == "out")
        lines.append(f"memory: {outs} bytes of results, an arena of {self.arena} bytes")
        return lines

    @property
    def result_slots(self) -> list[int]:
        """The slot of each output, -1 for one that is not a whole slot."""
        return [slot for slot, _ in self._results]

    @property
    def direct(self) -> Program | None:
        """The one program of an executable that is nothing else."""
        if len(self.steps) == 1 and isinstance(self.steps[0], Program):
            return self.steps[0] if all(slot >= 0 for slot, _ in self._results) else None
        return None

    # -- running ----------------------------------------------------------------------------

    def slots(self, arrays: Sequence[Array]) -> list[Array]:
        """What a call passes to the programs, with fresh memory for outputs and the arena."""
        outs = [empty(shape, dtype) for empty, shape, dtype in self._fresh]
        arena = _NOTHING
        if self._fresh_arena is not None:
            empty, shape, dtype = self._fresh_arena
            arena = empty(shape, dtype)
        return [*arrays, *self._consts, *outs, *self._later, arena]

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Run on arrays of the planned shapes and strides."""
        slots = self.slots(arrays)
        for step in self.steps:
            if isinstance(step, Program):
                step.run(tuple(slots))
                continue
            e = step.eqn
            arrays = [self._array(a, slots) for a in e.inputs]
            result = thread.modes.quietly(e.op.evaluate, *arrays, **e.params)
            results = result if isinstance(result, tuple) else (result,)
            for b, r in zip(step.outputs, results):
                slots[self._slot[b]] = np.asarray(r, order="C")
        return self.results(slots)

    def results(self, slots: list[Array]) -> list[Array]:
        """The outputs, after all steps ran."""
        return [slots[n] if n >= 0 else self._array(a, slots) for n, a in self._results]

    def _array(self, a: Any, slots: list[Array]) -> Any:
        """A variable as an array, at run time."""
        if not isinstance(a, Var):
            return a
        place = self._places[a]
        if 0 in place.shape:
            return np.empty(place.shape, a.dtype)
        buffer = self.buffers[place.buffer]
        if buffer.kind == "arena":
            base = np.ndarray(buffer.shape, buffer.dtype, slots[self._arena_slot], buffer.at)
        else:
            base = slots[self._slot[place.buffer]]
        if base.shape == place.shape and base.strides == place.strides and place.offset == 0:
            return base
        if base.flags.c_contiguous and base.nbytes:
            # Through the bytes: the place may be a view of a dense copy, of any shape.
            start = base.reshape(-1).view(np.uint8)[place.offset :]
            return as_strided(start[: a.dtype.itemsize].view(a.dtype), place.shape, place.strides)
        e = self._views[a]
        return e.op.evaluate(self._array(e.inputs[0], slots), **e.params)
