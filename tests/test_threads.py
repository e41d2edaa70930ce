"""Threads that record and run backward on shared tensors: nothing is lost, modes are their own."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same

EXPECTED = expected()


@pytest.mark.parametrize("name", programs("threads"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


@pytest.fixture
def eager_switching():
    """Threads take turns as often as Python can, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(work: Callable[[], Any], count: int = 4) -> list[Any]:
    """What `work` returns in each of several threads that start together."""
    barrier = threading.Barrier(count)
    results: list[Any] = []

    def target() -> None:
        barrier.wait()
        results.append(work())

    threads = [threading.Thread(target=target) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


def test_a_leaf_has_one_node(eager_switching):
    for _ in range(200):
        x = ng.ones(2, requires_grad=True)
        results = at_once(lambda x=x: x * 2)
        assert len({id(y.grad_fn.next_functions[0][0]) for y in results}) == 1


def test_no_hook_is_lost(eager_switching):
    for _ in range(50):
        x = ng.ones(2, requires_grad=True)
        y = x * 2
        calls: list[str] = []
        at_once(lambda x=x, y=y, calls=calls: (
            x.register_hook(lambda g: calls.append("leaf")),
            y.register_hook(lambda g: calls.append("result")),
            x.register_post_accumulate_grad_hook(lambda t: calls.append("accumulated")),
        ))  # fmt: skip
        y.sum().backward()
        assert sorted(calls) == ["accumulated"] * 4 + ["leaf"] * 4 + ["result"] * 4


def test_gradients_add_up(eager_switching):
    w = ng.ones(3, requires_grad=True)
    model = ng.compile(lambda x: (x * w).sum())
    model(ng.ones(3)).backward()

    def work() -> None:
        for _ in range(25):
            (w * 2).sum().backward()
            model(ng.ones(3)).backward()

    at_once(work)
    assert w.grad is not None and w.grad.tolist() == [1.0 + 4 * 25 * 3] * 3


WHILE_TRACED: dict[str, Callable[[ng.Tensor], Any]] = {
    "an op": lambda w: w * 1,
    "numpy": lambda w: w.numpy().copy(),
    "data": lambda w: w.data * 1,
    "a view": lambda w: ng.stack([w[0], w[1]]),
    "an in-place op": lambda w: w.mul_(1) * 1,
    "a compiled function": ng.compile(lambda w: w * 1),
    "one that changes it": ng.compile(lambda w: w.mul_(1) * 1),
}


@pytest.mark.parametrize("name", WHILE_TRACED)
def test_a_trace_does_not_show_in_other_threads(name):
    look = WHILE_TRACED[name]
    w = ng.ones(2)
    look(w)
    traced = threading.Event()

    @ng.compile
    def step():
        w.mul_(2)
        traced.set()
        time.sleep(0.02)  # the other thread comes across the tracer in `w`
        return w.sum()

    thread = threading.Thread(target=step)
    thread.start()
    traced.wait()
    seen = look(w).tolist()
    thread.join()
    assert seen in ([1, 1], [2, 2])
    assert w.tolist() == [2, 2]


def test_a_trace_does_not_show_in_views_and_histories_of_other_threads():
    w, x = ng.ones(2), ng.ones(2, requires_grad=True)
    row, loss = w[:1], (x * w).sum()
    traced = threading.Event()

    def step():
        with ng.no_grad():
            w.mul_(2)
        traced.set()
        time.sleep(0.02)
        raise KeyError("the trace comes to nothing")

    def call() -> None:
        with pytest.raises(KeyError):
            ng.compile(step)()

    thread = threading.Thread(target=call)
    thread.start()
    traced.wait()
    loss.backward()
    assert (row * 1).tolist() == [1]
    thread.join()
    assert x.grad is not None and x.grad.tolist() == [1, 1]
    assert row.tolist() == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_during_a_trace_finds_nothing_changed():
    w = ng.ones(2)
    traced = threading.Event()

    @ng.compile
    def step():
        w.mul_(2)
        traced.set()
        time.sleep(0.02)

    thread = threading.Thread(target=step)
    thread.start()
    traced.wait()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # else a lock that nobody holds any more would stop the tests
        seen = w.tolist()
        step()
        os._exit(seen not in ([1, 1], [2, 2]) or w.tolist() != [2 * v for v in seen])
    thread.join()
    assert os.waitpid(pid, 0)[1] == 0


def test_changes_of_one_thread_are_seen_by_the_backward_pass_of_another():
    x, w = ng.ones(2, requires_grad=True), ng.ones(2)
    loss = (x * w).sum()
    at_once(lambda: w[0].add_(1), count=1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
