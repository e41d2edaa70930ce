"""Gradient modes: what the tape records, per thread.

Each mode works as a context manager and as a decorator; decorating a generator function sets
the mode while the generator runs and gives the caller's mode back at each ``yield``.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import os
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self, TypeVar, cast

import numpy as np

from .locks import free_in_child

F = TypeVar("F", bound=Callable[..., Any])


class Modes:
    """What an op call must know besides its arguments."""

    __slots__ = (
        "__weakref__",
        "anomaly",
        "backward",
        "batch",
        "forward",
        "grad",
        "hooks_disabled",
        "inference",
        "multithreading",
        "on_record",
        "profiler",
        "quietly",
        "saved_hooks",
        "thread_id",
        "trace",
        "watches",
    )

    def __init__(self) -> None:
        self.thread_id = threading.get_native_id()
        self.grad = True  # record on the tape
        self.inference = False  # make inference tensors
        self.multithreading = True  # what the user asked for: backward passes have one thread
        self.forward = True  # tangents of dual tensors are carried along
        self.trace: Any = None  # the interpreter that sees every op, tracers or not
        self.batch: Any = None  # the innermost `vmap`: it says where random numbers come from
        self.anomaly: Any = None  # the watch of anomaly mode
        self.profiler: Any = None  # the watch of the profiler
        #: Those who follow what the tape records and the engine runs (see `tape.Watch`).
        self.watches: tuple[Any, ...] = ()
        self.saved_hooks: list[Any] = []  # (pack, unpack) of each `saved_tensors_hooks` block
        self.hooks_disabled: str | None = None  # why there may be none
        #: Called with each recorded (node, args, outs); None as long as nobody wants to know.
        self.on_record: Any = None
        self.backward: Any = None  # the backward pass that runs in this thread
        # PyTorch raises no floating-point warnings. A context of our own with NumPy's set to
        # "ignore" costs 30 ns a call, `with np.errstate` a microsecond. All work on arrays goes
        # through this call, so that a profiler, which replaces it, costs nothing when it is off.
        context = contextvars.Context()
        context.run(np.seterr, all="ignore")
        self.quietly: Callable[..., Any] = context.run


#: Held by a trace for compilation, which changes tensors that other threads see, too, until it
#: ends, and by those who add to gradients or write results back: a trace would take that back.
changing = threading.RLock()

_starting = free_in_child(threading.Lock())
_all: weakref.WeakSet[Modes] = weakref.WeakSet()
_welcome: list[Callable[[Modes], None]] = []


class _Thread(threading.local):
    # One attribute, because each access to a thread-local costs four times a plain one.
    def __init__(self) -> None:
        self.modes = Modes()
        with _starting:
            _all.add(self.modes)
            for each in _welcome:
                each(self.modes)


def for_all_threads(call: Callable[[Modes], None]) -> Callable[[], None]:
    """Call `call` with the modes of each thread that uses this package, now and of later ones.

    Returns:
        What ends it for later ones.
    """
    with _starting:
        _welcome.append(call)
        for modes in list(_all):
            call(modes)

    def end() -> None:
        with _starting:
            _welcome.remove(call)

    return end


thread = _Thread()


def _after_fork() -> None:
    thread.modes.thread_id = threading.get_native_id()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def span(name: str) -> AbstractContextManager[Any]:
    """A part of the library, as an event of the profiler of this thread if there is one."""
    profiler = thread.modes.profiler
    return nullcontext() if profiler is None else profiler.span(name)


class Mode:
    """A pair of (grad, inference) set on entry and given back on exit; may be nested and reused."""

    def __init__(self) -> None:
        self._previous: list[tuple[bool, bool]] = []

    def _modes(self) -> tuple[bool, bool]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._previous.append((thread.modes.grad, thread.modes.inference))
        thread.modes.grad, thread.modes.inference = self._modes()
        return self

    def __exit__(self, *exc: object) -> None:
        thread.modes.grad, thread.modes.inference = self._previous.pop()

    def _fresh(self) -> Mode:
        """A mode like this one for a single use, since a decorated function may be re-entered."""
        return type(self)()

    def __call__(self, fn: F) -> F:
        if inspect.isclass(fn):
            raise TypeError(
                f"{type(self).__name__} decorates functions; decorate the methods of "
                f"{fn.__name__} instead"
            )
        if inspect.isgeneratorfunction(fn):

            @functools.wraps(fn)
            def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                return (yield from _run_generator(fn(*args, **kwargs), self._fresh))

            return cast(F, generator)

        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._fresh():
                return fn(*args, **kwargs)

        return cast(F, wrapped)


def _run_generator(gen: Generator[Any, Any, Any], mode: Callable[[], Mode]) -> Any:
    """Drive `gen` inside the mode; between its steps the consumer's own mode is in force."""
    try:
        with mode():
            item = next(gen)
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                with mode():
                    gen.close()
                raise
            except BaseException as error:
                with mode():
                    item = gen.throw(error)
            else:
                with mode():
                    item = gen.send(sent)
    except StopIteration as stop:
        return stop.value


class no_grad(Mode):
    """Results computed inside do not require grad.

    >>> import numbagrad as ng
    >>> x = ng.tensor([1.0], requires_grad=True)
    >>> with ng.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __new__(cls, fn: Any = None) -> Any:
        self = super().__new__(cls)
        if callable(fn):  # @no_grad without parentheses
            Mode.__init__(self)
            return self(fn)
        return self

    def __init__(self, fn: Any = None) -> None:
        super().__init__()

    def _modes(self) -> tuple[bool, bool]:
        return False, thread.modes.inference


class enable_grad(no_grad):
    """Record gradients again inside ``no_grad``. Has no effect on inference mode."""

    def _modes(self) -> tuple[bool, bool]:
        return True, thread.modes.inference


class set_grad_enabled(Mode):
    """Set recording on or off: takes effect at once and, as a context manager, until its exit."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.mode = bool(mode)
        self._before = (thread.modes.grad, thread.modes.inference)
        thread.modes.grad = self.mode

    def _modes(self) -> tuple[bool, bool]:
        return self.mode, thread.modes.inference

    def __enter__(self) -> Self:
        self._previous.append(self._before)
        thread.modes.grad = self.mode
        return self

    def __call__(self, fn: F) -> F:
        thread.modes.grad = self._before[0]  # decorating a function must not change the mode
        return super().__call__(fn)

    def _fresh(self) -> Mode:
        return set_grad_enabled(self.mode)


class set_fwd_grad_enabled:
    """Inside, dual tensors are computed with or without their tangents.

    >>> import numbagrad as ng
    >>> from numbagrad.autograd import forward_ad
    >>> with forward_ad.dual_level():
    ...     x = forward_ad.make_dual(ng.ones(1), ng.ones(1))
    ...     with forward_ad.set_fwd_grad_enabled(False):
    ...         print(forward_ad.unpack_dual(x * 2).tangent)
    None
    """

    def __init__(self, mode: bool) -> None:
        self._previous = thread.modes.forward
        thread.modes.forward = bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        thread.modes.forward = self._previous


class inference_mode(Mode):
    """No tape and no version counting inside; tensors made inside are inference tensors.

    They cannot be saved for a backward pass later; ``clone()`` brings one back.

    >>> import numbagrad as ng
    >>> with ng.inference_mode():
    ...     y = ng.ones(2) * 2
    >>> y.is_inference()
    True
    """

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if callable(mode):  # @inference_mode without parentheses
            Mode.__init__(self)
            self.mode = True
            return self(mode)
        return self

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = mode

    def _modes(self) -> tuple[bool, bool]:
        return (False, True) if self.mode else (True, False)

    def _fresh(self) -> Mode:
        return inference_mode(self.mode)


class set_multithreading_enabled:
    """Accepted for code that is written for PyTorch; at once and as a ``with`` block.

    A backward pass runs in the thread that called it, whether this is on or off.
    """

    def __init__(self, mode: bool) -> None:
        self.previous = thread.modes.multithreading
        thread.modes.multithreading = bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        thread.modes.multithreading = self.previous


def is_multithreading_enabled() -> bool:
    """What :class:`set_multithreading_enabled` was told in this thread."""
    return thread.modes.multithreading


def is_grad_enabled() -> bool:
    """True if ops on tensors that require grad are recorded in this thread."""
    return thread.modes.grad


def is_inference_mode_enabled() -> bool:
    """True inside ``inference_mode`` in this thread."""
    return thread.modes.inference
