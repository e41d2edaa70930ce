"""Function transforms: a dense Hessian, a Hessian-vector product, per-sample gradients."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bench.libraries import Api
from bench.workload import Step, Target, Workload, torch_like
from bench.workloads.data import normal

DENSE, LARGE = 200, 100_000  # variables of the Hessian, and of the product with a vector
SIZES = (64, 64, 10)
SAMPLES = 256


def rosenbrock(x: Any) -> Any:
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def objective(xp: Any, x: Any) -> Any:
    return rosenbrock(x) + xp.logsumexp(x, 0)


def jax_objective(jax: Any, x: Any) -> Any:
    return rosenbrock(x) + jax.nn.logsumexp(x)


def dense_hessian(api: Api, compiled: bool) -> Step:
    xp = api.xp
    x = xp.from_numpy(normal(DENSE))
    hessian = xp.func.hessian(partial(objective, xp))
    step = api.compile(hessian) if compiled else hessian
    return lambda: step(x)


def dense_hessian_jax(api: Api) -> Step:
    x = api.xp.numpy.asarray(normal(DENSE))
    step = api.compile(api.xp.hessian(partial(jax_objective, api.xp)))
    return lambda: step(x)


def product(api: Api) -> Step:
    """Forward over reverse."""
    xp = api.xp
    x, v = (xp.from_numpy(normal(LARGE, seed=seed)) for seed in (1, 2))
    gradient = xp.func.grad(partial(objective, xp))
    step = api.compile(lambda x, v: xp.func.jvp(gradient, (x,), (v,))[1])
    return lambda: step(x, v)


def product_jax(api: Api) -> Step:
    jax = api.xp
    x, v = (jax.numpy.asarray(normal(LARGE, seed=seed)) for seed in (1, 2))
    gradient = jax.grad(partial(jax_objective, jax))
    step = api.compile(lambda x, v: jax.jvp(gradient, (x,), (v,))[1])
    return lambda: step(x, v)


def network() -> list[np.ndarray]:
    """Weights (out × in) and biases in turn."""
    first, hidden, last = SIZES
    return [
        normal(hidden, first, seed=1, scale=first**-0.5),
        normal(hidden, seed=2, scale=0.1),
        normal(last, hidden, seed=3, scale=hidden**-0.5),
        normal(last, seed=4, scale=0.1),
    ]


def samples() -> tuple[np.ndarray, np.ndarray]:
    return normal(SAMPLES, SIZES[0]), np.arange(SAMPLES) % SIZES[-1]


def per_sample(api: Api, compiled: bool) -> Step:
    xp = api.xp
    F = xp.nn.functional

    def loss(params: Any, x: Any, target: Any) -> Any:
        w0, b0, w1, b1 = params
        logits = F.linear(F.relu(F.linear(x, w0, b0)), w1, b1)
        return F.cross_entropy(logits, target)

    params = [xp.from_numpy(array) for array in network()]
    x, target = map(xp.from_numpy, samples())
    gradients = xp.func.vmap(xp.func.grad(loss), in_dims=(None, 0, 0))
    step = api.compile(gradients) if compiled else gradients
    return lambda: step(params, x, target)


def per_sample_jax(api: Api) -> Step:
    jax = api.xp

    def loss(params: Any, x: Any, target: Any) -> Any:
        w0, b0, w1, b1 = params
        logits = jax.nn.relu(x @ w0.T + b0) @ w1.T + b1
        return -jax.nn.log_softmax(logits)[target]

    params = [jax.numpy.asarray(array) for array in network()]
    x, target = map(jax.numpy.asarray, samples())
    step = api.compile(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))
    return lambda: step(params, x, target)


_EAGER = ("numbagrad", "torch")

WORKLOADS = (
    Workload(
        name="hessian",
        doc="compiled: dense Hessian of Rosenbrock plus log-sum-exp, 200 variables",
        builds={
            "numbagrad": partial(dense_hessian, compiled=True),
            "torch-compile": partial(dense_hessian, compiled=True),
            "jax": dense_hessian_jax,
        },
        targets=(Target(1.0),),
        rtol=1e-3,
        atol=1e-2,
    ),
    Workload(
        name="hvp",
        doc="compiled: Hessian-vector product of the same, 100,000 variables",
        builds={**torch_like(product), "jax": product_jax},
        targets=(Target(1.5),),
        rtol=1e-3,
        atol=1e-2,
    ),
    Workload(
        name="per-sample",
        doc="compiled: gradients of an MLP 64-64-10 for each of 256 samples",
        builds={
            "numbagrad": partial(per_sample, compiled=True),
            "torch-compile": partial(per_sample, compiled=True),
            "jax": per_sample_jax,
        },
        targets=(Target(1.5),),
    ),
    Workload(
        name="hessian-eager",
        doc="uncompiled: the same dense Hessian",
        builds=torch_like(partial(dense_hessian, compiled=False), *_EAGER),
        targets=(Target(1.0, against="torch"),),
        rtol=1e-3,
        atol=1e-2,
    ),
    Workload(
        name="per-sample-eager",
        doc="uncompiled: the same per-sample gradients",
        builds=torch_like(partial(per_sample, compiled=False), *_EAGER),
        targets=(Target(1.0, against="torch"),),
    ),
)
