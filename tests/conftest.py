"""What all tests share: the compiler's graphs are verified between passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from numbagrad import passes
from numbagrad.ir.graph import Graph
from numbagrad.ir.verify import verify


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
