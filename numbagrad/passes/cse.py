"""Common subexpressions: equal equations are computed once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..ir.graph import Atom, Eqn, Graph, Var


def _atom_key(a: Atom) -> Any:
    # 1, 1.0 and True are equal in Python, and so are 0.0 and -0.0.
    return a if isinstance(a, Var) else (type(a), repr(a))


def _hashable(x: Any) -> Any:
    if isinstance(x, list | tuple):
        return tuple(map(_hashable, x))
    if isinstance(x, dict):
        return tuple((k, _hashable(v)) for k, v in sorted(x.items()))
    if isinstance(x, slice):
        return ("slice", x.start, x.stop, x.step)
    return (type(x), repr(x) if isinstance(x, float | complex) else x)


def cse(graph: Graph) -> Graph:
    """Each distinct equation once. All ops are pure: random ones read their key as an input."""
    known: dict[Any, tuple[Var, ...]] = {}
    renamed: dict[Var, Var] = {}
    eqns: list[Eqn] = []

    def current(a: Atom) -> Atom:
        return renamed.get(a, a) if isinstance(a, Var) else a

    for e in graph.eqns:
        inputs = tuple([current(a) for a in e.inputs]) if renamed else e.inputs
        key = (e.op.name, *map(_atom_key, inputs), _hashable(e.params) if e.params else ())
        same = known.get(key)
        if same is None:
            known[key] = e.outputs
            eqns.append(e.reading(inputs))
        else:
            renamed.update(zip(e.outputs, same, strict=True))
    return replace(graph, eqns=tuple(eqns), outputs=tuple(current(a) for a in graph.outputs))
