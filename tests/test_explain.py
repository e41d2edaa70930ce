"""What the compiler tells about itself: `explain()` and the ladder of NUMBAGRAD_DEBUG."""

from __future__ import annotations

import re

import pytest

import numbagrad as ng
from numbagrad.ir.trace import trace
from numbagrad.passes import (
    PIPELINE,
    run as run_passes,  # before the tests put their verifier in its place
)

X = ng.ones(4, 6)


def ends(fn, *args) -> list[str]:
    """The reasons why fused groups end, in the order in which they run."""
    compiled = ng.compile(fn)
    compiled(*args)
    return re.findall(r"the group ends: (.*)", compiled.explain())


@pytest.mark.parametrize(
    ("fn", "reasons"),
    [
        (lambda x: x.sin() + 1, ["it is returned"]),
        (lambda x: x.sin().t()[1:], ["it is returned through slice"]),
        (lambda x: x.sin().sum(1), ["sum, which is not pointwise, reads it"]),
        (lambda x: x.sin() @ x.t(), ["matmul, which is not pointwise, reads it"]),
        (
            lambda x: x.sin().t() @ x,
            ["matmul, which is not pointwise, reads it through permute"],
        ),
        (
            lambda x: x.sum(1, keepdim=True).exp() * x,
            ["a loop over [4, 6] reads it", "it is returned"],
        ),
        (
            lambda x: (y := x.exp()) / y.sum(),
            [
                "sum, which is not pointwise, reads it, the next group also waits for something "
                "that is not pointwise",
                "it is returned",
            ],
        ),
    ],
)
def test_why_a_group_ends(fn, reasons):
    assert ends(fn, X) == reasons


def test_reductions_at_the_end_of_a_kernel():
    assert ends(lambda x: (x * 2).exp().sum(1), ng.ones(64, 2048)) == [
        "sum is known after the loop only"
    ]


def test_limit_of_a_kernel():
    def f(x):
        for _ in range(100):
            x = x.sin()
        return x

    assert ends(f, X) == [
        "a kernel takes 24 operands and 96 equations at most",
        "it is returned",
    ]


def test_totals():
    f = ng.compile(lambda x: (x * 2 + 1).sum(1))
    f(X)
    text = f.explain()
    assert "fused mul, add: 192 bytes, 48 flops" in text  # 24 elements read and written
    assert "in all: 304 bytes moved, 72 flops" in text
    assert "memory: 16 bytes of results, an arena of 128 bytes for 1 values" in text


def told(fn, capsys) -> str:
    fn()
    return capsys.readouterr().err


def test_ladder(monkeypatch, capsys):
    def step(x, k=1.0):
        return (x * k).sin()

    f = ng.compile(step)
    for level in ("", "0"):
        monkeypatch.setenv("NUMBAGRAD_DEBUG", level)
        assert told(lambda: f(ng.ones(2)), capsys) == ""
    monkeypatch.setenv("NUMBAGRAD_DEBUG", "1")
    assert told(lambda: f(ng.ones(2)), capsys) == ""  # nothing new
    found = told(lambda: f(ng.ones(3)), capsys)
    assert re.fullmatch(r"numbagrad: step: traced and planned in [\d.]+ ms: (.*)\n", found)
    assert found.endswith("the shape of 'x' is (3,), was (2,)\n")
    assert "'k' is '3.0', was '2.0'" in told(
        lambda: (f(ng.ones(3), 2.0), f(ng.ones(3), 3.0)), capsys
    )
    assert "the requires_grad of 'x' is True, was False" in told(
        lambda: f(ng.ones(3, requires_grad=True), 3.0), capsys
    )
    with ng.no_grad():
        assert "another gradient" in told(lambda: f(ng.ones(3, requires_grad=True), 3.0), capsys)
    monkeypatch.setenv("NUMBAGRAD_DEBUG", "2")
    found = told(lambda: f(ng.ones(5)), capsys)
    assert "graph(a: f32[5])" in found and "bytes moved" in found and "def kernel" not in found
    monkeypatch.setenv("NUMBAGRAD_DEBUG", "3")
    found = told(lambda: ng.compile(step)(ng.ones(6)), capsys)
    assert "the first call" in found and "def kernel" in found


def test_every_pass_is_shown(monkeypatch, capsys):
    monkeypatch.setenv("NUMBAGRAD_DEBUG", "3")
    run_passes(trace(lambda x: x * 1 + 2, [((2,), X._data.dtype)]))
    found = re.findall(r"numbagrad: (.*):", capsys.readouterr().err)
    assert found == ["as traced", *(f"after {p.__name__}" for p in PIPELINE)]


def test_compilations_are_shown(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("NUMBAGRAD_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("NUMBAGRAD_DEBUG", "1")
    number = 0.7310585  # in no other test
    found = told(lambda: ng.compile(lambda x: x * number)(X), capsys)
    assert re.search(rf"numbagrad: compiled {tmp_path}/\w+\.py in \d+ ms", found)


def test_bad_level(monkeypatch):
    monkeypatch.setenv("NUMBAGRAD_DEBUG", "much")
    with pytest.raises(ValueError, match="NUMBAGRAD_DEBUG must be an integer of at least 0"):
        ng.compile(lambda x: x * 2)(X)
