"""`autograd.forward_ad`."""

from __future__ import annotations

from typing import Any

import pytest

import numbagrad as ng
from numbagrad.autograd import forward_ad
from tests.programs import expected, programs, run, same

EXPECTED = expected()


@pytest.mark.parametrize("name", programs("dual_tensors"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


def tangent(y) -> Any:
    return forward_ad.unpack_dual(y).tangent


def test_a_level_is_not_left_from_within_a_transform():
    def fn(x):
        with pytest.raises(RuntimeError, match="not the last one"):
            forward_ad.exit_dual_level()
        return x

    with forward_ad.dual_level():
        ng.func.vmap(fn)(ng.ones(2))


def test_a_level_that_an_exception_left_open_ends_with_the_transform_around_it():
    def fn(x):
        forward_ad.enter_dual_level()
        raise KeyError

    with pytest.raises(KeyError):
        ng.func.vmap(fn)(ng.ones(2))
    assert ng.func.vmap(ng.func.grad(lambda x: x * x))(ng.ones(2)).tolist() == [2.0, 2.0]
    with forward_ad.dual_level():
        pass


def test_set_fwd_grad_enabled():
    with forward_ad.dual_level():
        x = forward_ad.make_dual(ng.ones(2), ng.ones(2))
        with forward_ad.set_fwd_grad_enabled(False):
            assert tangent(x * 2) is None
        assert tangent(x * 2).tolist() == [2.0, 2.0]


def test_in_and_around_transforms_and_compile():
    one = ng.ones(())

    def slope(x):  # of x**3
        with forward_ad.dual_level():
            return tangent(forward_ad.make_dual(x, ng.ones_like(x)) ** 3)

    x = ng.tensor([1.0, 2.0])
    assert ng.func.vmap(slope)(x).tolist() == [3.0, 12.0]
    assert ng.func.grad(slope)(x[1]).tolist() == 12.0
    assert ng.func.jvp(slope, (x[1],), (one,))[1].item() == 12.0
    assert ng.compile(slope)(x).tolist() == [3.0, 12.0]
    compiled = ng.compile(lambda x: x**3)
    with forward_ad.dual_level():
        d = forward_ad.make_dual(x[1], one)
        assert tangent(compiled(d)).item() == 12.0
        assert tangent(ng.func.checkpoint(lambda x: x**3)(d)).item() == 12.0
        pushed = ng.func.jvp(lambda v: v * v * d, (x[1],), (one,))[1]
        assert pushed.tolist() == 8.0
        assert tangent(pushed).item() == 4.0


def test_printing():
    with forward_ad.dual_level():
        d = forward_ad.make_dual(ng.ones(2), ng.zeros(2))
        assert repr(d) == "tensor([1., 1.], tangent=tensor([0., 0.]))"
    assert repr(d * 1) == "tensor([1., 1.])"
    seen = []
    ng.func.vmap(lambda x: (seen.append(repr(x)), x)[1])(ng.ones(2))
    assert seen == ["BatchedTensor(lvl=1, bdim=0, value=\n    tensor([1., 1.])\n)"]
