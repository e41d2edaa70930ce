"""The verifier: what must hold of every graph between two passes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .graph import FUSED, Atom, Eqn, Graph, Var, type_name


def verify(graph: Graph) -> None:
    """Raise if a graph is not well formed.

    Each variable is assigned once and before it is read, the types of results are those that the
    ops give, and fused graphs are pointwise over one shape.

    Raises:
        ValueError: names the equation.
    """
    known: set[Var] = set()
    for v in (*graph.inputs, *graph.consts):
        if v in known:
            raise ValueError(f"an input of type {type_name(v)} is listed twice")
        known.add(v)
    for v, array in graph.consts.items():
        if (array.shape, array.dtype) != (v.shape, v.dtype):
            raise ValueError(f"a constant {array.dtype}{array.shape} stands for {type_name(v)}")
    for number, e in enumerate(graph.eqns):
        where = f"equation {number} ({e.op.name})"
        _check_reads(e.inputs, known, where)
        for v in e.outputs:
            if v in known:
                raise ValueError(f"{where} assigns a variable that has a value")
            known.add(v)
        _check_types(e, where)
    _check_reads(graph.outputs, known, "the graph's result")


def _check_reads(atoms: Iterable[Atom], known: set[Var], where: str) -> None:
    for a in atoms:
        if isinstance(a, Var):
            if a not in known:
                raise ValueError(f"{where} reads {type_name(a)} before it has a value")
        elif not isinstance(a, bool | int | float | complex | np.generic):
            raise ValueError(f"{where} reads {a!r}, neither a variable nor a number")


def _check_types(e: Eqn, where: str) -> None:
    if e.op is FUSED:
        _check_fused(e, where)
        return
    avals: Any = e.op.abstract(*e.inputs, **e.params)
    expected = avals if isinstance(avals, list) else [avals]
    found = [(v.shape, v.dtype) for v in e.outputs]
    if [(tuple(s), np.dtype(d)) for s, d in expected] != found:
        raise ValueError(f"{where} gives {found}, its op {expected}")


def _check_fused(e: Eqn, where: str) -> None:
    inner: Graph = e.params["graph"]
    if e.inputs != inner.inputs or e.outputs != inner.outputs:
        raise ValueError(f"{where}: inputs and outputs are not those of its graph")
    shape = inner.eqns[0].outputs[0].shape
    for ie in inner.eqns:
        if ie.op.native is not None and ie.op.native[0] == "reduce":
            x = ie.inputs[0]
            if not isinstance(x, Var) or x.shape != shape:
                raise ValueError(f"{where} reduces something of another shape than {shape}")
            continue
        if ie.op.pointwise is None:
            raise ValueError(f"{where} holds {ie.op.name}, which is not pointwise")
        if ie.outputs[0].shape != shape:
            raise ValueError(f"{where} holds {ie.op.name} over {ie.outputs[0].shape}, not {shape}")
    verify(inner)
