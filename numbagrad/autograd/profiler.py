"""A profiler with the interface of ``torch.autograd.profiler``: what ran, how long, on what.

It records the thread that started it, or all of them: ops, nodes of the backward pass, the kernels
of compiled functions, and parts of the user's code named by :class:`record_function`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Self, TypeVar

from ..modes import thread
from .profiler_trace import write_trace
from .profiler_util import EventList, FunctionEvent, FunctionEventAvg, build_events
from .recorder import USER, Session, Wanted

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "profile", "record_function"]

F = TypeVar("F", bound=Callable[..., Any])


class _ExperimentalConfig(NamedTuple):
    """Options of :class:`profile` that PyTorch has not settled.

    Args:
        profile_all_threads: record all threads, also those that begin inside of the block.
    """

    profile_all_threads: bool = False


class profile:
    """Records what happens in this thread inside of a ``with`` block.

    Blocks may be nested, and any number of threads may profile themselves at once. Without a
    profiler nothing is called or checked for its sake.

    Args:
        enabled: False makes the block do nothing.
        record_shapes: note the shapes of inputs.
        with_flops: count the arithmetic operations of products, convolutions, sums and elementwise
            ops, one for an element or two for each multiplication of a product.
        profile_memory: note the bytes that tensors take and give back.
        with_stack: note the lines of the user's code.
        experimental_config: ``_ExperimentalConfig(profile_all_threads=True)`` records all threads.
        use_cuda, use_device, use_cpu, use_kineto, with_modules: for compatibility; tensors are on
            the CPU always.

    Raises:
        RuntimeError: the same object is entered twice, or asked for results before the block ended.

    >>> import numbagrad as ng
    >>> x = ng.ones(3, requires_grad=True)
    >>> with ng.autograd.profiler.profile(record_shapes=True) as prof:
    ...     x.exp().sigmoid().backward(ng.ones(3))
    >>> [e.name for e in prof.function_events]
    ['aten::exp', 'aten::sigmoid', 'SigmoidBackward0', 'ExpBackward0', 'AccumulateGrad']
    >>> prof.key_averages(group_by_input_shape=True)[0].input_shapes
    [[3]]
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = True,
        use_cpu: bool = True,
        experimental_config: _ExperimentalConfig | None = None,
    ) -> None:
        if use_cuda or use_device not in (None, "cpu"):
            warnings.warn(
                f"{'CUDA' if use_cuda else use_device} is not available, profiling the CPU alone",
                stacklevel=2,
            )
        self.enabled = enabled
        self.record_shapes = record_shapes or with_flops
        self.with_flops = with_flops
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_modules = with_modules
        config = experimental_config or _ExperimentalConfig()
        self._everywhere = config.profile_all_threads
        self._session: Session | None = None
        self._events: EventList | None = None

    def __enter__(self) -> Self:
        if self._session is not None:
            raise RuntimeError(
                "Profiler context manager is not reentrant: make another profile for each block"
            )
        wanted = Wanted(self.record_shapes, self.with_flops, self.profile_memory, self.with_stack)
        self._session = Session(wanted, self._everywhere)
        if self.enabled:
            self._session.start()
        return self

    def __exit__(self, *exc: object) -> None:
        session = self._session
        assert session is not None, "a profile ends that did not begin"
        if self.enabled:
            session.stop()
        self._events = build_events(
            session.events, session.began, session.ended, flops=self.with_flops,
            memory=self.profile_memory, stack=self.with_stack,
        )  # fmt: skip

    @property
    def function_events(self) -> EventList:
        """All events, in the order in which they began."""
        if self._events is None:
            raise RuntimeError("Profiler didn't finish running")
        return self._events

    def __repr__(self) -> str:
        if self._events is None:
            return "<unfinished numbagrad.autograd.profiler.profile>"
        return repr(self._events)

    def __str__(self) -> str:
        return repr(self) if self._events is None else str(self._events)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds spent in all events together."""
        return self.function_events.self_cpu_time_total

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """The events summed up by name: see :meth:`EventList.key_averages`."""
        return self.function_events.key_averages(group_by_input_shape, group_by_stack_n)

    def total_average(self) -> FunctionEventAvg:
        """The sum over all events."""
        return self.function_events.total_average()

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """All events as text: see :meth:`EventList.table`."""
        return self.function_events.table(sort_by, row_limit, **options)

    def export_chrome_trace(self, path: str) -> None:
        """Write the events as a trace that https://ui.perfetto.dev opens.

        Forward ops and the nodes that run backward for them are tied by arrows. A name that ends
        in ``.gz`` gives a compressed file.
        """
        options = ("record_shapes", "with_flops", "profile_memory", "with_stack")
        facts = {name: int(getattr(self, name)) for name in options}
        write_trace(path, self.function_events, facts)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write the stacks of all events in the form that flame graph tools read.

        Raises:
            AssertionError: the profile was made without ``with_stack=True``.
            ValueError: `metric` is not "self_cpu_time_total".
        """
        if not self.with_stack:
            raise AssertionError("export_stacks() requires with_stack=True")
        self.function_events.export_stacks(path, metric)


class record_function:
    """Names a part of the user's code in profiles: a ``with`` block or a decorator.

    Args:
        name: what the event is called.
        args: for compatibility.

    Raises:
        RuntimeError: on entering, if `name` is not a string.

    >>> import numbagrad as ng
    >>> from numbagrad.autograd.profiler import profile, record_function
    >>> with profile() as prof, record_function("loss"):
    ...     y = ng.ones(3).sum()
    >>> [(e.name, e.cpu_parent and e.cpu_parent.name) for e in prof.function_events]
    [('loss', None), ('aten::sum', 'loss')]
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._entered: list[Any] = []

    def __enter__(self) -> Self:
        if not isinstance(self.name, str):
            raise RuntimeError(
                f"record_function(): expected a string as name, got {type(self.name).__name__}"
            )
        profiler = thread.modes.profiler
        self._entered.append(profiler and (profiler, profiler.begin(self.name, USER)))
        return self

    def __exit__(self, *exc: object) -> None:
        entered = self._entered.pop()
        if entered is not None:
            profiler, event = entered
            profiler.end(event)

    def __call__(self, fn: F) -> F:
        @functools.wraps(fn)
        def named(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return fn(*args, **kwargs)

        return named  # type: ignore[return-value]
