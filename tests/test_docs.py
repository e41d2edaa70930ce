"""The Python examples of the documentation run, and print exactly what the pages say."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path
from typing import Any

import pytest

import numbagrad as ng
from numbagrad.ops.export import EXPORTS
from numbagrad.ops.registry import REGISTRY

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def isolated():
    """Undo what a page declares or sets."""
    ops, exports = dict(REGISTRY), dict(EXPORTS)
    names, methods = set(vars(ng)), set(vars(ng.Tensor))
    with ng.random.fork_rng():
        yield
    for registry, before in ((REGISTRY, ops), (EXPORTS, exports)):
        registry.clear()
        registry.update(before)  # type: ignore[arg-type]
    for owner, before_names in ((ng, names), (ng.Tensor, methods)):
        for name in set(vars(owner)) - before_names:
            delattr(owner, name)
    ng.set_printoptions(profile="default")


def run_script(code: str, scope: dict[str, Any], where: str) -> None:
    """Run a block without prompts; a comment after `print` says what is printed."""
    promised = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, where, "exec"), scope)
    assert printed.getvalue().splitlines() == promised


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page(page):
    text = page.read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    runner = doctest.DocTestRunner(verbose=False)
    parser = doctest.DocTestParser()
    for match in BLOCK.finditer(text):
        line = text[: match.start()].count("\n") + 1
        where = f"{page.name}:{line}"
        code = match.group(1)
        if ">>>" not in code:
            run_script(code, scope, where)
            continue
        test = parser.get_doctest(code, scope, where, str(page), line)
        report = io.StringIO()
        runner.run(test, out=report.write, clear_globs=False)
        scope.update(test.globs)
        assert not report.getvalue(), report.getvalue()
