"""One picture of a run: how many times the best peer's figure ours fits into it."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

from bench.report import heading
from bench.result import Run


def draw(run: Run, path: Path) -> None:
    rows = []
    for name, result in run.workloads.items():
        best = result.best()
        ratio = result.ratio(best) if best else None
        if ratio is not None:
            rows.append((f"{name}\nagainst {best}", ratio))
    if not rows:
        raise ValueError("the run has no workload that both numbagrad and a peer completed")
    rows.reverse()  # the first workload on top

    labels = [label for label, _ in rows]
    medians = [ratio.median for _, ratio in rows]
    spread = [[r.median - r.low for _, r in rows], [r.high - r.median for _, r in rows]]
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.5 * len(rows)), layout="constrained")
    # On a logarithmic axis a bar has no zero to start from: it starts where both are equal.
    lengths = [median - 1 for median in medians]
    axes.barh(labels, lengths, left=1, xerr=spread, capsize=3, color="#3b6ea5")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("best peer's figure / numbagrad's (right of 1: numbagrad is better)")
    axes.tick_params(labelsize=8)
    figure.suptitle(heading(run), fontsize=7)
    figure.savefig(path, dpi=150)
    plt.close(figure)
