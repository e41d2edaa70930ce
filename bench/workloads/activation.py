"""Exact gelu of a million elements, value and gradient."""

from __future__ import annotations

from bench.libraries import Api
from bench.workload import Step, Target, Workload, torch_like
from bench.workloads.data import leaf, normal

SIZE = 1_000_000


def gelu_eager(api: Api) -> Step:
    xp = api.xp
    x = leaf(xp, normal(SIZE))

    def step():
        x.grad = None
        value = xp.nn.functional.gelu(x)
        value.sum().backward()
        return value, x.grad

    return step


def gelu_compiled(api: Api) -> Step:
    xp = api.xp
    x = xp.from_numpy(normal(SIZE))

    def summed(x):
        value = xp.nn.functional.gelu(x)
        return value.sum(), value

    def value_and_gradient(x):
        gradient, value = xp.func.grad(summed, has_aux=True)(x)
        return value, gradient

    compiled = api.compile(value_and_gradient)
    return lambda: compiled(x)


def gelu_jax(api: Api) -> Step:
    jax = api.xp
    x = jax.numpy.asarray(normal(SIZE))

    def summed(x):
        value = jax.nn.gelu(x, approximate=False)
        return value.sum(), value

    def value_and_gradient(x):
        gradient, value = jax.grad(summed, has_aux=True)(x)
        return value, gradient

    compiled = api.compile(value_and_gradient)
    return lambda: compiled(x)


WORKLOADS = (
    Workload(
        name="gelu",
        doc="compiled: exact gelu of 1 M float32, value and gradient",
        builds={
            **torch_like(gelu_compiled, "numbagrad", "torch-compile"),
            "torch": gelu_eager,
            "jax": gelu_jax,
        },
        targets=(Target(1.5),),
    ),
)
