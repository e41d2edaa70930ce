"""Changes in place that compiled functions write where they belong, and those they copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.codegen.overwrite import apart
from numbagrad.runtime import memory

SIZE = 300


def simple(p, q):
    p.mul_(2).add_(q, alpha=0.5)


def read_before(p, q):
    y = p @ q
    p.sub_(q)
    return y


def read_after(p, q):
    p.sub_(q)
    return p @ q


def with_the_old_value(p, q):
    old = p * 1
    p.add_(q)
    return old, p.sum()


def both(p, q):
    p.add_(1)
    q.mul_(p)


OVERWRITTEN = [simple, read_before, read_after, both]


def exchanged(p, q):
    kept = p.clone()
    p.copy_(q)
    q.copy_(kept)


def the_value_is_returned(p, q):
    new = p + q
    p.copy_(new)
    return new


def the_old_value_is_read_later(p, q):
    new = p + q
    y = new @ p
    p.copy_(new)
    return y


def transposed(p, q):
    p.add_(p.t() * q)


def a_part(p, q):
    p[1:] += p[:-1] * q[1:]


def a_sum_of_itself(p, q):
    p.div_(p.abs().sum(dim=1, keepdim=True) + q)


COPIED = [exchanged, the_value_is_returned, transposed, a_part]
EITHER = [with_the_old_value, the_old_value_is_read_later, a_sum_of_itself]


def arguments() -> tuple[ng.Tensor, ng.Tensor]:
    generator = ng.Generator().manual_seed(3)
    return ng.randn(SIZE, SIZE, generator=generator), ng.rand(SIZE, SIZE, generator=generator)


def same(fn: Callable[..., Any], compiled: Callable[..., Any], *args: ng.Tensor) -> None:
    expected_args = [a.clone() for a in args]
    expected, found = fn(*expected_args), compiled(*args)
    found = found if isinstance(found, tuple) else (found,)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for a, b in zip((*args, *found), (*expected_args, *expected), strict=True):
        if b is not None:
            assert ng.allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "fn", [*OVERWRITTEN, *COPIED, the_old_value_is_read_later, a_sum_of_itself]
)
def test_as_eager(fn):
    compiled = ng.compile(fn)
    for _ in range(2):
        same(fn, compiled, *arguments())
    if fn in OVERWRITTEN:
        assert "which it replaces" in compiled.explain()
    if fn in COPIED:
        assert "which it replaces" not in compiled.explain()


def test_memory_of_the_result_is_that_of_the_tensor():
    compiled = ng.compile(simple)
    p, q = arguments()
    before = p.data_ptr()
    compiled(p, q)
    assert p.data_ptr() == before and p._version > 0
    assert "memory: 0 bytes of results" in compiled.explain()


def test_steps_of_an_optimizer():
    def run(compile: Callable[..., Any]) -> list[ng.Tensor]:
        ng.manual_seed(0)
        net = ng.nn.Sequential(ng.nn.Linear(5, 4), ng.nn.Tanh(), ng.nn.Linear(4, 2))
        optimizer = ng.optim.Adam(net.parameters(), lr=0.1)
        x = ng.randn(6, 5)

        @compile
        def step():
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()

        for _ in range(4):
            step()
        if compile is ng.compile:
            assert step.explain().count("which it replaces") >= 3 * 4  # and the counts of steps
        return [*net.state_dict().values()]

    for a, b in zip(run(ng.compile), run(lambda f: f), strict=True):
        assert ng.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_parts_of_pooled_memory():
    """A large result lies in a block; what is a view of it does, too."""
    make = ng.compile(lambda x: x * 2 + 1)
    p = make(ng.rand(600, 600))
    part = p.detach()[1:]
    whole, inside = p._data, part._data
    assert type(whole.base) is memory.Block and np.shares_memory(whole, inside)
    assert memory.owner(whole) is memory.owner(inside)
    assert not apart([whole, inside], [0]) and apart([whole, make(p)._data], [0])


@pytest.mark.parametrize("share", ["detached", "an array", "a buffer"])
def test_arguments_that_share_memory(share):
    """A call whose arguments overlap, after one whose arguments did not."""

    def step(p, q):
        p.mul_(2)
        return q + 1

    compiled = ng.compile(step)
    p, q = arguments()
    compiled(p, q)
    array = p.numpy()
    other = {
        "detached": lambda: p.detach(),
        "an array": lambda: ng.from_numpy(array),
        "a buffer": lambda: ng.from_numpy(np.frombuffer(memoryview(array), array.dtype)).view_as(q),
    }[share]()
    same_memory = np.shares_memory(other.numpy(), array)
    assert same_memory
    old = p.clone()
    try:
        result = compiled(p, other)
    except RuntimeError as error:
        assert "shares memory" in str(error)
        assert ng.equal(p, old)
        return
    assert ng.equal(p, old * 2)
    assert ng.equal(result, old + 1) or ng.equal(result, p + 1)


def test_read_only_memory_is_left_alone():
    array = np.ones((SIZE, SIZE), np.float32)
    array.flags.writeable = False
    compiled = ng.compile(simple)
    compiled(*arguments())
    with pytest.warns(UserWarning, match="not writable"):
        p = ng.from_numpy(array)
    with pytest.raises((ValueError, RuntimeError)):
        compiled(p, arguments()[1])
    assert (array == 1).all()


def test_an_error_changes_nothing():
    """One that a kernel finds, and one of a step without a kernel, both behind the change."""

    def looks_up(p, q, i):
        p.add_(1)
        return ng.nn.functional.embedding(i, q)

    def factors(p, q, i):
        p.add_(1)
        return ng.linalg.cholesky(q - 1e6 * i.sum())

    good, bad = ng.tensor([0, 1]), ng.tensor([0, SIZE])
    for fn, error in ((looks_up, IndexError), (factors, RuntimeError)):
        compiled = ng.compile(fn)
        p, _ = arguments()
        q = ng.eye(SIZE)
        compiled(p, q, good * 0)
        old = p.clone()
        with pytest.raises(error):
            compiled(p, q, bad)
        assert ng.equal(p, old)


def test_gradients_of_a_call_that_changes_its_argument():
    def fn(x, buffer):
        buffer.mul_(0.9).add_(x.detach(), alpha=0.1)
        return (x * buffer).sum()

    results = []
    for f in (fn, ng.compile(fn)):
        x, buffer = arguments()
        x.requires_grad_()
        (g,) = ng.autograd.grad(f(x, buffer), x)
        results.append((g, buffer))
    for a, b in zip(*results, strict=True):
        assert ng.allclose(a, b)


def training_step(w: ng.Tensor) -> Callable[[ng.Tensor], ng.Tensor]:
    def step(x):
        loss = (x @ w).square().mean()
        w.grad = None
        loss.backward()
        with ng.no_grad():
            w.sub_(w.grad, alpha=0.1)
        return loss

    return step


def test_short_calls_of_a_training_step():
    """From the third call on a step takes fewer Python steps: it changes the same things."""
    w, x = arguments()
    w, x = w[:5, :4].clone().requires_grad_(), x[:3, :5].clone()
    reference = w.detach().clone().requires_grad_()
    compiled, eager = ng.compile(training_step(w)), training_step(reference)
    for _ in range(5):
        version = w._version
        a, b = compiled(x), eager(x)
        assert ng.allclose(a, b) and ng.allclose(w, reference)
        assert w.grad is not None and ng.allclose(w.grad, reference.grad)
        assert a.requires_grad and w._version > version
        with pytest.raises(RuntimeError, match="second time"):
            a.backward()
    assert compiled._fast is not None
    with ng.no_grad(), pytest.raises(RuntimeError, match="does not require grad"):
        compiled(x)
    frozen = w.detach().clone()
    w.requires_grad_(False)
    with pytest.raises(RuntimeError, match="does not require grad"):
        compiled(x)
    assert ng.equal(w, frozen)


def test_one_tensor_for_two_leaves():
    def step(x, y):
        (x * y * y).sum().backward()

    compiled = ng.compile(step)
    for _ in range(4):
        x, y = ng.ones(3, requires_grad=True), ng.full((3,), 2.0, requires_grad=True)
        compiled(x, y)
        assert x.grad.tolist() == [4.0] * 3 and y.grad.tolist() == [4.0] * 3
    x = ng.full((3,), 2.0, requires_grad=True)
    compiled(x, x)
    assert x.grad.tolist() == [12.0] * 3
