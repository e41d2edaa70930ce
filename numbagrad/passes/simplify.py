"""What changes no bit of any result: NaN, infinities and -0.0 included.

Values that are known are computed here, by the ops' NumPy references; an equation that hands its
input on is dropped; an array whose elements are all one number is read as that number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ir.graph import Atom, Eqn, Graph, Var
from ..modes import thread

Array = np.ndarray[Any, Any]
_KEPT = 1 << 16  # bytes of a folded array: a larger one is computed at each call


def simplify(graph: Graph) -> Graph:
    """Fold constants, drop equations that change nothing, read uniform arrays as numbers."""
    renamed: dict[Var, Atom] = {}
    consts = dict(graph.consts)
    numbers = {v: n for v, a in consts.items() if (n := _number(a)) is not None}
    eqns: list[Eqn] = []

    def current(a: Atom) -> Atom:
        return renamed.get(a, a) if isinstance(a, Var) else a

    for e in graph.eqns:
        if renamed:
            e = e.reading([current(a) for a in e.inputs])
        value = _folded(e, consts)
        if value is not None:
            out = e.outputs[0]
            consts[out] = value
            if (n := _number(value)) is not None:
                numbers[out] = n
            continue
        e = _with_numbers(e, numbers)
        number = _uniform(e, numbers)
        if number is not None:
            numbers[e.outputs[0]] = number
        same = _identity(e)
        if same is None:
            eqns.append(e)
        else:
            renamed[e.outputs[0]] = same
    return Graph(graph.inputs, tuple(eqns), tuple(current(a) for a in graph.outputs), consts)


# -- identities -----------------------------------------------------------------------------------


def _identity(e: Eqn) -> Var | None:
    """The input that the equation's result always equals bit for bit, or None."""
    out = e.outputs[0]
    for x in _candidates(e):
        if isinstance(x, Var) and x.shape == out.shape and x.dtype == out.dtype:
            return x
    return None


def _candidates(e: Eqn) -> list[Atom]:
    op = e.op
    if op.same is not None:
        return [e.inputs[0]] if op.same(**e.params) else []
    d = e.outputs[0].dtype
    if not op.unit or d.kind == "c":  # a complex product is four real ones: inf * (1 + 0i) is NaN
        return []
    x, y = e.inputs
    return [
        other
        for number, unit, other in ((y, op.unit[1], x), (x, op.unit[0], y))
        if unit is not None and _is(number, unit, d)
    ]


def _is(a: Atom, unit: float, d: np.dtype[Any]) -> bool:
    if a.__class__ not in (int, float) or a != unit:
        return False
    return d.kind != "f" or math.copysign(1, a) == math.copysign(1, unit)  # type: ignore[arg-type]


# -- constants ------------------------------------------------------------------------------------


def _number(a: Array) -> Atom | None:
    """The number that all elements are, to the bit; None if they differ or are too many to see."""
    if not a.size:
        return None
    first = a[(0,) * a.ndim]
    repeated = not any(s for s, n in zip(a.strides, a.shape, strict=True) if n != 1)
    if repeated or (a.nbytes <= _KEPT and a.tobytes() == first.tobytes() * a.size):
        return first.item()
    return None


def _folded(e: Eqn, consts: dict[Var, Array]) -> Array | None:
    """The value of an equation that reads nothing but constants."""
    op = e.op
    if any(a not in consts for a in e.inputs if isinstance(a, Var)):
        return None
    if (op.pointwise is None and not op.view) or len(e.outputs) != 1:
        return None
    arrays = [consts[a] for a in e.inputs if isinstance(a, Var)]
    out = e.outputs[0]
    uniform = all(_number(a) is not None for a in arrays)
    if op.view:
        (a,) = arrays
        if not uniform:
            if not a.flags.c_contiguous and a.nbytes > _KEPT:
                return None
            return op.evaluate(np.ascontiguousarray(a), **e.params)
        one = a[(0,) * a.ndim]
        return np.broadcast_to(one, out.shape) if one.dtype == out.dtype else None
    if not uniform and math.prod(out.shape) * out.dtype.itemsize > _KEPT:
        return None
    if uniform:  # one element of each, of the same rank: it decides about dtypes
        arrays = [a[(slice(0, 1),) * a.ndim] for a in arrays]
    given = iter(arrays)
    inputs = [next(given) if isinstance(a, Var) else a for a in e.inputs]
    value = thread.modes.quietly(op.evaluate, *inputs, **e.params)
    return np.broadcast_to(value, out.shape) if uniform else value


def _uniform(e: Eqn, known: dict[Var, Atom]) -> Atom | None:
    """The number that every element of the equation's result is, if that is plain to see."""
    op, out = e.op, e.outputs[0]
    if op.uniform is not None:
        a = e.inputs[op.uniform]
        return None if isinstance(a, Var) else a
    x = e.inputs[0] if e.inputs else None
    if op.view and isinstance(x, Var) and x.dtype == out.dtype:
        return known.get(x)
    if op.pointwise is None or any(a not in known for a in e.inputs if isinstance(a, Var)):
        return None
    ones = [
        np.full((1,) * a.ndim, known[a], a.dtype) if isinstance(a, Var) else a for a in e.inputs
    ]
    return thread.modes.quietly(op.evaluate, *ones, **e.params).item()


def _with_numbers(e: Eqn, known: dict[Var, Atom]) -> Eqn:
    """The equation with uniform inputs as numbers, where that changes neither shape nor dtype."""
    if e.op.reference is None or not any(a in known for a in e.inputs if isinstance(a, Var)):
        return e
    for i, a in enumerate(e.inputs):
        if isinstance(a, Var) and a in known and not (e.op.dtype_rule.condition and i == 0):
            inputs = (*e.inputs[:i], known[a], *e.inputs[i + 1 :])
            if not any(isinstance(x, Var) for x in inputs):
                continue
            out = e.outputs[0]
            same_types = e.op.dtype_rule.resolve(inputs) == e.op.dtype_rule.resolve(e.inputs)
            if same_types and e.op.abstract(*inputs) == (out.shape, out.dtype):
                e = e.reading(inputs)
    return e
