"""What a benchmark declares, and how the declared ones are found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bench.libraries import Api

Step = Callable[[], Any]
Build = Callable[[Api], Step | Mapping[str, Step]]
"""Prepares the inputs and returns the step to measure (for FIRST_USE: perhaps several, by name).
It is called in the library's own process."""


class Kind(StrEnum):
    STEADY = "steady"  # seconds a call, once warm
    FIRST_USE = "first use"  # seconds of the first call; a new process and empty caches each round
    PEAK_MEMORY = "peak memory"  # bytes above the inputs; a new process each round

    @property
    def unit(self) -> str:
        return "bytes" if self is Kind.PEAK_MEMORY else "seconds"


@dataclass(frozen=True)
class Target:
    """What the project promised: (`against`'s figure / ours) is at least `ratio`."""

    ratio: float
    against: str = "best"  # a library, or the best peer that was measured


@dataclass(frozen=True)
class Workload:
    name: str
    doc: str
    builds: Mapping[str, Build]  # by library; only these can run it
    kind: Kind = Kind.STEADY
    targets: tuple[Target, ...] = ()
    limit: float | None = None  # what our own figure must not exceed, in the kind's unit
    rtol: float = 1e-4  # how far the libraries' values may lie apart: |a - b| <= atol + rtol * |b|
    atol: float = 1e-5
    checked_calls: int = 1  # more where a call leaves something behind, as a training step does
    max_rounds: int | None = None  # for steps that take seconds
    # Bytes that a step must move, by library, where figures are compared as bandwidth.
    moved: Mapping[str, int] = field(default_factory=dict)
    # For PEAK_MEMORY: the same work on tiny data. What it takes (the compiler, the runtime) is
    # not what the data takes and is subtracted.
    tiny: Mapping[str, Build] = field(default_factory=dict)


def torch_like(build: Build, *names: str) -> dict[str, Build]:
    """One builder for all the libraries with PyTorch's API: all of them, or those named."""
    return dict.fromkeys(names or ("numbagrad", "torch", "torch-compile"), build)


def collect(package: str = "bench.workloads") -> dict[str, tuple[str, Workload]]:
    """Name → (module, workload) of every `WORKLOADS` in `package`, or in it if it is a module."""
    root = importlib.import_module(package)
    found: dict[str, tuple[str, Workload]] = {}
    modules = [package]
    modules += [
        f"{package}.{info.name}" for info in pkgutil.iter_modules(getattr(root, "__path__", ()))
    ]
    for module in modules:
        for workload in getattr(importlib.import_module(module), "WORKLOADS", ()):
            if workload.name in found:
                raise ValueError(f"two workloads are named {workload.name!r}")
            found[workload.name] = (module, workload)
    return found
