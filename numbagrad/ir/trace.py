"""Tracing: running Python code on tracers to obtain its Graph."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..dispatch import Interpreter
from ..modes import changing, thread
from ..stack import NUMPY, at_user_line
from ..tape import Edge, Node, Trail, Watch, gradient_edge, input_shapes
from ..tensor import Tensor, wrap
from .graph import Atom, Eqn, Graph, Shape, Strides, Var, dense


class _State(NamedTuple):
    """What a tensor was before the traced function changed it."""

    data: Any
    node: Any
    nr: int
    requires_grad: bool
    view_version: int
    version: int


class GradientStep(NamedTuple):
    """A node of the tape that ran backward inside of a trace."""

    at: int  # the number of equations when it had run
    name: str
    trail: Trail | None
    shapes: list[Any]  # of the inputs of its forward op
    given: tuple[Var | None, ...]  # the gradients of its outputs
    found: tuple[Var | None, ...]  # and of its inputs
    #: The traced function itself switched anomaly mode, to `anomaly`.
    switched: bool
    anomaly: Any


class TraceTracer:
    """Stands for a variable of the graph that is being traced.

    `loose` are its strides in eager mode if it would not be contiguous there, else None.
    """

    __slots__ = ("dtype", "interpreter", "loose", "shape", "var")

    def __init__(self, interpreter: Trace, var: Var, loose: Strides | None = None) -> None:
        self.interpreter = interpreter
        self.var = var
        self.shape = var.shape
        self.dtype = var.dtype
        self.loose = loose

    @property
    def strides(self) -> Strides:
        """Those that the array would have in eager mode."""
        return self.loose or dense(self.shape, self.dtype.itemsize)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getattr__(self, name: str) -> Any:
        """What only an array has: some function needs the values."""
        if name.startswith("__") and name not in ("__array__", "__array_interface__"):
            raise AttributeError(name)
        caller = sys._getframe(1)
        while caller.f_back is not None and (
            caller.f_code.co_filename in (__file__, "<string>")
            or caller.f_code.co_filename.startswith(NUMPY)
        ):
            caller = caller.f_back
        raise self.interpreter.concrete_error(wrap(self), f"{caller.f_code.co_name}()")


def _no_values(name: str) -> Callable[..., Any]:
    def method(self: TraceTracer, *_: Any) -> Any:
        return TraceTracer.__getattr__(self, "values")

    method.__name__ = name
    return method


# NumPy's operators, which functions that need values apply to them.
for _name in ("lt", "le", "gt", "ge", "add", "sub", "mul", "invert", "bool", "iter", "len",
              "getitem", "int", "index", "float"):  # fmt: skip
    setattr(TraceTracer, f"__{_name}__", _no_values(f"__{_name}__"))


class _Size:
    """How many entries a container has, read like one of them."""

    def __init__(self, container: Sized) -> None:
        self.container = container

    def get(self, key: str) -> int:
        return len(self.container)


class _Items:
    """Whether dictionaries hold what they held, read like an entry: looked at when `changes`, which
    counts those of all such dictionaries, says that one of them was changed."""

    def __init__(self, changes: list[int]) -> None:
        self.changes = changes
        self.count = changes[0]
        self.items: dict[int, tuple[dict[Any, Any], list[Any]]] = {}

    def add(self, dictionary: dict[Any, Any]) -> None:
        if id(dictionary) not in self.items:
            self.items[id(dictionary)] = dictionary, list(dictionary.items())

    def get(self, key: str) -> bool:
        count = self.changes[0]
        if count == self.count:
            return True
        if any(list(d.items()) != items for d, items in self.items.values()):
            return False
        self.count = count
        return True


class _Stream:
    """The random numbers of one generator in a trace: where the next ones come from."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.first: Any = None  # the key that is read at each call
        self.key: Any = None  # `first`, or a constant if the function seeds
        self.position = 0
        self.states: list[tuple[Tensor, Any, int]] = []  # with what they stand for

    def begin(self) -> Any:
        """The key at the time of a call, which leaves the generator where the function does."""
        if self.key is self.first:
            return self.generator.take(self.position)._data
        key = self.generator.take(0)._data
        self.generator.move_to(self.key._data, self.position)
        return key


class Trace(Interpreter, Watch):
    """Writes down every op it sees.

    Tensors that are not being traced (parameters that the function closes over, buffers) become
    inputs of the graph: :attr:`captures`. What the function does to them from outside the graph's
    view, changing them in place or their ``grad``, is undone by :meth:`close` and reported.
    """

    def __init__(self, level: int = 0) -> None:
        self.level = level
        self.inputs: list[Var] = []
        self.eqns: list[Eqn] = []
        self.captures: dict[int, tuple[Tensor, Var]] = {}
        self.changed: dict[int, tuple[Tensor, _State]] = {}  # with the state before
        self.grads: dict[int, tuple[Tensor, Tensor | None]] = {}  # leaves, with their grad before
        self.given: set[int] = set()  # the tensors that stand for arguments, by id
        #: Inputs whose values a function gives at each call.
        self.reads: list[tuple[Callable[[], Any], Var]] = []
        #: What else the trace depends on: ``dictionary[key]`` was `value`.
        self.guards: list[tuple[Any, Any, Any]] = []
        #: Set if the function made state that it keeps: its next call may do something else.
        self.once = False
        self._guarded: set[Any] = set()
        self._items: dict[int, _Items] = {}
        self._made: dict[int, tuple[Tensor, Any]] = {}  # with the array it began with
        self._streams: dict[int, _Stream] = {}
        #: For anomaly mode: what ran backward, in order.
        self.gradients: list[GradientStep] = []
        self._running: list[Node] = []
        self._anomaly = thread.modes.anomaly
        self._modes = thread.modes
        self._open = True
        self._replayed: Iterator[Tensor] | None = None

    def new_input(self, shape: Shape, dtype: np.dtype[Any], like: Any = None) -> Tensor:
        """One more input, laid out as the array `like`."""
        var = Var(shape, dtype)
        self.inputs.append(var)
        return wrap(TraceTracer(self, var, None if like is None else _loose(like)))

    def atom(self, a: Any) -> Atom:
        """The variable of a tensor; one that is not traced is captured."""
        if not isinstance(a, Tensor):
            return a
        data = a._data
        if isinstance(data, TraceTracer):
            if data.interpreter is not self:
                raise data.interpreter.concrete_error(a, "this")
            return data.var
        # By the array: a tensor and what the tape saved of it are one and the same.
        found = self.captures.get(id(data))
        if found is None:
            found = self.captures[id(data)] = (a, Var(data.shape, data.dtype))
        return found[1]

    def stale(self, tensors: Iterable[Any]) -> bool:
        found = [t for t in tensors if isinstance(t, Tensor)]
        if self._open:
            if thread.modes is self._modes or all(id(t) not in self.changed for t in found):
                return False  # else by a thread that the traced function itself started
            with changing:
                pass
        return not any(getattr(t._data, "interpreter", None) is self for t in found)

    def concrete(self, t: Tensor, what: str) -> Tensor:
        return t if self.stale((t,)) else super().concrete(t, what)

    def process(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if not self._open:
            raise self.concrete_error(args[0], op.name)
        inputs = tuple(self.atom(a) for a in args)
        avals = op.abstract(*inputs, **params)
        if avals.__class__ is list:
            outputs = tuple(Var(*aval) for aval in avals)
            self.eqns.append(Eqn(op, inputs, params, outputs))
            return tuple(TraceTracer(self, v) for v in outputs)
        if op.view:
            loose = _loose(op.evaluate(_ghost(args[0]._data), **params))
            out = Var(*avals)
        else:
            loose = _kept_layout(args, avals[1]) if op.keeps_layout else None
            out = Var(avals[0], avals[1], loose)
        self.eqns.append(Eqn(op, inputs, params, (out,)))
        return TraceTracer(self, out, loose)

    def laid_out(self, data: Any, like: Any) -> Any:
        loose = _loose(like)
        return data if data.loose == loose else TraceTracer(self, data.var, loose)

    def recorded(self, node: Node) -> None:
        if node.stack is None:
            node.stack = Trail.here(self._running)

    def watching(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def watched(node: Node, grads: list[Tensor | None], *rest: Any) -> Any:
            shapes = input_shapes(node, grads)
            given = tuple(map(self._variable, grads))
            self._running.append(node)
            try:
                outputs = run(node, grads, *rest)
            finally:
                self._running.pop()
            found = tuple(map(self._variable, outputs))
            if any(found):
                anomaly = thread.modes.anomaly
                self.gradients.append(
                    GradientStep(
                        len(self.eqns), node.name(), node.stack, shapes, given, found,
                        anomaly is not self._anomaly, anomaly,
                    )
                )  # fmt: skip
            return outputs

        return watched

    def _variable(self, t: Tensor | None) -> Var | None:
        """What stands for a tensor in the graph, also under transforms inside of the trace."""
        while t is not None:
            data: Any = t._data
            if isinstance(data, TraceTracer):
                return data.var if data.interpreter is self else None
            t = None if isinstance(data, np.ndarray) else data.contents()[0]
        return None

    def change(self, t: Tensor) -> None:
        """A tensor outside of the trace is about to be changed in place."""
        if id(t) in self.changed or id(t) in self._made:
            return
        self.atom(t)
        version = t._view.version if t._view is not None else 0
        count = t._counter[0] if t._counter else 0
        state = _State(t._data, t._node, t._nr, t._requires_grad, version, count)
        self.changed[id(t)] = (t, state)

    def adopt(self, t: Tensor) -> None:
        """From now on the trace follows this tensor, whose views are about to be changed."""
        self.change(t)
        t._data = TraceTracer(self, self.atom(t), _loose(t._data))  # type: ignore[arg-type]

    def check_reshape(self, t: Tensor, name: str) -> None:
        """Refuse a change of shape, in place, of a tensor that exists outside of the trace."""
        if id(t) in self.given or (t._data.__class__ is np.ndarray and not self.is_made(t)):
            raise RuntimeError(
                f"{name}() changes the shape of a tensor that exists outside of the compiled "
                f"function, which a call cannot repeat: use {name[:-1]}(), or call it outside"
                f"{at_user_line()}"
            )

    def before(self, t: Tensor) -> Any:
        """The array of a tensor before the function changed it."""
        changed = self.changed.get(id(t))
        return t._data if changed is None else changed[1].data

    def required_grad(self, t: Tensor) -> bool:
        """Whether a tensor required grad before the function changed it."""
        changed = self.changed.get(id(t))
        return t._requires_grad if changed is None else changed[1].requires_grad

    def edge_before(self, t: Tensor) -> Edge:
        """Where the gradient of a tensor went before the function changed it."""
        changed = self.changed.get(id(t))
        node, nr = (t._node, t._nr) if changed is None else (changed[1].node, changed[1].nr)
        return gradient_edge(t) if node is None else (node, nr)

    def made(self, t: Tensor) -> None:
        """A tensor of constant values is made inside: each call begins with a fresh one."""
        self._made[id(t)] = (t, t._data)

    def is_made(self, t: Tensor) -> bool:
        return id(t) in self._made

    def first(self, t: Tensor) -> Any:
        """The array that a tensor made inside began with."""
        return self._made[id(t)][1]

    def keep(self, t: Tensor) -> None:
        """A tensor made inside is state that outlives the call."""
        made = self._made.pop(id(t), None)
        if made is None:
            return
        self.once = True
        if t._data is not made[1]:
            self.changed[id(t)] = (t, _State(made[1], None, 0, t._requires_grad, 0, 0))

    def read(self, value: Callable[[], Any], shape: tuple[int, ...], dtype: Any) -> Tensor:
        """A tensor whose array `value` gives at each call."""
        if self._replayed is not None:
            return next(self._replayed)
        var = Var(shape, np.dtype(dtype))
        self.reads.append((value, var))
        return wrap(TraceTracer(self, var))

    # -- random numbers ---------------------------------------------------------------------

    def reserve(self, generator: Any, blocks: int) -> tuple[Any, int]:
        stream = self._stream(generator)
        skip = stream.position
        stream.position += blocks
        return stream.key, skip

    @property
    def draws(self) -> bool:
        """Whether the function took random numbers from outside."""
        return bool(self._streams)

    def _stream(self, generator: Any) -> _Stream:
        stream = self._streams.get(id(generator))
        if stream is None:
            stream = self._streams[id(generator)] = _Stream(generator)
            stream.key = stream.first = self.read(stream.begin, (2,), np.int64)
        return stream

    def random_place(self, generator: Any) -> tuple[Any, int]:
        """Where the next random numbers come from: a key, and how many blocks behind it."""
        stream = self._stream(generator)
        return stream.key, stream.position

    def remember_state(self, generator: Any, state: Tensor) -> None:
        """The function may bring the generator back to this state."""
        stream = self._stream(generator)
        stream.states.append((state, stream.key, stream.position))

    def set_random_state(self, generator: Any, state: Tensor) -> None:
        """What ``generator.set_state(state)`` does inside of the trace."""
        stream = self._stream(generator)
        for known in self._streams.values():
            for token, key, position in known.states:
                if token is state and (known is stream or key is not known.first):
                    stream.key, stream.position = key, position
                    return
        raise RuntimeError(
            "a compiled function can bring a generator back only to a state that it asked for "
            f"itself, by get_rng_state(); set this one before the call{at_user_line()}"
        )

    def reseed(self, generator: Any, key: Any) -> None:
        """From here on the generator gives the stream of a key that is known now."""
        stream = self._stream(generator)
        stream.key, stream.position = wrap(key), 0

    @contextmanager
    def replaying(self, keys: list[Tensor]) -> Iterator[None]:
        """Inside, what :meth:`read` returned in an earlier trace comes from these tensors."""
        self._replayed = iter(keys)
        try:
            yield
        finally:
            self._replayed = None

    def guard(self, dictionary: dict[Any, Any], key: Any) -> None:
        """The trace holds as long as this entry of a dictionary is what it is now."""
        if (id(dictionary), key) not in self._guarded:
            self._guarded.add((id(dictionary), key))
            self.guards.append((dictionary, key, dictionary.get(key)))

    def guard_size(self, container: Sized) -> None:
        """The trace holds as long as a container has as many entries as it has now."""
        if (id(container), None) not in self._guarded:
            self._guarded.add((id(container), None))
            self.guards.append((_Size(container), "the number of entries", len(container)))

    def guard_items(self, dictionary: dict[Any, Any], changes: list[int], what: str) -> None:
        """The trace holds as long as a dictionary has the items that it has now.

        `changes` has counted one more whenever this or another dictionary of its kind was changed:
        all of them together cost one look at each call.
        """
        if id(changes) not in self._items:
            self._items[id(changes)] = _Items(changes)
            self.guards.append((self._items[id(changes)], what, True))
        self._items[id(changes)].add(dictionary)

    def close(self) -> None:
        """End the trace: give all tensors outside of it back what they were."""
        self._open = False
        for t, state in reversed(self.changed.values()):  # the first change knows the version
            t._data, t._node, t._nr, t._requires_grad = state[:4]
            if t._view is not None:
                t._view.version = state.view_version
            if t._counter:
                t._counter[0] = state.version
        for leaf, before in self.grads.values():
            leaf._grad = before

    def change_grad(self, leaf: Tensor) -> None:
        """The ``grad`` of a leaf is about to be read or changed."""
        if id(leaf) not in self.grads:
            self.grads[id(leaf)] = (leaf, leaf._grad)

    def concrete_error(self, t: Tensor, what: str) -> Exception:
        if not self._open:
            return RuntimeError(
                f"{what} reads a tensor that was kept from inside a compiled function: it stands "
                "for a value in the program and holds none itself. Return the tensor from the "
                f"function instead{at_user_line()}"
            )
        return RuntimeError(
            f"{what} needs the values of a tensor that is being traced for compilation; only its "
            "shape and dtype are known. Use ng.where for choices between values, or do this "
            f"outside of the compiled function{at_user_line()}"
        )


# -- strides --------------------------------------------------------------------------------------


def _loose(data: Any) -> Strides | None:
    """The strides of an array or tracer that is not contiguous, else None."""
    if data.__class__ is TraceTracer:
        return data.loose
    return None if data.flags.c_contiguous else data.strides


def _ghost(data: Any) -> Any:
    """An array of the same layout with no memory behind it."""
    return as_strided(np.empty(0, data.dtype), data.shape, data.strides)


def _kept_layout(args: Sequence[Any], d: np.dtype[Any]) -> Strides | None:
    """The strides that NumPy gives to the result of an elementwise function, None if contiguous."""
    arrays = [a._data for a in args if isinstance(a, Tensor)]
    if all(_loose(d) is None for d in arrays):
        return None
    flags: Any = [["readonly"]] * len(arrays) + [["writeonly", "allocate"]]
    types = [None] * len(arrays) + [d]
    ghosts = [_ghost(d) for d in arrays]
    nest = np.nditer([*ghosts, None], ["zerosize_ok"], flags, types, order="K")
    result = nest.operands[-1]
    return None if result.flags.c_contiguous else result.strides


def trace(fn: Callable[..., Any], avals: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> Graph:
    """The graph of ``fn(*tensors)``, which returns tensors, for these shapes and dtypes."""
    tracing = Trace()
    modes = thread.modes
    previous = modes.trace, modes.grad, modes.watches
    modes.trace, modes.grad, modes.watches = tracing, False, (tracing,)
    try:
        result = fn(*[tracing.new_input(*a) for a in avals])
        results = [result] if isinstance(result, Tensor) else list(result)
        outputs = tuple(tracing.atom(r) for r in results)
    finally:
        modes.trace, modes.grad, modes.watches = previous
    consts = {var: t._data for t, var in tracing.captures.values()}
    return Graph(tuple(tracing.inputs), tuple(tracing.eqns), outputs, consts)
