"""What the transforms share: levels of the interpreter stack, and where a level's tape begins."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable
from typing import Any

from ..dispatch import Interpreter
from ..modes import thread
from ..tape import AccumulateGrad, Edge, Node, gradient_edge, refresh
from ..tensor import INFERENCE, Tensor, version_counter, wrap


class _Depth(threading.local):
    # Level 0 is that of `compile`, the lowest of all.
    value = 0


_depth = _Depth()


class LevelTracer:
    """What stands for an array in the tensors of a level: it holds tensors of the level below."""

    __slots__ = ("dtype", "interpreter", "shape")

    interpreter: Any
    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def contents(self) -> tuple[Tensor, ...]:
        """The tensors inside."""
        raise NotImplementedError


class Level(Interpreter):
    """An interpreter that is at work inside its ``with`` block only."""

    name: str

    def __init__(self) -> None:
        self.active = False

    def __enter__(self) -> Any:
        _depth.value += 1
        self.level = _depth.value
        self.active = True
        return self

    def __exit__(self, *exc: object) -> None:
        self.active = False
        _depth.value -= 1

    def owns(self, x: Any) -> bool:
        """Whether `x` is a tensor of this level."""
        return isinstance(x, Tensor) and getattr(x._data, "interpreter", None) is self

    def process(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if not self.active:
            raise RuntimeError(
                f"{op.name}: a tensor that was made inside {self.name} is used after {self.name} "
                "ended; return it from the transformed function instead of keeping it in a "
                "variable outside"
            )
        return self.apply(op, args, params)

    def apply(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """What :meth:`process` returns, while the level is active."""
        raise NotImplementedError


class TransformInput(Node):
    """Where the tape of one reverse-mode transform begins.

    It is no leaf: nothing is accumulated in a ``grad``. Its edge, if it has one, leads on to the
    tape of the caller, so that what the transform computes can be differentiated again.
    """

    __slots__ = ("active",)

    def __init__(self, edges: Iterable[Edge]) -> None:
        super().__init__(tuple(edges))
        self.active = True  # the function that it is an input of is still running

    def apply(self, grads: list[Tensor | None], mask: int) -> tuple[Tensor | None, ...]:
        return tuple(grads[: len(self.edges)])


def enter(x: Tensor, connect: bool = True) -> Tensor:
    """An alias of `x` at which a gradient can be asked for.

    Args:
        connect: lead gradients on to the history of `x`.

    Raises:
        RuntimeError: the dtype has no gradient.
    """
    if x._data.dtype.kind not in "fc":
        raise RuntimeError(
            "only Tensors of floating point and complex dtype can require gradients, got "
            f"{x.dtype}; convert it with .float() first"
        )
    if x._view is not None:
        refresh(x)
    t = wrap(x._data, True)
    t._node = TransformInput([gradient_edge(x)] if connect and x._requires_grad else [])
    if x._counter is not INFERENCE:
        t._counter = version_counter(x)
    return t


def reaches_outside(t: Tensor, own: Container[Node] = ()) -> bool:
    """Whether the history of `t` leads to a leaf or to the input of a transform still at work."""
    if not t._requires_grad:
        return False
    if t._node is None:
        return True
    seen = {t._node}
    stack: list[Node] = [t._node]
    while stack:
        node = stack.pop()
        if node.__class__ is AccumulateGrad:
            return True
        if isinstance(node, TransformInput) and node.active and node not in own:
            return True
        for edge in node.edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return False


def recorded_below(t: Tensor) -> bool:
    """Whether a level below, inside the tracer of `t`, records its history."""
    stack = [t]
    while stack:
        data = stack.pop()._data
        if isinstance(data, LevelTracer):
            for inner in data.contents():
                if inner._requires_grad:
                    return True
                stack.append(inner)
    return False


def leave(t: Tensor) -> Tensor:
    """A result as the caller sees it: without a history that leads nowhere."""
    if not t._requires_grad:
        return t
    if t._view is not None:
        refresh(t)
    if thread.modes.grad and not thread.modes.inference and reaches_outside(t):
        return t
    plain = wrap(t._data)
    plain._counter = t._counter
    return plain
