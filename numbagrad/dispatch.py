"""`bind`: the one function through which every op call passes.

It finds who is to evaluate the call (NumPy or a compiled kernel for plain arrays, otherwise the
interpreter of the highest level among the arguments' tracers), wraps the result in tensors, and
lets the tape record it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .modes import state
from .tape import make_view, record, refresh
from .tensor import INFERENCE, Tensor, wrap

_ndarray = np.ndarray
NO_PARAMS: dict[str, Any] = {}


class Interpreter:
    """Evaluates ops on its own tracers. Levels nest: the highest level goes first."""

    level: int

    def process(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """The data (array or tracer) of the result, or a tuple of them."""
        raise NotImplementedError


def bind(op: Any, args: tuple[Any, ...], params: dict[str, Any] = NO_PARAMS) -> Any:
    """Evaluate ``op(*args, **params)`` and record it if a gradient is wanted.

    `args` are tensors and Python numbers; everything else the op needs is in `params`.
    """
    s = state
    interpreter = s.trace
    requires_grad = False
    data = []
    for a in args:
        if isinstance(a, Tensor):
            if a._view is not None:
                refresh(a)
            d = a._data
            if d.__class__ is not _ndarray and (
                interpreter is None or d.interpreter.level > interpreter.level
            ):
                interpreter = d.interpreter
            if a._requires_grad:
                requires_grad = True
            data.append(d)
        else:
            data.append(a)
    if interpreter is None:
        out = s.quietly(op.evaluate, *data, **params)
    else:
        out = interpreter.process(op, args, params)
    if out.__class__ is tuple:
        outs = tuple([wrap(o) for o in out])
        result = outs
    else:
        result = wrap(out)
        outs = (result,)
    if op.view:
        make_view(result, args[0], op, params)
    elif s.inference:
        for t in outs:
            t._counter = INFERENCE
    if requires_grad and s.grad and not s.inference and op.rules is not None:
        record(op, args, params, outs)
    return result
