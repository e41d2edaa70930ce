"""The process in which one library runs one workload.

It reads commands, one JSON object a line, and answers each with one line. Needs the standard
library, NumPy and the measured library only, since the interpreter may be another environment's.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from bench.libraries import Api, Library
from bench.workload import Step

Answer = dict[str, Any]

WARM_UP_SECONDS = 0.3
WARM_UP_CALLS = 5


class Unavailable(Exception):
    """This library cannot run this workload: reported, and not an error of the benchmark."""


class Worker:
    """Each public method is a command; it returns the answer's fields."""

    _api: Api
    _steps: dict[str, Step]
    _calls = 1  # calls a sample

    def load(self, library: dict[str, Any], module: str, workload: str, tiny: bool) -> Answer:
        """Import the library and prepare the workload's inputs."""
        described = Library(**library)
        try:
            self._api = described.load()
        except ModuleNotFoundError as error:
            raise Unavailable(f"missing: {error}") from error
        declared = next(w for w in importlib.import_module(module).WORKLOADS if w.name == workload)
        built = (declared.tiny if tiny else declared.builds)[described.name](self._api)
        steps = built if isinstance(built, Mapping) else {"": built}
        self._steps = {name: self._api.finished(step) for name, step in steps.items()}
        threads = getattr(self._api.xp, "get_num_threads", None)
        return {
            "version": str(getattr(self._api.xp, "__version__", "?")),
            "python": sys.version.split()[0],
            "threads": threads() if threads else None,
        }

    def values(self, calls: int, path: str) -> Answer:
        """The results of the first `calls` calls, written to `path` for the parent to compare."""
        arrays = [as_array(leaf) for _ in range(calls) for leaf in leaves(self._step())]
        np.savez(path, *arrays)
        return {}

    def prepare(self, sample_seconds: float) -> Answer:
        """Warm up, then find how many calls make a sample of at least `sample_seconds`."""
        end = time.perf_counter() + WARM_UP_SECONDS
        done = 0
        while done < WARM_UP_CALLS or time.perf_counter() < end:
            self._step()
            done += 1
        while (elapsed := self._time()) < sample_seconds:
            # Aim a fifth too high, so that a lucky fast run does not leave the samples short.
            wanted = 1.2 * sample_seconds / max(elapsed, 1e-9) * self._calls
            self._calls = max(self._calls + 1, min(int(wanted), 10 * self._calls))
        return {"calls": self._calls}

    def sample(self) -> Answer:
        """Seconds a call, once warm: the first call after the others' turns finds cold caches and
        sleeping threads, and is not counted."""
        self._step()
        return {"value": self._time() / self._calls}

    def first_use(self) -> Answer:
        """The slowest first call of the workload's steps, and which it was."""
        seconds = {}
        for name, step in self._steps.items():
            start = time.perf_counter()
            step()
            seconds[name] = time.perf_counter() - start
        slowest = max(seconds, key=seconds.__getitem__)
        return {"value": seconds[slowest], "detail": slowest}

    def peak_memory(self) -> Answer:
        """The most resident memory during the second call, above what the inputs took."""
        try:
            before = memory("VmRSS")
            self._step()
            # Writing 5 resets the high-water mark: the compiler's own peak is not the step's.
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
            self._step()
            return {"value": memory("VmHWM") - before}
        except OSError as error:
            raise Unavailable(f"not available: peak memory needs Linux's /proc: {error}") from error

    @property
    def _step(self) -> Step:
        (step,) = self._steps.values()
        return step

    def _time(self) -> float:
        step = self._step
        calls = range(self._calls)
        start = time.perf_counter()
        for _ in calls:
            step()
        return time.perf_counter() - start


def memory(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    with open("/proc/self/status") as file:
        match = re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.MULTILINE)
    if match is None:
        raise OSError(f"no {field} in /proc/self/status")
    return int(match[1]) * 1024


def leaves(result: Any) -> list[Any]:
    """The tensors of a nested result, in order."""
    if isinstance(result, Mapping):
        return [leaf for value in result.values() for leaf in leaves(value)]
    if isinstance(result, Sequence):
        return [leaf for value in result for leaf in leaves(value)]
    return [result]


def as_array(leaf: Any) -> Any:
    return np.array(leaf.detach() if hasattr(leaf, "detach") else leaf)


def main() -> None:
    # A library that prints must not break the protocol: answers go to a copy of stdout,
    # and everything else that is written goes to stderr.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    worker = Worker()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"status": "ok", **getattr(worker, command["do"])(**command["with"])}
        except Exception as error:
            answer = refusal(error)
        answers.write(json.dumps(answer) + "\n")


def refusal(error: Exception) -> Answer:
    """The answer for a command that failed: a thing the library lacks, or an error to look at."""
    if isinstance(error, Unavailable):
        return {"status": "unavailable", "message": str(error)}
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        return {"status": "unavailable", "message": f"not available: {error}"}
    traceback.print_exc()
    return {
        "status": "error",
        "message": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
    }


if __name__ == "__main__":
    main()
