"""Random graphs of ops: compiled == eager in values, first and second gradients, for inputs of any
layout, and the same bits for any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings, strategies as st

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


def run(steps: list[tuple[int, int, int]], *inputs: Any, limit: int = 200) -> Any:
    values = list(inputs)
    for number, i, j in steps:
        x, y = values[-1 - i % len(values)], values[-1 - j % len(values)]
        try:
            r = UNARY[number](x) if number < len(UNARY) else BINARY[number - len(UNARY)](x, y)
        except RuntimeError:  # the shapes do not fit
            continue
        if r.numel() <= limit:
            values.append(r)
    return values[-1], values[-2].sum()


def derivatives(fn: Any, inputs: list[Any]) -> list[Any]:
    leaves = [x.detach().requires_grad_() for x in inputs]
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


# Each gives the shape it is asked for, in memory of its own kind.
LAYOUTS: dict[str, Any] = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.t().contiguous().t(),
    "strided": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "row": lambda x: x[:1].expand_as(x),
    "column": lambda x: x[:, :1].expand_as(x),
}
SHAPES = [(3, 4), (4, 4), (2, 6), (1, 4), (3, 1), (0, 4), (3, 0)]


@settings(max_examples=16, deadline=None, derandomize=True)
@given(programs(), st.sampled_from(SHAPES), st.permutations(sorted(LAYOUTS)))
def test_random_graphs(steps, shape, layouts):
    rng = np.random.default_rng(len(steps))
    inputs = [LAYOUTS[name](ng.tensor(rng.normal(size=shape))) for name in layouts[:2]]
    eager = derivatives(lambda *xs: run(steps, *xs), inputs)
    ours = derivatives(ng.compile(lambda *xs: run(steps, *xs)), inputs)
    for a, b in zip(ours, eager, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        scale = max(1.0, np.abs(b).max(initial=0, where=np.isfinite(b)))
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * scale)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(programs(), st.sampled_from(sorted(LAYOUTS)))
def test_same_bits_for_any_number_of_threads(steps, layout):
    """Far more elements than one thread gets at a time."""
    rng = np.random.default_rng(len(steps))
    shape = (300, 500)
    x, y = (ng.tensor(np.asarray(rng.normal(size=shape), np.float32)) for _ in "xy")
    inputs = [LAYOUTS[layout](x), y]
    f = ng.compile(lambda *xs: run(steps, *xs, limit=200_000))
    before = ng.get_num_threads()
    try:
        bits = set()
        for n in (1, 2, 4, 4):
            ng.set_num_threads(n)
            bits.add(b"".join(a.tobytes() for a in derivatives(f, inputs)))
    finally:
        ng.set_num_threads(before)
    assert len(bits) == 1
