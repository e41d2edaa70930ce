"""What the compiler makes of typical functions: graphs and kernel sources, as reviewed text.

The expected texts are files in tests/golden. After a change that is meant, write them anew with

    NUMBAGRAD_UPDATE_GOLDEN=1 python -m pytest tests/test_golden.py

and read the difference: it is what the change does to the code that is generated.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import numbagrad as ng
from numbagrad import nn

FOLDER = Path(__file__).parent / "golden"
CASES: dict[str, Callable[[], tuple[Any, tuple[Any, ...]]]] = {}


def case(make: Callable[[], tuple[Any, tuple[Any, ...]]]) -> Callable[..., Any]:
    """A function that returns what is compiled, and the arguments of the call."""
    CASES[make.__name__] = make
    return make


@case
def pointwise_chain():
    return lambda x, y: (x * 2 + y).tanh().exp() - 1, (ng.ones(4, 5), ng.ones(4, 5))


@case
def broadcast():
    return lambda x, row, column: x * row + column, (ng.ones(4, 5), ng.ones(5), ng.ones(4, 1))


@case
def reduction_at_the_end():
    return lambda x: (x * x).sum(1), (ng.ones(4, 5),)


@case
def long_rows():
    return lambda x: ((y := x.exp()).sum(1, keepdim=True), y.amax(1), y), (ng.ones(4, 200),)


@case
def long_sum():
    return lambda x, y: ((x - y) ** 2).sum(), (ng.ones(40_000), ng.ones(40_000))


@case
def column_reduction():
    return lambda x: x.sum(0), (ng.ones(4, 5),)


@case
def softmax():
    return lambda x: x.softmax(-1), (ng.ones(4, 5),)


@case
def layer_norm():
    return lambda x: nn.functional.layer_norm(x, (5,)), (ng.ones(4, 5),)


@case
def where_and_clamp():
    return lambda x, y: ng.where(x > y, x.clamp(-1, 1), y.relu()), (ng.ones(6), ng.ones(6))


@case
def strided_input():
    return lambda x: x.exp() + 1, (ng.ones(6, 8)[::2, 1::2],)


@case
def transposed_input():
    return lambda x, y: x + y, (ng.ones(5, 4).t(), ng.ones(4, 5))


@case
def mixed_dtypes():
    return lambda x, i, m: (x * i, i + m, m & (x > 0)), (
        ng.ones(4), ng.ones(4, dtype=ng.int64), ng.ones(4) > 0)  # fmt: skip


def mlp():
    ng.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 2))


@case
def mlp_inference():
    return mlp().requires_grad_(False), (ng.ones(4, 5),)


@case
def training_step():
    model = mlp()
    optimizer = ng.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, (ng.ones(4, 5), ng.ones(4, 2))


@case
def gradient():
    return lambda x: (x.sin() * x).sum(), (ng.ones(6, requires_grad=True),)


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    fn, args = CASES[name]()
    compiled = ng.compile(fn)
    compiled(*args)
    (traced,) = compiled._latest()
    text = f"{traced.graph}\n"
    if traced.backward is not None:
        text += f"\nbackward:\n{traced.backward.graph}\n"
    text += f"\n{compiled.source()}\n"
    path = FOLDER / f"{name}.txt"
    if os.environ.get("NUMBAGRAD_UPDATE_GOLDEN"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path} is missing: write it with NUMBAGRAD_UPDATE_GOLDEN=1"
    assert text == path.read_text(), f"the code for {name} changed: see the module's docstring"


def test_no_file_without_a_case():
    assert {p.stem for p in FOLDER.glob("*.txt")} == set(CASES)
