"""The command line: list, run, report, compare, plot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from bench import compare as comparison, report as reports
from bench.libraries import LIBRARIES, OURS, PEERS
from bench.result import Run
from bench.runner import Settings, run as run_all
from bench.workload import collect

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
# A table that is written to a file keeps its columns.
console = Console(width=None if sys.stdout.isatty() else 160)

ResultFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]


def fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)


def read(path: Path) -> Run:
    try:
        return Run.read(path)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        fail(f"{path} is not a result file of this version: {error}")


@app.command("list")
def list_workloads() -> None:
    """Say what can be measured."""
    table = Table("workload", "kind", "libraries", "what it does")
    for name, (_, workload) in collect().items():
        table.add_row(name, workload.kind, ", ".join(workload.builds), workload.doc)
    console.print(table)


@app.command()
def run(
    workloads: Annotated[list[str] | None, typer.Argument(help="Which; all by default.")] = None,
    peers: Annotated[str, typer.Option(help="Libraries to compare with.")] = ",".join(PEERS),
    rounds: Annotated[int, typer.Option(min=1)] = Settings.rounds,
    sample_ms: Annotated[
        float, typer.Option(min=0.01, help="Shortest sample; a short step is repeated in it.")
    ] = Settings.sample_seconds * 1000,
    json: Annotated[Path | None, typer.Option(help="Write the samples here.")] = None,
    numbagrad_python: Annotated[str, typer.Option(help="Interpreter that has numbagrad.")] = "",
    torch_python: Annotated[str, typer.Option(help="Interpreter that has torch.")] = "",
    jax_python: Annotated[str, typer.Option(help="Interpreter that has jax.")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds before a worker is given up.")] = (
        Settings.timeout
    ),
) -> None:
    """Measure. Exits with 1 if a library failed or computed wrong values."""
    known = collect()
    wanted = workloads or list(known)
    yardsticks = (name for name, library in LIBRARIES.items() if library.yardstick)
    names = list(dict.fromkeys([OURS, *filter(None, peers.split(",")), *yardsticks]))
    for name, choices in (*((w, known) for w in wanted), *((n, LIBRARIES) for n in names)):
        if name not in choices:
            fail(f"{name!r} is none of: {', '.join(choices)}")
    pythons = {"numbagrad": numbagrad_python, "torch": torch_python, "jax": jax_python}
    settings = Settings(
        rounds=rounds,
        sample_seconds=sample_ms / 1000,
        timeout=timeout,
        pythons={name: python or sys.executable for name, python in pythons.items()},
    )
    if json is not None:
        try:  # before the measuring and not after it
            json.touch()
        except OSError as error:
            fail(f"{json}: {error}")
    with console.status("") as status:
        result = run_all(
            {name: known[name] for name in wanted},
            [LIBRARIES[name] for name in names],
            settings,
            status.update,
        )
    if json is not None:
        result.write(json)
    show(result)
    failed = [
        f"{name}: {library}: {measured.status}: {measured.message}"
        for name, found in result.workloads.items()
        for library, measured in found.libraries.items()
        if measured.status not in ("ok", "unavailable")
    ]
    for line in failed:
        typer.echo(line, err=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def report(result: ResultFile) -> None:
    """Print the tables of an earlier run."""
    show(read(result))


@app.command()
def compare(
    old: ResultFile,
    new: ResultFile,
    threshold: Annotated[
        float, typer.Option(min=0.0, help="The smallest change that counts; 0.05 is 5 %.")
    ] = 0.05,
) -> None:
    """Compare two runs. Exits with 1 if a workload got worse beyond noise, or was lost."""
    changes = comparison.compare(read(old), read(new), threshold)
    console.print(reports.comparison_table(changes))
    if any(change.verdict in ("worse", "lost") for change in changes):
        raise typer.Exit(1)


@app.command()
def plot(
    result: ResultFile,
    out: Annotated[Path, typer.Option(help="An .svg, .png or .pdf file.")] = Path("bench.svg"),
) -> None:
    """Draw the ratios to the best peer."""
    # Imported here: matplotlib is slow to import, and only this command needs it.
    from bench.plot import draw

    try:
        draw(read(result), out)
    except ValueError as error:
        fail(f"{result}: {error}")
    typer.echo(f"wrote {out}")


def show(result: Run) -> None:
    console.print(reports.heading(result), highlight=False)
    console.print(reports.run_table(result), highlight=False)
    for warning in reports.warnings(result):
        console.print(warning, style="yellow", highlight=False)
