"""Workloads that need no library and take no time, for the tests of the benchmark itself."""

from __future__ import annotations

import os
import sys
import time

import numpy as np

from bench.libraries import Api
from bench.workload import Kind, Step, Target, Workload


def work(loops: int, result: float = 1.0):
    def build(api: Api) -> Step:
        def step():
            print("a library that prints does no harm")
            for _ in range(loops):
                pass
            return {"value": np.full(3, result), "more": [np.float32(2)]}

        return step

    return build


def needs_new_function(api: Api) -> Step:
    return lambda: api.xp.a_function_of_the_future()


def dies(api: Api) -> Step:
    def step():
        print("the last words", file=sys.stderr)
        sys.stderr.flush()
        os._exit(3)

    return step


def hangs(api: Api) -> Step:
    return lambda: time.sleep(60)


def raises(api: Api) -> Step:
    return lambda: 1 / 0


def first_uses(api: Api):
    return {"quick": lambda: None, "slow": lambda: time.sleep(0.02)}


def allocate(count: int):
    def build(api: Api) -> Step:
        return lambda: np.ones(count)

    return build


WORKLOADS = (
    Workload(
        name="fair",
        doc="the peer does ten times the work",
        builds={"numbagrad": work(2_000), "peer": work(20_000), "absent": work(1)},
        targets=(Target(2.0), Target(1000.0, against="peer"), Target(1.0, against="absent")),
    ),
    Workload(
        name="wrong",
        doc="ours computes something else",
        builds={"numbagrad": work(10, result=2.0), "peer": work(10)},
    ),
    Workload(
        name="troubles",
        doc="every way to leave the contest",
        builds={
            "numbagrad": needs_new_function,
            "dies": dies,
            "hangs": hangs,
            "raises": raises,
            "peer": work(10),
        },
    ),
    Workload(
        name="first",
        doc="new process each round",
        builds={"numbagrad": first_uses},
        kind=Kind.FIRST_USE,
        limit=0.001,
        max_rounds=2,
    ),
    Workload(
        name="memory",
        doc="80 MB of float64",
        builds={"numbagrad": allocate(10_000_000)},
        tiny={"numbagrad": allocate(1)},
        kind=Kind.PEAK_MEMORY,
        max_rounds=1,
    ),
)
