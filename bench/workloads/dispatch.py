"""What an operation costs beside its arithmetic: many dependent ops on a few elements."""

from __future__ import annotations

from bench.libraries import Api
from bench.workload import Step, Target, Workload, torch_like
from bench.workloads.data import leaf, normal

REPEATS = 25  # of four ops


def small_ops(api: Api) -> Step:
    xp = api.xp
    x = leaf(xp, normal(8))

    def step():
        y = x
        for _ in range(REPEATS):
            y = xp.tanh(xp.sin(y) * 1.25 + x)
        x.grad = None
        y.sum().backward()
        return x.grad

    return step


WORKLOADS = (
    Workload(
        name="small-ops",
        doc="eager: 100 dependent ops (sin, mul, add, tanh) on 8 elements, sum, backward",
        builds=torch_like(small_ops, "numbagrad", "torch"),
        targets=(Target(1.0, against="torch"),),
    ),
)
