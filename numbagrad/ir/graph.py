"""Graph: an immutable, typed, printable list of equations.

`compile`, the derived backward kernels and the transforms all read and write this one form.
A graph is in single-assignment order: an equation reads variables that stand above it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Shape = tuple[int, ...]
Strides = tuple[int, ...]


def dense(shape: Shape, itemsize: int) -> Strides:
    """The strides in bytes of a contiguous array."""
    strides = [itemsize] * len(shape)
    for d in range(len(shape) - 1, 0, -1):
        strides[d - 1] = strides[d] * shape[d]
    return tuple(strides)


class Var:
    """A value of known shape and dtype; identity is its name.

    `strides` (in bytes) says how memory for it is laid out; None means contiguous.
    """

    __slots__ = ("dtype", "shape", "strides")

    def __init__(self, shape: Shape, dtype: np.dtype[Any], strides: Strides | None = None) -> None:
        self.shape = shape
        self.dtype = dtype
        self.strides = strides

    @property
    def ndim(self) -> int:
        return len(self.shape)


Atom = Var | bool | int | float | complex
"""What an equation reads: a variable, or a Python number (which never promotes a tensor)."""


@dataclass(frozen=True, slots=True, eq=False)
class Eqn:
    """One application of an op: ``outputs = op[params](inputs)``."""

    op: Any
    inputs: tuple[Atom, ...]
    params: dict[str, Any]
    outputs: tuple[Var, ...]

    def reading(self, inputs: Sequence[Atom]) -> Eqn:
        """This equation with other inputs; itself if each of them is the one it has."""
        if all(map(operator.is_, inputs, self.inputs)):
            return self
        return Eqn(self.op, tuple(inputs), self.params, self.outputs)


@dataclass(frozen=True, eq=False)
class Graph:
    """Equations from `inputs` to `outputs`; `consts` are arrays the equations read."""

    inputs: tuple[Var, ...]
    eqns: tuple[Eqn, ...]
    outputs: tuple[Atom, ...]
    consts: dict[Var, np.ndarray[Any, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(_lines(self, {}))


class Fused:
    """The op of an equation that stands for a pointwise graph, its parameter ``graph``."""

    name = "fused"
    view = False
    pointwise = None
    native = None


FUSED = Fused()

_SHORT = {"float": "f", "complex": "c", "int": "i", "uint": "u", "bool": "bool"}


def type_name(v: Var) -> str:
    """``f32[8,3]`` for a float32 variable of shape (8, 3)."""
    name = v.dtype.name.rstrip("0123456789")
    return f"{_SHORT[name]}{v.dtype.name[len(name) :]}[{','.join(map(str, v.shape))}]"


def _letters() -> Iterator[str]:
    for length in range(1, 8):
        for i in range(26**length):
            name = ""
            for _ in range(length):
                i, r = divmod(i, 26)
                name = chr(ord("a") + r) + name
            yield name


def show_op(e: Eqn) -> str:
    """``sum[dim=(1,), keepdim=False]``: the op of an equation with its parameters."""
    params = ", ".join(f"{k}={_parameter(v)}" for k, v in e.params.items())
    return f"{e.op.name}[{params}]" if params else e.op.name


def _parameter(value: Any) -> str:
    return value.name if isinstance(value, np.dtype) else repr(value)


def names_of(graph: Graph) -> dict[Var, str]:
    """The names of the variables in the printed graph."""
    names: dict[Var, str] = {}
    for _ in _lines(graph, names):
        pass
    return names


def _lines(graph: Graph, names: dict[Var, str]) -> Iterator[str]:
    letters = _letters()

    def show(a: Atom) -> str:
        if isinstance(a, Var):
            if a not in names:
                names[a] = next(letters)
            return names[a]
        return repr(a)

    def typed(vs: Sequence[Var]) -> str:
        return ", ".join(f"{show(v)}: {type_name(v)}" for v in vs)

    def equations(eqns: Sequence[Eqn], indent: str) -> Iterator[str]:
        for e in eqns:
            inputs = " ".join(show(a) for a in e.inputs)
            if e.op is FUSED:
                yield f"{indent}{typed(e.outputs)} = fused {inputs} {{"
                yield from equations(e.params["graph"].eqns, indent + "  ")
                yield f"{indent}}}"
                continue
            yield f"{indent}{typed(e.outputs)} = {show_op(e)} {inputs}"

    yield f"graph({typed(graph.inputs)}) {{"
    for v, array in graph.consts.items():
        yield f"  {typed([v])} = const {array.tolist() if array.size <= 4 else '...'}"
    yield from equations(graph.eqns, "  ")
    yield f"  return {', '.join(show(a) for a in graph.outputs)}"
    yield "}"
