"""The interface of ``torch.profiler``: profiles of a training loop, step by step."""

from __future__ import annotations

import enum
import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Self

from .autograd import profiler as _profiler
from .autograd.profiler import _ExperimentalConfig, record_function
from .autograd.profiler_trace import write_trace
from .autograd.profiler_util import STEP, EventList

__all__ = ["ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule",
           "supported_activities", "tensorboard_trace_handler"]  # fmt: skip


class ProfilerActivity(enum.Enum):
    """What can be profiled; here it is always the CPU."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


def supported_activities() -> set[ProfilerActivity]:
    """The activities that are recorded: the CPU alone."""
    return {ProfilerActivity.CPU}


class ProfilerAction(enum.Enum):
    """What a profiler does during a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:  # fmt: skip
    """Cycles of steps: `wait` without profiling, `warmup`, then `active` that are recorded.

    Args:
        repeat: how many cycles; 0 is for ever.
        skip_first: steps before the first cycle.
        skip_first_wait: not 0: the first cycle begins with its warm-up.

    Raises:
        AssertionError: a negative number, or no active step.

    >>> import numbagrad as ng
    >>> plan = ng.profiler.schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [plan(step).name for step in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise AssertionError(
            f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} "
            f"(need >= 0), active={active} (need > 0), repeat={repeat} (need >= 0), "
            f"skip_first={skip_first} (need >= 0)."
        )
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        cycle, place = divmod(step - skip_first + (wait if skip_first_wait else 0), length)
        if (repeat and cycle >= repeat) or place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == length - 1 else ProfilerAction.RECORD

    return action


class profile:
    """Profiles steps of a loop by a schedule, or everything inside of a ``with`` block.

    Args:
        activities: what to record; the CPU is all there is, others warn.
        schedule: step number -> :class:`ProfilerAction`, see :func:`schedule`. Call :meth:`step`
            after each step then. Without one, all is recorded.
        on_trace_ready: called with this object when a cycle, or the block, has been recorded.
        record_shapes, profile_memory, with_stack, with_flops, with_modules,
        experimental_config: as for
            :class:`numbagrad.autograd.profiler.profile`.
        acc_events: keep the events of earlier cycles.

    Raises:
        AssertionError: no activity, or results are asked for before anything was recorded.

    >>> import numbagrad as ng
    >>> def report(p):
    ...     print(p.step_num, [e.name for e in p.events()])
    >>> plan = ng.profiler.schedule(wait=1, warmup=1, active=1, repeat=1)
    >>> with ng.profiler.profile(schedule=plan, on_trace_ready=report) as prof:
    ...     for step in range(4):
    ...         y = ng.ones(2) * step
    ...         prof.step()
    3 ['ProfilerStep*', 'aten::mul']
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: _ExperimentalConfig | None = None,
        acc_events: bool = False,
    ) -> None:
        self.activities = supported_activities() if activities is None else set(activities)
        if not self.activities:
            raise AssertionError("No valid profiler activities found")
        for other in self.activities - supported_activities():
            warnings.warn(f"{other.name} is not available, profiling the CPU alone", stacklevel=2)
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_flops = with_flops
        self.with_modules = with_modules
        self.experimental_config = experimental_config
        self.acc_events = acc_events
        self.step_num = 0
        self.profiler: _profiler.profile | None = None
        self.current_action = self._action()
        self._recording = False
        self._warming: _profiler.profile | None = None
        self._earlier: list[Any] = []
        self._step: record_function | None = None
        self._metadata: dict[str, Any] = {}

    def _action(self) -> ProfilerAction:
        if self.schedule is None:
            return ProfilerAction.RECORD_AND_SAVE
        return self.schedule(self.step_num)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with the first step."""
        self._follow()
        self._begin_step()

    def step(self) -> None:
        """A step of the loop is over, the next one begins."""
        self._end_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self._action()
        if before in _RECORDING and (
            before is ProfilerAction.RECORD_AND_SAVE or self.current_action not in _RECORDING
        ) and self.schedule is not None:  # fmt: skip
            self._finish()
        self._follow()
        self._begin_step()

    def stop(self) -> None:
        """The end: what is being recorded is complete."""
        if self.profiler is None and self.current_action in _RECORDING:
            raise AssertionError("Profiler must be initialized before stopping trace")
        self._end_step()
        self._warm_up(False)
        if self._recording:
            self._finish()

    def _follow(self) -> None:
        """Do what the current action says."""
        self._warm_up(self.current_action is ProfilerAction.WARMUP)
        if self.current_action in _RECORDING and not self._recording:
            self._begin()

    def _warm_up(self, on: bool) -> None:
        """Record for nobody: what is done once, for the first profile, is done then."""
        if on and self._warming is None:
            self._warming = _profiler.profile()
            self._warming.__enter__()
        elif not on and self._warming is not None:
            self._warming.__exit__(None, None, None)
            self._warming = None

    def _begin(self) -> None:
        if self.acc_events and self.profiler is not None:
            self._earlier += self.profiler.function_events
        self.profiler = _profiler.profile(
            record_shapes=self.record_shapes, with_flops=self.with_flops,
            profile_memory=self.profile_memory, with_stack=self.with_stack,
            with_modules=self.with_modules, experimental_config=self.experimental_config,
        )  # fmt: skip
        self.profiler.__enter__()
        self._recording = True

    def _finish(self) -> None:
        assert self.profiler is not None
        self.profiler.__exit__(None, None, None)
        self._recording = False
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def _begin_step(self) -> None:
        if self.schedule is not None:
            self._step = record_function(f"{STEP}{self.step_num}")
            self._step.__enter__()

    def _end_step(self) -> None:
        if self._step is not None:
            self._step.__exit__(None, None, None)
            self._step = None

    def _finished(self, what: str) -> _profiler.profile:
        if self.profiler is None:
            raise AssertionError(f"Profiler must be initialized before {what}")
        return self.profiler

    def events(self) -> EventList:
        """The events of the latest cycle that was recorded."""
        events = self._finished("accessing events").function_events
        return EventList([*self._earlier, *events], **events._options)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """The events summed up by name: see :meth:`EventList.key_averages`."""
        self._finished("getting key averages")
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: str) -> None:
        """Write a trace that https://ui.perfetto.dev opens; compressed if `path` ends in .gz."""
        self._finished("exporting chrome trace")
        write_trace(path, self.events(), self._metadata)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write the stacks of all events in the form that flame graph tools read."""
        self._finished("exporting stacks").export_stacks(path, metric)

    def add_metadata(self, key: str, value: str) -> None:
        """Add an entry of text to the trace file."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Add an entry to the trace file, given as JSON.

        Raises:
            ValueError: `value` is not JSON.
        """
        self._metadata[key] = json.loads(value)


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """An `on_trace_ready` that writes each trace to a file of its own in a directory.

    Raises:
        RuntimeError: the directory cannot be made.
    """

    def handler(prof: profile) -> None:
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError(f"Can't create directory: {dir_name}") from error
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json{'.gz' if use_gzip else ''}"
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return handler
