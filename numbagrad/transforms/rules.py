"""Functions with derivatives of their own, as every transform sees them.

A :class:`Rule` is one call of such a function, on a flat list of arguments. Called, it goes the
way of an op through `bind`: the level of the arguments' tracers decides what to do
(`Level.custom`), and the tape gets one node if a gradient is wanted at that level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..ir.pytree import flatten, unflatten
from ..modes import thread
from ..ops.reduction import sum_
from ..tape import (
    AccumulateGrad,
    Edge,
    Node,
    freed_error,
    gradient_edge,
    modified_error,
    next_sequence,
)
from ..tensor import INFERENCE, Tensor, version_counter, wrap
from ..views import refresh
from .levels import Level
from .vmap import Batch, batch_of, unbatch

Leaves = list[Any]


class Draws:
    """Where the random numbers of a run came from, so that another run draws the same ones."""

    def __init__(self) -> None:
        self._taken: list[Any] = []
        self._again: Iterator[Any] | None = None
        self._outer: Any = None

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """The first run."""
        with self._in_force(None):
            yield

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """A later one."""
        with self._in_force(iter(self._taken)):
            yield

    @contextmanager
    def _in_force(self, again: Iterator[Any] | None) -> Iterator[None]:
        modes = thread.modes
        self._outer, self._again = modes.batch, again
        modes.batch = self
        try:
            yield
        finally:
            modes.batch = self._outer

    def reserve(self, generator: Any, blocks: int) -> Any:
        """What `Interpreter.reserve` returns."""
        found = None if self._again is None else next(self._again, None)
        if found is None:
            outer = self._outer or thread.modes.trace
            found = (
                (generator.take(blocks), 0) if outer is None else outer.reserve(generator, blocks)
            )
            self._taken.append(found)
        return found


class Rule:
    """One call of a function with derivatives of its own. Arguments and results are flat."""

    name: str
    #: Whether gradients also flow to tensors that the function closes over.
    captures = False

    def run(self, leaves: Leaves) -> Leaves:
        """The function itself."""
        raise NotImplementedError

    def forward(self, leaves: Leaves) -> tuple[Leaves, Any]:
        """Results, and what `pull` wants to know (any pytree)."""
        raise NotImplementedError

    def residuals(self, leaves: Leaves) -> Any:
        """What `pull` wants to know, with the history of `leaves`."""
        return self.forward(leaves)[1]

    def pull(
        self, residuals: Any, cotangents: list[Tensor | None], captured: Sequence[Edge]
    ) -> list[Tensor | None]:
        """The cotangents of all arguments, then those of what is captured."""
        raise NotImplementedError

    def push(self, primals: Leaves, tangents: list[Tensor | None]) -> tuple[Leaves, Any]:
        """Results and their tangents."""
        raise NotImplementedError

    def batched(self, level: Batch, flags: Sequence[bool]) -> Rule:
        """The rule for the whole batch, which is dimension 0 of all results."""
        return _Mapped(self, level.size, level.randomness, flags)

    def __call__(self, leaves: Leaves) -> Leaves:
        """Results, on the tape where a gradient is wanted."""
        for x in leaves:
            if isinstance(x, Tensor) and x._view is not None:
                refresh(x)
        modes = thread.modes
        level = _highest(leaves)
        wanting: list[Tensor] = []
        if modes.grad and not modes.inference:
            wanting = [x for x in leaves if isinstance(x, Tensor) and x._requires_grad]
        if any(_level(x) is level for x in wanting):
            return self._recorded(leaves)
        outs = self.run(leaves) if level is None else level.custom(self, leaves)
        if not wanting:
            return outs
        # The level below has applied the rule; here the function runs anew if somebody asks.
        return _on_tape(RuleNode(self, leaves), outs)

    def _recorded(self, leaves: Leaves) -> Leaves:
        draws = Draws()
        start = next_sequence()
        with draws.recorded():
            outs, residuals = self.forward(list(map(_constant, leaves)))
        captured = _captured([o for o in outs if isinstance(o, Tensor)], start)
        if captured and not self.captures:
            raise RuntimeError(
                f"{self.name} closes over a tensor that requires grad, whose gradient would be "
                "lost: pass it as an argument, or detach() it"
            )
        node = RuleNode(self, leaves, captured, residuals, draws)
        return _on_tape(node, outs)


def _level(x: Any) -> Level | None:
    interpreter = getattr(x._data, "interpreter", None) if isinstance(x, Tensor) else None
    return interpreter if isinstance(interpreter, Level) else None


def _highest(leaves: Leaves) -> Level | None:
    levels = [level for level in map(_level, leaves) if level is not None]
    return max(levels, key=lambda level: level.level, default=None)


def _constant(x: Any) -> Any:
    """`x` without its history at this level; what it holds of the levels below keeps theirs."""
    if not isinstance(x, Tensor):
        return x
    t = wrap(x._data)
    t._counter = INFERENCE if x._counter is INFERENCE else version_counter(x)
    return t


def differentiable(x: Any) -> bool:
    """Whether a leaf is a tensor that can have a derivative."""
    return isinstance(x, Tensor) and x._data.dtype.kind in "fc"


def _captured(outs: list[Tensor], start: int) -> list[Edge]:
    """Where the history of `outs` leads to that is older than number `start`."""
    found: dict[Edge, None] = {}
    edges = [gradient_edge(o) for o in outs if o._requires_grad]
    seen = set()
    while edges:
        node, nr = edges.pop()
        if isinstance(node, AccumulateGrad) or node._sequence_nr() < start:
            found[node, nr] = None
        elif node not in seen:
            seen.add(node)
            edges += [e for e in node.edges if e is not None]
    return list(found)


class RuleNode(Node):
    """The tape's node for one call of a rule."""

    __slots__ = ("captured", "draws", "inputs", "metas", "residuals", "rule", "versions")

    inputs: Leaves | None  # None after they were freed
    metas: list[Any]  # shape and dtype of each result

    def __init__(
        self, rule: Rule, inputs: Leaves, captured: Sequence[Edge] = (), residuals: Any = None,
        draws: Draws | None = None,
    ) -> None:  # fmt: skip
        wanting = [x for x in inputs if isinstance(x, Tensor) and x._requires_grad]
        super().__init__([*map(gradient_edge, wanting), *captured])
        self.rule = rule
        self.inputs = inputs
        self.captured = captured
        self.residuals = residuals  # None: the function runs anew
        self.draws = Draws() if draws is None else draws
        self.versions = [x._version if _counts(x) else 0 for x in inputs]

    def name(self) -> str:
        return f"{self.rule.name}Backward"

    def release(self) -> None:
        self.inputs = self.residuals = None

    def apply(self, grads: list[Tensor | None], mask: int) -> tuple[Tensor | None, ...]:
        inputs = self.inputs
        if inputs is None:
            raise freed_error(self.name())
        for x, version in zip(inputs, self.versions, strict=True):
            if _counts(x) and x._version != version:
                edge = gradient_edge(x) if x._node is not None else None
                raise modified_error(self, x._data, edge, version_counter(x), version)
        full = [
            wrap(np.zeros(*meta)) if g is None and meta is not None else g
            for g, meta in zip(grads, self.metas, strict=True)
        ]
        residuals = self.residuals
        with self.draws.repeated():
            if thread.modes.grad or residuals is None:
                # They depend on the inputs, should the gradient be differentiated again.
                residuals = self.rule.residuals(inputs)
            found = self.rule.pull(residuals, full, self.captured)
        n = len(inputs)
        wanting = [
            g
            for x, g in zip(inputs, found[:n], strict=True)
            if isinstance(x, Tensor) and x._requires_grad
        ]
        return (*wanting, *found[n:])


def _counts(x: Any) -> bool:
    return isinstance(x, Tensor) and x._counter is not INFERENCE


def _on_tape(node: RuleNode, outs: Leaves) -> Leaves:
    """The results as those of the node."""
    node.n_outputs = len(outs)
    node.metas = [(o._data.shape, o._data.dtype) if isinstance(o, Tensor) else None for o in outs]
    results: Leaves = []
    for nr, out in enumerate(outs):
        if differentiable(out):
            out = _constant(out)
            out._node, out._nr, out._requires_grad = node, nr, True
        results.append(out)
    if thread.modes.on_record is not None:
        thread.modes.on_record(node, tuple(node.inputs or ()), tuple(results))
    return results


class _Mapped(Rule):
    """A rule applied to a whole batch."""

    def __init__(self, rule: Rule, size: int, randomness: str, flags: Sequence[bool]) -> None:
        self.name = rule.name
        self.rule = rule
        self.size = size
        self.randomness = randomness
        self.flags = flags  # which arguments have the batch

    @contextmanager
    def _level(self) -> Iterator[tuple[Any, Any]]:
        """Inside the new level: functions that bring leaves in and out."""
        with Batch(self.size, self.randomness) as level:

            def enter(leaves: Leaves, flags: Sequence[bool]) -> Leaves:
                return [
                    batch_of(level, x, 0) if f and isinstance(x, Tensor) else x
                    for x, f in zip(leaves, flags, strict=True)
                ]

            def leave(leaves: Leaves) -> Leaves:
                return [unbatch(level, x, 0) if isinstance(x, Tensor) else x for x in leaves]

            yield enter, leave

    def run(self, leaves: Leaves) -> Leaves:
        with self._level() as (enter, leave):
            return leave(self.rule.run(enter(leaves, self.flags)))

    def forward(self, leaves: Leaves) -> tuple[Leaves, Any]:
        with self._level() as (enter, leave):
            outs, residuals = self.rule.forward(enter(leaves, self.flags))
            kept, structure = flatten(residuals)
            return leave(outs), (structure, leave(kept))

    def pull(
        self, residuals: Any, cotangents: list[Tensor | None], captured: Sequence[Edge]
    ) -> list[Tensor | None]:
        structure, kept = residuals
        with self._level() as (enter, leave):
            inner = unflatten(structure, enter(kept, (True,) * len(kept)))
            grads = self.rule.pull(inner, enter(cotangents, (True,) * len(cotangents)), ())
            found = leave(grads)
        return [
            g if g is None or f else sum_(g, dim=(0,), keepdim=False)
            for g, f in zip(found, self.flags, strict=True)
        ]

    def push(self, primals: Leaves, tangents: list[Tensor | None]) -> tuple[Leaves, Any]:
        with self._level() as (enter, leave):
            outs, pushed = self.rule.push(enter(primals, self.flags), enter(tangents, self.flags))
            return leave(outs), leave(pushed)
