"""Compiled reads and additions at places that index tensors name."""

from __future__ import annotations

import numpy as np
import pytest

import numbagrad as ng

F = ng.nn.functional
I = ng.tensor([[4, 0, -1], [2, 2, -4]])
J = I.abs()
K = J % 4
MANY = ng.tensor([0, 2, 1, 1, 2] * 4)
ROW = ng.tensor([3, 0, 2, 2])

PROGRAMS = {
    "rows": lambda x: ng.func.grad(lambda x: (F.embedding(ROW, x) ** 3).sum())(x),
    "columns": lambda x: ng.func.grad(lambda x: (x.index_select(1, ROW) ** 3).sum())(x),
    "an index of two dimensions": lambda x: ng.func.grad(lambda x: (x[I] ** 3).sum())(x),
    "two indices": lambda x: ng.func.grad(lambda x: (x[I, K] ** 3).sum())(x),
    "gather": lambda x: ng.func.grad(lambda x: (x.gather(0, J) ** 3).sum())(x),
    "gather along rows": lambda x: ng.func.grad(lambda x: (x.gather(1, K) ** 3).sum())(x),
    "many additions": lambda x: ng.zeros(3, dtype=x.dtype).index_add(
        0, MANY, x.reshape(-1)),
    "a batch": lambda x: ng.func.vmap(lambda r, i: r[i] * 2, (1, None))(x, ROW),
    "cross entropy": lambda x: ng.func.grad(
        lambda x: F.cross_entropy(x, ng.tensor([0, 3, 1, 2, 3])))(x),
}  # fmt: skip


def layouts():
    yield ng.randn(5, 4, dtype=ng.float64)
    yield ng.randn(4, 5, dtype=ng.float64).t()
    yield ng.randn(10, 8, dtype=ng.float64)[::2, 1::2]
    yield ng.randn(5, 1, dtype=ng.float64).expand(5, 4)


@pytest.mark.parametrize("fn", PROGRAMS.values(), ids=PROGRAMS)
def test_values(fn):
    for x in layouts():
        compiled = ng.compile(fn)
        np.testing.assert_allclose(compiled(x).numpy(), fn(x).numpy(), 1e-13, 1e-13)
        assert "NumPy" not in compiled.explain()


@pytest.mark.parametrize("dtype", [ng.bool, ng.float16, ng.complex64, ng.int16, ng.int64])
def test_elements_of_any_dtype(dtype):
    x = (ng.randn(5, 4) * 3).to(dtype)
    compiled = ng.compile(lambda x: (x[ROW], x.gather(1, K)))
    for ours, eager in zip(compiled(x), (x[ROW], x.gather(1, K)), strict=True):
        assert np.array_equal(ours.numpy(), eager.numpy())
    assert "NumPy" not in compiled.explain()


@pytest.mark.parametrize("wrong", [5, -6, 2**40])
def test_an_index_out_of_range_raises_and_changes_nothing(wrong):
    state = ng.zeros(5)
    taking = ng.compile(lambda x, i: x.index_select(0, i))
    adding = ng.compile(lambda x, i: ng.zeros_like(x).index_add(0, i, x[:2]))

    @ng.compile
    def changing(x, i):
        state.add_(1)
        return x.gather(0, i)

    x, good = ng.randn(5), ng.tensor([4, 0])
    for fn in (taking, adding, changing):
        for _ in range(3):  # by the long and by the short way
            fn(x, good)
    before = state.clone()
    for fn in (taking, adding, changing):
        with pytest.raises(IndexError, match="out of range for a dimension of extent 5"):
            fn(x, ng.tensor([wrong, 0]))
        fn(x, good)
    assert state.tolist() == [v + 1 for v in before.tolist()]


@pytest.mark.parametrize("n", [7, 100_000])
def test_same_bits_on_any_number_of_threads(n):
    x, i = ng.randn(1000, 3), ng.randint(0, 1000, (n,))
    fn = ng.compile(lambda x, i: (x[i], ng.zeros_like(x).index_add(0, i, x[i]), x[:, 0][i]))
    before = ng.get_num_threads()
    try:
        found = set()
        for number in (1, 2, 4):
            ng.set_num_threads(number)
            found.add(b"".join(r.numpy().tobytes() for r in fn(x, i)))
    finally:
        ng.set_num_threads(before)
    assert len(found) == 1
    np.testing.assert_array_equal(fn(x, i)[0].numpy(), x.numpy()[i.numpy()])
