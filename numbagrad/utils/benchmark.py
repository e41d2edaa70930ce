"""Measuring code: ``torch.utils.benchmark``, for one process and Python statements."""

from __future__ import annotations

import statistics
import textwrap
import timeit
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..runtime import threads

__all__ = ["Measurement", "TaskSpec", "Timer"]

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_STEADY = 0.1  # the interquartile range over the median from which on a warning is shown
_NOISY = 0.25


@dataclass(frozen=True)
class TaskSpec:
    """What was measured, in words."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label and sub-label, or the statement."""
        if "\n" in self.stmt and self.label is None:
            sub = f" ({self.sub_label})" if self.sub_label else ""
            return f"stmt:{sub}\n{textwrap.indent(self.stmt, '  ')}"
        return (self.label or self.stmt) + (f": {self.sub_label}" if self.sub_label else "")

    def setup_str(self) -> str:
        """The set-up as `Measurement` prints it."""
        if self.setup in ("", "pass"):
            return ""
        if "\n" in self.setup:
            return f"setup:\n{textwrap.indent(self.setup, '  ')}\n"
        return f"setup: {self.setup}"


@dataclass
class Measurement:
    """Times of a statement.

    Attributes:
        number_per_run: how often the statement ran in each measurement.
        raw_times: the seconds of each measurement.
    """

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = field(default=None)

    @property
    def times(self) -> list[float]:
        """Seconds for one run of the statement, for each measurement."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """The interquartile range, in seconds."""
        low, high = self._quartiles()
        return high - low

    @property
    def has_warnings(self) -> bool:
        """Whether the times spread so far that something else must have run."""
        return self.iqr / self.median > _STEADY

    @property
    def title(self) -> str:
        return self.task_spec.title

    @property
    def as_row_name(self) -> str:
        spec = self.task_spec
        return spec.sub_label or spec.stmt or "[Unknown]"

    def meets_confidence(self, threshold: float = _STEADY) -> bool:
        """Whether the interquartile range is small against the median."""
        return self.iqr / self.median < threshold

    def _quartiles(self) -> tuple[float, float]:
        times = sorted(self.times)
        return _quantile(times, 0.25), _quantile(times, 0.75)

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """Put the times of equal tasks together, as of single runs."""
        found: dict[TaskSpec, list[Measurement]] = {}
        for m in measurements:
            found.setdefault(m.task_spec, []).append(m)
        return [
            Measurement(1, [t for m in group for t in m.times], spec)
            for spec, group in found.items()
        ]

    def __repr__(self) -> str:
        spec, n = self.task_spec, len(self.raw_times)
        lines = [f"<{type(self).__module__}.Measurement object at {id(self):#x}>"]
        lines.append(self.title + ("\n" if "\n" in self.title else ""))
        lines += [text for text in (spec.description, spec.setup_str()) if text]
        low, high = self._quartiles()
        scale, unit = _unit(self.median)
        if n == 1:
            lines.append(f"  {self.median / scale:.2f} {unit}")
        else:
            lines.append(f"  Median: {self.median / scale:.2f} {unit}")
            if n >= 4:
                lines.append(
                    f"  IQR:    {(high - low) / scale:.2f} {unit} "
                    f"({low / scale:.2f} to {high / scale:.2f})"
                )
        lines.append(
            f"  {n} measurement{'s' if n > 1 else ''}, {self.number_per_run} runs "
            f"{'per measurement' if n > 1 else ''}, {spec.num_threads} "
            f"thread{'s' if spec.num_threads > 1 else ''}"
        )
        if self.has_warnings:
            noisy = self.iqr / self.median > _NOISY
            lines += [
                f"  WARNING: Interquartile range is {100 * self.iqr / self.median:.1f}% of the "
                "median measurement.",
                "           This suggests significant environmental influence."
                if noisy
                else "           This could indicate system fluctuation.",
            ]
        return "\n".join(lines)


def _quantile(times: Sequence[float], q: float) -> float:
    """Linear interpolation between the ordered times, NumPy's and PyTorch's default."""
    place = q * (len(times) - 1)
    i = min(int(place), len(times) - 2) if len(times) > 1 else 0
    return times[i] if len(times) == 1 else times[i] + (place - i) * (times[i + 1] - times[i])


def _unit(seconds: float) -> tuple[float, str]:
    return next(((s, name) for s, name in _UNITS if seconds >= s), _UNITS[-1])


class Timer:
    """Measures a statement, by default on one thread.

    Args:
        stmt: Python code, as a string.
        setup: code that runs once before each measurement.
        global_setup: for compatibility (C++ code); must be empty.
        timer: gives the time in seconds.
        globals: the names that `stmt` and `setup` see.
        label, sub_label, description, env: what was measured, in words.
        num_threads: the number of threads of our kernels meanwhile.

    Raises:
        ValueError: `stmt` is not a string.

    >>> import numbagrad as ng
    >>> from numbagrad.utils.benchmark import Timer
    >>> m = Timer("x + y", globals={"x": ng.ones(3), "y": ng.ones(3)}, label="add").timeit(100)
    >>> m.title, m.number_per_run, len(m.times), 0 < m.median < 1
    ('add', 100, 1, True)
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timeit.default_timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError(
                f"Currently only a `str` stmt is supported, got {type(stmt).__name__}: pass "
                'Timer("f(x)", globals={"f": f, "x": x})'
            )
        if global_setup:
            raise ValueError("global_setup is for C++ code, which is not supported; use setup")
        stmt, setup = textwrap.dedent(stmt).strip(), textwrap.dedent(setup).strip()
        self._timer = timeit.Timer(stmt, setup, timer, {} if globals is None else dict(globals))
        self._task_spec = TaskSpec(stmt, setup, global_setup, label, sub_label, description, env,
                                   num_threads)  # fmt: skip

    @contextmanager
    def _threads(self) -> Iterator[None]:
        before = threads.get_num_threads()
        threads.set_num_threads(self._task_spec.num_threads)
        try:
            yield
        finally:
            threads.set_num_threads(before)

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, times, self._task_spec)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """One measurement of `number` runs, after a few that are not counted.

        Raises:
            ValueError: `number` is not positive.
        """
        if number <= 0:
            raise ValueError(f"timeit(): number must be positive, got {number}")
        with self._threads():
            self._timer.timeit(max(number // 100, 2))
            return self._measured(number, [self._timer.timeit(number)])

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """As many measurements as take `min_run_time` seconds in all.

        Each has so many runs that reading the clock takes less than a thousandth of it.

        Args:
            callback: called with the number of runs and the seconds of each measurement.
        """
        with self._threads():
            number = self._block_size(min_run_time)
            times: list[float] = []
            while sum(times) < min_run_time:
                times.append(self._timer.timeit(number))
                if callback is not None:
                    callback(number, times[-1])
            return self._measured(number, times)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Measure until the interquartile range is below `threshold` times the median.

        It takes `min_run_time` seconds at least and `max_run_time` at most.
        """
        with self._threads():
            number = self._block_size(min_run_time)
            times: list[float] = []
            while sum(times) < max_run_time:
                times.append(self._timer.timeit(number))
                if callback is not None:
                    callback(number, times[-1])
                measured = self._measured(number, times)
                if (
                    len(times) > 3
                    and sum(times) > min_run_time
                    and measured.meets_confidence(threshold)
                ):
                    break
            return self._measured(number, times)

    def _block_size(self, min_run_time: float) -> int:
        clock = min(self._timer.timeit(0) for _ in range(5))
        number = 1
        while True:
            took = self._timer.timeit(number)
            if (took > 1000 * clock and took >= min_run_time / 1000) or took > min_run_time:
                return number
            number *= 10
