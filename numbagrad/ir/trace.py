"""Tracing: running Python code on tracers to obtain its Graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dispatch import Interpreter
from ..modes import thread
from ..tensor import Tensor, wrap
from .graph import Atom, Eqn, Graph, Var


class TraceTracer:
    """Stands for a variable of the graph that is being traced."""

    __slots__ = ("interpreter", "var", "shape", "dtype")

    def __init__(self, interpreter: Trace, var: Var) -> None:
        self.interpreter = interpreter
        self.var = var
        self.shape = var.shape
        self.dtype = var.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Trace(Interpreter):
    """Writes down every op it sees."""

    def __init__(self, level: int = 0) -> None:
        self.level = level
        self.inputs: list[Var] = []
        self.eqns: list[Eqn] = []
        self.consts: dict[Var, np.ndarray[Any, Any]] = {}
        self._const_vars: dict[int, Var] = {}

    def new_input(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        var = Var(shape, dtype)
        self.inputs.append(var)
        return wrap(TraceTracer(self, var))

    def atom(self, a: Any) -> Atom:
        """The variable of a tensor; an array that is no tracer becomes a constant."""
        if not isinstance(a, Tensor):
            return a
        data = a._data
        if isinstance(data, TraceTracer) and data.interpreter is self:
            return data.var
        var = self._const_vars.get(id(data))
        if var is None:
            var = Var(data.shape, data.dtype)
            self._const_vars[id(data)] = var
            self.consts[var] = data
        return var

    def process(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        inputs = tuple(self.atom(a) for a in args)
        avals = op.abstract(*inputs, **params)
        if avals.__class__ is list:
            outputs = tuple(Var(*aval) for aval in avals)
            self.eqns.append(Eqn(op, inputs, params, outputs))
            return tuple(TraceTracer(self, v) for v in outputs)
        out = Var(*avals)
        self.eqns.append(Eqn(op, inputs, params, (out,)))
        return TraceTracer(self, out)


def trace(
    fn: Callable[..., Any], avals: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]
) -> Graph:
    """The graph of ``fn(*tensors) -> tensor or sequence of tensors`` for these shapes and dtypes."""
    tracing = Trace()
    previous = thread.modes.trace, thread.modes.grad
    thread.modes.trace, thread.modes.grad = tracing, False
    try:
        result = fn(*[tracing.new_input(*a) for a in avals])
        results = [result] if isinstance(result, Tensor) else list(result)
        outputs = tuple(tracing.atom(r) for r in results)
    finally:
        thread.modes.trace, thread.modes.grad = previous
    return Graph(tuple(tracing.inputs), tuple(tracing.eqns), outputs, tracing.consts)
