"""What the trace of a function says: its programs, the tensors outside that they read and change,
and the facts that it holds for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .codegen.program import Executable
from .errors import ModifiedError
from .ir.graph import Graph
from .ir.trace import GradientStep, TraceTracer
from .runtime import memory
from .surroundings import Fact, Named
from .tensor import Tensor


class GradOf(NamedTuple):
    """Refers to the gradient that a leaf has at the time of a call."""

    leaf: int | Tensor | Named


class Made(NamedTuple):
    """Refers to a leaf that the function makes: number of the computed value."""

    number: int


Ref = int | Tensor | Named | GradOf | Made
"""A tensor outside of the program: number of an argument, a closed-over tensor or the place where
it is found, a gradient; a leaf among the results."""


def find(ref: Any, tensors: list[Tensor]) -> Any:
    """The tensor that a reference names in a call with these arguments."""
    if ref.__class__ is int:
        return tensors[ref]
    if ref.__class__ is GradOf:
        return find(ref.leaf, tensors)._grad
    if ref.__class__ is Named:
        return ref.now()
    return ref


class Result(NamedTuple):
    """A tensor of the function's result: a computed value (`owner` is None), a tensor that existed
    before, or what a chain of view ops makes of one of these."""

    owner: Ref | None
    number: int = -1  # of the computed value
    chain: tuple[Any, ...] = ()
    detached: bool = False


class Change(NamedTuple):
    """A tensor outside that gets a value of the program."""

    target: Ref
    number: int
    requires_grad: bool


class Traced:
    """One traced signature."""

    def __init__(self) -> None:
        self.captures: list[Ref] = []
        self.named: list[Named] = []  # those of the references that are names
        self.guards: list[Any] = []  # (shape, strides, dtype, requires_grad) of each capture
        self.absent: list[tuple[Ref, bool]] = []  # (leaf, whether it has no gradient)
        self.facts: list[Fact] = []
        self.rebound: list[tuple[Any, Any]] = []  # (container, key) that get a tensor at each call
        self.grafted = False  # the function changed containers that it was given
        self.pinned: list[tuple[int, Tensor]] = []  # arguments that must be these very tensors
        self.reads: list[Callable[[], Any]] = []
        self.draws = False  # reading moves a random stream: it must happen once in a call
        self.once = False
        self.structure: Any = None
        self.leaves: list[Any] = []  # of the result: a `Result` or the value itself
        self.requires_grad: list[bool] = []  # whether each computed value has a history
        self.made: list[int] = []  # those that are leaves which require grad
        self.spent = False  # the function itself ran backward: there is no history left
        self.changed: list[Change] = []
        self.grads: list[tuple[Ref, int | None]] = []
        self.copied: list[int] = []  # values that must not share their memory
        self.residuals = 0  # the number of values before them
        self.owners: list[Any] = []  # of each residual: a Ref, ("value", number), None
        self.differentiated: list[Ref] = []  # for each gradient
        self.forward: Executable
        self.backward: Executable | None = None
        self.refused: ModifiedError | None = None  # what a backward pass raises
        self.backward_copied: list[int] = []
        self.higher: Any = None  # the gradient as a compiled function, for double backward
        # The trace as it was written down, from inputs and cotangents to gradients, and for anomaly
        # mode the nodes that run backward in the two programs.
        self.written: Graph | None = None
        self.inner_steps: list[GradientStep] = []
        self.outer_steps: list[GradientStep] = []

    @property
    def graph(self) -> Graph:
        return self.forward.graph

    @property
    def checked(self) -> bool:
        """Whether the function itself switches anomaly mode on."""
        return any(s.switched and s.anomaly is not None for s in self.inner_steps)

    def operands(self, tensors: list[Tensor]) -> list[Tensor]:
        """What a call with these arguments passes to the program, but for what it `reads`."""
        pinned = {i for i, _ in self.pinned}
        operands = [t for i, t in enumerate(tensors) if i not in pinned]
        operands += [find(ref, tensors) for ref in self.captures]
        return operands

    def misfit(self, tensors: list[Tensor]) -> str:
        """Why this trace is not valid for a call now: empty if it is."""
        for ref in self.named:
            if not isinstance(ref.now(), Tensor):
                return repr(ref.name)
        for ref, guard in zip(self.captures, self.guards):
            t = find(ref, tensors)
            if t is None:
                return "whether a tensor has a gradient"
            data = t._data
            if (data.shape, data.strides, data.dtype, t._requires_grad) != guard:
                return "the shape, dtype or requires_grad of a tensor that it closes over"
        for leaf, absent in self.absent:
            if (find(leaf, tensors)._grad is None) != absent:
                return "whether a tensor has a gradient"
        for fact in self.facts:
            if fact.mapping.get(fact.key) is not fact.value and not fact.holds():
                return repr(fact.name)
        if any(tensors[i] is not t for i, t in self.pinned):
            return "which tensors share memory"
        if self.changed and not self.pinned and self._overlapping(tensors):
            return "which tensors share memory"
        return ""

    def _overlapping(self, tensors: list[Tensor]) -> bool:
        """Whether something changed overlaps an argument: the trace took them for independent."""
        if not tensors:
            return False
        changed = [find(c.target, tensors) for c in self.changed]
        others = list({id(t): t for t in (*changed, *tensors)}.values())
        arrays = arrays_of(others)
        if len({id(memory.owner(a)) for a in arrays}) == len(others):
            return False
        array_of = {id(t): a for t, a in zip(others, arrays, strict=True)}
        return any(
            a is not b and np.shares_memory(array_of[id(a)], array_of[id(b)])
            for a in changed for b in tensors
        )  # fmt: skip


def arrays_of(tensors: Sequence[Tensor]) -> list[Any]:
    """What tensors hold; a trace in another thread that changes one of them is waited for."""
    arrays = [t._data for t in tensors]
    while TraceTracer in map(type, arrays):
        if not any([a.interpreter.stale(tensors) for a in arrays if type(a) is TraceTracer]):
            break  # leaked from a trace: using it is the error to raise
        arrays = [t._data for t in tensors]
    return arrays
