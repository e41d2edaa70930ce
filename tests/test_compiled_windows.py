"""Compiled convolution and pooling: native, and equal to the references, gradients included."""

from __future__ import annotations

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.ops import window_lowering

F = ng.nn.functional
F64 = ng.float64

CONVOLUTIONS = [
    ((2, 3, 9), (4, 3, 3), {}),
    ((2, 4, 9), (6, 2, 3), {"padding": 1, "stride": 2, "groups": 2}),
    ((2, 3, 6, 7), (4, 3, 3, 2), {"padding": (1, 0)}),
    ((1, 4, 8, 7), (4, 2, 3, 3), {"padding": 2, "stride": (2, 3), "dilation": 2, "groups": 2}),
    ((2, 4, 6, 6), (8, 1, 3, 3), {"padding": 1, "groups": 4}),
    ((3, 2, 5, 5), (2, 2, 1, 1), {"stride": 2}),
    ((1, 2, 4, 5, 4), (3, 2, 2, 2, 2), {"padding": 1, "stride": (1, 2, 1)}),
    ((2, 3, 6, 6), (4, 3, 2, 2), {"padding": 3}),  # wider than the kernel
]


def convolve(x, w, b, options):
    return (F.conv1d, F.conv2d, F.conv3d)[x.ndim - 3](x, w, b, **options)


def with_gradients(fn):
    def both(*args):
        y = fn(*args)
        loss = lambda *args: (fn(*args) ** 3).sum()  # noqa: E731
        return y, *ng.func.grad(loss, tuple(range(len(args))))(*args)

    return both


def agree(fn, *args, native=True):
    compiled = ng.compile(fn)
    for ours, eager in zip(compiled(*args), fn(*args), strict=True):
        assert ours.shape == eager.shape and ours.is_contiguous() == eager.is_contiguous()
        np.testing.assert_allclose(ours.numpy(), eager.numpy(), 1e-10, 1e-10)
    assert ("NumPy" not in compiled.explain()) == native, compiled.explain()


@pytest.mark.parametrize(("x", "w", "options"), CONVOLUTIONS)
def test_convolution(x, w, options):
    args = ng.randn(*x, dtype=F64), ng.randn(*w, dtype=F64), ng.randn(w[0], dtype=F64)
    native = options.get("padding") != 3
    agree(with_gradients(lambda x, w, b: convolve(x, w, b, options)), *args, native=native)


def test_large_columns_are_left_to_the_reference(monkeypatch):
    monkeypatch.setattr(window_lowering, "_LARGEST", 100)
    args = ng.randn(2, 3, 6, 6, dtype=F64), ng.randn(4, 3, 3, 3, dtype=F64)
    agree(with_gradients(lambda x, w: F.conv2d(x, w, padding=1)), *args, native=False)


def test_layouts():
    x = ng.randn(6, 7, 2, 3, dtype=F64).permute(2, 3, 0, 1)
    w = ng.randn(4, 3, 6, 6, dtype=F64)[:, :, ::2, 1::2]
    agree(with_gradients(lambda x, w: F.conv2d(x, w, padding=1)), x, w)


def test_under_vmap():
    fn = ng.func.vmap(ng.func.grad(lambda w, x: (F.conv2d(x, w) ** 2).sum()), (None, 0))
    agree(lambda w, x: (fn(w, x),), ng.randn(4, 3, 3, 3, dtype=F64),
          ng.randn(5, 2, 3, 6, 6, dtype=F64))  # fmt: skip


POOLS = [
    ((2, 3, 8), F.max_pool1d, {"kernel_size": 2}),
    ((2, 3, 8, 7), F.max_pool2d, {"kernel_size": 2}),
    ((2, 3, 8, 7), F.max_pool2d, {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 3, 8, 9), F.max_pool2d, {"kernel_size": (2, 3), "stride": 1, "dilation": 2}),
    ((1, 2, 4, 6, 4), F.max_pool3d, {"kernel_size": 2}),
]


@pytest.mark.parametrize(("shape", "pool", "options"), POOLS)
def test_max_pool(shape, pool, options):
    x = ng.randn(*shape, dtype=F64)
    ties = (x * 2).round()
    special = x.clone()
    special.view(-1)[::7] = float("nan")
    special.view(-1)[1::5] = float("-inf")
    nothing = ng.full(shape, float("-inf"), dtype=F64)
    weights = ng.randn(*pool(x, **options).shape, dtype=F64)

    def both(x):
        gradient = ng.func.grad(lambda x: (pool(x, **options) * weights).sum())
        return pool(x, **options), gradient(x)

    for values in (x, ties, special, nothing):
        agree(both, values)


def test_average_pool_forward():
    for options in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}):
        agree(lambda x, o=options: (F.avg_pool2d(x, **o),), ng.randn(2, 3, 8, 7, dtype=F64))


def test_training_step_of_a_convolutional_network_is_one_native_call():
    nn = ng.nn
    ng.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3)
    )
    optimizer = ng.optim.SGD(model.parameters(), lr=0.1)

    @ng.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    x, y = ng.randn(6, 1, 8, 8), ng.tensor([0, 1, 2, 0, 1, 2])
    losses = [step(x, y).item() for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    assert "NumPy" not in step.explain()
