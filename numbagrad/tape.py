"""The reverse-mode tape: nodes, what they save, and who watches them.

A :class:`Node` is one recorded op call. It holds the edges to the nodes of its inputs, the values
its derivative rules read, and nothing that refers back to its own outputs: a graph has no cycles
and dies with its last reference.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .errors import GraphFreedError, ModifiedError
from .modes import Modes, changing, thread
from .stack import Stack
from .tensor import (
    INFERENCE,
    Shape,
    Tensor,
    creating,
    extras,
    last_change,
    wrap,
)

next_sequence = itertools.count().__next__
_ndarray = np.ndarray
_new = object.__new__
NOTHING: list[Any] = []  # what a node has saved that saves nothing; never changed

Edge = tuple["Node", int]
Meta = tuple[Shape, np.dtype[Any]]


class Hooks:
    """The callables registered on one node, in order of registration."""

    __slots__ = ("post", "pre", "retain", "tensor_pre")

    def __init__(self) -> None:
        self.tensor_pre: dict[int, dict[int, Callable[..., Any]]] = {}
        self.retain: dict[int, weakref.ref[Tensor]] = {}
        self.pre: dict[int, Callable[..., Any]] = {}
        self.post: dict[int, Callable[..., Any]] = {}


class RemovableHandle:
    """Removes the hook it came with: ``handle.remove()``, or at the end of a ``with`` block."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], fn: Callable[..., Any]) -> None:
        self._hooks: weakref.ref[Any] | dict[int, Any] = hooks
        self.id = next_sequence()
        hooks[self.id] = fn

    def remove(self) -> None:
        self._hooks.pop(self.id, None)  # type: ignore[union-attr]

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Trail(NamedTuple):
    """Where an op was called, and by which node's backward if it was part of a backward pass."""

    stack: Stack
    parent: tuple[str, Trail | None] | None  # its name and trail

    @classmethod
    def here(cls, running: list[Node]) -> Trail:
        """The trail of an op that is called now, inside of the last node of `running`."""
        return cls(Stack.here(), (running[-1].name(), running[-1].stack) if running else None)


class Node:
    """One step on the tape."""

    __slots__ = ("__dict__", "__weakref__", "edges", "hooks", "n_outputs", "order", "stack")

    edges: Sequence[Edge | None]
    order: int  # the engine runs the ready node of lowest order: the latest recorded
    hooks: Hooks | None
    stack: Trail | None  # where the forward op was called, if somebody watched
    n_outputs: int  # how many gradients `apply` takes
    private_grads = False  # `apply` returns new tensors that it shows to nobody else
    is_input = False  # what it computes is the caller's tensor, which may not be changed in place
    runs_anyway = False  # `apply` wants to be called even if no gradient arrived

    def __init__(self, edges: Sequence[Edge | None]) -> None:
        self.edges = edges
        self.order = -next_sequence()
        self.hooks = None
        self.stack = None
        self.n_outputs = 1

    def apply(self, grads: list[Tensor | None], mask: int) -> tuple[Tensor | None, ...]:
        """The gradients of the inputs, given those of the outputs.

        Bit i of `mask` says whether anybody waits for the gradient of input i.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Drop the saved values: the node cannot be applied again."""

    def name(self) -> str:
        return type(self).__name__

    def _sequence_nr(self) -> int:
        return -self.order

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes of the inputs and the number of the output that each input was."""
        return tuple((None, 0) if e is None else e for e in self.edges)

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for the user's own notes."""
        return self.__dict__

    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call ``fn(grad_inputs, grad_outputs)`` after the node ran; it may replace the former."""
        return RemovableHandle(node_hooks(self).post, fn)

    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call ``fn(grad_outputs)`` before the node runs; it may replace them."""
        return RemovableHandle(node_hooks(self).pre, fn)


def node_hooks(node: Node) -> Hooks:
    """The hooks of a node, made at first use."""
    if node.hooks is None:
        with creating:
            if node.hooks is None:
                node.hooks = Hooks()
    return node.hooks


def freed_error(name: str) -> GraphFreedError:
    """The node of this name ran before and has dropped what it had saved."""
    return GraphFreedError(
        "Trying to backward through the graph a second time (or directly access saved "
        "tensors after they have already been freed). Saved intermediate values of the "
        "graph are freed when you call .backward() or autograd.grad(). Specify "
        "retain_graph=True if you need to backward through the graph a second time or "
        f"if you need to access saved tensors after calling backward. (at {name})"
    )


def modified_error(
    node: Node, data: Any, edge: Edge | None, counter: list[Any], then: int
) -> ModifiedError:
    """`data`, which `node` saved when its `counter` said `then`, was changed in place since."""
    if edge is None or isinstance(edge[0], AccumulateGrad):
        source = "a leaf"
    else:
        source = f"which is output {edge[1]} of {edge[0].name()}"
    if node.stack is not None:
        saved = f"It was saved by {node.name()} at {node.stack.stack.line}."
    else:
        saved = (
            f"It was saved by {node.name()}; run the forward pass in anomaly mode, with "
            "ng.autograd.set_detect_anomaly(True), to see at which line."
        )
    return ModifiedError(
        "one of the variables needed for gradient computation has been modified by an "
        f"inplace operation: [numbagrad.{data.dtype.name} {list(data.shape)}], {source}, is at "
        f"version {counter[0]}; expected version {then} instead. {saved}"
        f"{last_change(counter)} Hint: change a clone(), or use the out-of-place form."
    )


class AccumulateGrad(Node):
    """The end of the tape: adds what arrives to the ``grad`` of a leaf."""

    __slots__ = ("variable",)

    runs_anyway = True  # for the hooks of the leaf

    def __init__(self, variable: Tensor) -> None:
        super().__init__(())
        self.order -= 1 << 62  # before everything else, to free gradients early
        self.variable = variable


class OpNode(Node):
    """A recorded call of an op; each op has a subclass named after it, as in PyTorch.

    Saved values are kept without their tensors, as PyTorch does: an output saved as a tensor would
    refer back to this node, and a tensor's history may be changed later by an in-place op.
    """

    __slots__ = ("counters", "mask", "metas", "out_metas", "params", "saved", "versions")

    op: Any  # of the class
    params: dict[str, Any]
    mask: int  # bit i: input i wants a gradient
    metas: list[Meta | None] | None  # of each tensor input; None if all are like the output
    out_metas: list[Meta] | None  # None for a single output
    saved: list[Any] | None  # arrays, tracers, numbers; None after they were freed
    counters: list[list[Any] | None]  # the version counter of each saved tensor
    versions: list[int] | None  # the versions at that time; None if all were 0

    def release(self) -> None:
        if self.saved:  # a node that saves nothing can run again
            self.saved = None

    def saved_data(self) -> list[Any]:
        """The saved arrays, tracers and numbers, checked against later changes."""
        saved = self.saved
        if saved is None:
            raise freed_error(self.name())
        versions = self.versions
        for i, counter in enumerate(self.counters):
            then = versions[i] if versions else 0
            if counter and counter[0] != then:
                with changing:  # a trace in another thread takes its changes back
                    if counter[0] != then:
                        raise self._modified(i, counter, then)
        return saved

    def saved_tensors(self) -> list[Any]:
        """The saved values as tensors with their history (or Python numbers)."""
        values: list[Any] = []
        residuals = self.op.residuals(self.mask)
        for (is_output, i), data, counter in zip(residuals, self.saved_data(), self.counters):
            if counter is None:
                values.append(data.tensor(self) if data.__class__ is Packed else data)
                continue
            edge = (self, i) if is_output else self.edges[i]
            if edge is not None and edge[0].__class__ is AccumulateGrad:
                values.append(edge[0].variable)  # type: ignore[attr-defined]
                continue
            t = wrap(data, edge is not None)
            t._counter = counter
            if edge is not None:
                t._node, t._nr = edge
            values.append(t)
        return values

    def __getattr__(self, name: str) -> Any:
        """``_saved_self``, ``_saved_other``, ``_saved_result``: for the curious.

        Only what our rule of the op reads is there, under PyTorch's names of the operands.
        """
        if name.startswith("_saved_"):
            residuals = self.op.residuals(self.mask)
            wanted = (True, 0) if name == "_saved_result" else (False, self._operand(name[7:]))
            if wanted in residuals:
                return self.saved_tensors()[residuals.index(wanted)]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _operand(self, name: str) -> int:
        names = self.op.inputs
        if name in names:
            return names.index(name)
        return {"self": 0, "other": 1}.get(name, -1)

    def _modified(self, which: int, counter: list[Any], then: int) -> ModifiedError:
        is_output, i = self.op.residuals(self.mask)[which]
        edge = (self, i) if is_output else self.edges[i]
        return modified_error(self, (self.saved or [])[which], edge, counter, then)

    def apply(self, grads: list[Tensor | None], mask: int) -> tuple[Tensor | None, ...]:
        return self.op.backward(self, grads, mask & self.mask)


def input_shapes(node: Node, grads: Sequence[Any]) -> list[Shape | None]:
    """The shapes of the inputs of the op that `node` recorded, as far as it knows them."""
    if not isinstance(node, OpNode):
        return [None for _ in node.edges]
    if node.metas is None:  # all are like the output
        return [None if grads[0] is None else tuple(grads[0].shape) for _ in node.edges]
    return [None if meta is None else meta[0] for meta in node.metas]


class Packed:
    """A saved tensor in the form that the hooks of ``saved_tensors_hooks`` gave it."""

    __slots__ = ("edge", "own", "unpack", "value")

    def __init__(self, hooks: Any, t: Tensor, edge: Edge | None, own: int | None) -> None:
        """`edge`: where the gradient of `t` goes; `own`: which output of its own node it is."""
        pack, self.unpack = hooks
        self.edge = edge
        self.own = own
        version = t._counter[0] if t._counter else 0
        modes = thread.modes
        grad, modes.grad = modes.grad, False
        try:
            self.value = pack(t)
        finally:
            modes.grad = grad
        if t._counter and t._counter[0] != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as "
                "input to pack hook can not be modified by in-place operations as this can lead "
                "to unexpected side-effects. Change a clone() in the hook."
            )

    def tensor(self, node: Node | None) -> Tensor:
        """What the unpack hook gives back, with the history of the tensor that was packed."""
        value = self.unpack(self.value)
        if not isinstance(value, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                f"type {type(value).__name__}"
            )
        edge = self.edge
        if self.own is not None and node is not None:
            edge = (node, self.own)
        if edge is None:
            return value
        t = wrap(value._data, True)
        t._counter = value._counter
        if edge[0].__class__ is AccumulateGrad:
            extras(t).accumulator = weakref.ref(edge[0])
        else:
            t._node, t._nr = edge
        return t


class Watch:
    """One who follows what the tape records and what the engine runs."""

    def recorded(self, node: Node) -> None:
        """`node` was put on the tape."""

    def watching(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """`run(node, gradients, ...)`, which runs one node, in a form that is watched."""
        return run


def observe(modes: Modes) -> None:
    """Bring what is called for each recorded op in line with the rest of the modes.

    Inside a trace there is nothing to measure: the profiler waits until it ends.
    """
    last = modes.profiler if modes.trace is None else modes.trace
    modes.watches = tuple(w for w in (modes.anomaly, last) if w is not None)
    modes.on_record = _recorded if modes.watches or modes.saved_hooks else None


def _recorded(node: Node, args: tuple[Any, ...], outs: Any) -> None:
    modes = thread.modes
    for watch in modes.watches:
        watch.recorded(node)
    if not modes.saved_hooks or not isinstance(node, OpNode) or not node.saved:
        return
    for k, (is_output, i) in enumerate(node.op.residuals(node.mask)):
        if node.counters[k] is None:
            continue
        hooks = modes.saved_hooks[-1]
        if is_output:
            node.saved[k] = Packed(hooks, outs[i] if outs.__class__ is tuple else outs, None, i)
        else:
            node.saved[k] = Packed(hooks, args[i], node.edges[i], None)
        node.counters[k] = None


def accumulator(t: Tensor) -> AccumulateGrad:
    """The leaf's node; one and the same as long as a graph refers to it."""
    e = extras(t)
    ref = e.accumulator
    node = None if ref is None else ref()
    if node is None:
        with creating:
            if e.accumulator is not ref:  # another thread was faster
                node = e.accumulator()
            if node is None:
                node = AccumulateGrad(t)
                e.accumulator = weakref.ref(node)
    return node


def gradient_edge(t: Tensor) -> Edge:
    """Where the gradient of `t` goes."""
    node = t._node
    return (accumulator(t), 0) if node is None else (node, t._nr)


def record(modes: Modes, op: Any, args: tuple[Any, ...], params: dict[str, Any], outs: Any) -> None:
    """Put one op call on the tape and make its outputs (a tensor or a tuple) require grad."""
    differentiable = op.differentiable_mask
    edges: list[Edge | None]
    single = outs.__class__ is not tuple
    metas = dtype = None
    if single:
        dtype = outs._data.dtype
        if dtype.kind not in "fc":
            return
    if len(args) == 1:
        if differentiable == 0:
            return
        mask = 1
        a = args[0]
        edges = [(accumulator(a), 0) if a._node is None else (a._node, a._nr)]
        # An elementwise op of one input keeps its shape.
        if not single or op.reference is None or a._data.dtype is not dtype:
            metas = _metas(args)
    else:
        mask = 0
        bit = 1
        edges = []
        shape = outs._data.shape if single else None
        for a in args:
            edge = None
            if isinstance(a, Tensor):
                d = a._data
                if metas is None and (d.shape != shape or d.dtype is not dtype):
                    metas = _metas(args)
                if a._requires_grad and (differentiable is None or differentiable & bit):
                    source = a._node
                    edge = (accumulator(a), 0) if source is None else (source, a._nr)
                    mask |= bit
            edges.append(edge)
            bit <<= 1
        if not mask:
            return
    node = _new(op.node_class)
    node.params = params
    node.mask = mask
    node.edges = edges
    node.metas = metas
    node.order = -next_sequence()
    node.hooks = None
    node.stack = None
    if single:
        node.n_outputs = 1
        node.out_metas = None
        outs._node = node
        outs._requires_grad = True
    else:
        node.n_outputs = len(outs)
        node.out_metas = [(o._data.shape, o._data.dtype) for o in outs]
        for nr, out in enumerate(outs):
            if out._data.dtype.kind in "fc":
                out._node = node
                out._nr = nr
                out._requires_grad = True
    residuals = op._residuals.get(mask)
    if residuals is None:
        residuals = op.residuals(mask)
    if not residuals:
        node.saved = node.counters = NOTHING
        node.versions = None
        if modes.on_record is not None:
            modes.on_record(node, args, outs)
        return
    saved: list[Any] = []
    counters: list[list[Any] | None] = []
    versioned = False
    for is_output, i in residuals:
        if is_output:
            value = outs[i] if outs.__class__ is tuple else outs
        else:
            value = args[i]
            if not isinstance(value, Tensor):
                saved.append(value)
                counters.append(None)
                continue
        counter = value._counter
        if counter is None:
            counter = value._counter = [0, None]
        elif counter is INFERENCE:
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. To work around you can "
                "make a clone to get a normal tensor and use it in autograd."
            )
        elif counter[0]:
            versioned = True
        saved.append(value._data)
        counters.append(counter)
    node.saved = saved
    node.counters = counters
    node.versions = [c[0] if c else 0 for c in counters] if versioned else None
    if modes.on_record is not None:
        modes.on_record(node, args, outs)


def _metas(args: tuple[Any, ...]) -> list[Meta | None]:
    return [(a._data.shape, a._data.dtype) if isinstance(a, Tensor) else None for a in args]
