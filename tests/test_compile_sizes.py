"""Kernels are generic over extents: a new size plans anew, but compiles nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

import numbagrad as ng
from numbagrad import nn
from numbagrad.runtime import compiler


@pytest.fixture
def compilations(monkeypatch: Any) -> list[str]:
    """The sources that had to be compiled, or loaded: not found in the process."""
    found: list[str] = []
    original = compiler._find_or_compile

    def counted(source: str, *rest: Any) -> int:
        found.append(source)
        return original(source, *rest)

    monkeypatch.setattr(compiler, "_find_or_compile", counted)
    return found


def step_of(model: Any) -> Any:
    optimizer = ng.optim.SGD(model.parameters(), lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, y: (x.tanh() * 2 + x.sum(1, keepdim=True)).softmax(-1),
        lambda x, y: (x.t() @ x).sum(0) + x.amax(0),
        lambda x, y: x[:, ::2] + x[:, 1::2],
        step_of(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))),
    ],
)
def test_fifty_batch_sizes_compile_nothing_new(fn, compilations):
    f = ng.compile(fn)

    def call(n: int) -> None:
        f(ng.ones(n, 6), ng.zeros(n, dtype=ng.int64))

    call(2)
    call(3)
    known = len(compilations)
    for n in range(4, 54):
        call(n)
    assert compilations[known:] == []


def fifty_equations(x):
    for _ in range(12):
        x = (x * 1.01 + x.sum(1, keepdim=True)).tanh()
    return x.sum()


def test_planning_a_new_size_takes_milliseconds():
    """The bound is generous, for slow and busy machines; the figure is about a tenth of it."""
    f = ng.compile(fifty_equations)
    f(ng.ones(3, 4))
    f(ng.ones(5, 4))
    best = float("inf")
    for n in range(6, 16):
        x = ng.ones(n, 4)
        start = time.perf_counter()
        f(x)
        best = min(best, time.perf_counter() - start)
    assert len(f._latest()[0].graph.eqns) >= 12
    assert best < 0.06, f"{best * 1e3:.1f} ms"
