"""Pointwise graphs as functions of arrays of any extents: one compiled kernel per layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir.graph import Graph, dense
from ..modes import span
from ..runtime import compiler, memory, vectorize
from ..runtime.executor import Binding, Program, Step
from . import loops, scalar
from .source import pointwise_source

Array = np.ndarray[Any, Any]

OPERANDS = 24  # inputs and outputs of a kernel: more spill address registers
EQUATIONS = 96  # of a kernel: LLVM's time grows faster than they do
#: Elements per chunk below which a second thread costs more than it brings.
GRAIN = 16384
#: Iterations never depend on each other: an output is apart from the inputs, or one of them.
POINTWISE = vectorize.DEFAULT._replace(independent=True)
_PROGRAMS = 64  # how many sizes a kernel remembers


class PointwiseKernel:
    """One pointwise graph, compiled at most once per loop layout."""

    def __init__(self, graph: Graph) -> None:
        computed = {v for e in graph.eqns for v in e.outputs}
        #: What the kernel writes; outputs that are inputs are handed back as they are.
        self.stored = tuple(dict.fromkeys(v for v in graph.outputs if v in computed))
        self.graph = Graph(graph.inputs, graph.eqns, self.stored)
        inputs = list(graph.inputs)
        self._returns = [
            (True, self.stored.index(v)) if v in computed else (False, inputs.index(v))
            for v in graph.outputs
            if v in computed or v in inputs
        ]
        self.supported = (
            bool(self.stored)
            and not graph.consts
            and len(self._returns) == len(graph.outputs)
            and all(scalar.supported(e) for e in graph.eqns)
        )
        self._addresses: dict[loops.Layout, int] = {}
        self._programs: dict[Any, tuple[Program, tuple[int, ...]]] = {}
        #: Arrays whose kernel was not at hand: looking again at each call would take longer than
        #: NumPy does.
        self._missing: set[Any] = set()

    def source(self, layout: loops.Layout) -> str:
        return pointwise_source(self.graph, layout)

    def run(self, arrays: Sequence[Array], *, may_compile: bool) -> list[Array] | None:
        """The outputs for these inputs; None if the kernel is not at hand and may not be made."""
        key = tuple([(a.shape, a.strides) for a in arrays])
        found = self._programs.get(key)
        if found is None:
            if key in self._missing and not may_compile:
                return None
            planned = self._plan(arrays, may_compile)
            if planned is None:
                if len(self._missing) >= _PROGRAMS:
                    self._missing.clear()
                self._missing.add(key)
                return None
            if len(self._programs) >= _PROGRAMS:
                self._programs.clear()
            found = self._programs[key] = planned
        program, shape = found
        outs = [memory.empty(shape, v.dtype) for v in self.stored]
        program.run((*arrays, *outs))
        return [outs[i] if stored else arrays[i] for stored, i in self._returns]

    def _plan(
        self, arrays: Sequence[Array], may_compile: bool
    ) -> tuple[Program, tuple[int, ...]] | None:
        shape = np.broadcast_shapes(*[a.shape for a in arrays])
        outputs = [v.dtype for v in self.stored]
        strides = [loops.broadcast_strides(a.shape, a.strides, shape) for a in arrays]
        strides += [dense(shape, d.itemsize) for d in outputs]
        nest = loops.collapse(shape, strides)
        itemsizes = [a.itemsize for a in arrays] + [d.itemsize for d in outputs]
        layout = loops.layout_of(nest, itemsizes)
        address = self._addresses.get(layout)
        if address is None:
            source = self.source(layout)
            address = compiler.find_source(source, hint=POINTWISE)
            if address is None:
                if not may_compile:
                    return None
                with span("Compilation: kernel"):
                    address = compiler.compile_source(source, hint=POINTWISE)
            self._addresses[layout] = address
        extent = loops.units(nest, layout)
        inner = 1 if layout.rank == 1 else nest.extents[-1]
        step = Step(address, 0, extent, max(1, GRAIN // inner))
        count = len(itemsizes)
        program = Program(
            [step], loops.words(nest, layout), [Binding(k, k) for k in range(count)], count
        )
        return program, shape
