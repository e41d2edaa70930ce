"""Anomaly mode in compiled functions: the trace is run once more, op by op, to find the node whose
gradient is bad first. The trace knows the user's line of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .autograd.anomaly_mode import AnomalyWatch, explain
from .ir.graph import Graph, Var
from .ir.trace import GradientStep
from .modes import thread


def check_gradients(
    written: Graph, steps: Sequence[GradientStep], arrays: Sequence[Any], mode: AnomalyWatch | None
) -> None:
    """Evaluate what was traced as it was written down, and look at each gradient.

    Args:
        written: the trace; `arrays` are its first inputs, as many as its equations up to the last
            of `steps` need.
        steps: the nodes to look at, in order.
        mode: the anomaly mode of the caller, for those steps whose function did not set its own.

    Raises:
        RuntimeError: as a node of an eager function would raise it.
    """
    values: dict[Any, Any] = {**written.consts, **dict(zip(written.inputs, arrays))}
    quietly = thread.modes.quietly
    done = 0
    for step in steps:
        for e in written.eqns[done : step.at]:
            inputs = [values[a] if isinstance(a, Var) else a for a in e.inputs]
            out = quietly(e.op.evaluate, *inputs, **e.params)
            values.update(zip(e.outputs, out if isinstance(out, tuple) else (out,)))
        done = step.at
        watch = step.anomaly if step.switched else mode
        if watch is None:
            continue
        try:
            watch.check(
                step.name, step.trail, step.shapes,
                [values.get(v) for v in step.given], [values.get(v) for v in step.found],
            )  # fmt: skip
        except RuntimeError as error:
            explain(step.name, step.trail, error)
            raise
