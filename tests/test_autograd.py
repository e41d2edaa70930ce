"""Backward passes and hooks: as in PyTorch; messages; threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same

EXPECTED = expected()


@pytest.mark.parametrize("name", programs("backward", "tensors"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


@pytest.mark.parametrize(
    "fail, text",
    [
        (lambda x: (x * 2).backward(), "only for scalar outputs: output 0 has shape (2,)"),
        (lambda x: (x * 2).backward(ng.ones(3)), "Mismatch in shape: grad_output[0]"),
        (lambda x: x.detach().sum().backward(), "element 0 of tensors does not require grad"),
        (lambda x: ng.autograd.grad(x.sum(), [ng.ones(1)]), "does not require grad: input 0"),
        (lambda x: ng.autograd.grad(x.sum(), x * 2), "not have been used in the graph"),
        (lambda x: ng.tensor([1], requires_grad=True), "floating point"),
        (lambda x: ng.autograd.backward([x, x], [None]), "2 tensors and 1 gradients"),
    ],
)
def test_messages(fail, text):
    with pytest.raises(RuntimeError) as error:
        fail(ng.ones(2, requires_grad=True))
    assert text in str(error.value)


def test_second_backward_names_the_op():
    x = ng.ones(2, requires_grad=True)
    y = x.exp().sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"second time.*retain_graph=True.*ExpBackward0"):
        y.backward()


def test_an_error_during_backward_leaves_the_mode_alone():
    x = ng.ones(2, requires_grad=True)
    a = x * 2

    def fail(g):
        raise KeyError("from the hook")

    a.register_hook(fail)
    with pytest.raises(KeyError):
        a.sum().backward()
    assert ng.is_grad_enabled() and x.grad is None


def test_grad_of_non_leaf_warns():
    a = ng.ones(1, requires_grad=True) * 2
    with pytest.warns(UserWarning, match="not a leaf"):
        assert a.grad is None
    a.retain_grad()
    assert a.grad is None


def test_handles():
    x = ng.ones(1, requires_grad=True)
    seen = []
    with x.register_hook(seen.append):
        x.sum().backward()
    x.sum().backward()
    handle = x.register_hook(seen.append)
    handle.remove()
    handle.remove()
    x.sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [3.0]


def test_metadata_of_nodes():
    y = ng.ones(1, requires_grad=True).sin()
    y.grad_fn.metadata["note"] = 7
    assert y.grad_fn.metadata == {"note": 7}
    assert isinstance(y.grad_fn._sequence_nr(), int)


def test_order_of_the_engine_is_latest_first():
    x = ng.ones(1, requires_grad=True)
    seen = []
    parts = [x * i for i in range(4)]
    for i, p in enumerate(parts):
        p.register_hook(lambda g, i=i: seen.append(i))
    (parts[2] + parts[0] + parts[3] + parts[1]).backward()
    assert seen == [3, 2, 1, 0]


def test_only_what_leads_to_the_inputs_runs():
    x, y = ng.ones(1, requires_grad=True), ng.ones(1, requires_grad=True)
    seen = []
    a, b = x * 2, y.exp()
    b.register_hook(lambda g: seen.append("b"))
    b.grad_fn.register_hook(lambda gi, go: seen.append("exp"))
    ng.autograd.grad((a * b).sum(), x)
    assert "exp" not in seen


def test_backward_from_many_threads_loses_nothing():
    w = ng.ones(64, requires_grad=True)
    start = threading.Barrier(8)

    def work(_):
        start.wait()
        for _ in range(100):
            (w * 2 + w).sum().backward()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert w.grad.tolist() == [3.0 * 800] * 64


def test_threads_share_a_graph_that_is_retained():
    x = ng.ones(32, requires_grad=True)
    loss = (x.exp() * x).sum()

    def work(_):
        for _ in range(50):
            loss.backward(retain_graph=True)

    (once,) = ng.autograd.grad(loss, x, retain_graph=True)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert x.grad.tolist() == pytest.approx((once * 400).tolist(), rel=1e-4)


def test_recording_in_one_thread_backward_in_another():
    x = ng.ones(3, requires_grad=True)
    with ThreadPoolExecutor(1) as pool:
        loss = pool.submit(lambda: (x.sin() * 2).sum()).result()
    loss.backward()
    assert x.grad.tolist() == pytest.approx((2 * ng.ones(3).cos()).tolist())


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: ng.stack([x, y]).sum(0),
        lambda x, y: x.view(2, 3).reshape(6) + y,
        lambda x, y: (x + y) * ng.ones(6),
        lambda x, y: x.exp() + y.exp(),
    ],
)
def test_no_leaf_keeps_an_array_that_others_hold(f):
    x, y = (ng.rand(6, requires_grad=True) for _ in range(2))
    out, given = f(x, y), ng.rand(6)
    out.backward(given)
    arrays = [t.detach().numpy() for t in (x.grad, y.grad, given, x, y, out)]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:i])
