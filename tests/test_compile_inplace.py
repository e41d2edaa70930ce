"""In-place changes inside compiled functions: results, gradients and errors are the eager ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import numbagrad as ng

Function = Callable[[ng.Tensor, ng.Tensor], Any]
FUNCTIONS: dict[str, Function] = {}


def function(fn: Function) -> Function:
    FUNCTIONS[fn.__name__] = fn
    return fn


@function
def intermediates(x, y):
    a = x * 2
    a.mul_(y)
    a += x
    a **= 2
    return ng.nn.functional.silu(a, inplace=True).tanh_()


@function
def views(x, y):
    a = x * 2
    a[0].mul_(y)
    a.t()[1].add_(5)
    a.as_strided((2, 2), (1, 3)).mul_(3)
    return a, a[0]


@function
def items(x, y):
    a = x * 1
    a[0] = y
    a[:, 1] = 7.0
    a[a > 3] = 0.0
    a[[1], [2]] = y[0]
    return a


@function
def swapped_rows(x, y):
    a = x.clone()
    first, second = a[0], a[1]
    kept = first.clone()
    first.copy_(second)
    second.copy_(kept)
    return a * y


@function
def buffers(x, y):
    a = ng.zeros(2, 3)
    a.copy_(x * y)
    a.fill_diagonal_(0.0)
    a.clamp_(-1, 2)
    a.index_add_(1, ng.tensor([0, 2]), x[:, :2])
    a.scatter_(1, ng.tensor([[0], [1]]), x[:, :1])
    return a


@function
def masks(x, y):
    a = x * y
    a.masked_fill_(a < 0, 0.5)
    return a.masked_scatter_(a > 5, x)


@function
def inputs(x, y):
    with ng.no_grad():
        x.t().add_(1)
        y.copy_(x[0])
    return x * y


@function
def changed_input_returned(x, y):
    with ng.no_grad():
        y.add_(1)
    return y


@function
def through_data(x, y):
    x.data.add_(1)
    d = y.detach()
    d.mul_(2)
    return x * y + d


@function
def other_shapes(x, y):
    a = x * 2
    row = a[0]
    a.t_()
    a.unsqueeze_(0)
    return a, row * y


@function
def outs(x, y):
    o = ng.empty(2, 3)
    ng.exp(x.detach(), out=o)
    return o * x


@function
def inference(x, y):
    with ng.inference_mode():
        a = x * 2
        a.add_(1)
    return a.clone() * x


@function
def gradient_step(x, y):
    (x * y).sum().backward()
    assert x.grad is not None
    with ng.no_grad():
        x.sub_(x.grad)
        x.grad.zero_()
    return x.sum()


@function
def leaf_changed(x, y):
    return x.add_(1)


@function
def view_of_a_leaf_changed(x, y):
    x[0].add_(1)
    return x


@function
def part_of_several_changed(x, y):
    a = x * 1
    a.unbind()[0].mul_(2)
    return a


@function
def part_used_after_the_base_was_changed(x, y):
    a = x * 1
    parts = a.unbind()
    a.mul_(2)
    return parts[0] * 1


@function
def view_without_recording_changed(x, y):
    a = x * 1
    with ng.no_grad():
        v = a[0]
    return v.mul_(2)


@function
def saved_value_changed(x, y):
    a = x * 2
    b = a * a
    a.add_(1)
    return ng.autograd.grad(b.sum(), x)


@function
def saved_value_changed_and_returned(x, y):
    a = ng.relu(x * 1)
    a.add_(1)
    return a


@function
def inference_value_saved(x, y):
    with ng.inference_mode():
        a = x * 2
    return a * x


def outcome(fn: Function) -> Any:
    x = ng.tensor([[0.5, 1.5, 2.5], [3.5, -4.5, 5.5]], requires_grad=True)
    y = ng.tensor([1.0, 2.0, 3.0], requires_grad=True)
    try:
        result = fn(x, y)
        outs = result if isinstance(result, tuple) else (result,)
        flags = [(t.requires_grad, t.is_leaf) for t in outs]
        wanted = [t.sum() for t in outs if t.requires_grad]
        if wanted:
            ng.autograd.backward(wanted)
    except RuntimeError as error:
        return type(error), x.tolist(), y.tolist()
    values = [t.detach() for t in (*outs, x, y)]
    return flags, values + [t.grad for t in (x, y) if t.grad is not None]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_eager(name):
    fn = FUNCTIONS[name]
    compiled = ng.compile(fn)
    expected = outcome(fn)
    for _ in range(2):
        found = outcome(compiled)
        assert found[0] == expected[0]
        if isinstance(expected[0], type):
            assert found == expected
            continue
        assert len(found[1]) == len(expected[1])
        for a, b in zip(found[1], expected[1], strict=True):
            assert ng.allclose(a, b), (a, b)


def test_a_gradient_that_is_refused_does_not_refuse_the_call():
    @ng.compile
    def f(x):
        a = x.exp()
        a.zero_()
        return a + x, x * 2

    x = ng.ones(2, requires_grad=True)
    for _ in range(2):
        changed, doubled = f(x)
        assert changed.tolist() == [1.0, 1.0] and doubled.requires_grad
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            changed.sum().backward()
    assert x.grad is None


def test_gradients_inside_have_memory_of_their_own():
    w = ng.ones(2, 3, requires_grad=True)

    @ng.compile
    def step():
        w.sum().backward()  # the gradient is one number, expanded
        assert w.grad is not None
        strides = w.grad.stride()
        w.grad.mul_(2)
        w.grad[0, 0] = 5.0
        return strides

    assert step() == (3, 1)
    assert w.grad is not None and w.grad.tolist() == [[5, 2, 2], [2, 2, 2]]
