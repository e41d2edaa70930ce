"""Gradient modes: as in PyTorch, and per thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same

EXPECTED = expected()


@pytest.mark.parametrize("name", programs("modes", "inference"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"
    assert ng.is_grad_enabled() and not ng.is_inference_mode_enabled()


def test_each_thread_has_its_own_mode():
    inside, done = threading.Event(), threading.Event()
    seen = []

    def work():
        with ng.no_grad():
            inside.set()
            done.wait(10)
            seen.append(ng.is_grad_enabled())

    t = threading.Thread(target=work)
    t.start()
    inside.wait(10)
    assert ng.is_grad_enabled()
    with ng.inference_mode(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(ng.is_grad_enabled).result()
        assert not pool.submit(ng.is_inference_mode_enabled).result()
    done.set()
    t.join()
    assert seen == [False]


def test_one_mode_object_entered_twice():
    mode = ng.no_grad()
    with mode:
        with mode:
            assert not ng.is_grad_enabled()
        assert not ng.is_grad_enabled()
    assert ng.is_grad_enabled()


def test_decorated_function_called_from_many_threads():
    @ng.no_grad()
    def f(n):
        return f(n - 1) if n else ng.is_grad_enabled()

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(f, [20] * 200))
        assert all(pool.map(lambda _: ng.is_grad_enabled(), range(50)))


def test_interleaved_generators():
    @ng.no_grad()
    def off():
        while True:
            yield ng.is_grad_enabled()

    @ng.enable_grad()
    def on():
        while True:
            yield ng.is_grad_enabled()

    a, b = off(), on()
    for _ in range(3):
        assert next(a) is False
        assert next(b) is True
        assert ng.is_grad_enabled()
    a.close()
    b.close()
    assert ng.is_grad_enabled()


def test_a_closed_generator_cleans_up_in_its_mode():
    seen = []

    @ng.no_grad()
    def gen():
        try:
            yield 1
        finally:
            seen.append(ng.is_grad_enabled())

    it = gen()
    next(it)
    it.close()
    assert seen == [False] and ng.is_grad_enabled()


def test_concurrent_coroutines():
    """A mode that is held over an `await` belongs to the thread, so each step sets its own."""

    async def step(mode, expected_mode):
        for _ in range(3):
            with mode():
                assert ng.is_grad_enabled() is expected_mode
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(step(ng.no_grad, False), step(ng.enable_grad, True))

    asyncio.run(main())
    assert ng.is_grad_enabled()


def test_classes_are_not_decorated():
    with pytest.raises(TypeError, match="decorate the methods"):

        @ng.no_grad()
        class _C:
            pass


def test_inference_mode_is_a_mode_of_creation():
    with ng.inference_mode():
        for t in (ng.zeros(2), ng.tensor([1.0]), ng.rand(2), ng.arange(3), ng.ones(2) + 1):
            assert t.is_inference()
        assert ng.ones(2, requires_grad=True).requires_grad
    assert not ng.zeros(2).is_inference()


def test_inference_mode_records_counts_and_tracks_nothing():
    x = ng.ones(3, requires_grad=True)
    with ng.inference_mode():
        y = x * 2
        part = y[1:]
        y.add_(1)
        part.mul_(2)
    assert y.tolist() == [3.0, 6.0, 6.0] and part.tolist() == [6.0, 6.0]
    assert x._extras is None and x._counter is None  # no node and no counter was made for the input
    for t in (y, part):
        assert t.grad_fn is None and t._counter == [] and t._view is None
