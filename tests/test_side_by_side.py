"""Small kernels that run beside each other: the results are those of one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import numbagrad as ng
from numbagrad.codegen import side_by_side
from numbagrad.codegen.places import Buffer, Kernel, Place


def tensors(count: int) -> list[ng.Tensor]:
    """Of different shapes: equal ones may share a loop."""
    generator = ng.Generator().manual_seed(5)
    return [ng.randn(64, 50 + i, generator=generator) for i in range(count)]


def test_updates_of_an_optimizer():
    def run(compile: Callable[..., Any], threads: int) -> list[ng.Tensor]:
        before = ng.get_num_threads()
        ng.set_num_threads(threads)
        try:
            params = [t.requires_grad_() for t in tensors(16)]
            optimizer = ng.optim.AdamW(params, lr=0.1)

            @compile
            def step():
                optimizer.zero_grad()
                ng.stack([(p * p).sum() for p in params]).sum().backward()
                optimizer.step()

            for _ in range(3):
                step()
            if compile is ng.compile:
                assert step.explain().count("side by side") >= 16
            return [p.detach() for p in params]
        finally:
            ng.set_num_threads(before)

    one = run(ng.compile, 1)
    for threads in (2, 4):
        assert all(ng.equal(a, b) for a, b in zip(one, run(ng.compile, threads), strict=True))
    eager = run(lambda f: f, 1)
    assert all(ng.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(one, eager, strict=True))


def test_loops_that_need_each_other():
    """Each reads what the one before it made, at other indices."""

    @ng.compile
    def f(x):
        for _ in range(40):
            x = (x.t() * 0.5).tanh()
        return x

    x = ng.randn(64, 64)
    expected = x
    for _ in range(40):
        expected = (expected.t() * 0.5).tanh()
    assert ng.allclose(f(x), expected, rtol=1e-5, atol=1e-6)
    assert "side by side" not in f.explain()


def test_independent_results():
    xs = tensors(16)
    f = ng.compile(lambda *xs: [x.t().tanh() for x in xs])
    for a, x in zip(f(*xs), xs, strict=True):
        assert ng.allclose(a, x.t().tanh(), rtol=1e-5, atol=1e-6)
    assert "one of 16 side by side" in f.explain()


ARENA = [Buffer("arena", at, shape=(16,), dtype=ng.float32.np) for at in (0, 32, 64)]
OTHERS = [Buffer("in", 0), Buffer("out"), Buffer("out")]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ([3, 4], [3, 5], True),  # both read an argument
        ([3, 4], [4, 5], False),  # the second reads what the first writes
        ([3, 4], [5, 3], False),  # the second writes what the first reads
        ([3, 4], [5, 4], False),  # both write
        ([3, 0], [3, 1], False),  # parts of the arena that overlap
        ([3, 0], [3, 2], True),
    ],
)
def test_what_meets(first: list[int], second: list[int], together: bool):
    buffers = [*ARENA, *OTHERS]

    def kernel(places: list[int]) -> Kernel:
        laid = [(i, Place(b, 0, (16,), (4,))) for i, b in enumerate(places)]
        return Kernel(1, [0] * len(places), laid, 10, 12, "a test", 1)

    kernels = [kernel(first), kernel(second)]
    found = [len(step) for step in side_by_side.steps(kernels, buffers)]
    assert found == ([2] if together else [1, 1])
