"""What a run leaves behind: the samples of every round, as JSON. Figures are derived from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.libraries import OURS
from bench.stats import Summary, ratios, summarize

FORMAT = 1
TOO_NOISY = 2.0  # upper quartile over lower
Verdict = Literal["met", "MISSED", "too noisy", "not measured"]


@dataclass
class Measured:
    """One library on one workload."""

    status: str = "ok"  # ok, unavailable, error, wrong values
    message: str = ""
    samples: list[float] = field(default_factory=list)  # one a round
    calls: int = 1  # calls a sample
    moved: int | None = None  # bytes a call must move
    yardstick: bool = False
    version: str = ""
    python: str = ""
    threads: int | None = None


@dataclass
class WorkloadResult:
    unit: str
    tolerance: str
    libraries: dict[str, Measured]
    targets: list[dict[str, Any]] = field(default_factory=list)
    limit: float | None = None
    others: float | None = None  # cores that other processes used meanwhile

    def ok(self) -> dict[str, Measured]:
        return {name: m for name, m in self.libraries.items() if m.status == "ok"}

    def ratio(self, peer: str) -> Summary | None:
        """`peer`'s figure over ours (above 1: ours is better); by bytes moved where declared."""
        measured = self.ok()
        if OURS not in measured or peer not in measured:
            return None
        theirs, ours = measured[peer], measured[OURS]
        work = ours.moved / theirs.moved if ours.moved and theirs.moved else 1.0
        return summarize([work * r for r in ratios(theirs.samples, ours.samples)])

    def best(self) -> str | None:
        """The peer with the best figure; yardsticks are none."""
        medians = {
            name: summarize(measured.samples).median
            for name, measured in self.ok().items()
            if name != OURS and not measured.yardstick
        }
        return min(medians, key=medians.__getitem__, default=None)

    def verdicts(self) -> list[tuple[str, Verdict]]:
        """Each target in words, and whether it is met."""
        found: list[tuple[str, Verdict]] = []
        for target in self.targets:
            peer = self.best() if target["against"] == "best" else target["against"]
            ratio = self.ratio(peer) if peer else None
            verdict = judge(ratio, ratio is not None and ratio.median >= target["ratio"])
            found.append((f"{target['against']} / ours ≥ {target['ratio']:.3g}", verdict))
        if self.limit is not None:
            ours = self.ok().get(OURS)
            figure = summarize(ours.samples) if ours else None
            verdict = judge(figure, figure is not None and figure.median <= self.limit)
            found.append((f"ours ≤ {quantity(self.limit, self.unit)}", verdict))
        return found


def judge(found: Summary | None, met: bool) -> Verdict:
    """A figure whose quartiles lie far apart is no ground for a verdict."""
    if found is None:
        return "not measured"
    if found.high > TOO_NOISY * found.low:
        return "too noisy"
    return "met" if met else "MISSED"


@dataclass
class Run:
    machine: dict[str, Any]
    settings: dict[str, Any]
    workloads: dict[str, WorkloadResult] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Run:
        data = json.loads(path.read_text())
        if data.pop("format") != FORMAT:
            raise ValueError("another format")
        for name, result in data["workloads"].items():
            libraries = {lib: Measured(**m) for lib, m in result.pop("libraries").items()}
            data["workloads"][name] = WorkloadResult(libraries=libraries, **result)
        return cls(**data)


def quantity(value: float, unit: str) -> str:
    """A figure with a fitting unit.

    >>> quantity(0.00123, "seconds"), quantity(32e6, "bytes")
    ('1.23 ms', '32 MB')
    """
    steps = {
        "seconds": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
        "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    }[unit]
    for size, name in steps:
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    size, name = steps[-1]
    return f"{value / size:.3g} {name}"
