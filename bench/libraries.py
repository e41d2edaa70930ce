"""The libraries that can be measured: data only, so that a worker learns its own over the pipe."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Library:
    """How one contestant is imported and used."""

    name: str
    module: str
    compiler: str | None = None  # attribute of the module that compiles a function; None: eager
    wait: str | None = None  # attribute that waits for asynchronous results
    python: str = "numbagrad"  # which interpreter runs it (see the --*-python options)
    yardstick: bool = False  # not a peer, but what the machine can do

    def load(self) -> Api:
        module = importlib.import_module(self.module)
        return Api(module, self.compiler, self.wait)


@dataclass(frozen=True)
class Api:
    """What a workload sees of its library."""

    xp: Any
    compiler: str | None = None
    wait_name: str | None = None

    def compile(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """The library's compiled form of `fn`; `fn` itself where the contestant is eager."""
        return getattr(self.xp, self.compiler)(fn) if self.compiler else fn

    def finished(self, step: Callable[[], Any]) -> Callable[[], Any]:
        """`step` that returns when its results are there (some libraries only enqueue work)."""
        if self.wait_name is None:
            return step
        wait = getattr(self.xp, self.wait_name)
        return lambda: wait(step())


OURS = "numbagrad"
LIBRARIES = {
    library.name: library
    for library in (
        Library(OURS, "numbagrad", compiler="compile"),
        Library("torch", "torch", python="torch"),
        Library("torch-compile", "torch", compiler="compile", python="torch"),
        Library("jax", "jax", compiler="jit", wait="block_until_ready", python="jax"),
        Library("triad", "numba", yardstick=True),  # the memory (bench/workloads/memory.py)
    )
}
PEERS = ("torch", "torch-compile", "jax")
