"""When an eager op runs its compiled kernel instead of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import eager
from numbagrad.codegen.pointwise import PointwiseKernel
from numbagrad.runtime import compiler


@pytest.fixture
def runs(monkeypatch):
    """Sizes of the arrays that kernels ran on, if every kernel pays at once."""
    for name in ("_LOOK", "_COMPILE", "_FIRST_COMPILE"):
        monkeypatch.setattr(eager, name, -1.0)
    sizes: list[int] = []
    original = PointwiseKernel.run

    def run(self, arrays, *, may_compile):
        sizes.append(arrays[0].size)
        return original(self, arrays, may_compile=may_compile)

    monkeypatch.setattr(PointwiseKernel, "run", run)
    return sizes


@pytest.mark.parametrize(
    ("name", "large"), [("exp", 32768), ("sigmoid", 8192), ("erf", 256), ("lgamma", 256)]
)
def test_the_slower_the_reference_the_sooner_the_kernel(name, large, runs):
    x = ng.linspace(-3, 3, large)
    small = getattr(x[:-1], name)()
    assert runs == []
    result = getattr(x, name)()
    assert runs == [large]
    np.testing.assert_array_max_ulp(small.numpy(), result.numpy()[:-1], 4)


def test_a_profile_shows_that_a_kernel_was_compiled(runs, monkeypatch):
    monkeypatch.setattr(compiler, "find_source", lambda *args, **options: None)
    x = ng.linspace(0, 1, 100_000).reshape(100, 10, 100)[:, ::2, ::3]
    with ng.autograd.profiler.profile() as prof:
        x.sigmoid()
    (event,) = [e for e in prof.function_events if e.name == "Compilation: kernel"][:1]
    assert event.cpu_parent.name == "aten::sigmoid" and runs == [x.numel()]


def test_a_kernel_waits_until_it_pays(runs, monkeypatch):
    monkeypatch.setattr(eager, "_LOOK", 1e9)
    ng.ones(100_000).exp()
    assert runs == []
