"""A summary by theme of what was compared with PyTorch."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests import programs

#: The names of parametrised programs, without "[" and "]".
_PROGRAM = "test_program["


def theme(nodeid: str) -> str:
    """The theme of a test: that of its program, otherwise its module."""
    path, _, test = nodeid.partition("::")
    name = test.removeprefix(_PROGRAM)[:-1]
    if test.startswith(_PROGRAM) and name in programs.programs(*programs.MODULES):
        return programs.theme(name)
    return path.rpartition("/")[2].removeprefix("test_").removesuffix(".py").replace("_", " ")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Passed and failed comparisons by theme."""
    counts: dict[str, Counter[str]] = {"passed": Counter(), "failed": Counter()}
    for outcome, counter in counts.items():
        for report in terminalreporter.stats.get(outcome, ()):
            if getattr(report, "when", None) == "call" and "tests/parity/" in report.nodeid:
                counter[theme(report.nodeid)] += 1
    themes = sorted(counts["passed"] | counts["failed"])
    if not themes:
        return
    total = counts["passed"].total()
    terminalreporter.section(f"{total} comparisons with PyTorch and JAX, by theme")
    for name in themes:
        failed = counts["failed"][name]
        tail = f", {failed} FAILED" if failed else ""
        terminalreporter.write_line(f"{name:28} {counts['passed'][name]:5} passed{tail}")
