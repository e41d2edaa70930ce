"""The native thread pool: how many threads, and the state block that native code works on.

Workers are plain POSIX threads that never touch Python. The runner (native.py) starts them at
the first parallel step, so a process that stays serial has none, and neither has a forked child
until it needs them.
"""

import ctypes
import os
import signal
import sys
import threading
import time

import numpy as np

from numbagrad import config
from numbagrad.runtime import compiler, layout as at
from numbagrad.runtime.vectorize import Hint

_SPIN_NANOSECONDS = 30_000  # of an idle worker before it sleeps; waking it costs about 50 µs
_MOST_THREADS = 1024
_THREADED = os.name == "posix"

_WORKER = "from numbagrad.runtime.native import worker as kernel\n"
_WAKE = "from numbagrad.runtime.native import wake as kernel\n"

_libc = ctypes.CDLL(None) if _THREADED else ctypes.cdll.msvcrt
_lock = threading.Lock()
_state: np.ndarray | None = None


def get_num_threads() -> int:
    """Return how many threads a parallel step may use, the calling one included."""
    return int(state()[at.LIMIT])


def set_num_threads(count: int) -> None:
    """Use at most `count` threads from the next parallel step on.

    Raises:
        ValueError: `count` is not at least 1.
        TypeError: `count` is not an integer.
    """
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"the number of threads must be an integer, got {count!r}")
    if not 1 <= count <= _MOST_THREADS:
        raise ValueError(f"the number of threads must be in 1..{_MOST_THREADS}, got {count}")
    block = state()
    if not _THREADED:
        return
    with _lock:
        block[at.LIMIT] = count
        if count > 1:
            block[at.WORKER] = compiler.compile_source(_WORKER, signature="unary", hint=Hint())
        if block[at.LIVE] > count - 1:  # idle workers notice that there are too many of them
            function = compiler.compile_source(_WAKE, signature="unary", hint=Hint())
            ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(function)(block.ctypes.data)


def default_num_threads() -> int:
    """Return NUMBAGRAD_NUM_THREADS, or the CPUs this process may really use.

    That is the smallest of the affinity mask and the CPU quota of the container.
    """
    chosen = config.num_threads()
    if chosen is not None:
        return min(chosen, _MOST_THREADS)
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _cpu_quota()
    if quota is not None:
        count = min(count, max(1, round(quota)))
    return min(count, _MOST_THREADS)


def state() -> np.ndarray:
    """Return the pool's state block (layout.py); it is made at the first call."""
    global _state
    if _state is None:
        with _lock:
            if _state is None:
                _state = _new_state()
    return _state


def _new_state() -> np.ndarray:
    words = np.zeros(at.STATE_WORDS + 8, dtype=np.int64)
    skip = -words.ctypes.data % 64 // 8  # start on a cache line
    block = words[skip : skip + at.STATE_WORDS]
    api = ctypes.pythonapi
    block[at.NONE], block[at.TRUE], block[at.FALSE] = id(None), id(True), id(False)
    block[at.COUNTED] = _singletons_are_counted()
    block[at.SAVE_THREAD] = _address(api, "PyEval_SaveThread")
    block[at.RESTORE_THREAD] = _address(api, "PyEval_RestoreThread")
    block[at.SET_ERROR] = _address(api, "PyErr_SetString")
    block[at.NO_MEMORY] = _address(api, "PyErr_NoMemory")
    block[at.TYPE_ERROR] = id(TypeError)
    block[at.TUPLE_TYPE], block[at.ARRAY_TYPE] = id(tuple), id(np.ndarray)
    block[at.MALLOC], block[at.FREE] = _address(_libc, "malloc"), _address(_libc, "free")
    for index, message in _MESSAGES.items():
        block[index] = ctypes.cast(message, ctypes.c_void_p).value or 0
    block[at.LIMIT] = 1
    if _THREADED:
        block[at.LIMIT] = default_num_threads()
        block[at.SPIN] = _SPIN_NANOSECONDS
        for index, name in _FUNCTIONS.items():
            block[index] = _address(_libc, name)
        if hasattr(os, "sched_setaffinity"):  # Linux
            block[at.GET_CPU] = _address(_libc, "sched_getcpu")
            block[at.GET_AFFINITY] = _address(_libc, "sched_getaffinity")
            block[at.SET_AFFINITY] = _address(_libc, "sched_setaffinity")
        block[at.SIG_SETMASK] = signal.SIG_SETMASK
        block[at.CLOCK_MONOTONIC] = time.CLOCK_MONOTONIC
        block[at.ALL_SIGNALS : at.ALL_SIGNALS + 16] = -1
        _reset_threads(block)
        if block[at.LIMIT] > 1:
            block[at.WORKER] = compiler.compile_source(_WORKER, signature="unary", hint=Hint())
    # Workers use the block until the process is gone, past the end of the interpreter.
    api.Py_IncRef(ctypes.py_object(words))
    return block


TUPLE_MESSAGE = "a program takes one tuple of its arguments"
ARRAY_MESSAGE = "the arguments of a program must be of type numpy.ndarray itself, not of a subclass"
_MESSAGES = {
    at.MESSAGE_TUPLE: ctypes.c_char_p(TUPLE_MESSAGE.encode()),
    at.MESSAGE_ARRAY: ctypes.c_char_p(ARRAY_MESSAGE.encode()),
}
_FUNCTIONS = {
    at.MUTEX_LOCK: "pthread_mutex_lock",
    at.MUTEX_UNLOCK: "pthread_mutex_unlock",
    at.COND_WAIT: "pthread_cond_wait",
    at.COND_BROADCAST: "pthread_cond_broadcast",
    at.THREAD_CREATE: "pthread_create",
    at.THREAD_DETACH: "pthread_detach",
    at.SIGMASK: "pthread_sigmask",
    at.CLOCK: "clock_gettime",
    at.YIELD: "sched_yield",
}


def _address(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


def _singletons_are_counted() -> bool:
    return sys.version_info < (3, 12)  # immortal from 3.12 on


def _reset_threads(block: np.ndarray) -> None:
    """Forget workers and the step under way: at the start, and in a forked child."""
    block[at.LIVE : at.ALL_SIGNALS] = 0
    base = block.ctypes.data
    _libc.pthread_mutex_init(ctypes.c_void_p(base + 8 * at.MUTEX), None)
    _libc.pthread_cond_init(ctypes.c_void_p(base + 8 * at.CONDITION), None)


def _after_fork() -> None:
    # Only the forking thread lives on; what another thread was doing is lost in the child.
    global _lock
    _lock = threading.Lock()
    if _state is not None:
        _reset_threads(_state)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _cpu_quota(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> float | None:
    """Return the container's CPU limit in CPUs (cgroup v2, then v1), None without one."""
    limits = []
    for path in _cgroup_paths(membership):
        current = path
        while True:  # a parent's limit holds for its children
            limits.append(_quota_v2(f"{root}{current}"))
            if current in ("", "/"):
                break
            current = current.rpartition("/")[0]
    limits.append(_quota_v1(f"{root}/cpu"))
    found = [limit for limit in limits if limit is not None]
    return min(found) if found else None


def _cgroup_paths(membership: str) -> list[str]:
    lines = _text(membership).splitlines()
    return [line[3:].rstrip("/") for line in lines if line.startswith("0::")] or [""]


def _quota_v2(directory: str) -> float | None:
    quota, _, period = _text(f"{directory}/cpu.max").partition(" ")
    if not quota or quota == "max":
        return None
    return int(quota) / int(period or 100_000)


def _quota_v1(directory: str) -> float | None:
    quota = _text(f"{directory}/cpu.cfs_quota_us")
    period = _text(f"{directory}/cpu.cfs_period_us")
    if not quota or not period or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:  # not Linux, or no such controller
        return ""
