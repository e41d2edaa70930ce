"""A 64-64-64-10 multilayer perceptron: training with SGD, and inference.

Written with functions over plain parameters for every library, so that no figure contains what a
module system costs.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from bench.libraries import Api
from bench.workload import Step, Target, Workload, torch_like
from bench.workloads.data import normal

SIZES = (64, 64, 64, 10)
BATCH = 32
RATE = 0.01
CHECKED_STEPS = 5  # the losses agree only if the parameters moved alike


def parameters() -> list[np.ndarray]:
    """Weights and biases in turn; a weight is out × in, as PyTorch has it."""
    arrays = []
    for seed, (inputs, outputs) in enumerate(pairwise(SIZES)):
        arrays.append(normal(outputs, inputs, seed=seed, scale=inputs**-0.5))
        arrays.append(normal(outputs, seed=100 + seed, scale=0.1))
    return arrays


def labels() -> np.ndarray:
    return np.arange(BATCH) % SIZES[-1]


def forward(xp: Any, params: Any, x: Any) -> Any:
    F = xp.nn.functional
    for weight, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
        x = F.relu(F.linear(x, weight, bias))
    return F.linear(x, params[-2], params[-1])


def jax_forward(jax: Any, params: Any, x: Any) -> Any:
    for weight, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
        x = jax.nn.relu(x @ weight.T + bias)
    return x @ params[-2].T + params[-1]


def train_whole_step(api: Api, compiled: bool) -> Step:
    """The step as a user writes it; compiled, it is one call."""
    xp = api.xp
    params = [xp.from_numpy(array).requires_grad_() for array in parameters()]
    optimizer = xp.optim.SGD(params, lr=RATE)
    x, target = xp.from_numpy(normal(BATCH, SIZES[0])), xp.from_numpy(labels())

    def step():
        optimizer.zero_grad()
        loss = xp.nn.functional.cross_entropy(forward(xp, params, x), target)
        loss.backward()
        optimizer.step()
        return loss

    return api.compile(step) if compiled else step


def train_functional(api: Api) -> Step:
    """The form that torch.compile runs fastest: one graph, without the tape and the optimizer."""
    xp = api.xp
    state = [xp.from_numpy(array) for array in parameters()]
    x, target = xp.from_numpy(normal(BATCH, SIZES[0])), xp.from_numpy(labels())

    def loss_of(params, x, target):
        return xp.nn.functional.cross_entropy(forward(xp, params, x), target)

    @api.compile
    def update(params, x, target):
        grads, loss = xp.func.grad_and_value(loss_of)(params, x, target)
        return loss, [p - RATE * g for p, g in zip(params, grads, strict=True)]

    def step():
        loss, state[:] = update(state, x, target)
        return loss

    return step


def train_jax(api: Api) -> Step:
    jax = api.xp
    state = [jax.numpy.asarray(array) for array in parameters()]
    x, target = jax.numpy.asarray(normal(BATCH, SIZES[0])), jax.numpy.asarray(labels())

    def loss_of(params, x, target):
        logs = jax.nn.log_softmax(jax_forward(jax, params, x))
        return -jax.numpy.take_along_axis(logs, target[:, None], axis=1).mean()

    @api.compile
    def update(params, x, target):
        loss, grads = jax.value_and_grad(loss_of)(params, x, target)
        return loss, [p - RATE * g for p, g in zip(params, grads, strict=True)]

    def step():
        loss, state[:] = update(state, x, target)
        return loss

    return step


def infer(api: Api, batch: int) -> Step:
    xp = api.xp
    xp.set_grad_enabled(False)
    params = [xp.from_numpy(array) for array in parameters()]
    x = xp.from_numpy(normal(batch, SIZES[0]))
    compiled = api.compile(lambda x: forward(xp, params, x))
    return lambda: compiled(x)


def infer_jax(api: Api, batch: int) -> Step:
    jax = api.xp
    params = [jax.numpy.asarray(array) for array in parameters()]
    x = jax.numpy.asarray(normal(batch, SIZES[0]))
    compiled = api.compile(lambda params, x: jax_forward(jax, params, x))
    return lambda: compiled(params, x)


def inference(batch: int, ratio: float) -> Workload:
    return Workload(
        name=f"mlp-infer-{batch}",
        doc=f"compiled: MLP 64-64-64-10, inference, batch {batch}",
        builds={
            **torch_like(partial(infer, batch=batch)),
            "jax": partial(infer_jax, batch=batch),
        },
        targets=(Target(ratio),),
    )


WORKLOADS = (
    Workload(
        name="mlp-train-eager",
        doc="eager: MLP 64-64-64-10, training step, batch 32, cross entropy, SGD",
        builds=torch_like(partial(train_whole_step, compiled=False), "numbagrad", "torch"),
        targets=(Target(1.0, against="torch"),),
        checked_calls=CHECKED_STEPS,
    ),
    Workload(
        name="mlp-train",
        doc="compiled: the same, the whole step with the update of the parameters",
        builds={
            "numbagrad": partial(train_whole_step, compiled=True),
            "torch": partial(train_whole_step, compiled=False),
            "torch-compile": train_functional,
            "jax": train_jax,
        },
        targets=(Target(2.0),),
        checked_calls=CHECKED_STEPS,
    ),
    inference(batch=1, ratio=4.0),
    inference(batch=32, ratio=1.0),
)
