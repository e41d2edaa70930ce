"""A chain that only the memory limits, beside the bandwidth that this machine has."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.libraries import Api
from bench.workload import Step, Target, Workload, torch_like
from bench.workloads.data import normal

SIZE = 16_000_000
BYTES = 4 * SIZE


def saxpy(x: Any, y: Any, z: Any) -> Any:
    return 1.5 * x + y - z * 0.5


def saxpy_torch_like(api: Api) -> Step:
    x, y, z = (api.xp.from_numpy(normal(SIZE, seed=seed)) for seed in range(3))
    compiled = api.compile(saxpy)
    return lambda: compiled(x, y, z)


def saxpy_jax(api: Api) -> Step:
    x, y, z = (api.xp.numpy.asarray(normal(SIZE, seed=seed)) for seed in range(3))
    compiled = api.compile(saxpy)
    return lambda: compiled(x, y, z)


def triad(api: Api) -> Step:
    """STREAM's triad on all cores, written with Numba itself: `a = b + s * c`."""
    numba = api.xp
    a, b, c = np.empty(SIZE, np.float32), normal(SIZE, seed=0), normal(SIZE, seed=1)

    @numba.njit(parallel=True, fastmath=True)
    def run(a, b, c):
        for i in numba.prange(a.size):
            a[i] = b[i] + np.float32(1.5) * c[i]

    return lambda: run(a, b, c)


builds = {**torch_like(saxpy_torch_like), "jax": saxpy_jax, "triad": triad}

WORKLOADS = (
    Workload(
        name="bandwidth",
        doc="compiled: a*x + y - z*0.5 on 16 M float32, beside STREAM's triad of the same run",
        builds=builds,
        # Three arrays are read and one is written; the triad reads two and writes one.
        moved={name: 3 * BYTES if name == "triad" else 4 * BYTES for name in builds},
        targets=(Target(0.85, against="triad"),),
    ),
)
