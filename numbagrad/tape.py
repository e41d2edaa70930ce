"""The reverse-mode tape: nodes, what they save, and how views follow their base.

A :class:`Node` is one recorded op call. It holds the edges to the nodes of its inputs, the values
its derivative rules read, and nothing that refers back to its own outputs: a graph has no cycles
and dies with its last reference.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .modes import state
from .tensor import INFERENCE, Shape, Tensor, View, extras, version_counter, wrap

_sequence = itertools.count().__next__
_ndarray = np.ndarray

Edge = tuple["Node", int]
Meta = tuple[Shape, np.dtype[Any]]


class Hooks:
    """The callables registered on one node, in order of registration."""

    __slots__ = ("tensor_pre", "retain", "pre", "post")

    def __init__(self) -> None:
        self.tensor_pre: dict[int, dict[int, Callable[..., Any]]] = {}
        self.retain: dict[int, weakref.ref[Tensor]] = {}
        self.pre: dict[int, Callable[..., Any]] = {}
        self.post: dict[int, Callable[..., Any]] = {}


class RemovableHandle:
    """Removes the hook it came with: ``handle.remove()``, or at the end of a ``with`` block."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], fn: Callable[..., Any]) -> None:
        self._hooks: weakref.ref[Any] | dict[int, Any] = hooks
        self.id = _sequence()
        hooks[self.id] = fn

    def remove(self) -> None:
        self._hooks.pop(self.id, None)  # type: ignore[union-attr]

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Node:
    """One step on the tape."""

    __slots__ = ("edges", "seq", "hooks", "_metadata", "stack", "__weakref__", "__dict__")

    edges: tuple[Edge | None, ...]
    seq: int
    hooks: Hooks | None
    stack: Any  # where the forward op was called, in anomaly mode

    # How many gradients `apply` takes.
    n_outputs = 1

    def __init__(self, edges: tuple[Edge | None, ...]) -> None:
        self.edges = edges
        self.seq = _sequence()
        self.hooks = None
        self.stack = None

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
        return self.seq

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
    if node.hooks is None:
        node.hooks = Hooks()
    return node.hooks


class AccumulateGrad(Node):
    """The end of the tape: adds what arrives to the ``grad`` of a leaf."""

    __slots__ = ("variable",)

    def __init__(self, variable: Tensor) -> None:
        super().__init__(())
        self.variable = variable


class SavedOutput:
    """An output that its own node reads: the array without the tensor, so that no cycle forms."""

    __slots__ = ("data", "counter", "nr")

    def __init__(self, data: Any, counter: list[int], nr: int) -> None:
        self.data = data
        self.counter = counter
        self.nr = nr


class OpNode(Node):
    """A recorded call of an op; each op has a subclass named after it, as in PyTorch."""

    __slots__ = ("op", "params", "mask", "inputs", "metas", "out_metas", "saved", "versions")

    op: Any
    params: dict[str, Any]
    mask: int  # bit i: input i wants a gradient
    inputs: tuple[Any, ...]  # Python numbers where the input is one, None for a tensor
    metas: tuple[Meta | None, ...]  # shape and dtype of each tensor input
    out_metas: tuple[Meta, ...]
    saved: list[Any] | None
    versions: tuple[int, ...]

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return len(self.out_metas)

    def release(self) -> None:
        self.saved = None

    def saved_tensors(self) -> list[Any]:
        """The saved values as tensors (or Python numbers), checked against later changes."""
        saved = self.saved
        if saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved "
                "tensors after they have already been freed). Saved intermediate values of the "
                "graph are freed when you call .backward() or autograd.grad(). Specify "
                "retain_graph=True if you need to backward through the graph a second time or "
                f"if you need to access saved tensors after calling backward. (at {self.name()})"
            )
        values = []
        for value, version in zip(saved, self.versions, strict=True):
            if isinstance(value, Tensor):
                counter = value._counter
                if counter and counter[0] != version:
                    raise self._modified(value, counter[0], version)
                values.append(value)
            elif value.__class__ is SavedOutput:
                if value.counter[0] != version:
                    raise self._modified(value.data, value.counter[0], version)
                t = wrap(value.data, True)
                t._node = self
                t._nr = value.nr
                t._counter = value.counter
                values.append(t)
            else:
                values.append(value)
        return values

    def _modified(self, value: Any, now: int, then: int) -> RuntimeError:
        node = value._node if isinstance(value, Tensor) else self
        source = f"which is output {value._nr if isinstance(value, Tensor) else 0} of {node.name()}"
        dtype = np.dtype(value._data.dtype if isinstance(value, Tensor) else value.dtype).name
        return RuntimeError(
            "one of the variables needed for gradient computation has been modified by an "
            f"inplace operation: [numbagrad.{dtype} {list(value.shape)}], "
            f"{source if node is not None else 'a leaf'}, is at version {now}; expected version "
            f"{then} instead. It was saved by {self.name()}. Hint: enable anomaly detection to "
            "find the operation that failed to compute its gradient, with "
            "ng.autograd.set_detect_anomaly(True)."
        )

    def apply(self, grads: list[Tensor | None], mask: int) -> tuple[Tensor | None, ...]:
        return self.op.backward(self, grads, mask & self.mask)


def accumulator(t: Tensor) -> AccumulateGrad:
    """The leaf's node; one and the same as long as a graph refers to it."""
    e = extras(t)
    node = e.accumulator() if e.accumulator is not None else None
    if node is None:
        node = AccumulateGrad(t)
        e.accumulator = weakref.ref(node)
    return node


def gradient_edge(t: Tensor) -> Edge:
    """Where the gradient of `t` goes."""
    node = t._node
    return (accumulator(t), 0) if node is None else (node, t._nr)


def record(
    op: Any, args: tuple[Any, ...], params: dict[str, Any], outs: tuple[Tensor, ...]
) -> None:
    """Put one op call on the tape and make its outputs require grad."""
    mask = 0
    bit = 1
    differentiable = op.differentiable_mask
    edges: list[Edge | None] = []
    metas: list[Meta | None] = []
    for a in args:
        edge = meta = None
        if isinstance(a, Tensor):
            data = a._data
            meta = (data.shape, data.dtype)
            if a._requires_grad and (differentiable is None or differentiable & bit):
                node = a._node
                edge = (accumulator(a), 0) if node is None else (node, a._nr)
                mask |= bit
        edges.append(edge)
        metas.append(meta)
        bit <<= 1
    if not mask:
        return
    node = op.node_class.__new__(op.node_class)
    node.edges = tuple(edges)
    node.seq = _sequence()
    node.hooks = None
    node.stack = None
    node.op = op
    node.params = params
    node.mask = mask
    node.metas = tuple(metas)
    saved: list[Any] = []
    versions: list[int] = []
    for is_output, i in op.residuals(mask):
        if is_output:
            out = outs[i]
            counter = version_counter(out)
            saved.append(SavedOutput(out._data, counter, i))
            versions.append(counter[0])
        else:
            value = args[i]
            saved.append(value)
            if isinstance(value, Tensor):
                counter = value._counter
                if counter is INFERENCE:
                    raise RuntimeError(
                        "Inference tensors cannot be saved for backward. To work around you can "
                        "make a clone to get a normal tensor and use it in autograd."
                    )
                versions.append(counter[0] if counter else 0)
            else:
                versions.append(0)
    node.saved = saved
    node.versions = tuple(versions)
    out_metas = []
    for nr, out in enumerate(outs):
        data = out._data
        out_metas.append((data.shape, data.dtype))
        if data.dtype.kind in "fc":
            out._node = node
            out._nr = nr
            out._requires_grad = True
    node.out_metas = tuple(out_metas)
    if state.stack_recorder is not None:
        node.stack = state.stack_recorder()


# -- views ----------------------------------------------------------------------------------------


def make_view(out: Tensor, x: Tensor, op: Any, params: dict[str, Any]) -> None:
    """Declare `out` a view of `x` made by ``op(x, **params)``."""
    if x._counter is INFERENCE or state.inference:
        out._counter = INFERENCE if x._counter is INFERENCE else version_counter(x)
        creation = "inference"
    else:
        out._counter = version_counter(x)
        creation = "default" if state.grad else "no_grad"
    counter = out._counter
    step = ((op, params),)
    if x._view is None:
        out._view = View(x, step, counter[0] if counter else 0, creation)
    else:
        view = x._view
        if creation == "default":
            creation = view.creation
        out._view = View(view.base, view.chain + step, counter[0] if counter else 0, creation)


def replay(base: Tensor, chain: Iterable[Any]) -> Tensor:
    """Apply a chain of view ops."""
    for op, params in chain:
        base = op(base, **params)
    return base


def refresh(t: Tensor) -> None:
    """Bring a view up to date after its base was changed in place."""
    view = t._view
    counter = t._counter
    if view is None or not counter or view.version == counter[0]:
        return
    view.version = counter[0]
    base = view.base
    if base._data.__class__ is _ndarray and not base._requires_grad:
        return  # the memory is shared: only the tape can be out of date
    grad, state.grad = state.grad, True
    try:
        fresh = replay(base, view.chain)
    finally:
        state.grad = grad
    t._node, t._nr, t._requires_grad = fresh._node, fresh._nr, fresh._requires_grad
    if base._data.__class__ is not _ndarray:
        t._data = fresh._data
