"""What a run leaves behind: the samples of every round, as JSON. Figures are derived from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.libraries import OURS
from bench.stats import Summary, ratios, summarize

FORMAT = 1


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

    def verdicts(self) -> list[tuple[str, bool | None]]:
        """Each target in words, and whether it is met (None: not measured)."""
        found: list[tuple[str, bool | None]] = []
        for target in self.targets:
            peer = self.best() if target["against"] == "best" else target["against"]
            ratio = self.ratio(peer) if peer else None
            met = None if ratio is None else ratio.median >= target["ratio"]
            found.append((f"{target['against']} / ours ≥ {target['ratio']:.3g}", met))
        if self.limit is not None:
            ours = self.ok().get(OURS)
            met = None if ours is None else summarize(ours.samples).median <= self.limit
            found.append((f"ours ≤ {quantity(self.limit, self.unit)}", met))
        return found


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
