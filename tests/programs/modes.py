"""Gradient modes: programs for both libraries (see `programs`)."""

from __future__ import annotations

import asyncio

from . import leaf, outcome, program


@program
def modes_nest(lib):
    x = leaf(lib, 1.0)
    found = []

    def look():
        found.append(
            (lib.is_grad_enabled(), lib.is_inference_mode_enabled(), (x * 2).requires_grad)
        )

    look()
    with lib.no_grad():
        look()
        with lib.enable_grad():
            look()
            with lib.set_grad_enabled(False):
                look()
            look()
        look()
        with lib.inference_mode():
            look()
            with lib.enable_grad():
                look()
            with lib.inference_mode(False):
                look()
        look()
    look()
    return found


@program
def set_grad_enabled_as_a_function(lib):
    lib.set_grad_enabled(False)
    off = lib.is_grad_enabled()
    lib.set_grad_enabled(True)
    f = lib.set_grad_enabled(False)(lib.is_grad_enabled)
    return off, lib.is_grad_enabled(), f(), lib.is_grad_enabled()


@program
def modes_end_with_an_error(lib):
    found = []
    for mode in (lib.no_grad(), lib.set_grad_enabled(False), lib.inference_mode()):
        try:
            with mode:
                raise ValueError
        except ValueError:
            found.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled()))
    return found


@program
def decorated_functions(lib):
    found = []

    @lib.no_grad()
    def f():
        found.append(lib.is_grad_enabled())

    @lib.no_grad
    def g():
        found.append(lib.is_grad_enabled())

    @lib.inference_mode
    def h():
        found.append(lib.is_inference_mode_enabled())

    @lib.inference_mode()
    def i():
        found.append(lib.is_inference_mode_enabled())

    @lib.no_grad()
    @lib.enable_grad()
    def j():
        found.append(lib.is_grad_enabled())

    for fn in (f, g, h, i, j):
        fn()
    return found, f.__name__, lib.is_grad_enabled()


@program
def decorated_generators(lib):
    @lib.no_grad()
    def gen():
        got = yield lib.is_grad_enabled()
        try:
            yield lib.is_grad_enabled(), got
        except KeyError:
            yield lib.is_grad_enabled(), "caught"
        return lib.is_grad_enabled()

    found = []
    it = gen()
    found.append((next(it), lib.is_grad_enabled()))
    found.append((it.send(5), lib.is_grad_enabled()))
    found.append((it.throw(KeyError), lib.is_grad_enabled()))
    try:
        next(it)
    except StopIteration as stop:
        found.append((stop.value, lib.is_grad_enabled()))
    return found


@program
def undecorated_generators(lib):
    def gen():
        with lib.no_grad():
            yield lib.is_grad_enabled()
            yield lib.is_grad_enabled()

    it = gen()
    found = [next(it), lib.is_grad_enabled(), next(it), next(it, "end"), lib.is_grad_enabled()]
    return found


@program
def decorated_coroutines(lib):
    @lib.no_grad()
    async def f():
        before = lib.is_grad_enabled()
        await asyncio.sleep(0)
        return before, lib.is_grad_enabled()

    return asyncio.run(f()), lib.is_grad_enabled()


@program
def recursive_decorated(lib):
    @lib.no_grad()
    def f(n):
        return [lib.is_grad_enabled()] + (f(n - 1) if n else [])

    return f(3), lib.is_grad_enabled()


@program
def factories_under_no_grad(lib):
    with lib.no_grad():
        x = lib.ones(2, requires_grad=True)
        y = x * 2
    return x.requires_grad, y.requires_grad, y.is_leaf


@program
def inference_tensors(lib):
    x = leaf(lib, 1.0, 2.0)
    with lib.inference_mode():
        y = x * 2
        z = lib.ones(2)
        z.add_(1)
        v = x[0]
        inside = y.is_inference(), z.is_inference(), v.is_inference()

    def save():
        return x * z

    def version():
        return y._version

    return (inside, x.is_inference(), y.requires_grad, outcome(save), outcome(version),
            outcome(lambda: y + 1), outcome(lambda: y.add_(1)), outcome(lambda: x + z),
            outcome(lambda: (x * z.clone()).sum()), outcome(lambda: y.requires_grad_()),
            (y + 1).is_inference(), y[0].is_inference())  # fmt: skip


@program
def inference_mode_on_normal_tensors(lib):
    x = lib.ones(2)
    with lib.inference_mode():
        x.add_(1)
        x[0] = 5.0
    return x, x._version, x.is_inference()


@program
def backward_inside_modes(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x * x).sum()
    with lib.no_grad():
        y.backward(retain_graph=True)
        grad = x.grad.clone()
        g = lib.autograd.grad(y, x, create_graph=True)
    return grad, g


@program
def backward_inside_inference_mode(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x * x).sum()
    with lib.inference_mode():
        return outcome(y.backward)


@program
def modes_during_backward(lib):
    x = leaf(lib, 1.0)
    found = []
    a = x * 2
    a.register_hook(lambda g: found.append((lib.is_grad_enabled(), g.requires_grad)))
    a.backward(retain_graph=True)
    a.backward(create_graph=True)
    return found, lib.is_grad_enabled()


@program
def backward_inside_a_hook(lib):
    x, w = leaf(lib, 1.0), leaf(lib, 2.0)
    a = x * 2

    def hook(g):
        with lib.enable_grad():
            (w * 3).sum().backward()

    a.register_hook(hook)
    a.sum().backward()
    return x.grad, w.grad
