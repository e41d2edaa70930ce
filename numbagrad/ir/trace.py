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
    """Writes down every op it sees.

    Tensors that are not being traced (parameters that the function closes over, buffers) become
    inputs of the graph: :attr:`captures`. What the function does to them from outside the graph's
    view, changing them in place or their ``grad``, is undone at the end and reported.
    """

    def __init__(self, level: int = 0) -> None:
        self.level = level
        self.inputs: list[Var] = []
        self.eqns: list[Eqn] = []
        self.captures: dict[int, tuple[Tensor, Var]] = {}
        self.changed: dict[int, tuple[Tensor, Any]] = {}  # with the state before
        self.grads: dict[int, tuple[Tensor, Tensor | None]] = {}  # leaves, with their grad before

    def new_input(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        var = Var(shape, dtype)
        self.inputs.append(var)
        return wrap(TraceTracer(self, var))

    def atom(self, a: Any) -> Atom:
        """The variable of a tensor; one that is not traced is captured."""
        if not isinstance(a, Tensor):
            return a
        data = a._data
        if isinstance(data, TraceTracer):
            if data.interpreter is not self:
                raise RuntimeError(
                    "a tensor that was traced by one compiled function is used in another one "
                    "after its trace ended; return it from the function instead of keeping it"
                )
            return data.var
        # By the array: a tensor and what the tape saved of it are one and the same.
        found = self.captures.get(id(data))
        if found is None:
            found = self.captures[id(data)] = (a, Var(data.shape, data.dtype))
        return found[1]

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

    def change(self, t: Tensor) -> None:
        """A tensor is about to be changed in place."""
        if id(t) not in self.changed:
            self.atom(t)
            state = (t._data, t._node, t._nr, t._requires_grad)
            self.changed[id(t)] = (t, state)

    def change_grad(self, leaf: Tensor) -> None:
        """The ``grad`` of a leaf is about to be read or changed."""
        if id(leaf) not in self.grads:
            self.grads[id(leaf)] = (leaf, leaf._grad)

    def concrete_error(self, t: Tensor, what: str) -> Exception:
        return RuntimeError(
            f"{what} needs the values of a tensor that is being traced for compilation; only its "
            "shape and dtype are known. Use ng.where for choices between values, or do this "
            "outside of the compiled function"
        )


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
    consts = {var: t._data for t, var in tracing.captures.values()}
    return Graph(tuple(tracing.inputs), tuple(tracing.eqns), outputs, consts)
