"""The backward pass: cotangents flow from the roots to the leaves, each node runs once.

A node is ready when all nodes that read its outputs have run; among the ready ones the one
recorded last goes first, and gradients of leaves are accumulated as soon as they are complete, as
in PyTorch's engine. Everything is iterative: depth is bounded by memory only.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from ..inplace import check_mutable, update
from ..modes import Modes, changing, thread
from ..ops.elementwise import add, to_dtype
from ..ops.reduction import sum_to
from ..tape import AccumulateGrad, Edge, Hooks, Node, OpNode, next_sequence
from ..tensor import INFERENCE, Tensor, count_change, wrap

_ndarray = np.ndarray


class Pass:
    """A backward pass that is under way, for those who are called by it."""

    __slots__ = ("__weakref__", "everything", "id", "nodes")

    def __init__(self, nodes: Container[Node], everything: bool) -> None:
        self.id = next_sequence()
        self.nodes = nodes  # those that run, or whose gradient is wanted
        self.everything = everything  # no inputs were named: all leaves get their gradient


def run_backward(
    roots: Sequence[Edge],
    grads: Sequence[Tensor],
    *,
    keep_graph: bool,
    create_graph: bool,
    inputs: Sequence[Edge] | None = None,
    accumulate: bool = True,
    ends: frozenset[Node] = frozenset(),
) -> list[Tensor | None]:
    """Propagate `grads` from `roots`.

    Without `inputs`, gradients are accumulated in the leaves. With `inputs`, only what leads to
    them runs, and their gradients are returned (`accumulate=False`) or accumulated in them.
    Nothing runs from the nodes of `ends` on, which are among the inputs.
    """
    dependencies = _count_dependencies((node for node, _ in roots), ends)
    captures: dict[Node, dict[int, Tensor | None]] = {}
    needed: set[Node] | None = None
    if inputs is not None:
        needed = _leading_to({node for node, _ in inputs}, dependencies)
        for node, nr in inputs:
            captures.setdefault(node, {})[nr] = None

    modes = thread.modes
    plain = not modes.watches
    run_node: Any = _run_node
    for watch in modes.watches:
        run_node = watch.watching(run_node)
    pending: dict[Node, list[Any]] = {}
    fresh: set[Node] = set()  # whose pending gradient was made here: no one else holds the tensor
    for (node, nr), g in zip(roots, grads, strict=True):
        _put(pending, node, nr, g)
    ready = [(n.order, n) for n in dict.fromkeys(n for n, _ in roots) if not dependencies[n]]
    heapq.heapify(ready)

    quietly = modes.quietly
    grad_mode, outer = modes.grad, modes.backward
    modes.grad = create_graph
    modes.backward = Pass(dependencies if needed is None else needed, inputs is None)
    try:
        node: Node | None = None
        while node is not None or ready:
            if node is None:
                node = heapq.heappop(ready)[1]
            edges = node.edges
            buffer: Any = pending.pop(node, None)
            if node in ends:
                buffer = _wrapped(buffer or [None] * node.n_outputs)
                for nr in captures[node]:
                    captures[node][nr] = buffer[nr]
                node = None
                continue
            private = False
            if buffer is None and (node.runs_anyway or node.hooks is not None):
                buffer = [None] * node.n_outputs
            if buffer is None:
                outputs = (None,) * len(edges)
            elif (
                plain
                and node.hooks is None
                and isinstance(node, OpNode)
                and (needed is None or node not in captures)
            ):
                # The common case: plain arrays from op to op, without tensors around them.
                op = node.op
                mask = node.mask if needed is None else _mask_to(node, needed) & node.mask
                outputs = None
                if not mask:
                    outputs = (None,) * len(edges)
                elif not create_graph and op.array_rules:
                    g = buffer[0]
                    data = g if g.__class__ is _ndarray else g._data
                    if op.expr is not None:
                        outputs = op.pointwise_backward(node, data, mask, quietly)
                    else:
                        outputs = op.array_backward(node, data, mask, quietly)
                if outputs is None:
                    outputs = op.backward(node, _wrapped(buffer), mask)
                if node.metas is not None:
                    outputs = _fit(node, outputs)
                if not keep_graph and node.saved:
                    node.saved = None
                private = True
            else:
                buffer = _wrapped(buffer)
                outputs = g = data = None  # they may hold the gradient that a leaf could keep
                outputs = run_node(
                    node, buffer, captures, needed, keep_graph, accumulate, node in fresh
                )
                private = node.private_grads and node.hooks is None
            node = None
            for edge, g in zip(edges, outputs):
                if edge is None:
                    continue
                target = edge[0]
                if g is not None:
                    if target.n_outputs != 1:
                        _put(pending, target, edge[1], g)
                    elif target in pending:
                        sums = pending[target]
                        sums[0] = g if sums[0] is None else _sum(sums[0], g, modes)
                        if not create_graph and target.__class__ is AccumulateGrad:
                            fresh.add(target)  # a sum is a new array
                    else:
                        pending[target] = [g]
                        if private and target.__class__ is AccumulateGrad:
                            fresh.add(target)
                left = dependencies[target] - 1
                if left:
                    dependencies[target] = left
                elif node is None and not ready:
                    node = target  # on a chain nothing else is ready: no need of the heap
                else:
                    if node is not None:
                        heapq.heappush(ready, (node.order, node))
                        node = None
                    heapq.heappush(ready, (target.order, target))
    finally:
        modes.grad, modes.backward = grad_mode, outer
    return [captures[node][nr] for node, nr in inputs] if inputs is not None else []


def _count_dependencies(roots: Any, ends: frozenset[Node]) -> dict[Node, int]:
    """For each node that is reachable, not through `ends`, how many edges lead to it."""
    stack = list(dict.fromkeys(roots))
    counts = dict.fromkeys(stack, 0)
    while stack:
        node = stack.pop()
        for edge in () if node in ends else node.edges:
            if edge is not None:
                target = edge[0]
                seen = counts.get(target)
                if seen is None:
                    counts[target] = 1
                    stack.append(target)
                else:
                    counts[target] = seen + 1
    return counts


def _leading_to(targets: set[Node], nodes: dict[Node, int]) -> set[Node]:
    """Those of `nodes` from which one of `targets` can be reached, the targets included."""
    readers: dict[Node, list[Node]] = {}
    for node in nodes:
        for edge in node.edges:
            if edge is not None:
                readers.setdefault(edge[0], []).append(node)
    stack = [t for t in targets if t in nodes]
    found = set(stack)
    while stack:
        for node in readers.get(stack.pop(), ()):
            if node not in found:
                found.add(node)
                stack.append(node)
    return found


def _put(pending: dict[Node, list[Any]], node: Node, nr: int, g: Any) -> None:
    buffer = pending.get(node)
    if buffer is None:
        if node.n_outputs == 1:
            pending[node] = [g]
            return
        buffer = pending[node] = [None] * node.n_outputs
    previous = buffer[nr]
    buffer[nr] = g if previous is None else _sum(previous, g, thread.modes)


def _wrapped(values: Sequence[Any]) -> list[Tensor | None]:
    """Arrays among the cotangents as tensors."""
    return [wrap(v) if v.__class__ is _ndarray else v for v in values]


def _sum(a: Any, b: Any, modes: Modes) -> Any:
    """The sum of two cotangents: tensors, or arrays as long as no graph of them is wanted."""
    x = a if a.__class__ is _ndarray else a._data
    y = b if b.__class__ is _ndarray else b._data
    if modes.grad or x.__class__ is not _ndarray or y.__class__ is not _ndarray:
        a, b = _wrapped((a, b))
        return add(a, b)
    return modes.quietly(add.evaluate, x, y)


def _run_node(
    node: Node,
    buffer: list[Tensor | None],
    captures: dict[Node, dict[int, Tensor | None]],
    needed: set[Node] | None,
    keep_graph: bool,
    accumulate: bool,
    fresh: bool,
) -> Sequence[Tensor | None]:
    if needed is not None and node not in needed:
        return (None,) * len(node.edges)
    mask = -1
    if needed is not None:
        mask = _mask_to(node, needed)
    captured = captures.get(node)
    if captured is not None and mask:
        # Hooks have no say here, as in PyTorch: they run before the node, which runs later.
        for nr in captured:
            captured[nr] = buffer[nr]
    hooks = node.hooks
    if hooks is not None:
        _run_tensor_hooks(hooks.tensor_pre, buffer)
    if node.__class__ is AccumulateGrad:
        leaf_extras = node.variable._extras  # type: ignore[attr-defined]
        if leaf_extras is not None and leaf_extras.hooks:
            fresh = False
            _run_tensor_hooks({0: leaf_extras.hooks}, buffer)
    if captured is not None and not mask:
        for nr in captured:
            captured[nr] = buffer[nr]
        if not accumulate and node.__class__ is AccumulateGrad:
            return ()
    if hooks is not None:
        for nr, ref in hooks.retain.items():
            t = ref()
            g = buffer[nr]
            if t is not None and g is not None:
                t._grad = g if t._grad is None else add(t._grad, g)
    if node.__class__ is AccumulateGrad:
        if needed is None or captured is not None:
            buffer = _run_pre_hooks(hooks, buffer)
            g = buffer[0]
            if g is not None and node.variable._requires_grad:  # type: ignore[attr-defined]
                fresh = fresh and hooks is None and captured is None
                accumulate_grad(node.variable, g, fresh)  # type: ignore[attr-defined]
            _run_post_hooks(node, (), buffer)
        return ()
    if not mask:
        return (None,) * len(node.edges)
    buffer = _run_pre_hooks(hooks, buffer)
    outputs: Sequence[Tensor | None]
    if node.runs_anyway or any(g is not None for g in buffer):
        outputs = node.apply(buffer, mask)
    else:
        outputs = (None,) * len(node.edges)
    if isinstance(node, OpNode) and node.metas is not None:
        outputs = _fit(node, outputs)
    if not keep_graph:
        node.release()
    if node.hooks is not None and node.hooks.post:
        outputs = _run_post_hooks(node, outputs, buffer)
    return outputs


def _mask_to(node: Node, needed: set[Node]) -> int:
    """Which edges of a node lead to what is needed, as bits; 0 if it is not needed itself."""
    if node not in needed:
        return 0
    mask = 0
    for i, e in enumerate(node.edges):
        if e is not None and e[0] in needed:
            mask |= 1 << i
    return mask


def _fit(node: OpNode, grads: Sequence[Any]) -> Sequence[Any]:
    """Sum out what the op broadcast and cast to the input's dtype: rules leave this to us."""
    fitted = None
    metas = node.metas or ()
    for i, g in enumerate(grads):
        if g is None:
            continue
        meta = metas[i]
        if meta is None:
            continue
        data = g if g.__class__ is _ndarray else g._data
        if data.shape == meta[0] and data.dtype is meta[1]:
            continue
        if data is g:
            g = wrap(g)
        if data.shape != meta[0]:
            g = sum_to(g, meta[0])
        if g._data.dtype is not meta[1]:
            g = to_dtype(g, meta[1])
        if fitted is None:
            fitted = list(grads)
        fitted[i] = g
    return grads if fitted is None else fitted


def _run_tensor_hooks(by_output: dict[int, dict[int, Any]], buffer: list[Tensor | None]) -> None:
    for nr, hooks in by_output.items():
        for fn in list(hooks.values()):
            g = buffer[nr]
            replaced = fn(g)  # with None if no gradient arrived, as in PyTorch
            if replaced is None:
                continue
            if not isinstance(replaced, Tensor):
                raise TypeError(
                    "expected the hook to return a Tensor or None, "
                    f"got {type(replaced).__name__}: return the replacement gradient or nothing"
                )
            if g is not None and tuple(replaced.shape) != tuple(g.shape):
                raise RuntimeError(
                    "hook has changed the size of value: the gradient has shape "
                    f"{tuple(g.shape)}, the hook returned {tuple(replaced.shape)}"
                )
            buffer[nr] = replaced


def _run_pre_hooks(hooks: Hooks | None, buffer: list[Tensor | None]) -> list[Tensor | None]:
    if hooks is not None:
        for fn in list(hooks.pre.values()):
            replaced = fn(tuple(buffer))
            if replaced is not None:
                buffer = _replacements(replaced, len(buffer), "prehook")
    return buffer


def _run_post_hooks(
    node: Node, outputs: Sequence[Tensor | None], buffer: list[Tensor | None]
) -> Sequence[Tensor | None]:
    if node.hooks is not None:
        for fn in list(node.hooks.post.values()):
            replaced = fn(tuple(outputs), tuple(buffer))
            if replaced is not None:
                outputs = _replacements(replaced, len(outputs), "hook")
    return outputs


def _replacements(replaced: Any, count: int, what: str) -> list[Tensor | None]:
    """The gradients that a hook of a node returned in place of others."""
    found = list(replaced) if isinstance(replaced, tuple | list) else [replaced]
    for g in found:
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(
                f"expected the {what} to return Tensors or None, got {type(g).__name__}: return a "
                "tuple with the replacement gradients or nothing"
            )
    if len(found) != count:
        raise RuntimeError(
            f"the {what} of a node has returned an incorrect number of values (got {len(found)}, "
            f"but expected {count})"
        )
    return found


def accumulate_grad(leaf: Tensor, g: Tensor, fresh: bool = False) -> None:
    """Add `g` to ``leaf.grad``; when no graph is kept, in place as PyTorch does.

    `fresh`: nobody else holds the tensor `g`, so that it may become the gradient itself.
    """
    with changing:
        trace = thread.modes.trace
        if trace is not None:
            trace.change_grad(leaf)
        previous = leaf._grad
        if previous is None:
            leaf._grad = g if thread.modes.grad else _kept_or_cloned(g, fresh)
        elif thread.modes.grad:
            leaf._grad = add(previous, g)
        elif trace is not None:
            update(previous, add(previous, g), "backward")
        elif previous._data.__class__ is np.ndarray and g._data.__class__ is np.ndarray:
            if previous._counter is INFERENCE:
                check_mutable(previous, "backward")
            thread.modes.quietly(np.add, previous._data, g._data, previous._data)
            if previous._counter:
                count_change(previous, "backward")
        else:
            leaf._grad = add(previous, g)
    e = leaf._extras
    if e is not None and e.post_accumulate_hooks:
        for fn in list(e.post_accumulate_hooks.values()):
            if fn(leaf) is not None:
                raise RuntimeError(
                    "Tensor post accumulate grad hooks should return None; change the grad of the "
                    "tensor that they are given"
                )


def _references(t: Tensor) -> int:
    return sys.getrefcount(t._data)


# What `_references` says of an array that its tensor alone holds.
_EXCLUSIVE = _references(wrap(np.empty(1)))


#: Laid out as gradients are.
_DENSE = np.empty(0)


def _kept_or_cloned(g: Tensor, fresh: bool) -> Tensor:
    """A gradient that no one else can see: `g` itself if it is fresh and its array not shared."""
    data = g._data
    if data.__class__ is not np.ndarray:
        data = data.interpreter.constant(g)._data
        if data.__class__ is not np.ndarray:  # as the copy below, whatever the values come from
            return wrap(data.interpreter.laid_out(data, _DENSE))
        return wrap(data)
    whole = not isinstance(data.base, np.ndarray) and data.flags.c_contiguous
    del data
    if fresh and whole and _references(g) == _EXCLUSIVE:
        return g
    return wrap(np.array(g._data, order="C"))
