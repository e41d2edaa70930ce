"""Random graphs of ops: compiled == eager in values, first and second gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import numbagrad as ng

# Smooth and bounded by a small multiple of their inputs, so that errors do not grow on the way:
# the bound below holds for any chain of them.
UNARY = (
    lambda x: x.tanh(), lambda x: x.sigmoid(), lambda x: x.sin(), lambda x: (x * 0.5).exp().tanh(),
    lambda x: -x, lambda x: x * x / (1 + x * x), lambda x: (x * x + 1).log(),
    lambda x: (x * x + 1).sqrt(), lambda x: x.softmax(-1), lambda x: x.t(), lambda x: x * 0.5 + 1,
    lambda x: x[1:], lambda x: x.reshape(-1, 2).mean(1, keepdim=True) if x.numel() % 2 == 0 else x,
    lambda x: x.sum(0, keepdim=True).tanh(), lambda x: x.mean(1, keepdim=True),
    lambda x: ng.where(x > 0.1, x, x * 0.3), lambda x: x.flip(0), lambda x: x.contiguous(),
)  # fmt: skip
BINARY = (
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: (x * y).tanh(),
    lambda x, y: x / (1 + y * y), lambda x, y: x.maximum(y), lambda x, y: (x @ y.t()).tanh(),
    lambda x, y: ng.cat([x, y]), lambda x, y: ng.where(x < y, x, y * 2),
)  # fmt: skip


@st.composite
def programs(draw: Any) -> list[tuple[int, int, int]]:
    """Steps (op, operand, operand); an operand counts back from the latest value."""
    index = st.integers(0, 3)
    ops = st.integers(0, len(UNARY) + len(BINARY) - 1)
    return draw(st.lists(st.tuples(ops, index, index), min_size=1, max_size=7))


def run(steps: list[tuple[int, int, int]], *inputs: Any) -> Any:
    values = list(inputs)
    for number, i, j in steps:
        x, y = values[-1 - i % len(values)], values[-1 - j % len(values)]
        try:
            r = UNARY[number](x) if number < len(UNARY) else BINARY[number - len(UNARY)](x, y)
        except RuntimeError:  # the shapes do not fit
            continue
        if 0 < r.numel() <= 200:
            values.append(r)
    return values[-1], values[-2].sum()


def derivatives(fn: Any, arrays: list[Any]) -> list[Any]:
    leaves = [ng.tensor(a, requires_grad=True) for a in arrays]
    out, total = fn(*leaves)
    result = [out, total]
    first = ng.autograd.grad(
        (out * out).sum() + total, leaves, create_graph=True, materialize_grads=True
    )
    result += first
    combined = (first[0] * first[1].detach().cos()).sum() + (first[1] ** 2).sum()
    if combined.requires_grad:
        result += ng.autograd.grad(combined, leaves, materialize_grads=True)
    return [r.detach().numpy() for r in result]


@settings(max_examples=12, deadline=None, derandomize=True)
@given(programs(), st.sampled_from([(3, 4), (4, 4), (2, 6)]))
def test_random_graphs(steps, shape):
    rng = np.random.default_rng(len(steps))
    arrays = [rng.normal(size=shape), rng.normal(size=shape)]
    eager = derivatives(lambda *xs: run(steps, *xs), arrays)
    ours = derivatives(ng.compile(lambda *xs: run(steps, *xs)), arrays)
    for a, b in zip(ours, eager, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        scale = max(1.0, np.abs(b).max(initial=0))
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * scale)
