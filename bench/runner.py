"""Runs workloads: one process a library, values checked first, rounds interleaved."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from bench import machine
from bench.client import Client, Refused
from bench.libraries import OURS, Library
from bench.result import Measured, Run, WorkloadResult
from bench.workload import Kind, Workload

SETTLE_SECONDS = 0.02  # some libraries' threads spin for a while after their last task


@dataclass(frozen=True)
class Settings:
    rounds: int = 15
    sample_seconds: float = 0.005
    timeout: float = 300.0
    pythons: Mapping[str, str] = field(default_factory=dict)  # see Library.python


@dataclass
class Contest:
    """One workload and those who run it."""

    module: str
    workload: Workload
    libraries: Sequence[Library]
    settings: Settings
    say: Callable[[str], None]
    results: dict[str, Measured] = field(default_factory=dict)

    def run(self) -> WorkloadResult:
        for library in self.libraries:
            self.results[library.name] = Measured(
                moved=self.workload.moved.get(library.name), yardstick=library.yardstick
            )
        others = machine.Others()
        if self.workload.kind is Kind.STEADY:
            self._steady()
        else:
            self._fresh_processes()
        return WorkloadResult(
            unit=self.workload.kind.unit,
            tolerance=f"rtol {self.workload.rtol:g}, atol {self.workload.atol:g}",
            libraries=self.results,
            targets=[asdict(target) for target in self.workload.targets],
            limit=self.workload.limit,
            others=others.cores(),
        )

    @property
    def _rounds(self) -> int:
        return min(self.settings.rounds, self.workload.max_rounds or self.settings.rounds)

    def _alive(self) -> list[Library]:
        return [each for each in self.libraries if self.results[each.name].status == "ok"]

    @contextmanager
    def _excluding(self, library: Library) -> Iterator[None]:
        """A library that cannot go on leaves the contest; the others stay."""
        try:
            yield
        except Refused as refused:
            self._exclude(library, refused.status, str(refused))

    def _exclude(self, library: Library, status: str, message: str) -> None:
        measured = self.results[library.name]
        measured.status, measured.message, measured.samples = status, message, []

    def _start(self, library: Library, caches: str, tiny: bool = False) -> Client:
        environment = dict(os.environ)
        for variable in ("NUMBAGRAD_CACHE_DIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
            environment[variable] = os.path.join(caches, variable)
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)  # off, as by default
        client = Client(self.settings.pythons[library.python], environment, self.settings.timeout)
        with ExitStack() as on_refusal:
            on_refusal.push(client)
            about = client.load(library, self.module, self.workload.name, tiny)
            on_refusal.pop_all()
        measured = self.results[library.name]
        measured.version, measured.python = about["version"], about["python"]
        measured.threads = about["threads"]
        return client

    def _steady(self) -> None:
        with ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            clients: dict[str, Client] = {}
            for library in self.libraries:
                self.say(f"starting {library.name}")
                with self._excluding(library):
                    caches = os.path.join(scratch, library.name)
                    clients[library.name] = stack.enter_context(self._start(library, caches))
            self._check_values(clients, Path(scratch))
            for library in self._alive():
                self.say(f"warming up {library.name}")
                with self._excluding(library):
                    answer = clients[library.name].ask(
                        "prepare", sample_seconds=self.settings.sample_seconds
                    )
                    self.results[library.name].calls = answer["calls"]
            for number in range(self._rounds):
                self.say(f"round {number + 1} of {self._rounds}")
                for library in self._alive():
                    time.sleep(SETTLE_SECONDS)
                    with self._excluding(library):
                        value = clients[library.name].ask("sample")["value"]
                        self.results[library.name].samples.append(value)

    def _check_values(self, clients: Mapping[str, Client], scratch: Path) -> None:
        """All must compute what the first peer computes, or their time means nothing."""
        reference: tuple[str, list[np.ndarray]] | None = None
        contestants = [each for each in self._alive() if not each.yardstick]
        for library in sorted(contestants, key=lambda each: each.name == OURS):
            self.say(f"computing the values of {library.name}")
            path = scratch / f"{library.name}.npz"
            with self._excluding(library):
                calls = self.workload.checked_calls
                clients[library.name].ask("values", calls=calls, path=str(path))
                with np.load(path) as file:
                    arrays = [file[name] for name in file.files]
                if reference is None:
                    reference = library.name, arrays
                elif difference := differ(arrays, reference[1], self.workload):
                    raise Refused("wrong values", f"differs from {reference[0]}: {difference}")

    def _fresh_processes(self) -> None:
        peak = self.workload.kind is Kind.PEAK_MEMORY
        for number in range(self._rounds):
            for library in self._alive():
                self.say(f"round {number + 1} of {self._rounds}: {library.name}")
                with self._excluding(library):
                    measured = self.results[library.name]
                    if peak:
                        value = self._once(library, "peak_memory")
                        value -= self._once(library, "peak_memory", tiny=True)
                    else:
                        value = self._once(library, "first_use")
                    measured.samples.append(value)

    def _once(self, library: Library, command: str, tiny: bool = False) -> float:
        """One answer of a new process with empty caches."""
        with tempfile.TemporaryDirectory() as caches, self._start(library, caches, tiny) as client:
            answer = client.ask(command)
        self.results[library.name].message = answer.get("detail", "")
        return answer["value"]


def differ(got: Sequence[np.ndarray], want: Sequence[np.ndarray], workload: Workload) -> str | None:
    """How the values differ beyond the workload's tolerance; None if they do not."""
    if len(got) != len(want):
        return f"{len(got)} results and not {len(want)}"
    for index, (a, b) in enumerate(zip(got, want, strict=True)):
        if a.shape != b.shape:
            return f"result {index} has shape {a.shape} and not {b.shape}"
        if not np.allclose(a, b, rtol=workload.rtol, atol=workload.atol, equal_nan=True):
            worst = float(np.max(np.abs(a.astype("float64") - b.astype("float64"))))
            return f"result {index} is off by up to {worst:.2g}"
    return None


def run(
    workloads: Mapping[str, tuple[str, Workload]],
    libraries: Sequence[Library],
    settings: Settings,
    say: Callable[[str], None],
) -> Run:
    """Run each workload with those of the libraries that it is declared for."""
    outcome = Run(
        machine.describe(), {"rounds": settings.rounds, "sample_seconds": settings.sample_seconds}
    )
    for name, (module, workload) in workloads.items():
        takes_part = [library for library in libraries if library.name in workload.builds]
        contest = Contest(
            module, workload, takes_part, settings, lambda text, name=name: say(f"{name}: {text}")
        )
        outcome.workloads[name] = contest.run()
    return outcome
