"""Compiled results made of parts: written where they belong at once, copied where they must be."""

from __future__ import annotations

import re

import numpy as np
import pytest

import numbagrad as ng

F = ng.nn.functional


def grad_of_slices(x):
    return ng.func.grad(lambda x: (x[:, 1:] * x[:, :-1].sin()).sum())(x)


PROGRAMS = {
    "cat": lambda x: ng.cat([x * 2, x.sin()]) + 1,
    "cat along rows": lambda x: ng.cat([x * 2, x.sin(), x + 1], 1),
    "cat of one twice": lambda x: ng.cat([y := x * 2, y, y.cos()]),
    "cat of narrow columns": lambda x: ng.cat([x[:, :3] * 2, x[:, 3:5].sin()], 1) * 1.5,
    "cat of inputs": lambda x: ng.cat([x, x.t().contiguous().t(), x * 1.0]) * 2,
    "cat of a cat": lambda x: ng.cat([ng.cat([x * 2, x * 3], 1), ng.cat([x.exp(), x], 1)]) + 1,
    "pad of a cat": lambda x: F.pad(ng.cat([x * 2, -x], 1), (1, 2, 3, 0), value=0.5) * 2,
    "pad of a pad": lambda x: F.pad(F.pad(x * 2, (1, 1)), (0, 0, 2, 1), value=float("nan")),
    "a part is read elsewhere": lambda x: (ng.cat([y := x * 2, y + 1]).sin(), (y * y).sum()),
    "a part is returned": lambda x: (y := x * 2, ng.cat([y, y])),
    "a view of a part is returned": lambda x: ((y := x * 2).t(), ng.cat([y, -y])),
    "stack": lambda x: ng.stack([x * 2, x.sin()], 1).sum(0),
    "slices": grad_of_slices,
    "steps": lambda x: ng.func.grad(lambda x: (x[::2, 1::3] ** 3).sum())(x),
    "one row": lambda x: ng.func.grad(lambda x: (x[1] ** 3).sum())(x),
    "nothing": lambda x: ng.cat([F.pad(x[:, 3:3] * 2, (2, 1)), x[:, :0], x], 1) + 1,
    "diagonal": lambda x: ng.func.grad(lambda x: (x.diagonal(1) ** 3).sum())(x),
    "flip": lambda x: (x * 2).flip((0, 1)) + x,
    "assigned": lambda x: assigned(x * 2, x.sin()),
}


def assigned(x, y):
    x[1:3] = y[:2]
    x[:, 2] = x[:, 3] * 2
    return x + 1


def leaves(r):
    return list(r) if isinstance(r, tuple) else [r]


@pytest.mark.parametrize("fn", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("shape", [(5, 40), (4, 7)])
def test_parts(fn, shape):
    x = ng.randn(*shape, dtype=ng.float64)
    compiled = ng.compile(fn)
    for ours, eager in zip(leaves(compiled(x)), leaves(fn(x)), strict=True):
        np.testing.assert_allclose(ours.numpy(), eager.numpy(), 1e-14, 1e-14)
    assert "NumPy" not in compiled.explain()


@pytest.mark.parametrize(
    "name", ["cat", "cat along rows", "pad of a cat", "slices", "pad of a pad"]
)
def test_parts_are_written_where_they_belong(name):
    compiled = ng.compile(PROGRAMS[name])
    compiled(ng.randn(5, 40))
    assert "copy" not in compiled.explain()


def test_only_the_border_is_filled():
    compiled = ng.compile(lambda x: F.pad(x * 2, (1, 1, 1, 1)))
    compiled(ng.randn(50, 40))
    filled = [int(n) for n in re.findall(r"fill: (\d+) bytes", compiled.explain())]
    assert len(filled) == 4
    assert sum(filled) < 2000


@pytest.mark.parametrize("dtype", [ng.bool, ng.float16, ng.complex64, ng.complex128, ng.int16])
def test_elements_of_any_dtype_are_moved(dtype):
    x = (ng.randn(4, 6) > 0).to(dtype) if dtype is ng.bool else (ng.randn(4, 6) * 5).to(dtype)
    programs = (
        lambda x: ng.cat([x, x.flip((1,))], 1).t().reshape(48),
        lambda x: ng.func.vmap(lambda row: F.pad(row, (1, 2)))(x.t()),
    )
    for fn in programs:
        compiled = ng.compile(fn)
        assert np.array_equal(compiled(x).numpy(), fn(x).numpy())
        assert "NumPy" not in compiled.explain()
