"""From a planned graph to steps: native programs, and NumPy where an op has no kernel."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..ir.graph import Graph, Var, dense
from ..modes import thread
from ..runtime import memory
from ..runtime.executor import Binding, Guard, Program, Step
from . import side_by_side
from .explain import describe
from .overwrite import apart
from .places import Array, Call, Kernel
from .plan import Plan

_BYTES = np.dtype(np.uint8)
_NOTHING = np.empty(0, _BYTES)


def _allocation(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[Any, Any, Any]:
    small = math.prod(shape) * dtype.itemsize < memory.POOLED
    return (np.empty if small else memory.empty), shape, dtype


class Executable:
    """A fused graph planned for fixed shapes and layouts: ``executable(*arrays) -> arrays``.

    Args:
        replaces: the number of the input that an output replaces, by its own number. The result
            may then be written over that input, in a program that is one native call and finds
            no errors: what it did could not be taken back.
    """

    def __init__(
        self, graph: Graph, inputs: Sequence[Array], replaces: Mapping[int, int] | None = None
    ) -> None:
        self.graph = graph
        self.plan = Plan(graph, inputs, replaces)
        if self.plan.overwritten and (len(self.plan.groups) > 1 or self.plan.checks):
            self.plan = Plan(graph, inputs)
        numbers = {v: i for i, v in enumerate(graph.inputs)}
        #: Numbers of the inputs that a call overwrites.
        self.changed = [numbers[v] for v in self.plan.overwritten.values()]
        self._copying: Executable | None = None  # the same without overwriting
        self.steps: list[Program | Call] = []
        buffers = self.plan.buffers
        # What a call passes to every program, in this order: arguments, constants, outputs,
        # results of NumPy steps, the flag if there is one, the arena.
        kinds = ("in", "const", "out", "numpy", "flag")
        order = [i for k in kinds for i, b in enumerate(buffers) if b.kind == k]
        self._slot = {b: n for n, b in enumerate(order)}
        self._arena_slot = len(order)
        count = self._count = len(order) + 1
        self._consts = [b.array for b in buffers if b.kind == "const"]
        # What to allocate at each call: how, shape, dtype.
        self._fresh = [_allocation(b.shape, b.dtype) for b in buffers if b.kind == "out"]
        arena = self.plan.arena
        self._fresh_arena = _allocation((arena,), _BYTES) if arena else None
        self._later = [_NOTHING] * sum(b.kind == "numpy" for b in buffers)
        guards = [Guard.of(a) for a in inputs] + [None] * (count - len(inputs))
        for group in self.plan.groups:
            if isinstance(group, Call):
                self.steps.append(group)
            else:
                self.steps.append(self._program(group, count, guards))
        self._results = [self._place_of(a) for a in graph.outputs]
        #: For a profiler: the kernels of a group as programs of their own, made when one asks.
        self._single: dict[int, list[Program]] = {}

    @property
    def sources(self) -> list[str]:
        """The Numba source of each kernel that was generated."""
        return self.plan.sources

    def describe(self) -> list[str]:
        """What runs, in order, and the memory it takes."""
        return describe(self.plan)

    def _program(
        self, group: list[Kernel], count: int, guards: list[Guard | None] | None
    ) -> Program:
        buffers = self.plan.buffers
        steps: list[Step] = []
        words: list[int] = []
        bindings: list[Binding] = []
        for kernels in side_by_side.steps(group, buffers):
            start = len(words)
            if len(kernels) == 1:
                (kernel,) = kernels
                steps.append(Step(kernel.address, start, kernel.extent, kernel.grain))
            else:
                address, extent, grain = side_by_side.step(kernels)
                steps.append(Step(address, start, extent, grain))
                words += side_by_side.words(kernels)
            for kernel in kernels:
                for word, place in kernel.places:
                    buffer = buffers[place.buffer]
                    arena = buffer.kind == "arena"
                    slot = self._arena_slot if arena else self._slot[place.buffer]
                    offset = place.offset + (buffer.at if arena else 0)
                    bindings.append(Binding(len(words) + word, slot, offset))
                words += kernel.words
        return Program(steps, words, bindings, count, guards=guards)

    def _place_of(self, a: Any) -> tuple[int, Any]:
        """For an output: its slot if it fills that, else -1 and the atom."""
        if isinstance(a, Var):
            place = self.plan.places[a]
            buffer = self.plan.buffers[place.buffer]
            if a in self.plan.overwritten:
                return self._slot[place.buffer], None
            whole = place.offset == 0 and buffer.kind == "out"
            if (
                whole
                and place.shape == buffer.shape
                and place.strides == dense(place.shape, a.dtype.itemsize)
            ):
                return self._slot[place.buffer], None
        return -1, a

    def layout(self, a: Any) -> tuple[tuple[int, ...], np.dtype[Any], tuple[int, ...]]:
        """Shape, dtype and strides of an output in each call."""
        place = self.plan.places[a]
        return place.shape, a.dtype, place.strides

    @property
    def result_slots(self) -> list[int]:
        """The slot of each output, -1 for one that is not a whole slot."""
        return [slot for slot, _ in self._results]

    @property
    def direct(self) -> Program | None:
        """The one program of an executable that is nothing else."""
        if len(self.steps) == 1 and isinstance(self.steps[0], Program):
            return self.steps[0]
        return None

    # -- running ----------------------------------------------------------------------------

    def fresh_slots(self) -> Callable[[], tuple[Array, ...]]:
        """A function that gives what a call of `direct` passes behind its arguments.

        It is for calls that are one native call. If no other thread can run meanwhile, they share
        one arena.
        """
        assert self.direct is not None
        arena = self._fresh_arena
        few = len(self._fresh) == 1 and not self._consts and not self.plan.checks
        if not few or (arena is not None and self.direct.releases_gil):
            return self._slots_behind
        empty, shape, dtype = self._fresh[0]
        rest = (*self._later, _NOTHING if arena is None else np.empty(arena[1], _BYTES))
        return lambda: (empty(shape, dtype), *rest)

    def _slots_behind(self) -> tuple[Array, ...]:
        """Constants, fresh memory for outputs, places of later results, the flag, the arena."""
        outs = [empty(shape, dtype) for empty, shape, dtype in self._fresh]
        arena = _NOTHING
        if self._fresh_arena is not None:
            empty, shape, dtype = self._fresh_arena
            arena = empty(shape, dtype)
        flags = (np.zeros(1, np.int64),) if self.plan.checks else ()
        return (*self._consts, *outs, *self._later, *flags, arena)

    def slots(self, arrays: Sequence[Array]) -> list[Array]:
        """What a call passes to the programs, with an arena of its own."""
        return [*arrays, *self._slots_behind()]

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Run on arrays of the planned shapes and strides.

        A result that was written over an input is that array itself.
        """
        if self.changed and not apart(arrays, self.changed):
            if self._copying is None:
                self._copying = Executable(self.graph, arrays)
            return self._copying(arrays)
        profiler = thread.modes.profiler
        if profiler is not None:
            return self._profiled(arrays, profiler)
        slots = self.slots(arrays)
        for step in self.steps:
            if isinstance(step, Program):
                step.run(tuple(slots))
            else:
                self._run_numpy(step, slots)
        return self.results(slots)

    def _run_numpy(self, step: Call, slots: list[Array]) -> None:
        e = step.eqn
        arrays = [self._array(a, slots) for a in e.inputs]
        result = thread.modes.quietly(e.op.evaluate, *arrays, **e.params)
        results = result if isinstance(result, tuple) else (result,)
        for b, r in zip(step.outputs, results):
            slots[self._slot[b]] = np.asarray(r, order="C")

    def _profiled(self, arrays: Sequence[Array], profiler: Any) -> list[Array]:
        """Run one kernel at a time, so that the time of each is known."""
        slots = self.slots(arrays)
        first = len(arrays) + len(self._consts)
        profiler.made(slots[first : first + len(self._fresh)])
        for number, group in enumerate(self.plan.groups):
            if isinstance(group, Call):
                start = time.perf_counter_ns()
                self._run_numpy(group, slots)
                self.plan.took((number, 0), time.perf_counter_ns() - start)
                continue
            programs = self._single.get(number)
            if programs is None:
                programs = [self._program([kernel], self._count, None) for kernel in group]
                self._single[number] = programs
            for i, (kernel, program) in enumerate(zip(group, programs, strict=True)):
                took = profiler.kernel(kernel, program.run, tuple(slots))
                self.plan.took((number, i), took)
        return self.results(slots)

    def results(self, slots: Sequence[Array]) -> list[Array]:
        """The outputs, after all steps ran.

        Raises:
            IndexError: a kernel met an index that is out of range.
        """
        if self.plan.checks and slots[-2][0]:
            raise IndexError(self.plan.checks[slots[-2][0] - 1])
        return [slots[n] if n >= 0 else self._array(a, slots) for n, a in self._results]

    def _array(self, a: Any, slots: Sequence[Array]) -> Any:
        """A variable as an array, at run time."""
        if not isinstance(a, Var):
            return a
        place = self.plan.places[a]
        if 0 in place.shape:
            return np.empty(place.shape, a.dtype)
        buffer = self.plan.buffers[place.buffer]
        if buffer.kind == "arena":
            base = np.ndarray(buffer.shape, buffer.dtype, slots[self._arena_slot], buffer.at)
        else:
            base = slots[self._slot[place.buffer]]
        same = base.shape == place.shape and base.strides == place.strides and place.offset == 0
        if same and base.dtype is a.dtype:  # a real part has the strides of the whole
            return base
        if base.flags.c_contiguous and base.nbytes:
            return np.ndarray(place.shape, a.dtype, base, place.offset, place.strides)  # type: ignore[arg-type]
        e = self.plan.views[a]
        return e.op.evaluate(self._array(e.inputs[0], slots), **e.params)
