"""What all tests share: graphs are verified between passes, generated kernels need no Numba."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from numbagrad import passes
from numbagrad.ir.graph import Graph
from numbagrad.ir.verify import verify
from numbagrad.runtime import lower
from numbagrad.runtime.arithmetic import Unsupported
from numbagrad.runtime.translate import translate

#: Written for PyTorch: `test_scripts` runs them with other imports.
collect_ignore = ["scripts"]


def _verified(graph: Graph) -> Graph:
    verify(graph)
    for p in passes.PIPELINE:
        graph = p(graph)
        try:
            verify(graph)
        except ValueError as error:
            raise AssertionError(f"after the pass {p.__name__}: {error}\n{graph}") from error
    return graph


@pytest.fixture(autouse=True, scope="session")
def verified_passes() -> Iterator[None]:
    """Every graph that is compiled by any test is checked before the passes and after each."""
    run, passes.run = passes.run, _verified
    yield
    passes.run = run


def _translated(source: str, entry: str, *rest: Any) -> str:
    try:
        return translate(source, entry, *rest)
    except Unsupported as error:
        if "numbagrad.kernels" in source and "numba." not in source:
            raise AssertionError(f"a kernel waits for Numba: {error}\n{source}") from error
        raise


@pytest.fixture(autouse=True, scope="session")
def translated_kernels() -> Iterator[None]:
    """No kernel that any test generates goes beyond what is translated without Numba."""
    lower.translate = _translated
    yield
    lower.translate = translate
