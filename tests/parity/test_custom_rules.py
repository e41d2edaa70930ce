"""Custom rules are used where JAX uses them: rules that are not the derivatives tell."""

from __future__ import annotations

import numpy as np
import pytest

import numbagrad as ng

jax = pytest.importorskip("jax")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


class Ours:
    compile = staticmethod(ng.compile)
    sin, cos = staticmethod(ng.sin), staticmethod(ng.cos)
    array = staticmethod(lambda v: ng.tensor(v, dtype=ng.float64))
    grad, vmap = staticmethod(ng.func.grad), staticmethod(ng.func.vmap)
    jvp = staticmethod(ng.func.jvp)
    jacfwd, jacrev = staticmethod(ng.func.jacfwd), staticmethod(ng.func.jacrev)
    custom_vjp, custom_jvp = ng.func.custom_vjp, ng.func.custom_jvp


class Theirs:
    compile = staticmethod(jax.jit)
    sin, cos = staticmethod(jax.numpy.sin), staticmethod(jax.numpy.cos)
    array = staticmethod(lambda v: jax.numpy.array(v, dtype=float))
    grad, vmap, jvp = (staticmethod(f) for f in (jax.grad, jax.vmap, jax.jvp))
    jacfwd, jacrev = staticmethod(jax.jacfwd), staticmethod(jax.jacrev)
    custom_vjp, custom_jvp = jax.custom_vjp, jax.custom_jvp


def reverse(L):
    f = L.custom_vjp(lambda x, y: L.sin(x) * y)
    f.defvjp(
        lambda x, y: (f(x, y), (x, y, L.cos(x))),
        lambda r, g: (2 * g * r[2] * r[1], 3 * g * L.sin(r[0])),
    )
    return f


def forward(L):
    f = L.custom_jvp(lambda x, y: L.sin(x) * y)

    def rule(primals, tangents):
        (x, y), (p, q) = primals, tangents
        return f(x, y), 2 * L.cos(x) * y * p + 3 * L.sin(x) * q

    f.defjvp(rule)
    return f


def numbers(L):
    return L.array(0.3), L.array(1.2)


def vectors(L):
    return L.array([0.3, 0.4]), L.array([1.2, 2.0])


USES = {
    "first": lambda L, f: L.grad(f, 0)(*numbers(L)),
    "second": lambda L, f: L.grad(f, 1)(*numbers(L)),
    "twice": lambda L, f: L.grad(L.grad(f, 0), 0)(*numbers(L)),
    "mixed": lambda L, f: L.grad(L.grad(f, 0), 1)(*numbers(L)),
    "mixed, the other order": lambda L, f: L.grad(L.grad(f, 1), 0)(*numbers(L)),
    "three times": lambda L, f: L.grad(L.grad(L.grad(f, 0), 0), 1)(*numbers(L)),
    "vmap of grad": lambda L, f: L.vmap(L.grad(f, 0))(*vectors(L)),
    "grad of vmap": lambda L, f: L.grad(lambda x, y: L.vmap(f)(x, y).sum())(*vectors(L)),
    "one mapped": lambda L, f: L.grad(lambda x, y: L.vmap(f, (None, 0))(x, y).sum())(
        L.array(0.3), L.array([1.2, 2.0])
    ),
    "grad of vmap of grad": lambda L, f: L.grad(
        lambda x, y: L.vmap(L.grad(f, 1), (None, 0))(x, y).sum()
    )(L.array(0.3), L.array([1.2, 2.0])),
    "a closure": lambda L, f: L.grad(lambda x: L.grad(lambda y: f(x * y, y))(L.array(1.2)) * x)(
        L.array(0.3)
    ),
    "a closure under vmap": lambda L, f: L.grad(
        lambda x: L.vmap(lambda y: L.grad(lambda z: f(x * z, y))(y))(L.array([1.2, 2.0])).sum()
    )(L.array(0.3)),
    "compiled": lambda L, f: L.compile(L.grad(L.grad(f, 0), 1))(*numbers(L)),
    "jacrev of jacrev": lambda L, f: L.jacrev(L.jacrev(f, 0), 1)(*numbers(L)),
    "of its own result": lambda L, f: L.grad(L.grad(lambda x: f(f(x, x), x)))(L.array(0.3)),
}
#: JAX refuses these for custom_vjp.
FORWARD = {
    "jvp": lambda L, f: L.jvp(f, numbers(L), numbers(L))[1],
    "jvp of jvp": lambda L, f: L.jvp(
        lambda x, y: L.jvp(f, (x, y), (y, x))[1], numbers(L), numbers(L)
    )[1],
    "grad of jvp": lambda L, f: L.grad(lambda x, y: L.jvp(f, (x, y), (y, x))[1])(*numbers(L)),
    "jacfwd of jacrev": lambda L, f: L.jacfwd(L.jacrev(f, 0), 1)(*numbers(L)),
    "jacrev of jacfwd": lambda L, f: L.jacrev(L.jacfwd(f, 0), 1)(*numbers(L)),
    "vmap of jvp": lambda L, f: L.vmap(lambda x, y: L.jvp(f, (x, y), (y, x))[1])(*vectors(L)),
    "jvp of vmap": lambda L, f: L.jvp(L.vmap(f), vectors(L), vectors(L))[1],
}
CASES = [(reverse, u) for u in USES] + [(forward, u) for u in {**USES, **FORWARD}]


@pytest.mark.parametrize(("make", "use"), CASES, ids=lambda v: getattr(v, "__name__", v))
def test_as_in_jax(make, use):
    program = {**USES, **FORWARD}[use]
    with jax.enable_x64(True):
        theirs = np.asarray(program(Theirs, make(Theirs)))
    np.testing.assert_allclose(program(Ours, make(Ours)).numpy(), theirs, 1e-12)
