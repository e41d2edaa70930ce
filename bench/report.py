"""Tables of a run and of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from bench.compare import Change
from bench.libraries import OURS
from bench.result import Run, WorkloadResult, quantity
from bench.stats import summarize

OTHERS_ALLOWED = 0.15  # of a core
STYLES = {"worse": "red", "lost": "red", "better": "green", "new": "cyan", "same": ""}


def heading(run: Run) -> str:
    where = run.machine
    return (
        f"{where['cpu']}, {where['cores']} cores, {where['system']}, commit {where['commit']}, "
        f"{where['date']}; up to {run.settings['rounds']} rounds"
    )


def warnings(run: Run) -> list[str]:
    """What speaks against the figures."""
    return [
        f"{name}: other processes used {result.others:.2g} cores meanwhile; measure again"
        for name, result in run.workloads.items()
        if result.others is not None and result.others > OTHERS_ALLOWED
    ]


def run_table(run: Run) -> Table:
    table = Table(
        title="Medians over the rounds, with quartiles; ratio: the peer's figure / ours",
        title_justify="left",
    )
    table.add_column("workload", no_wrap=True)
    table.add_column("library", no_wrap=True)
    table.add_column("figure")
    table.add_column("ratio")
    table.add_column("target")
    for name, result in run.workloads.items():
        for index, library in enumerate(result.libraries):
            table.add_row(
                name if index == 0 else "",
                library,
                figure(result, library),
                "" if library == OURS else ratio(result, library),
                verdicts(result) if index == 0 else "",
                end_section=index == len(result.libraries) - 1,
            )
    return table


def figure(result: WorkloadResult, library: str) -> Text:
    measured = result.libraries[library]
    if measured.status == "unavailable":
        return Text(measured.message, style="yellow")
    if measured.status != "ok":
        return Text(f"{measured.status}: {measured.message}", style="red")
    found = summarize(measured.samples)
    low, high = quantity(found.low, result.unit), quantity(found.high, result.unit)
    text = f"{quantity(found.median, result.unit)} [{low}, {high}]"
    if measured.moved:
        text += f" {measured.moved / found.median / 1e9:.1f} GB/s"
    if measured.message:
        text += f" ({measured.message})"
    return Text(text)


def ratio(result: WorkloadResult, peer: str) -> str:
    found = result.ratio(peer)
    return f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]" if found else ""


def verdicts(result: WorkloadResult) -> Text:
    styles = {"met": "green", "MISSED": "red"}
    text = Text()
    for target, verdict in result.verdicts():
        text.append(f"{target}: ").append(f"{verdict}\n", style=styles.get(verdict, "yellow"))
    text.rstrip()
    return text


def comparison_table(changes: Sequence[Change]) -> Table:
    table = Table(title="Change of our median from the old run to the new", title_justify="left")
    for column in ("workload", "compared", "change", "verdict"):
        table.add_column(column)
    for row in changes:
        change = f"{row.change:+.1%}" if row.measure else ""
        table.add_row(row.workload, row.measure, change, Text(row.verdict, STYLES[row.verdict]))
    return table
