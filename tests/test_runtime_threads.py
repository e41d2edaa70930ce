"""The thread pool: every unit once, forks, several callers, signals, exit, and the default."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from numbagrad.runtime import compiler, executor, layout as at, threads
from numbagrad.runtime.executor import Program

COUNT = """
from numbagrad.runtime.intrinsics import atomic_add, load, store

def kernel(table, lo, hi):
    counts, calls = table[0], table[1]
    atomic_add(calls, 0, 1)
    for i in range(lo, hi):
        store(counts, i, load(counts, i) + 1)
"""


@pytest.fixture(scope="module")
def count() -> int:
    return compiler.compile_source(COUNT)


@pytest.fixture(autouse=True)
def restore_threads():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def counter(kernel: int, extent: int, grain: int, repeats: int = 1) -> Program:
    return Program(
        [(kernel, 0, extent, grain)] * repeats, [0, 0], [(0, 0, 0), (1, 1, 0)], 2, release_gil=True
    )


@pytest.mark.parametrize("number", [1, 2, 3, 8])
@pytest.mark.parametrize("extent", [1, 2, 7, 63, 64, 65, 1000, 4097])
def test_every_unit_runs_exactly_once(count, number, extent):
    threads.set_num_threads(number)
    for grain in (0, 1, 5, extent - 1, extent):
        counts, calls = np.zeros(extent, int), np.zeros(1, int)
        counter(count, extent, grain, 20).run((counts, calls))
        assert (counts == 20).all()
        if number == 1 or extent <= grain:
            assert calls[0] == 20


def test_chunks_keep_cache_lines_apart():
    source = """
from numbagrad.runtime.intrinsics import store

def kernel(table, lo, hi):
    store(table[0], lo, hi - lo)
"""
    threads.set_num_threads(3)
    starts = np.zeros(10001, int)
    kernel = compiler.compile_source(source)
    Program([(kernel, 0, 10001, 100)], [0], [(0, 0, 0)], 1).run((starts,))
    where = np.flatnonzero(starts)
    assert len(where) > 3 and (where % 16 == 0).all()
    assert np.array_equal(np.cumsum(starts[where]), [*where[1:], 10001])


def test_number_of_threads():
    for number in (3, 1, 2):
        threads.set_num_threads(number)
        assert threads.get_num_threads() == number
    for wrong in (0, -1, 10**6):
        with pytest.raises(ValueError, match="number of threads"):
            threads.set_num_threads(wrong)
    for wrong in (2.0, True, "2"):
        with pytest.raises(TypeError, match="integer"):
            threads.set_num_threads(wrong)  # type: ignore[arg-type]


def live_workers(wanted: int) -> int:
    """How many workers there are, once there are as many as wanted or 20 s are over."""
    pause = threading.Event()
    for _ in range(2000):
        if threads.state()[at.LIVE] == wanted:
            break
        pause.wait(0.01)
    return int(threads.state()[at.LIVE])


def test_superfluous_workers_leave(count):
    threads.set_num_threads(1)
    assert live_workers(0) == 0, "those of other tests"
    threads.set_num_threads(6)
    arrays = (np.zeros(1000, int), np.zeros(1, int))
    counter(count, 1000, 1).run(arrays)
    assert threads.state()[at.LIVE] == 5
    threads.set_num_threads(2)
    assert live_workers(1) == 1
    counter(count, 1000, 1).run(arrays)
    assert (arrays[0] == 2).all()


def hammer(kernel: int, launches: int, failures: list[str]) -> None:
    """Run many parallel steps and check each program's result."""
    program = counter(kernel, 256, 8, repeats=20)
    for _ in range(launches // 20):
        counts, calls = np.zeros(256, int), np.zeros(1, int)
        program.run((counts, calls))
        if not (counts == 20).all():
            failures.append(f"{counts}")
            return


@pytest.mark.parametrize("number", [2, 5])
def test_stress_with_several_python_threads(count, number):
    threads.set_num_threads(number)
    failures: list[str] = []
    workers = [threading.Thread(target=hammer, args=(count, 60_000, failures)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.getcwd(), "NUMBAGRAD_NUM_THREADS": "2", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


PRELUDE = f"""
import os, signal, sys, threading, time
import numpy as np
from numbagrad.runtime import compiler, threads
from numbagrad.runtime.executor import Program
kernel = compiler.compile_source({COUNT!r})
program = Program([(kernel, 0, 256, 8)] * 20, [0, 0], [(0, 0, 0), (1, 1, 0)], 2, release_gil=True)
def work(launches):
    for _ in range(launches // 20):
        counts, calls = np.zeros(256, int), np.zeros(1, int)
        program.run((counts, calls))
        if not (counts == 20).all():
            return False
    return True
"""


def test_fork_between_and_during_parallel_steps():
    # Not in pytest's own process: CPython warns when a process with threads forks.
    code = PRELUDE + textwrap.dedent("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        stop = threading.Event()
        ok = []
        def background():
            while not stop.is_set():
                ok.append(work(200))
        thread = threading.Thread(target=background)
        thread.start()
        for depth in range(30):
            work(100)
            child = os.fork()
            if child == 0:
                good = work(2000)
                grandchild = os.fork()
                if grandchild == 0:
                    os._exit(0 if work(1000) else 1)
                good = os.waitpid(grandchild, 0)[1] == 0 and good
                os._exit(0 if good and work(100) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        thread.join()
        assert all(ok) and work(1000)
        print("done")
    """)
    result = run_python(code)
    assert result.stdout == "done\n", result


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux")
def test_child_forked_during_a_step_builds_its_own_pool():
    code = PRELUDE + textwrap.dedent("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from numbagrad.runtime import layout as at
        work(1000)
        state = threads.state()
        time.sleep(0.05)  # the worker sleeps: nobody else touches the words
        before = len(os.listdir("/proc/self/task"))
        state[at.BUSY] = state[at.ACTIVE] = state[at.OPEN] = 1  # as in the middle of a step
        child = os.fork()
        if child == 0:
            alone = len(os.listdir("/proc/self/task"))
            good = work(1000)
            os._exit(0 if good and (alone, len(os.listdir("/proc/self/task"))) == (1, 2) else 1)
        state[at.BUSY] = state[at.ACTIVE] = state[at.OPEN] = 0
        print(os.waitpid(child, 0)[1], work(1000), len(os.listdir("/proc/self/task")) - before)
    """)
    assert run_python(code, OPENBLAS_NUM_THREADS="1").stdout == "0 True 0\n"


def test_fork_while_another_thread_compiles(tmp_path):
    code = PRELUDE + textwrap.dedent("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        def compile_some(name, number):
            for i in range(number):
                compiler.compile_source(f"def kernel(t, lo, hi):\\n    t[0] = {i}  # {name}\\n")
        compile_some("first", 1)
        thread = threading.Thread(target=compile_some, args=(f"thread {time.time()}", 12))
        thread.start()
        for i in range(5):
            child = os.fork()
            if child == 0:
                compile_some(f"child {time.time()}", 1)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        thread.join()
        print("done")
    """)
    assert run_python(code, NUMBAGRAD_CACHE_DIR=str(tmp_path / "cache")).stdout == "done\n"


def test_multiprocessing_fork():
    code = PRELUDE + textwrap.dedent("""
        import multiprocessing
        work(1000)
        with multiprocessing.get_context("fork").Pool(3) as pool:
            print(all(pool.map(work, [2000] * 6)))
    """)
    assert run_python(code).stdout == "True\n"


@pytest.mark.parametrize("state", ["spinning", "sleeping", "working"])
def test_exit_is_clean(state):
    code = PRELUDE + textwrap.dedent(f"""
        state = {state!r}
        work(1000)
        if state == "sleeping":
            time.sleep(0.05)
        if state == "working":
            threading.Thread(target=work, args=(10**9,), daemon=True).start()
            time.sleep(0.05)
        print("done")
    """)
    for _ in range(3):
        result = run_python(code)
        assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", ""), result


def test_keyboard_interrupt_reaches_python():
    # A shell's background jobs ignore the signal, and so would Python.
    code = PRELUDE + textwrap.dedent("""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            work(10**10)
        except KeyboardInterrupt:
            print("interrupted", work(1000))
    """)
    assert run_python(code).stdout == "interrupted True\n"


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux")
def test_workers_block_signals():
    code = PRELUDE + textwrap.dedent("""
        work(1000)
        masks = []
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/status") as file:
                masks += [line.split()[1] for line in file if line.startswith("SigBlk")]
        print(len(masks), sorted(masks)[0], int(sorted(masks)[-1], 16) >> 14 & 1)
        print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    """)
    result = run_python(code, OPENBLAS_NUM_THREADS="1")  # NumPy's OpenBLAS has threads too
    assert result.stdout == "2 0000000000000000 1\nset()\n"


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs Linux and two CPUs",
)
def test_a_woken_worker_keeps_off_the_cpu_of_the_caller():
    """Else Linux may leave both on one CPU for a whole burst of small calls."""
    code = (
        PRELUDE
        + """
import os
threads.set_num_threads(2)
allowed = os.sched_getaffinity(0)
others = set(os.listdir("/proc/self/task"))
arrays = np.zeros(256, int), np.zeros(1, int)
step = Program([(kernel, 0, 256, 8)], [0, 0], [(0, 0, 0), (1, 1, 0)], 2, release_gil=True)
step.run(arrays)
workers = set(os.listdir("/proc/self/task")) - others
for _ in range(100):
    time.sleep(0.01)  # longer than a worker spins
    step.run(arrays)
    (worker,) = workers
    if len(os.sched_getaffinity(int(worker))) == len(allowed) - 1:
        break
else:
    sys.exit("the worker may run everywhere")
assert os.sched_getaffinity(0) == allowed
print("kept off")
"""
    )
    assert run_python(code).stdout == "kept off\n"


def test_system_without_more_threads_runs_with_what_it_has():
    code = PRELUDE + textwrap.dedent("""
        import ctypes
        refuse = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)(lambda *_: 11)
        from numbagrad.runtime import layout as at
        threads.state()[at.THREAD_CREATE] = ctypes.cast(refuse, ctypes.c_void_p).value
        print(work(1000), threads.state()[at.LIVE])
    """)
    assert run_python(code).stdout == "True 0\n"


def test_default_number_of_threads(monkeypatch):
    monkeypatch.delenv("NUMBAGRAD_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    for quota, expected in ((None, 6), (2.0, 2), (0.2, 1), (9.0, 6)):
        monkeypatch.setattr(threads, "_cpu_quota", lambda quota=quota: quota)
        assert threads.default_num_threads() == expected
    monkeypatch.setenv("NUMBAGRAD_NUM_THREADS", "5")
    assert threads.default_num_threads() == 5
    monkeypatch.setenv("NUMBAGRAD_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="NUMBAGRAD_NUM_THREADS"):
        threads.default_num_threads()


def test_affinity_of_the_process():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs Linux")
    code = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        from numbagrad.runtime import threads
        print(threads.get_num_threads())
    """
    environment = {k: v for k, v in os.environ.items() if k != "NUMBAGRAD_NUM_THREADS"}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**environment, "PYTHONPATH": os.getcwd()}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.stdout == "1\n", result


def test_container_quota(tmp_path):
    group = tmp_path / "outer" / "inner"
    group.mkdir(parents=True)
    membership = tmp_path / "membership"
    membership.write_text("0::/outer/inner\n")
    arguments = (str(tmp_path), str(membership))
    assert threads._cpu_quota(*arguments) is None
    (group / "cpu.max").write_text("max 100000\n")
    assert threads._cpu_quota(*arguments) is None
    (group / "cpu.max").write_text("300000 100000\n")
    assert threads._cpu_quota(*arguments) == 3
    (tmp_path / "outer" / "cpu.max").write_text("150000 100000\n")
    assert threads._cpu_quota(*arguments) == 1.5
    legacy = tmp_path / "legacy"
    (legacy / "cpu").mkdir(parents=True)
    (legacy / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (legacy / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert threads._cpu_quota(str(legacy), "/nowhere") is None
    (legacy / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    assert threads._cpu_quota(str(legacy), "/nowhere") == 0.5


def test_the_fallback_path_releases_the_gil_and_is_parallel(count, monkeypatch):
    monkeypatch.setattr(executor, "LAYOUT", None)
    threads.set_num_threads(2)
    arrays = (np.zeros(1000, int), np.zeros(1, int))
    counter(count, 1000, 1).run(arrays)
    assert (arrays[0] == 1).all() and arrays[1][0] > 1
