"""Is the new run slower than the old one, beyond the noise of both?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.libraries import OURS
from bench.result import Run, WorkloadResult
from bench.stats import Summary, summarize

Verdict = Literal["same", "better", "worse", "lost", "new"]


@dataclass(frozen=True)
class Change:
    workload: str
    verdict: Verdict
    measure: str = ""  # what was compared
    change: float = 0.0  # of the medians: 0.1 is ten per cent more time or memory


def compare(old: Run, new: Run, threshold: float) -> list[Change]:
    """One row for each workload of either run."""
    return [
        compare_workload(name, old.workloads.get(name), new.workloads.get(name), threshold)
        for name in dict.fromkeys([*old.workloads, *new.workloads])
    ]


def compare_workload(
    name: str, old: WorkloadResult | None, new: WorkloadResult | None, threshold: float
) -> Change:
    if old is None or OURS not in old.ok():
        return Change(name, "new" if new is not None and OURS in new.ok() else "same")
    if new is None or OURS not in new.ok():
        return Change(name, "lost")
    measure, before, after = comparable(old, new)
    change = after.median / before.median - 1
    # Beyond noise: the middle halves of the rounds do not touch.
    if change > threshold and after.low > before.high:
        return Change(name, "worse", measure, change)
    if change < -threshold and after.high < before.low:
        return Change(name, "better", measure, change)
    return Change(name, "same", measure, change)


def comparable(old: WorkloadResult, new: WorkloadResult) -> tuple[str, Summary, Summary]:
    """Our figure over a peer's where both runs have the peer in the same version: a machine that
    was slower in one run was so for both. Otherwise the plain figure."""
    for peer, measured in old.ok().items():
        again = new.ok().get(peer)
        if peer != OURS and again is not None and again.version == measured.version:
            return f"share of {peer}'s", share(old, peer), share(new, peer)
    before, after = (summarize(run.libraries[OURS].samples) for run in (old, new))
    return old.unit, before, after


def share(result: WorkloadResult, peer: str) -> Summary:
    ours, theirs = result.libraries[OURS].samples, result.libraries[peer].samples
    return summarize([a / b for a, b in zip(ours, theirs, strict=True)])
