"""Deep graphs, and when their memory goes: at once, without the garbage collector."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

import numbagrad as ng

DEEP = 200_000


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def chain(x: ng.Tensor, n: int) -> ng.Tensor:
    for _ in range(n):
        x = x + 0.5
    return x


def test_deep_graph_forward_backward_and_collection(no_gc):
    x = ng.zeros(1, requires_grad=True)
    y = chain(x, DEEP)
    last = weakref.ref(y.grad_fn)
    y.backward()
    assert x.grad.tolist() == [1.0]
    del y
    assert last() is None


def test_deep_graph_that_is_never_run_backward(no_gc):
    x = ng.zeros(1, requires_grad=True)
    y = chain(x, DEEP)
    first = weakref.ref(x._extras.accumulator())
    del y
    assert first() is None


def test_deep_graph_through_grad_and_create_graph(no_gc):
    x = ng.ones(1, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y * 1.0
    (g,) = ng.autograd.grad((y * y).sum(), x, create_graph=True)
    (gg,) = ng.autograd.grad(g.sum(), x)
    assert g.tolist() == [2.0] and gg.tolist() == [2.0]
    seen = weakref.ref(g.grad_fn)
    del g, gg, y
    assert seen() is None


def test_deep_chain_of_in_place_ops_and_views(no_gc):
    x = ng.zeros(4, requires_grad=True)
    a = x * 1
    for _ in range(5000):
        a[1:].add_(1)
        a.mul_(1.0)
    a.sum().backward()
    assert x.grad.tolist() == [1.0] * 4


def test_the_recursion_limit_does_not_matter(no_gc):
    limit = sys.getrecursionlimit()
    x = ng.zeros(1, requires_grad=True)
    sys.setrecursionlimit(len(_stack()) + 60)
    try:
        y = chain(x, 10_000)
        ng.autograd.grad(y, x, create_graph=True)
        y.backward()
        del y
    finally:
        sys.setrecursionlimit(limit)


def _stack():
    frame, frames = sys._getframe(), []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def watch(t: ng.Tensor) -> weakref.ref:
    """Whether the memory of `t` is still there."""
    return weakref.ref(t._data)


def test_arrays_can_be_watched(no_gc):
    x = ng.ones(3)
    seen = watch(x)
    assert seen() is not None
    del x
    assert seen() is None


def test_intermediates_die_with_the_result(no_gc):
    x = ng.ones(3, requires_grad=True)
    a = x.exp()
    b = a.sin()
    seen = [watch(a), watch(b), weakref.ref(a), weakref.ref(a.grad_fn)]
    loss = (b * b).sum()
    del a, b
    assert seen[0]() is not None and seen[1]() is not None, "saved for backward"
    assert seen[2]() is None, "the tape keeps arrays, not tensors"
    del loss
    assert [s() for s in seen] == [None] * 4


def test_what_no_rule_reads_is_not_kept(no_gc):
    x = ng.ones(3, requires_grad=True)
    a = x * 2
    b = a + 1
    c = b.sum()
    seen = [watch(a), watch(b)]
    del a, b
    assert [s() for s in seen] == [None, None]
    c.backward()
    assert x.grad.tolist() == [2.0] * 3


def test_saved_values_are_freed_by_backward(no_gc):
    x = ng.ones(3, requires_grad=True)
    a = x.exp()
    loss = (a * a).sum()
    seen = watch(a)
    del a
    loss.backward(retain_graph=True)
    assert seen() is not None
    loss.backward()
    assert seen() is None


def test_gradients_of_intermediates_are_freed_on_the_way(no_gc):
    x = ng.ones(3, requires_grad=True)
    seen = []
    y = x
    alive = []
    for _ in range(5):
        y = y.sin()
        y.register_hook(lambda g: (alive.append(sum(s() is not None for s in seen)),
                                   seen.append(watch(g)), None)[-1])  # fmt: skip
    y.sum().backward()
    assert len(seen) == 5 and max(alive) <= 2
    assert all(s() is None for s in seen)


def test_a_cycle_is_never_made(no_gc):
    """exp reads its own output: the node must not keep its own tensor alive."""
    x = ng.ones(3, requires_grad=True)
    for op in ("exp", "sqrt", "tanh", "sigmoid", "reciprocal", "relu"):
        y = getattr(x, op)()
        seen = [weakref.ref(y), weakref.ref(y.grad_fn), watch(y)]
        del y
        assert [s() for s in seen] == [None] * 3, op


def test_in_place_makes_no_cycle(no_gc):
    x = ng.ones(4, requires_grad=True)
    a = x * 2
    v = a[1:]
    a.neg_()
    v.mul_(a[:3].detach().clone())
    a[0] = 5.0
    loss = (a * a).sum() + v.sum()
    loss.backward()
    seen = [weakref.ref(t) for t in (a, v, loss)] + [weakref.ref(loss.grad_fn), watch(a)]
    del a, v, loss
    assert [s() for s in seen] == [None] * 5


def test_create_graph_makes_no_cycle_but_through_grad(no_gc):
    x = ng.ones(3, requires_grad=True)
    (g,) = ng.autograd.grad((x**3).sum(), x, create_graph=True)
    seen = weakref.ref(g), weakref.ref(g.grad_fn)
    del g
    assert [s() for s in seen] == [None, None]


def test_leaves_die(no_gc):
    x = ng.ones(3, requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    seen = [weakref.ref(x), weakref.ref(x.grad), watch(x)]
    del loss
    del x
    assert [s() for s in seen] == [None] * 3


def test_hooks_keep_nothing_alive(no_gc):
    x = ng.ones(3, requires_grad=True)
    a = x * 2
    a.retain_grad()
    handle = a.register_hook(lambda g: None)
    x.register_post_accumulate_grad_hook(lambda t: None)
    a.sum().backward()
    seen = [weakref.ref(a), weakref.ref(a.grad_fn), weakref.ref(x)]
    del a, x
    assert [s() for s in seen] == [None] * 3
    handle.remove()


def test_errors_leave_nothing_behind(no_gc):
    x = ng.ones(3, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    seen = weakref.ref(y), weakref.ref(y.grad_fn)
    del y
    assert [s() for s in seen] == [None, None]


def test_training_keeps_a_constant_amount_of_memory(no_gc):
    w = ng.randn(50, 50, requires_grad=True)
    x = ng.randn(10, 50)

    def step():
        loss = ((x @ w).tanh() ** 2).mean()
        loss.backward()
        with ng.no_grad():
            w.sub_(w.grad, alpha=0.1)
        w.grad = None

    for _ in range(5):
        step()
    before = len(gc.get_objects())
    for _ in range(50):
        step()
    assert len(gc.get_objects()) - before < 20


def test_inference_mode_makes_no_node_and_counts_no_version():
    x = ng.ones(3, requires_grad=True)
    with ng.inference_mode():
        y = x * 2
        y.add_(1)
        z = x[1:].reshape(2, 1)
    assert y._node is None and z._node is None
    assert x._extras is None, "not even the accumulator of the leaf"
    with pytest.raises(RuntimeError, match="version counter"):
        _ = y._version
