"""The first use of an eager op, in a new process with an empty cache: it must wait for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from bench.libraries import Api
from bench.workload import Kind, Step, Workload, torch_like
from bench.workloads.data import leaf, normal

UNARY = (
    "sin",
    "cos",
    "tan",
    "tanh",
    "sigmoid",
    "exp",
    "log",
    "sqrt",
    "abs",
    "neg",
    "relu",
    "floor",
    "sum",
    "mean",
    "var",
    "amax",
    "argmax",
    "logsumexp",
    "cumsum",
)
NEEDS_DIM = ("logsumexp", "cumsum")


def first_use(api: Api) -> Mapping[str, Step]:
    xp = api.xp
    F = xp.nn.functional
    x = xp.from_numpy(np.abs(normal(4, 4)) + 0.5)
    weight = leaf(xp, normal(4, 4, seed=1))
    target = xp.from_numpy(np.arange(4))

    steps: dict[str, Step] = {}
    for name in UNARY:
        arguments = (x, 1) if name in NEEDS_DIM else (x,)
        steps[name] = partial(getattr(xp, name), *arguments)
    steps["add"] = lambda: x + x
    steps["mul"] = lambda: x * 2.0
    steps["div"] = lambda: x / x
    steps["pow"] = lambda: x**2
    steps["matmul"] = lambda: x @ x
    steps["compare"] = lambda: x > 1.0
    steps["where"] = lambda: xp.where(x > 1.0, x, 0.0)
    steps["index"] = lambda: x[1:, ::2]
    steps["reshape"] = lambda: x.reshape(2, 8)
    steps["cat"] = lambda: xp.cat([x, x])
    steps["softmax"] = lambda: F.softmax(x, dim=1)
    steps["layer_norm"] = lambda: F.layer_norm(x, (4,))
    steps["gelu"] = lambda: F.gelu(x)
    steps["cross_entropy"] = lambda: F.cross_entropy(x, target)
    steps["backward"] = lambda: F.cross_entropy(xp.tanh(x @ weight), target).backward()
    return steps


WORKLOADS = (
    Workload(
        name="first-use-eager",
        doc="the slowest first call among small eager ops; new process, empty cache",
        builds=torch_like(first_use, "numbagrad", "torch"),
        kind=Kind.FIRST_USE,
        limit=0.005,
        max_rounds=5,
    ),
)
