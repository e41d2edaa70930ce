"""Pointwise graphs as functions of arrays: the derived backward kernels of elementwise ops."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..eager import Hot
from .graph import Graph, Var
from .trace import trace


def vjp_graph(op: Any, saved_for: int, mask: int, dtypes: Sequence[np.dtype[Any]]) -> Graph:
    """The gradient rules of `op` for the inputs in `mask`, traced over scalars.

    Inputs of the graph: the cotangent, then ``op.residuals(saved_for)``.
    """

    def rules(g: Any, *saved: Any) -> list[Any]:
        named = {"g": g}
        for (is_output, i), value in zip(op.residuals(saved_for), saved, strict=True):
            named[(op.outputs if is_output else op.inputs)[i]] = value
        return [
            rule(*[named[n] for n in op._wants[i]])
            for i, rule in enumerate(op.rules)
            if mask >> i & 1
        ]

    return trace(rules, [((), d) for d in dtypes])


def numpy_source(graph: Graph, d: np.dtype[Any]) -> tuple[str, dict[str, Any]]:
    """Python source of a function of arrays that runs the graph by NumPy calls, and its globals.

    Numbers become 0-d arrays of dtype `d`: NumPy takes those in half the time.
    """
    names: dict[Any, str] = {v: f"a{i}" for i, v in enumerate(graph.inputs)}
    scope: dict[str, Any] = {}

    def show(a: Any) -> str:
        if isinstance(a, Var):
            return names[a]
        name = f"n{len(scope)}"
        scope[name] = np.array(a, d) if d.kind == "f" else a
        return name

    for i, (v, array) in enumerate(graph.consts.items()):
        names[v] = f"c{i}"
        scope[f"c{i}"] = array
    lines = [f"def kernel({', '.join(names[v] for v in graph.inputs)}):"]
    for i, e in enumerate(graph.eqns):
        name = f"{e.op.name}_{i}" if e.params else e.op.name
        scope[name] = e.op.reference or functools.partial(e.op.evaluate, **e.params)
        names[e.outputs[0]] = f"v{i}"
        lines.append(f"    v{i} = {name}({', '.join(map(show, e.inputs))})")
    lines.append(f"    return ({''.join(show(a) + ', ' for a in graph.outputs)})")
    return "\n".join(lines) + "\n", scope


def vjp_kernel(op: Any, saved_for: int, mask: int, arrays: Sequence[Any]) -> Hot:
    """The rules of `op` as one function of plain arrays."""
    graph = vjp_graph(op, saved_for, mask, [a.dtype for a in arrays])
    source, scope = numpy_source(graph, arrays[0].dtype)
    exec(compile(source, f"<backward of {op.name}>", "exec"), scope)
    hot = Hot(scope["kernel"], lambda dtypes: vjp_graph(op, saved_for, mask, dtypes))
    hot.identity = all(v is graph.inputs[0] for v in graph.outputs)
    return hot
