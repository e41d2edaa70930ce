"""Programs: steps, bindings, guards, errors, and what a call costs."""

import gc
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from numbagrad.errors import NumbagradError
from numbagrad.runtime import compiler, executor, threads
from numbagrad.runtime.executor import Binding, Guard, Program, Step

SCALE_ADD = """
from numbagrad.runtime.intrinsics import load, store

def kernel(table, lo, hi):
    x, y, factor = table[0], table[1], table[2]
    for i in range(lo, hi):
        store(y, i, load(y, i) + factor * load(x, i))
"""
NOTHING = "def kernel(table, lo, hi):\n    pass\n"


@pytest.fixture(scope="module")
def scale_add() -> int:
    return compiler.compile_source(SCALE_ADD)


@pytest.fixture(scope="module")
def nothing() -> int:
    return compiler.compile_source(NOTHING)


@pytest.fixture(params=["native", "checked"])
def path(request, monkeypatch):
    """Both ways of reading the arguments: the native one, and the one for unknown layouts."""
    if request.param == "checked":
        monkeypatch.setattr(executor, "LAYOUT", None)
    return request.param


def two_steps(kernel: int, extent: int, grain: int = 1 << 40, **options) -> Program:
    steps = [Step(kernel, 0, extent, grain), Step(kernel, 3, extent, grain)]
    bindings = [Binding(0, 0), Binding(1, 1), Binding(3, 1), Binding(4, 0, 8)]
    return Program(steps, [0, 0, 2, 0, 0, 3], bindings, 2, **options)


def test_layout_of_python_objects_is_known():
    header, items = executor.LAYOUT or (0, 0)
    assert (8 * header, 8 * items) == (object.__basicsize__, tuple.__basicsize__)


def test_steps_run_in_order_on_the_bound_arrays(path, scale_add):
    x, y = np.arange(5), np.ones(4, int)
    program = two_steps(scale_add, 4)
    for call in (program.run, program, program.run):
        expected_y = y + 2 * x[:4]
        expected_x = np.concatenate([x[:1], x[1:] + 3 * expected_y])
        assert call((x, y)) is None
        assert np.array_equal(y, expected_y) and np.array_equal(x, expected_x)


def test_views_start_at_their_own_data(scale_add):
    x, y = np.arange(10), np.zeros(10, int)
    Program([(scale_add, 0, 3, 99)], [0, 0, 1], [(0, 0, 0), (1, 1, 0)], 2).run((x[4:], y[2:]))
    assert y.tolist() == [0, 0, 4, 5, 6, 0, 0, 0, 0, 0]


def test_program_without_steps_or_arguments(path):
    assert Program([], [], [], 0).run(()) is None


def test_extent_zero_calls_nothing(path, scale_add):
    # With null pointers any access would end the process.
    Program([(scale_add, 0, 0, 0)], [0, 0, 1], [], 0).run(())


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((np.zeros(4, int),), "one tuple"),
        ((np.zeros(4, int),) * 3, "one tuple"),
        ([np.zeros(4, int)] * 2, "one tuple"),
        (None, "one tuple"),
        (np.zeros(2), "one tuple"),
        ((np.zeros(4, int), 5), "numpy.ndarray itself"),
        ((np.zeros(4, int), np.zeros(4, int).view(Subclass)), "numpy.ndarray itself"),
    ],
)
def test_wrong_arguments_raise(path, scale_add, args, text):
    with pytest.raises(TypeError, match=text):
        two_steps(scale_add, 4).run(args)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [(0, 0, 1, 1)]},
        {"steps": [(1, 4, 1, 1)]},
        {"steps": [(1, -1, 1, 1)]},
        {"steps": [(1, 0, -1, 1)]},
        {"bindings": [(3, 0, 0)]},
        {"bindings": [(-1, 0, 0)]},
        {"bindings": [(0, 1, 0)]},
        {"guards": []},
    ],
)
def test_wrong_programs_raise(change):
    good = {"steps": [], "table": [0, 0, 0], "bindings": [], "nargs": 1}
    with pytest.raises(ValueError, match=r"fit|null|guards"):
        Program(**{**good, **change})


def guarded(kernel: int, x: np.ndarray, y: np.ndarray, **options) -> Program:
    guards = [Guard.of(x), Guard.of(y, writable=True)]
    return Program([(kernel, 0, 4, 99)], [0, 0, 1], [(0, 0, 0), (1, 1, 0)], 2,
                   guards=guards, **options)  # fmt: skip


def test_guards(path, scale_add):
    x, y = np.arange(4), np.zeros(4, int)
    program = guarded(scale_add, x, y)
    assert program.try_run((x, y)) is True
    assert y.tolist() == [0, 1, 2, 3]
    locked = y.copy()
    locked.flags.writeable = False
    unaligned = np.zeros(33, np.uint8)[1:].view(int)
    assert not unaligned.flags.aligned
    wrong = [x.astype(float), np.arange(5), np.arange(4).reshape(2, 2), np.arange(8)[::2],
             np.arange(4).reshape(4, 1), unaligned, np.array(3)]  # fmt: skip
    for bad in wrong:
        assert program.try_run((bad, y)) is False
        assert program.try_run((x, bad)) is False
    assert program.try_run((x, locked)) is False
    assert y.tolist() == [0, 1, 2, 3] and locked.tolist() == [0, 1, 2, 3]
    assert program.try_run((locked, y)) is True  # only the second must be writable
    assert y.tolist() == [0, 2, 4, 6]


def test_guard_none_takes_any_array(path, nothing):
    x = np.arange(3)
    program = Program([(nothing, 0, 4, 99)], [0], [], 3, guards=[None, Guard.of(x), None])
    assert program.try_run((np.zeros((2, 2)), x, np.array("text")))
    assert not program.try_run((x, np.zeros(3), x))


def test_try_run_without_guards(path, nothing):
    with pytest.raises(NumbagradError, match="without guards"):
        Program([], [], [], 0).try_run(())


@pytest.mark.parametrize("release_gil", [False, True])
def test_references_stay_balanced(scale_add, release_gil):
    x, y = np.arange(4), np.zeros(4, int)
    program = guarded(scale_add, x, y, release_gil=release_gil)
    watched = (x, y, None, True, False, int, tuple, np.ndarray, x.dtype)
    before = [sys.getrefcount(item) for item in watched]
    for _ in range(1000):
        program.run((x, y))
        program.try_run((x, y))
        program.try_run((y[:3], y))
    after = [sys.getrefcount(item) for item in watched]
    assert all(abs(b - a) < 20 for a, b in zip(before, after)), (before, after)


def test_the_function_outlives_its_program(scale_add):
    x, y = np.arange(4), np.zeros(4, int)
    program = guarded(scale_add, x, y)
    run, gone = program.try_run, weakref.ref(program)
    del program
    gc.collect()
    assert gone() is None
    np.zeros(1000)  # reuse what might have been freed
    assert run((x, y)) and y.tolist() == [0, 1, 2, 3]


def test_one_program_in_several_threads(scale_add):
    program = Program([(scale_add, 0, 512, 16)] * 8, [0, 0, 1], [(0, 0, 0), (1, 1, 0)], 2)
    failures: list[int] = []

    def work(seed: int) -> None:
        x = np.arange(512) + seed
        for _ in range(300):
            y = np.zeros(512, int)
            program.run((x, y))
            if not np.array_equal(y, 8 * x):
                failures.append(seed)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


def test_other_threads_run_while_a_large_program_runs():
    # An endless kernel would hang here if the GIL were held: it waits for another thread's word.
    source = """
from numbagrad.runtime.intrinsics import atomic_load, atomic_store, pause

def kernel(table, lo, hi):
    atomic_store(table[0], 0, 1)
    while atomic_load(table[0], 1) == 0:
        pause()
"""
    flags = np.zeros(2, int)
    kernel = compiler.compile_source(source)
    program = Program([(kernel, 0, 1, 99)], [0], [(0, 0, 0)], 1, release_gil=True)
    thread = threading.Thread(target=program.run, args=((flags,),))
    thread.start()
    while flags[0] == 0:
        time.sleep(0.001)
    flags[1] = 1
    thread.join(timeout=20)
    assert not thread.is_alive()


def best_of(call, argument, number: int) -> float:
    """Seconds a call takes, the best of seven rounds."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(number):
            call(argument)
        times.append((time.perf_counter() - start) / number)
    return min(times)


def test_cost_of_a_call(nothing):
    x = np.zeros(4, int)
    bindings = [(i, i, 0) for i in range(3)]
    empty = Program([], [0, 0, 0], bindings, 3)
    assert best_of(empty.run, (x, x, x), 20000) < 0.6e-6  # measured: 0.035 µs
    steps = Program([(nothing, 0, 10, 99)] * 100, [0] * 1000, bindings, 3)
    assert best_of(steps.run, (x, x, x), 500) < 5e-6  # measured: 0.6 µs


@pytest.mark.skipif(threads.default_num_threads() < 2, reason="needs two CPUs")
def test_cost_of_a_parallel_step(nothing):
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    try:
        program = Program([(nothing, 0, 64, 1)] * 100, [0], [], 0)
        per_step = best_of(program.run, (), 300) / 100
    finally:
        threads.set_num_threads(before)
    assert per_step < 10e-6  # measured: 0.1 to 0.5 µs
