"""Inside a compiled function a tensor has the strides that it has in eager mode.

What is a view, what is a copy and what is an error does not depend on being compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.ir.pytree import flatten

LAYOUTS: dict[str, Callable[[], ng.Tensor]] = {
    "contiguous": lambda: ng.arange(12.0).reshape(3, 4),
    "transposed": lambda: ng.arange(12.0).reshape(4, 3).t(),
    "strided": lambda: ng.arange(24.0).reshape(3, 8)[:, ::2],
    "expanded": lambda: ng.arange(4.0).expand(3, 4),
    "column": lambda: ng.arange(3.0).reshape(3, 1).expand(3, 4),
}


def changed_reshape(x: ng.Tensor) -> Any:
    y = x.reshape(-1)
    y.add_(5)
    return y, x


def changed_reshape_of_transposed(x: ng.Tensor) -> Any:
    y = x.t().reshape(-1)
    y.add_(5)
    return y, x


def changed_transposed(x: ng.Tensor) -> Any:
    y = x.t()
    y.mul_(2)
    y[0] += 1
    return x, y, y.stride(), (y + 1).stride()


def changed_contiguous(x: ng.Tensor) -> Any:
    y, z = x.contiguous(), x.t().contiguous()
    y.mul_(2)
    z.mul_(3)
    return x, y, z


def strides(x: ng.Tensor) -> Any:
    seen = x, x.t(), x[::2], x[:, ::2], x.t() * 2, x + x.t().t(), x.clone(), x > 0
    return [(t.stride(), t.is_contiguous()) for t in seen]


def views(x: ng.Tensor) -> Any:
    return [t._is_view() for t in (x.reshape(-1), x.t().reshape(-1), (x.t() + 1).reshape(-1))]


FUNCTIONS = [
    changed_reshape, changed_reshape_of_transposed, changed_transposed, changed_contiguous,
    strides, views,
    lambda x: x.view(-1), lambda x: x.t().view(-1), lambda x: (x.t() + 1).view(-1),
    lambda x: x.t() + 1, lambda x: (x.t() + 1).reshape(-1), lambda x: (x.t() + 1).double(),
    lambda x: (x.t() * x[:1].t()).exp(), lambda x: x.t().expand(2, *x.t().shape) * 2,
    lambda x: (x.t().clone().view(-1), x.t().flatten(), x.t().ravel()),
    lambda x: ng.where(x.t() > 3, x.t(), 0.0),
]  # fmt: skip


def outcome(fn: Callable[..., Any], x: ng.Tensor) -> Any:
    """What the call returns, with strides, and what it leaves in x; or its error."""
    try:
        leaves, structure = flatten(fn(x))
    except RuntimeError as error:
        return str(error)
    tensors = [t for t in (*leaves, x) if isinstance(t, ng.Tensor)]
    rest = [r for r in leaves if not isinstance(r, ng.Tensor)]
    return structure, rest, [(t.stride(), t.dtype, t.tolist()) for t in tensors]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fn", FUNCTIONS)
def test_layouts_are_those_of_eager(fn, layout):
    compiled = ng.compile(fn)
    for _ in range(2):
        ours, eager = outcome(compiled, LAYOUTS[layout]()), outcome(fn, LAYOUTS[layout]())
        if isinstance(eager, str):
            assert ours == eager
            continue
        assert ours[:2] == eager[:2]
        for (s, d, values), (es, ed, evalues) in zip(ours[2], eager[2], strict=True):
            assert (s, d) == (es, ed)
            np.testing.assert_allclose(values, evalues, rtol=1e-6)


def test_closed_over_tensors_have_their_strides():
    w = ng.arange(6.0).reshape(2, 3).t()
    f = ng.compile(lambda x: (x + w, w.stride(), w.reshape(-1)._is_view(), (w + 1).stride()))
    r, stride, is_view, summed = f(ng.ones(3, 2))
    assert (stride, is_view, summed) == ((1, 3), False, (1, 3))
    assert r.tolist() == (ng.ones(3, 2) + w).tolist()


@pytest.mark.parametrize("fn", FUNCTIONS)
def test_empty_tensors(fn):
    ours, eager = (outcome(f, ng.empty(4, 0).t()) for f in (ng.compile(fn), fn))
    assert not isinstance(ours, str)
    if fn is not strides:  # nothing lies anywhere
        assert [t[2] for t in ours[2]] == [t[2] for t in eager[2]]


def test_strides_inside_vmap_are_those_of_one_element():
    seen = []

    def f(x):
        seen.append((x.stride(), x.t().stride(), x.t().is_contiguous()))
        return x.t().reshape(-1)

    x = ng.arange(24.0).reshape(2, 3, 4)
    assert ng.func.vmap(f)(x).tolist() == [f(a).tolist() for a in x]
    assert ng.func.vmap(f, in_dims=2)(x).shape == (4, 6)
    assert seen[0] == seen[1] == ((4, 1), (1, 4), False) and seen[-1][0] == (12, 4)
