"""Compiled products of batches of matrices: native, and those of NumPy to rounding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.runtime import threads

MATMUL = ng.compile(ng.matmul)


def agree(x, y, native=True):
    compiled = ng.compile(ng.matmul)
    ours = compiled(x, y).numpy()
    a, b = (t.numpy().astype(np.float64) for t in (x, y))
    assert ours.dtype == x.numpy().dtype
    k = x.shape[-1]
    bound = 4 * max(k, 1) * np.finfo(ours.dtype).eps
    expected = a @ b
    assert ours.shape == expected.shape
    magnitude = np.abs(a) @ np.abs(b)
    assert (np.abs(ours - expected) <= bound * magnitude).all()
    assert ("NumPy" not in compiled.explain()) == native, compiled.explain()


SHAPES = [
    ((5, 3, 4), (5, 4, 6)),
    ((5, 3, 4), (4, 6)),
    ((3, 4), (5, 4, 6)),
    ((1, 3, 4), (5, 4, 6)),
    ((5, 3, 4), (1, 4, 6)),
    ((2, 1, 3, 4), (1, 7, 4, 6)),
    ((2, 7, 3, 4), (7, 4, 6)),
    ((2, 7, 3, 4), (2, 1, 4, 6)),
    ((2, 3, 2, 1, 5), (3, 1, 5, 1)),
    ((6, 8, 1), (6, 1, 9)),
    ((6, 1, 8), (6, 8, 1)),
    ((6, 1, 8), (8, 5)),
    ((4, 70, 33), (4, 33, 65)),
]


@pytest.mark.parametrize("dtype", [ng.float32, ng.float64])
@pytest.mark.parametrize(("a", "b"), SHAPES, ids=str)
def test_shapes(a, b, dtype):
    agree(ng.randn(*a, dtype=dtype), ng.randn(*b, dtype=dtype))


def layouts(shape):
    """The same shape in memory in different ways."""
    yield ng.randn(*shape)
    yield ng.randn(*shape[:-2], shape[-1], shape[-2]).transpose(-1, -2)
    yield ng.randn(*shape, 2)[..., 1]
    yield ng.randn(shape[-2], *shape[:-2], shape[-1]).movedim(0, -2)
    yield ng.randn(*shape[1:], shape[0]).movedim(-1, 0)
    yield ng.randn(1, *shape[1:]).expand(*shape)
    yield ng.randn(*shape[:-1], 1).expand(*shape)
    yield ng.randn(*shape[:-2], 1, shape[-1]).expand(*shape)
    yield ng.randn(*(n + 2 for n in shape))[tuple(slice(1, n + 1) for n in shape)]
    yield ng.randn(*shape).flip((0,))


@pytest.mark.parametrize(("i", "j"), list(itertools.product(range(10), range(10))))
def test_layouts(i, j):
    x, y = list(layouts((5, 3, 4)))[i], list(layouts((5, 4, 6)))[j]
    agree(x, y)


@pytest.mark.parametrize(
    ("a", "b"), [((0, 3, 4), (0, 4, 5)), ((2, 0, 4), (2, 4, 5)), ((2, 3, 0), (2, 0, 5))]
)
def test_empty(a, b):
    agree(ng.randn(*a), ng.randn(*b), native=False)


def test_outer_products_fuse():
    fn = ng.compile(lambda x, y: ng.relu(x @ y) * 2)
    x, y = ng.randn(6, 8, 1), ng.randn(6, 1, 9)
    np.testing.assert_array_equal(fn(x, y).numpy(), (np.maximum((x * y).numpy(), 0) * 2))
    assert "one native call of 1 kernels" in fn.explain()


@pytest.mark.parametrize("shape", [(64, 40, 50, 60), (3, 300, 64, 96), (1000, 4, 8, 4)])
def test_same_bits_on_any_number_of_threads(shape):
    n, rows, k, columns = shape
    x, y = ng.randn(n, rows, k), ng.randn(n, k, columns)
    before = threads.get_num_threads()
    try:
        found = set()
        for number in (1, 2, 4):
            threads.set_num_threads(number)
            found.add(MATMUL(x, y).numpy().tobytes())
    finally:
        threads.set_num_threads(before)
    assert len(found) == 1


def test_gradients():
    x, y = ng.randn(2, 1, 3, 4, dtype=ng.float64), ng.randn(5, 4, 2, dtype=ng.float64)

    def loss(x, y):
        return ((x @ y) ** 2).sum()

    compiled = ng.compile(ng.func.grad(loss, (0, 1)))
    for ours, eager in zip(compiled(x, y), ng.func.grad(loss, (0, 1))(x, y), strict=True):
        np.testing.assert_allclose(ours.numpy(), eager.numpy(), 1e-12)
    assert "NumPy" not in compiled.explain()
