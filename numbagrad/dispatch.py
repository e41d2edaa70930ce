"""`bind`: the one function through which every op call passes.

It finds who is to evaluate the call (NumPy or a compiled kernel for plain arrays, otherwise the
interpreter of the highest level among the arguments' tracers), wraps the result in tensors, and
lets the tape record it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import numpy as np

from .modes import thread
from .tape import record
from .tensor import INFERENCE, Tensor, wrap
from .views import make_view, refresh

F = TypeVar("F", bound=Callable[..., Any])
_ndarray = np.ndarray
_new = object.__new__
NO_PARAMS: dict[str, Any] = {}


class Interpreter:
    """Evaluates ops on its own tracers. Levels nest: the highest level goes first."""

    level: int

    def process(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """The data (array or tracer) of the result, or a tuple of them."""
        raise NotImplementedError

    def stale(self, tensors: Iterable[Any]) -> bool:
        """Whether the tracers of this level that were found in `tensors` are there no more.

        A trace in another thread, which gives them back what they were, is waited for.
        """
        return False

    def reserve(self, generator: Any, blocks: int) -> tuple[Any, int]:
        """Where the random numbers of one call come from: a key, and the blocks to skip there."""
        return generator.take(blocks), 0

    def beside(self, like: Tensor, t: Tensor) -> Tensor:
        """A new constant `t` as it was asked for by ``like.new_zeros`` and the like."""
        return t

    def constant(self, t: Tensor) -> Tensor:
        """A tensor of this level without what derives from it: ``t.detach()``."""
        return t

    def with_values(self, t: Tensor, values: Tensor) -> Any:
        """The tracer of `values` with the derivative of `t`, see :func:`with_values`."""
        return values._data

    def differentiate(self, t: Tensor) -> None:
        """A tensor of this level is now a leaf that requires grad."""

    def laid_out(self, data: Any, like: Any) -> Any:
        """The tracer `data` as the content of a tensor whose memory is that of `like`."""
        return data

    def lift(self, target: Tensor, data: Any) -> None:
        """A tensor of a level below is about to get `data`, a tracer of this level."""

    def concrete(self, t: Tensor, what: str) -> Tensor:
        """The tensor whose values Python sees as those of `t`; an error if there is none."""
        raise self.concrete_error(t, what)

    def values(self, t: Tensor) -> np.ndarray[Any, Any] | None:
        """What :func:`values_of` returns for a tensor of this level."""
        return None

    def text(self, t: Tensor) -> str | None:
        """How `t` is printed; None: like the tensor whose values Python sees."""
        return f"tensor(<traced>, shape={tuple(t._data.shape)}, dtype={t.dtype})"

    def facts(self, t: Tensor) -> list[str]:
        """What is printed after these values."""
        return []

    def concrete_error(self, t: Tensor, what: str) -> Exception:
        """The error for `what`, which needs the values of `t`."""
        raise NotImplementedError

    def from_values(
        self, reader: Callable[..., Any], each: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """``reader(*args, **kwargs)``, of a function that :func:`reads_values`.

        Args:
            each: it may be called for one element of a batch after the other.
        """
        first = next(filter(_traced, (*args, *kwargs.values())))
        raise self.concrete_error(first, f"{reader.__name__}()")


def _traced(a: Any) -> bool:
    return isinstance(a, Tensor) and a._data.__class__ is not _ndarray


def reads_values(*, each: bool, name: str | None = None) -> Callable[[F], F]:
    """Decorator for a function whose result, even its shape, is made of the values of tensors.

    It is no op, for the result of an op has a shape that is known beforehand, and it has no
    derivative. Its tensors are arguments, not parts of lists.

    Args:
        each: `vmap` calls it for one element of the batch after the other; else it raises.
        name: what errors call it, if not by its own name.
    """

    def decorate(fn: F) -> F:
        @functools.wraps(fn)
        def reader(*args: Any, **kwargs: Any) -> Any:
            traced = [a for a in (*args, *kwargs.values()) if _traced(a)]
            if not traced:
                return fn(*args, **kwargs)
            highest = max((t._data.interpreter for t in traced), key=lambda i: i.level)
            return highest.from_values(reader, each, args, kwargs)

        reader.__name__ = name or fn.__name__
        return cast(F, reader)

    return decorate


def with_values(t: Tensor, values: Tensor) -> Tensor:
    """`t` after a change of its values that no transform follows."""
    data = values._data
    if data.__class__ is not _ndarray:
        data = data.interpreter.with_values(t, values)
    result = wrap(data, t._requires_grad)
    result._node, result._nr = t._node, t._nr
    return result


def values_of(t: Tensor) -> np.ndarray[Any, Any] | None:
    """All numbers in a tensor, behind dimensions for the batches it has; None if not known.

    For what holds for each element: whether indices are in range, or something is zero.
    """
    data = t._data
    return data if data.__class__ is _ndarray else data.interpreter.values(t)


def bind(op: Any, args: tuple[Any, ...], params: dict[str, Any] = NO_PARAMS) -> Any:
    """Evaluate ``op(*args, **params)`` and record it if a gradient is wanted.

    `args` are tensors and Python numbers; everything else the op needs is in `params`.
    """
    modes = thread.modes
    interpreter = modes.trace
    if len(args) == 1:
        (a,) = args
        if a._view is not None:
            refresh(a)
        d = a._data
        if d.__class__ is not _ndarray and (
            interpreter is None or d.interpreter.level > interpreter.level
        ):
            interpreter = d.interpreter
        requires_grad = a._requires_grad
        data: Any = (d,)
    else:
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
    if interpreter is not None:
        if interpreter.stale(args):
            return bind(op, args, params)
        out = interpreter.process(op, args, params)
    else:
        try:
            if params:
                out = modes.quietly(op.evaluate, *data, **params)
            else:
                out = modes.quietly(op.evaluate, *data)
        except ValueError:
            op.abstract(*data, **params)  # names what NumPy only hints at
            raise
    if out.__class__ is tuple:
        result: Any = tuple([wrap(o) for o in out])
    else:
        result = _new(Tensor)  # `wrap` spelled out: this is the hot path
        result._data = out
        result._requires_grad = False
        result._node = None
        result._nr = 0
        result._grad = None
        result._counter = None
        result._view = None
        result._extras = None
    if op.view:
        make_view(result, args[0], op, params)
    elif modes.inference:
        for t in result if result.__class__ is tuple else (result,):
            t._counter = INFERENCE
    if requires_grad and modes.grad and not modes.inference and op.rules is not None:
        record(modes, op, args, params, result)
    return result
