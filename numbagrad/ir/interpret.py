"""Evaluating a graph op by op, on whatever tensors: arrays, tracers, with or without a history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dispatch import bind
from ..tensor import Tensor, wrap
from .graph import FUSED, Atom, Graph, Var


def interpret(graph: Graph, tensors: Sequence[Tensor]) -> list[Any]:
    """The outputs of a graph (tensors, or Python numbers), given its inputs."""
    values: dict[Any, Any] = dict(zip(graph.inputs, tensors, strict=True))
    values.update((v, wrap(array)) for v, array in graph.consts.items())

    def value(a: Atom) -> Any:
        return values[a] if isinstance(a, Var) else a

    for e in graph.eqns:
        inputs = tuple(map(value, e.inputs))
        if e.op is FUSED:
            outs: Any = interpret(e.params["graph"], inputs)
        else:
            outs = bind(e.op, inputs, e.params)
        values.update(zip(e.outputs, outs if isinstance(outs, tuple | list) else (outs,)))
    return [value(a) for a in graph.outputs]
