"""A chain of 20 elementwise ops on two large inputs: what fusion is worth, in time and memory."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from bench.libraries import Api
from bench.workload import Kind, Step, Target, Workload, torch_like
from bench.workloads.data import leaf, normal

SIZE = 4_000_000
TINY = 8


def chain(xp: Any, x: Any, y: Any) -> Any:
    """Twenty ops; the arguments of log and sqrt are positive for all x and y."""
    a = xp.tanh(x)
    b = xp.sigmoid(y)
    c = xp.exp(a * b)
    d = xp.log(c + b)
    e = xp.sin(d)
    f = xp.sqrt(e * e + c)
    g = xp.tanh(f * a)
    h = xp.sigmoid(g + y)
    i = xp.log(xp.exp(h) * f)
    return (xp.sin(i) + d) * h


def inputs(size: int) -> tuple[Any, Any]:
    return normal(size, seed=1), normal(size, seed=2)


def forward(api: Api, size: int) -> Step:
    xp = api.xp
    x, y = (xp.from_numpy(array) for array in inputs(size))
    compiled = api.compile(lambda x, y: chain(xp, x, y))
    return lambda: compiled(x, y)


def gradient_eager(api: Api, size: int) -> Step:
    xp = api.xp
    x, y = (leaf(xp, array) for array in inputs(size))

    def step():
        x.grad = y.grad = None
        chain(xp, x, y).sum().backward()
        return x.grad, y.grad

    return step


def gradient_compiled(api: Api, size: int) -> Step:
    """`func.grad` inside the compiled function: for torch.compile, too, the fastest form."""
    xp = api.xp
    x, y = (xp.from_numpy(array) for array in inputs(size))
    compiled = api.compile(xp.func.grad(lambda x, y: chain(xp, x, y).sum(), argnums=(0, 1)))
    return lambda: compiled(x, y)


def jax_names(jax: Any) -> Any:
    jnp = jax.numpy
    return SimpleNamespace(
        tanh=jnp.tanh,
        sigmoid=jax.nn.sigmoid,
        exp=jnp.exp,
        log=jnp.log,
        sin=jnp.sin,
        sqrt=jnp.sqrt,
    )


def forward_jax(api: Api, size: int) -> Step:
    x, y = (api.xp.numpy.asarray(array) for array in inputs(size))
    compiled = api.compile(partial(chain, jax_names(api.xp)))
    return lambda: compiled(x, y)


def gradient_jax(api: Api, size: int) -> Step:
    x, y = (api.xp.numpy.asarray(array) for array in inputs(size))
    names = jax_names(api.xp)
    compiled = api.compile(api.xp.grad(lambda x, y: chain(names, x, y).sum(), argnums=(0, 1)))
    return lambda: compiled(x, y)


def forward_builds(size: int) -> dict[str, Any]:
    return {**torch_like(partial(forward, size=size)), "jax": partial(forward_jax, size=size)}


def gradient_builds(size: int) -> dict[str, Any]:
    return {
        **torch_like(partial(gradient_compiled, size=size), "numbagrad", "torch-compile"),
        "torch": partial(gradient_eager, size=size),
        "jax": partial(gradient_jax, size=size),
    }


WORKLOADS = (
    Workload(
        name="chain-grad-eager",
        doc="eager: 20 elementwise ops on 4 M float32, summed, backward",
        builds=torch_like(partial(gradient_eager, size=SIZE), "numbagrad", "torch"),
        targets=(Target(1.0, against="torch"),),
    ),
    Workload(
        name="chain",
        doc="compiled: 20 elementwise ops on 4 M float32, forward",
        builds=forward_builds(SIZE),
        targets=(Target(3.0),),
    ),
    Workload(
        name="chain-grad",
        doc="compiled: the same, summed, gradient of both inputs",
        builds=gradient_builds(SIZE),
        targets=(Target(3.0),),
    ),
    Workload(
        name="chain-first-call",
        doc="the first compiled call of the chain, with an empty cache",
        builds=forward_builds(SIZE),
        kind=Kind.FIRST_USE,
        targets=(Target(1 / 1.5, against="jax"), Target(5.0, against="torch-compile")),
        max_rounds=3,
    ),
    Workload(
        name="chain-grad-memory",
        doc="peak memory above the inputs of the chain's gradient",
        builds=gradient_builds(SIZE),
        tiny=gradient_builds(TINY),
        kind=Kind.PEAK_MEMORY,
        targets=(Target(2.0, against="torch"),),
        max_rounds=3,
    ),
)
