"""Compiled reductions in the kernels that compute what they reduce: values, bits, vector code."""

from __future__ import annotations

import numpy as np
import pytest

import numbagrad as ng
from tests.test_vectorised import llvm_text

PROGRAMS = {
    "sum": lambda x, y: ((x - y) ** 2).sum(-1),
    "keepdim": lambda x, y: (x * y).sum(-1, keepdim=True) + x,
    "several": lambda x, y: ((z := x * y).sum(-1), z.amax(-1), z.amin(-1, keepdim=True), z.exp()),
    "all": lambda x, y: (x * y + 1).sum(),
    "the largest of all": lambda x, y: (x * y).amax(),
    "softmax": lambda x, y: ng.softmax(x * y, -1),
    "layer norm": lambda x, y: ng.nn.functional.layer_norm(x * y, x.shape[-1:]),
    "product": lambda x, y: (x * 0.01 + 1).prod(-1),
    "integers": lambda x, y: ((x * 100).long() * 3).sum(-1),
    "a plain sum": lambda x, y: x.sum(),
    "other dimensions": lambda x, y: (x * y).sum(0),
    "a row of one number": lambda x, y: (x * y[..., :1]).sum(-1),
}
SHAPES = [(20, 200), (3, 40_000), (100_003,), (2, 3, 129)]


def layouts(shape):
    yield ng.randn(*reversed(shape), dtype=ng.float64).permute(*reversed(range(len(shape))))
    yield ng.randn(*shape[:-1], 2 * shape[-1], dtype=ng.float64)[..., ::2]
    yield ng.randn(*(1 for _ in shape), dtype=ng.float64).expand(*shape)


def leaves(r):
    return r if isinstance(r, tuple) else (r,)


def close(ours, eager):
    a, b = ours.numpy(), eager.numpy()
    assert a.dtype == b.dtype and a.shape == b.shape
    np.testing.assert_allclose(a, b, 1e-11, 1e-11)


@pytest.mark.parametrize("name", PROGRAMS)
def test_shapes(name):
    fn = PROGRAMS[name]
    for shape in SHAPES:
        agree(fn, ng.randn(*shape, dtype=ng.float64))


@pytest.mark.parametrize("name", ["keepdim", "several", "all"])
def test_layouts(name):
    for x in layouts((20, 200)):
        agree(PROGRAMS[name], x)


def agree(fn, x):
    y = x + 1
    for ours, eager in zip(leaves(ng.compile(fn)(x, y)), leaves(fn(x, y)), strict=True):
        close(ours, eager)


def test_rows_that_are_no_loop_are_reduced_by_themselves():
    def fn(x):
        z = x * 1.5
        return z.sum((1, 2)), z.amax((1, 2), keepdim=True), x.sum((1, 2))

    x = ng.randn(3, 20, 16, dtype=ng.float64).permute(0, 2, 1)
    for ours, eager in zip(ng.compile(fn)(x), fn(x), strict=True):
        close(ours, eager)


def test_special_numbers():
    fn = ng.compile(lambda x: ((y := x * 1.5).sum(1), y.amax(1), y.amin(1)))
    x = ng.zeros(6, 200)
    x[0, 7], x[1, 8], x[2, 150] = float("nan"), float("inf"), float("-inf")
    x[3, 3], x[3, 5] = float("inf"), float("-inf")
    x[4] = -0.0
    for ours, expected in zip(fn(x), ((x * 1.5).sum(1), x.amax(1), x.amin(1)), strict=True):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())


@pytest.mark.parametrize("shape", [(100_003,), (3, 70_001), (500, 300)], ids=str)
def test_same_bits_on_any_number_of_threads(shape):
    fn = ng.compile(lambda x: ((y := x.exp()).sum(-1), (y * x).sum(-1), (x * y).amax(-1)))
    x = ng.randn(*shape)
    before = ng.get_num_threads()
    try:
        found = set()
        for number in (1, 2, 4):
            ng.set_num_threads(number)
            found.add(b"".join(r.numpy().tobytes() for r in fn(x)))
    finally:
        ng.set_num_threads(before)
    assert len(found) == 1


def test_nothing_is_stored_only_to_be_summed():
    fn = ng.compile(lambda x, y: ((x - y) ** 2).sum())
    x, y = ng.randn(50_000), ng.randn(50_000)
    fn(x, y)
    assert "arena of 64 bytes" in fn.explain(), fn.explain()
    assert "in chunks" in fn.explain()


def test_long_sums_are_accurate():
    x = ng.rand(3_000_000)
    found = ng.compile(lambda x: (x * 1.0).sum())(x).item()
    assert abs(found / x.double().sum().item() - 1) < 1e-6


def test_code_is_vectorised(monkeypatch):
    fn = ng.compile(lambda x: ((y := (x * 2).tanh()).sum(-1), y.amax(-1)))
    fn(ng.randn(4, 500))
    (source,) = fn._latest()[0].forward.sources
    text = llvm_text(source, monkeypatch)
    assert "fadd reassoc contract <" in text or "fadd contract reassoc <" in text
    assert "maximum.v" in text
