"""Where a run was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.client import ROOT


def describe() -> dict[str, Any]:
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
    }


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Others:
    """How many cores other processes used since this was made; their figures spoil ours."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._before = self._seconds()

    def cores(self) -> float | None:
        """Call it when all child processes have ended: only then is their time known."""
        now = self._seconds()
        if now is None or self._before is None:
            return None
        return round(max(0.0, (now - self._before) / (time.perf_counter() - self._start)), 2)

    @staticmethod
    def _seconds() -> float | None:
        """CPU seconds of the whole machine, less those of this process and its children."""
        try:
            user, nice, system = Path("/proc/stat").read_text().split(maxsplit=4)[1:4]
        except OSError:
            return None
        busy = (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
        return busy - sum(os.times()[:4])


def cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def commit() -> str | None:
    """The checked-out commit, marked where files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
