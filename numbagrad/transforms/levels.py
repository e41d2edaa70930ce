"""What the transforms share: levels of the interpreter stack, and where a level's tape begins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..dispatch import Interpreter, bind, values_of, with_values
from ..modes import thread
from ..stack import at_user_line
from ..tape import AccumulateGrad, Edge, Node, gradient_edge
from ..tensor import INFERENCE, Tensor, version_counter, wrap
from ..views import refresh

_ndarray = np.ndarray


class _Active(threading.local):
    """The levels at work in a thread, the lowest first. Level 0 is that of `compile`."""

    def __init__(self) -> None:
        self.levels: list[Level] = []
        self.depth = 0  # the number of the highest level, those that `Level.below` hides included


_active = _Active()


class LevelTracer:
    """What stands for an array in the tensors of a level: it holds tensors of the level below."""

    __slots__ = ("dtype", "interpreter", "shape")

    interpreter: Any
    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """The values, where Python may see them; the error of the interpreter elsewhere."""
        t = self.interpreter.concrete(wrap(self), "an operation on the values")
        return np.array(t._data, dtype, copy=copy)

    def __getattr__(self, name: str) -> Any:
        # Ops whose result depends on values read them from arrays: nonzero, unique, ...
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__array__(), name)

    @property
    def strides(self) -> tuple[int, ...]:
        """Those of the array inside."""
        strides = self.contents()[0]._data.strides
        return strides[len(strides) - len(self.shape) :]

    def contents(self) -> tuple[Tensor, ...]:
        """The tensors inside."""
        raise NotImplementedError


class HeldTracer(LevelTracer):
    """A tensor of the level below that this level does nothing with.

    The input of a reverse-mode transform becomes one: its tape is that of this level, and must not
    be seen by the levels below.
    """

    __slots__ = ("value",)

    def __init__(self, interpreter: Level, value: Tensor) -> None:
        self.interpreter = interpreter
        self.value = value
        self.shape = value._data.shape
        self.dtype = value._data.dtype

    def contents(self) -> tuple[Tensor, ...]:
        return (self.value,)


class Level(Interpreter):
    """An interpreter that is at work inside its ``with`` block only."""

    name: str
    #: Takes custom Functions whose forward saves on its ctx.
    combined = False

    def __init__(self) -> None:
        self.active = False
        self._outer: Any = None  # where random numbers come from outside of the level
        #: Tensors from outside, or made inside, that were changed to tensors of this level.
        self._lifted: dict[int, tuple[Tensor, Any]] = {}

    def __enter__(self) -> Any:
        _active.levels.append(self)
        _active.depth += 1
        self.level = _active.depth
        self.active = True
        self._outer = thread.modes.batch
        return self

    def __exit__(self, *exc: object) -> None:
        for target, before in self._lifted.values():
            if self._knows(target):
                self._give_back(target, before)
        # With those above it that were not left, as when a dual level ends by an exception.
        above = _active.levels[_active.levels.index(self) :]
        for level in above:
            level.active = False
        del _active.levels[-len(above) :]
        _active.depth = self.level - 1

    def lift(self, target: Tensor, data: Any) -> None:
        self.follow(target, target._data)

    def follow(self, target: Tensor, before: Any) -> None:
        """At its end the level leaves the tensor to that below, in the memory it had before."""
        self._lifted.setdefault(id(target), (target, before))

    def _give_back(self, target: Tensor, before: Any) -> None:
        # What the function changed keeps the values; what the level knows of it ends here.
        inner = target._data.contents()[0]
        if before.__class__ is _ndarray and inner._data.__class__ is _ndarray:
            np.copyto(before, inner._data)
            target._data = before
        else:
            target._data = inner._data
        self.restore(target, inner)

    def restore(self, target: Tensor, inner: Tensor) -> None:
        """Give a tensor the history that it has on the level below."""
        target._node, target._nr = inner._node, inner._nr
        target._requires_grad = inner._requires_grad

    @contextmanager
    def below(self) -> Iterator[None]:
        """Inside, the running function is one of the level below."""
        levels, batch = _active.levels, thread.modes.batch
        _active.levels, thread.modes.batch = levels[: levels.index(self)], self._outer
        try:
            yield
        finally:
            _active.levels, thread.modes.batch = levels, batch

    def owns(self, x: Any) -> bool:
        """Whether `x` is a tensor that only this level understands."""
        if not isinstance(x, Tensor):
            return False
        data = x._data
        return getattr(data, "interpreter", None) is self and data.__class__ is not HeldTracer

    def released(self, x: Any) -> Any:
        """`x`, or what this level holds in it."""
        if isinstance(x, Tensor) and x._data.__class__ is HeldTracer:
            return x._data.value if x._data.interpreter is self else x
        return x

    def process(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if not self.active:
            raise self._ended(op.name)
        # `released` and `owns` in one loop: every op of a transformed function comes by here.
        below: list[Any] = []
        owned: list[bool] = []
        for a in args:
            own = False
            if isinstance(a, Tensor):
                data = a._data
                if data.__class__ is not _ndarray and data.interpreter is self:
                    if data.__class__ is HeldTracer:
                        a = data.value
                    else:
                        own = True
            below.append(a)
            owned.append(own)
        if True in owned:
            return self.apply(op, below, owned, params)
        out = bind(op, tuple(below), params)
        if out.__class__ is tuple:
            return tuple([HeldTracer(self, settled(o)) for o in out])
        return HeldTracer(self, settled(out))

    def _ended(self, what: str) -> RuntimeError:
        return RuntimeError(
            f"{what}: a tensor that was made inside {self.name} is used after {self.name} ended; "
            "return it from the transformed function instead of keeping it in a variable outside"
            f"{at_user_line()}"
        )

    def custom(self, rule: Any, leaves: list[Any]) -> list[Any]:
        """The results of a function with derivatives of its own (see `transforms.rules`)."""
        if not self.active:
            raise self._ended(rule.name)
        inner = list(map(self.released, leaves))
        mapped = any(map(self.owns, inner))
        with self.below():
            parts = self.apply_rule(rule, inner) if mapped else [(o,) for o in rule(inner)]
        if any(isinstance(t, Tensor) and self._knows(t) for part in parts for t in part):
            if rule.captures:
                return rule.run(leaves)
            raise RuntimeError(
                f"{rule.name} closes over a tensor that {self.name} follows, whose derivative "
                "would be lost: pass it as an argument"
            )
        join = self.joined if mapped else self._held
        return [join(*part) if isinstance(part[0], Tensor) else part[0] for part in parts]

    def _knows(self, t: Tensor) -> bool:
        return getattr(t._data, "interpreter", None) is self

    def _held(self, t: Tensor) -> Tensor:
        return wrap(HeldTracer(self, settled(t)))

    def concrete(self, t: Tensor, what: str) -> Tensor:
        if t._data.__class__ is HeldTracer:
            return t._data.value
        return super().concrete(t, what)

    def from_values(
        self, reader: Callable[..., Any], each: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if not self.active:
            raise self._ended(f"{reader.__name__}()")
        below = {k: self._below(a) for k, a in kwargs.items()}
        return reader(*map(self._below, args), **below)

    def _below(self, a: Any) -> Any:
        """The value of a tensor of this level on the level below; anything else as it is."""
        return a._data.contents()[0] if isinstance(a, Tensor) and self._knows(a) else a

    def values(self, t: Tensor) -> Any:
        return values_of(t._data.contents()[0])

    def text(self, t: Tensor) -> str | None:
        return None

    def constant(self, t: Tensor) -> Tensor:
        if t._data.__class__ is HeldTracer:
            return wrap(HeldTracer(self, t._data.value.detach()))
        return self.constant_of(t._data)

    def with_values(self, t: Tensor, values: Tensor) -> Any:
        data = values._data
        inner = with_values(self._below(t), data.contents()[0])
        if data.__class__ is HeldTracer:
            return HeldTracer(self, inner)
        return self.joined(inner, *(t._data.contents()[1:] if self.owns(t) else ()))._data

    def constant_of(self, data: Any) -> Tensor:
        """What :meth:`constant` returns for a tracer that only this level understands."""
        raise NotImplementedError

    def beside(self, like: Tensor, t: Tensor) -> Tensor:
        held = like._data.__class__ is HeldTracer
        value = like._data.contents()[0]
        if not held:
            t = self.spread(t)
        inner = value._data
        if isinstance(inner, LevelTracer):
            t = inner.interpreter.beside(value, t)
        return t if held else self.among(t)

    def apply(self, op: Any, args: list[Any], owned: list[bool], params: dict[str, Any]) -> Any:
        """What :meth:`process` returns, while the level is active and owns some arguments."""
        raise NotImplementedError

    def apply_rule(self, rule: Any, leaves: list[Any]) -> list[tuple[Any, ...]]:
        """What tensors of the level below each result is made of."""
        raise NotImplementedError

    def joined(self, *parts: Any) -> Tensor:
        """The tensor of this level that is made of these of the level below."""
        raise NotImplementedError

    def spread(self, t: Tensor) -> Tensor:
        """A constant of the level below as this level keeps it."""
        return t

    def among(self, t: Tensor) -> Tensor:
        """The tensor of this level for what :meth:`spread` returned."""
        return t


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """What a tensor inside a transform is outside of it: to look at, not to compute with.

    Args:
        recurse: through all transforms around, instead of the innermost one.

    >>> import numbagrad as ng
    >>> def f(x):
    ...     print(ng.func.debug_unwrap(x))
    ...     return x
    >>> _ = ng.func.vmap(f)(ng.ones(3))
    tensor([1., 1., 1.])
    """
    while isinstance(tensor._data, LevelTracer):
        tensor = tensor._data.contents()[0]
        if not recurse:
            break
    return tensor


class TransformInput(Node):
    """Where the tape of one reverse-mode transform begins.

    It is no leaf: nothing is accumulated in a ``grad``. Its edge, if it has one, leads on to the
    tape of the caller, so that what the transform computes can be differentiated again.
    """

    __slots__ = ("active",)

    is_input = True

    def __init__(self, edges: Iterable[Edge]) -> None:
        super().__init__(tuple(edges))
        self.active = True  # the function that it is an input of is still running

    def apply(self, grads: list[Tensor | None], mask: int) -> tuple[Tensor | None, ...]:
        return tuple(grads[: len(self.edges)])


def current() -> Level | None:
    """The level that the running function is at."""
    return _active.levels[-1] if _active.levels else None


def active_levels() -> Sequence[Level]:
    """The levels that the running function is inside of, the lowest first."""
    return _active.levels


def enter(x: Tensor, connect: bool = True, level: Level | None = None) -> Tensor:
    """An alias of `x` at which a gradient can be asked for.

    Args:
        connect: lead gradients on to the history of `x`.
        level: the level to whose tape the alias belongs.

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
    data = x._data
    if level is not None and getattr(data, "interpreter", None) is not level:
        data = HeldTracer(level, x)
    t = wrap(data, True)
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


def settled(t: Tensor) -> Tensor:
    """A result of the level below; a view made without recording counts as a constant."""
    return wrap(t._data) if t._requires_grad and t._node is None else t


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
