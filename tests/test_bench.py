"""The benchmark measures what it says: with fake workloads, and no library but NumPy."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

from bench.cli import app
from bench.compare import compare
from bench.libraries import LIBRARIES, OURS, Library
from bench.machine import Others
from bench.report import warnings
from bench.result import Measured, Run, WorkloadResult
from bench.runner import Settings, run as run_all
from bench.stats import ratios, summarize
from bench.workload import collect

FAKES = tuple(
    Library(name, "no_such_module" if name == "absent" else "math")
    for name in (OURS, "peer", "absent", "dies", "hangs", "raises")
)
cli = CliRunner()


@pytest.fixture
def run_fakes(monkeypatch):
    # The workers import the fakes by name, as the tests do.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def run(*names: str, timeout: float = 30.0) -> Run:
        known = collect("bench_fakes")
        settings = Settings(
            rounds=3,
            sample_seconds=0.001,
            timeout=timeout,
            pythons={"numbagrad": sys.executable},
        )
        return run_all({name: known[name] for name in names}, FAKES, settings, lambda text: None)

    return run


def made_up(samples: list[float], peer: list[float] | None = None, version: str = "1") -> Run:
    """A run of one workload with the given figures."""
    libraries = {OURS: Measured(samples=samples)}
    if peer is not None:
        libraries["peer"] = Measured(samples=peer, version=version)
    result = WorkloadResult(unit="seconds", tolerance="", libraries=libraries)
    return Run(
        machine=dict.fromkeys(("cpu", "cores", "system", "commit", "date")),
        settings={"rounds": len(samples)},
        workloads={"w": result},
    )


def test_summaries_and_ratios():
    found = summarize([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.median, found.low, found.high, found.min, found.max) == (3, 2, 4, 1, 5)
    assert summarize([7.0]).high == 7
    assert ratios([4.0, 9.0], [2.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_fair_contest(run_fakes, tmp_path):
    run = run_fakes("fair")
    result = run.workloads["fair"]
    ours, peer, absent = (result.libraries[name] for name in (OURS, "peer", "absent"))
    assert len(ours.samples) == len(peer.samples) == 3
    assert ours.calls > peer.calls, "a short step is repeated more often in a sample"
    assert absent.status == "unavailable"
    assert absent.message.startswith("missing: No module named 'no_such_module'")
    assert result.best() == "peer"
    ratio = result.ratio("peer")
    assert ratio is not None and ratio.median > 2
    verdicts = [verdict for _, verdict in result.verdicts()]
    # On a busy machine real figures may be too noisy for the first.
    assert verdicts[0] in ("met", "too noisy") and verdicts[2] == "not measured"

    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == run


def test_verdicts():
    result = made_up([1.0, 1.0, 1.0], peer=[2.0, 2.1, 2.2]).workloads["w"]
    result.targets = [{"ratio": 2.0, "against": "best"}, {"ratio": 3.0, "against": "peer"}]
    assert [verdict for _, verdict in result.verdicts()] == ["met", "MISSED"]


def test_no_verdict_on_noise():
    result = made_up([1.0, 1.0, 1.0, 1.0], peer=[2.0, 2.0, 90.0, 90.0]).workloads["w"]
    result.targets = [{"ratio": 1.5, "against": "best"}]
    assert result.verdicts() == [("best / ours ≥ 1.5", "too noisy")]


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux's /proc")
def test_other_processes_are_noticed():
    others = Others()
    # Not our child in the sense of the figure: a child's time counts as ours when it has ended.
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.5)
        used = others.cores()
    finally:
        burner.kill()
        burner.wait()
    assert used is not None and used > 0.3
    run = made_up([1.0])
    run.workloads["w"].others = 0.9
    assert warnings(run) == ["w: other processes used 0.9 cores meanwhile; measure again"]


def test_wrong_values_are_not_timed(run_fakes):
    result = run_fakes("wrong").workloads["wrong"]
    ours = result.libraries[OURS]
    assert ours.status == "wrong values"
    assert "differs from peer: result 0 is off by up to 1" in ours.message
    assert not ours.samples
    assert result.libraries["peer"].status == "ok"
    assert result.ratio("peer") is None


def test_whoever_fails_leaves_and_the_rest_goes_on(run_fakes):
    found = run_fakes("troubles", timeout=3.0).workloads["troubles"].libraries
    assert found[OURS].status == "unavailable"
    assert "a_function_of_the_future" in found[OURS].message
    assert found["dies"].status == "error"
    assert "the worker died" in found["dies"].message
    assert "the last words" in found["dies"].message
    assert "no answer in 3 s" in found["hangs"].message
    assert "ZeroDivisionError" in found["raises"].message
    assert len(found["peer"].samples) == 3


def test_first_use_reports_the_slowest_step(run_fakes):
    result = run_fakes("first").workloads["first"]
    ours = result.libraries[OURS]
    assert ours.message == "slow"
    assert len(ours.samples) == 2 and min(ours.samples) >= 0.02
    assert result.verdicts() == [("ours ≤ 1 ms", "MISSED")]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_peak_memory_counts_the_data_only(run_fakes):
    ours = run_fakes("memory").workloads["memory"].libraries[OURS]
    (peak,) = ours.samples
    assert 75e6 < peak < 90e6


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        ([1.01, 1.02, 1.03], "same"),  # slower by less than the threshold
        ([1.3, 1.31, 1.32], "worse"),
        ([0.5, 0.51, 0.52], "better"),
        ([0.9, 1.0, 1.3, 1.4, 1.7], "same"),  # slower, but within its own noise
    ],
)
def test_compare_tells_change_from_noise(new, verdict):
    (change,) = compare(made_up([0.99, 1.0, 1.01]), made_up(new), threshold=0.05)
    assert change.verdict == verdict


def test_compare_sees_through_a_slower_machine():
    old = made_up([1.0, 1.01, 1.02], peer=[2.0, 2.02, 2.04])
    (change,) = compare(old, made_up([3.0, 3.03, 3.06], peer=[6.0, 6.06, 6.12]), 0.05)
    assert (change.verdict, change.measure) == ("same", "share of peer's")
    # A peer of another version is another yardstick.
    other = made_up([3.0, 3.03, 3.06], peer=[6.0, 6.06, 6.12], version="2")
    (change,) = compare(old, other, 0.05)
    assert (change.verdict, change.measure) == ("worse", "seconds")


def test_compare_notices_a_lost_workload():
    lost = made_up([1.0])
    lost.workloads["w"].libraries[OURS].status = "error"
    assert compare(made_up([1.0]), lost, 0.05)[0].verdict == "lost"
    assert compare(lost, made_up([1.0]), 0.05)[0].verdict == "new"


def test_compare_command(tmp_path):
    old, slow = str(tmp_path / "old.json"), str(tmp_path / "slow.json")
    made_up([1.0, 1.0, 1.0]).write(Path(old))
    made_up([2.0, 2.0, 2.0]).write(Path(slow))
    assert cli.invoke(app, ["compare", old, old]).exit_code == 0
    worse = cli.invoke(app, ["compare", old, slow])
    assert worse.exit_code == 1
    assert "+100.0%" in worse.output and "worse" in worse.output


def test_report_and_plot_commands(tmp_path):
    file, picture = str(tmp_path / "run.json"), tmp_path / "run.svg"
    made_up([1.0, 1.0], peer=[2.0, 2.0]).write(Path(file))
    assert "2.00" in cli.invoke(app, ["report", file]).output
    pytest.importorskip("matplotlib")
    done = cli.invoke(app, ["plot", file, "--out", str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "no-such-workload"], "'no-such-workload' is none of: "),
        (["run", "chain", "--peers", "tensorflow"], "'tensorflow' is none of: "),
        (["report", __file__], "is not a result file of this version: "),
        (["run", "chain", "--json", "/no/such/directory/out.json"], "No such file"),
    ],
)
def test_bad_input_is_named(arguments, message):
    done = cli.invoke(app, arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_declared_workloads_are_sound():
    declared = collect()
    assert declared, "there are workloads"
    for name, (_, workload) in declared.items():
        assert OURS in workload.builds, name
        assert set(workload.builds) <= set(LIBRARIES), name
        named = {target.against for target in workload.targets} - {"best"}
        assert named <= set(workload.builds), name
        assert set(workload.tiny) in (set(), set(workload.builds)), name
        assert set(workload.moved) in (set(), set(workload.builds)), name
    listed = cli.invoke(app, ["list"])
    assert listed.exit_code == 0
    assert next(iter(declared)) in listed.output
