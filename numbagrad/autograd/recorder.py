"""What a profiler sees of one thread: it takes the place of the call through which all work on
arrays goes (`Modes.quietly`), and watches the tape. Without a profiler nothing of it is there."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..modes import Modes, for_all_threads, thread
from ..ops.registry import REGISTRY, Op
from ..stack import Stack
from ..tape import AccumulateGrad, Node, OpNode, Watch, observe

_ndarray = np.ndarray
_now = time.perf_counter_ns

# Kinds of events.
OP = "op"  # an op on arrays
FUNCTION = "function"  # the forward pass of a custom Function, a part of the library
BACKWARD = "backward"  # a node of the tape runs
REGION = "region"  # a call of a compiled function
KERNEL = "kernel"  # a native step inside of one
USER = "user"  # record_function
MEMORY = "memory"  # memory was given back while nothing of the above ran


class Event:
    """Something that took time; times are in nanoseconds of ``time.perf_counter_ns``."""

    __slots__ = ("end", "flops", "kind", "memory", "moved", "name", "parent", "sequence", "shapes",
                 "stack", "start", "thread")  # fmt: skip

    def __init__(self, name: str, kind: str, thread: int, parent: Event | None) -> None:
        self.name = name
        self.kind = kind
        self.thread = thread
        self.parent = parent
        self.start = 0
        self.end: int | None = None  # as long as it lasts
        self.shapes: list[Any] = []
        self.sequence = -1  # number of the node that it made, or that it runs
        self.memory = 0  # bytes taken less bytes given back, without those of events inside
        self.flops = 0
        self.moved = 0  # bytes that a kernel reads and writes
        self.stack: Stack | None = None


class Wanted(NamedTuple):
    """What is noted of each event besides its time."""

    shapes: bool = False
    flops: bool = False
    memory: bool = False
    stack: bool = False


class Session:
    """The events between :meth:`start` and :meth:`stop`. Sessions may overlap.

    Args:
        wanted: what is noted.
        everywhere: in all threads, also those that begin later, not in that of :meth:`start` alone.
    """

    def __init__(self, wanted: Wanted, everywhere: bool = False) -> None:
        self.wanted = wanted
        self.everywhere = everywhere
        self.events: list[Event] = []
        self.began = self.ended = 0
        self._joined: list[tuple[Recorder, int]] = []  # with how many events it had
        self._end: Callable[[], None] | None = None

    def start(self) -> None:
        if self.everywhere:
            self._end = for_all_threads(self._join)
        else:
            self._join(thread.modes)
        self.began = _now()

    def _join(self, modes: Modes) -> None:
        recorder = modes.profiler or Recorder(modes)
        self._joined.append((recorder, len(recorder.events)))
        recorder.add(self)

    def stop(self) -> None:
        self.ended = _now()
        if self._end is not None:
            self._end()
        for recorder, first in self._joined:
            self.events += recorder.events[first:]
            recorder.remove(self)
        self._joined = []
        self.events.sort(key=lambda e: e.start)


class _Owned(weakref.ref[Any]):
    """Refers to the array that owns some memory; knows its size when it is gone."""

    __slots__ = ("nbytes",)

    nbytes: int


def _owner(a: Any) -> Any:
    while isinstance(a.base, _ndarray):
        a = a.base
    return a


class Recorder(Watch):
    """Records the events of one thread for all sessions that are under way there."""

    def __init__(self, modes: Modes) -> None:
        self.modes = modes
        self.events: list[Event] = []
        self.sessions: list[Session] = []
        self.wanted = Wanted()
        self._plain = modes.quietly
        self._ops: dict[Any, Op] = {}
        self._open: list[Event] = []
        self._last: Event | None = None  # the latest op or Function that ended
        self._living: dict[int, _Owned] = {}

    def add(self, session: Session) -> None:
        if not self.sessions:
            for op in REGISTRY.values():
                self._ops.setdefault(op.evaluate, op)
            self.modes.profiler = self
            self.modes.quietly = self.evaluated
            observe(self.modes)
        self.sessions.append(session)
        self._want()

    def remove(self, session: Session) -> None:
        self.sessions.remove(session)
        self._want()
        if not self.sessions:
            self.modes.profiler = None
            self.modes.quietly = self._plain
            self._living.clear()
            observe(self.modes)

    def _want(self) -> None:
        each = [s.wanted for s in self.sessions] or [Wanted()]
        self.wanted = Wanted(*map(any, zip(*each, strict=True)))

    # -- events -----------------------------------------------------------------------------

    def begin(self, name: str, kind: str) -> Event:
        event = Event(name, kind, self.modes.thread_id, self._open[-1] if self._open else None)
        if self.wanted.stack:
            event.stack = Stack.here()
        self.events.append(event)
        self._open.append(event)
        event.start = _now()
        return event

    def end(self, event: Event) -> None:
        """End an event, and those inside of it that somebody forgot."""
        now = _now()
        if event in self._open:
            while (inner := self._open.pop()) is not event:
                inner.end = now
        event.end = now
        if event.kind is OP or event.kind is FUNCTION:
            self._last = event

    @contextmanager
    def span(self, name: str, kind: str = FUNCTION, inputs: Sequence[Any] = ()) -> Iterator[Event]:
        event = self.begin(name, kind)
        if self.wanted.shapes:
            event.shapes = _shapes(inputs)
        try:
            yield event
        finally:
            self.end(event)

    def evaluated(self, fn: Callable[..., Any], *args: Any, **params: Any) -> Any:
        """Call ``fn(*args, **params)``, as `Modes.quietly` does; if it is an op, note it."""
        op = self._ops.get(fn)
        if op is None:
            return self._plain(fn, *args, **params)
        event = self.begin(f"aten::{op.name}", OP)
        try:
            out = self._plain(fn, *args, **params)
        finally:
            self.end(event)
        wanted = self.wanted
        if wanted.shapes:
            event.shapes = _shapes(args)
        if wanted.flops:
            event.flops = op.count_flops(args, params)
        if wanted.memory:
            self.took(event, out if out.__class__ is tuple else (out,), args)
        return out

    def kernel(self, kernel: Any, run: Callable[..., Any], slots: Any) -> int:
        """Run a native step of a compiled function; returns the nanoseconds it took."""
        event = self.begin(kernel.label, KERNEL)
        try:
            run(slots)
        finally:
            self.end(event)
        event.moved = kernel.moved
        event.flops = kernel.flops
        if self.wanted.shapes:
            event.shapes = [list(place.shape) for _, place in kernel.places]
        assert event.end is not None
        return event.end - event.start

    # -- memory -----------------------------------------------------------------------------

    def took(self, event: Event, arrays: Sequence[Any], inputs: Sequence[Any]) -> None:
        """`event` made `arrays`; those that lie in the memory of `inputs` cost nothing."""
        known = [a for a in inputs if a.__class__ is _ndarray]
        for a in arrays:
            if a.__class__ is not _ndarray or any(np.may_share_memory(a, b) for b in known):
                continue
            known.append(a)
            owner = _owner(a)
            event.memory += owner.nbytes
            ref = _Owned(owner, self._gave)
            ref.nbytes = owner.nbytes
            self._living[id(ref)] = ref

    def made(self, arrays: Sequence[Any]) -> None:
        """Results for which a compiled function took memory."""
        if self.wanted.memory and self._open:
            self.took(self._open[-1], arrays, ())

    def _gave(self, ref: _Owned) -> None:
        """An array is gone: that counts where it happens, as in PyTorch."""
        if self._living.pop(id(ref), None) is None:
            return
        if self._open and thread.modes is self.modes:
            self._open[-1].memory -= ref.nbytes
            return
        event = Event("[memory]", MEMORY, threading.get_native_id(), None)
        event.start = event.end = _now()
        event.memory = -ref.nbytes
        self.events.append(event)

    # -- the tape ---------------------------------------------------------------------------

    def recorded(self, node: Node) -> None:
        event = self._last
        inner = self._open[-1] if self._open else None
        if not isinstance(node, OpNode) and inner is not None and inner.kind in (REGION, FUNCTION):
            event = inner
        if event is not None:
            event.sequence = node._sequence_nr()

    def watching(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def watched(node: Node, grads: list[Any], captures: Any, needed: Any, *rest: Any) -> Any:
            if needed is not None and node not in needed:
                return run(node, grads, captures, needed, *rest)
            event = self.begin(node.name(), BACKWARD)
            if node.__class__ is not AccumulateGrad:
                event.sequence = node._sequence_nr()
            if self.wanted.shapes:
                event.shapes = _shapes(grads)
            try:
                return run(node, grads, captures, needed, *rest)
            finally:
                self.end(event)

        return watched


def _shapes(values: Sequence[Any]) -> list[list[int]]:
    return [list(getattr(v, "shape", ())) for v in values]
