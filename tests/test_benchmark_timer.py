"""`utils.benchmark`: with a clock of our own, what it says of a statement is exact."""

from __future__ import annotations

import pytest

import numbagrad as ng
from numbagrad.utils.benchmark import Measurement, TaskSpec, Timer


class Clock:
    """A clock that only the measured statements move."""

    def __init__(self, *steps: float) -> None:
        self.now, self.calls, self.steps = 0.0, 0, steps

    def __call__(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += self.steps[self.calls % len(self.steps)]
        self.calls += 1


def timer(clock, **options):
    return Timer("clock.work()", timer=clock, globals={"clock": clock}, **options)


def test_timeit():
    clock = Clock(0.5)
    m = timer(clock).timeit(10)
    assert (m.number_per_run, m.raw_times, m.times) == (10, [5.0], [0.5])
    assert (m.median, m.mean, m.iqr) == (0.5, 0.5, 0) and clock.calls == 12
    with pytest.raises(ValueError, match="positive"):
        timer(clock).timeit(0)


def test_blocked_autorange():
    clock, seen = Clock(0.001), []
    m = timer(clock).blocked_autorange(lambda n, t: seen.append((n, t)), min_run_time=0.5)
    assert sum(m.raw_times) >= 0.5 and m.median == pytest.approx(0.001)
    assert seen == [(m.number_per_run, t) for t in m.raw_times]


def test_adaptive_autorange():
    assert len(timer(Clock(0.01)).adaptive_autorange(min_run_time=0.01).times) == 4
    noisy = timer(Clock(0.1, 0.9)).adaptive_autorange(max_run_time=5, min_run_time=0.01)
    assert sum(noisy.raw_times) >= 5 and noisy.has_warnings


def test_words():
    spec = TaskSpec("f(x)", "x = 1", "", "l", "s", "d", num_threads=2)
    m = Measurement(100, [0.1, 0.11, 0.2, 0.4, 0.3], spec)
    assert repr(m).split("\n")[1:] == [
        "l: s",
        "d",
        "setup: x = 1",
        "  Median: 2.00 ms",
        "  IQR:    1.90 ms (1.10 to 3.00)",
        "  5 measurements, 100 runs per measurement, 2 threads",
        "  WARNING: Interquartile range is 95.0% of the median measurement.",
        "           This suggests significant environmental influence.",
    ]
    assert m.as_row_name == "s" and not m.meets_confidence()


def test_one_measurement_and_long_statements():
    m = Timer("\n    y = 1\n    y\n").timeit(3)
    lines = repr(m).split("\n")
    assert lines[1:5] == ["stmt:", "  y = 1", "  y", ""]
    assert lines[-1] == "  1 measurement, 3 runs , 1 thread"


def test_merge():
    a, b = TaskSpec("a", "pass"), TaskSpec("b", "pass")
    merged = Measurement.merge([
        Measurement(2, [2.0], a), Measurement(1, [5.0], b), Measurement(1, [3.0, 4.0], a)
    ])  # fmt: skip
    assert [(m.task_spec, m.times) for m in merged] == [(a, [1.0, 3.0, 4.0]), (b, [5.0])]


def test_threads_are_set_meanwhile():
    before = ng.get_num_threads()
    seen: list[int] = []
    names = {"seen": seen, "ng": ng}
    Timer("seen.append(ng.get_num_threads())", globals=names, num_threads=3).timeit(1)
    Timer("seen.append(ng.get_num_threads())", globals=names).timeit(1)
    assert set(seen[:3]) == {3} and set(seen[3:]) == {1}
    with pytest.raises(NameError):
        Timer("undefined", num_threads=2).timeit(1)
    assert ng.get_num_threads() == before


def test_wrong_use():
    with pytest.raises(ValueError, match="only a `str`"):
        Timer(lambda: 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="global_setup"):
        Timer("1", global_setup="#include <cmath>")
