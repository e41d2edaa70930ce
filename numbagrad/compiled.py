"""`compile`: trace a function once for each signature, run it natively afterwards."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import passes
from .autograd.api import grad as autograd_grad
from .codegen.program import Executable
from .codegen.scalar import supported
from .errors import GraphFreedError
from .ir.graph import Eqn, Graph, Var
from .ir.pytree import flatten, unflatten
from .ir.trace import Trace
from .modes import thread
from .tape import Node, gradient_edge
from .tensor import INFERENCE, Tensor, version_counter, wrap

_ndarray = np.ndarray
_TRACES_BEFORE_WARNING = 8


class _Entry:
    """One traced signature: programs, what they read besides the arguments, what they change."""

    def __init__(self) -> None:
        self.captures: list[tuple[Tensor, Tensor | None]] = []  # (tensor, leaf if it is its grad)
        self.guards: list[Any] = []
        self.grad_guards: list[tuple[Tensor, bool]] = []
        self.structure: Any = None
        self.statics: list[Any] = []  # output leaves that are not tensors
        self.n_results = 0
        self.requires_grad: list[bool] = []
        self.changed: list[tuple[Any, int]] = []  # (tensor or argument number, output number)
        self.grads: list[tuple[Any, int | None]] = []
        self.forward: Executable
        self.backward: Executable | None = None
        self.differentiated: list[Any] = []  # tensor or argument number, for each gradient
        self.graph: Graph

    def fits(self) -> bool:
        """Whether the captured tensors are as they were when the function was traced."""
        for (t, leaf), guard in zip(self.captures, self.guards):
            data = t._data if leaf is None else leaf._grad._data if leaf._grad is not None else None
            if data is None or (data.shape, data.strides, data.dtype, t._requires_grad) != guard:
                return False
        return all((leaf._grad is None) == absent for leaf, absent in self.grad_guards)


class _CompiledBackward(Node):
    """The tape's node for a call of a compiled function."""

    __slots__ = ("again", "entry", "inputs", "residuals")

    private_grads = True

    entry: _Entry
    residuals: list[Any] | None
    inputs: list[Any]
    again: Callable[[], Any]

    def apply(self, grads: list[Any], mask: int) -> Any:
        if self.residuals is None:
            raise GraphFreedError(
                "Trying to backward through the graph a second time (or directly access saved "
                "tensors after they have already been freed). Specify retain_graph=True if you "
                "need to backward through the graph a second time."
            )
        if thread.modes.grad:
            outs = [t for t in self.again() if t.requires_grad]
            pairs = [(o, g) for o, g in zip(outs, grads, strict=True) if g is not None]
            return autograd_grad(
                [o for o, _ in pairs], self.inputs, [g for _, g in pairs],
                create_graph=True, allow_unused=True,
            )  # fmt: skip
        backward = self.entry.backward
        assert backward is not None
        outs = [v for v in backward.graph.inputs[len(self.residuals) :]]
        arrays = [
            np.zeros(v.shape, v.dtype) if g is None else np.ascontiguousarray(g._data)
            for v, g in zip(outs, grads, strict=True)
        ]
        results = backward([*self.residuals, *arrays])
        return [wrap(np.asarray(r)) for r in results]

    def release(self) -> None:
        self.residuals = None


class Compiled:
    """A compiled function; call it like the function itself."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self._entries: dict[Any, list[_Entry]] = {}
        self._traces = 0
        self._lock = threading.RLock()
        self._fast: Callable[[tuple[Any, ...]], Any] | None = None
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._fast is not None and not kwargs:
            result = self._fast(args)
            if result is not _MISS:
                return result
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if thread.modes.trace is not None:
            return self.fn(*args, **kwargs)  # compiled in compiled: part of the outer graph
        leaves, structure = flatten((args, kwargs))
        tensors: list[Tensor] = []
        parts: list[Any] = []
        for x in leaves:
            if isinstance(x, Tensor):
                data = x._data
                if data.__class__ is not _ndarray:
                    return self.fn(*args, **kwargs)  # under another transform: it sees the ops
                tensors.append(x)
                parts.append((data.shape, data.strides, data.dtype, x._requires_grad))
            else:
                parts.append((type(x), x))
        key = (structure, tuple(parts), _aliases(tensors), thread.modes.grad)
        tensors = list({id(t): t for t in tensors}.values())
        try:
            entries = self._entries.get(key)
        except TypeError:
            raise TypeError(
                f"{self.__name__}: arguments that are not tensors must be hashable, since the "  # type: ignore[attr-defined]
                "function is compiled for their values; pass tuples instead of sets or arrays"
            ) from None
        if entries is not None:
            for entry in entries:
                if entry.fits():
                    self._fast = _fast_path(entry, args, kwargs)
                    return self._run(entry, tensors, args, kwargs)
        with self._lock:
            entry = self._trace(leaves, structure, tensors)
            self._entries.setdefault(key, []).insert(0, entry)
            self._traces += 1
            if self._traces == _TRACES_BEFORE_WARNING:
                warnings.warn(
                    f"{self.__name__} was traced {self._traces} times: an argument that is not a "  # type: ignore[attr-defined]
                    "tensor, or the state of a tensor it closes over, changes again and again. "
                    "Pass changing numbers as tensors",
                    stacklevel=2,
                )
        return self._run(entry, tensors, args, kwargs)

    # -- tracing ----------------------------------------------------------------------------

    def _trace(self, leaves: list[Any], structure: Any, tensors: list[Tensor]) -> _Entry:
        tracing = Trace()
        entry = _Entry()
        modes = thread.modes
        modes.trace = tracing
        try:
            stands: list[Tensor] = []
            traced_leaves: list[Any] = []
            known: dict[int, Tensor] = {}
            for x in leaves:
                if isinstance(x, Tensor):
                    if id(x) not in known:
                        t = known[id(x)] = tracing.new_input(x._data.shape, x._data.dtype)
                        t._requires_grad = x._requires_grad
                        stands.append(t)
                    traced_leaves.append(known[id(x)])
                else:
                    traced_leaves.append(x)
            initial = [t._data for t in stands]
            args, kwargs = unflatten(structure, traced_leaves)
            result = self.fn(*args, **kwargs)
            self._finish(entry, tracing, result, tensors, stands, initial)
        finally:
            modes.trace = None
            for t, (data, node, nr, requires_grad) in tracing.changed.values():
                t._data, t._node, t._nr, t._requires_grad = data, node, nr, requires_grad
            for leaf, before in tracing.grads.values():
                leaf._grad = before
        return entry

    def _finish(
        self, entry: _Entry, tracing: Trace, result: Any, tensors: list[Tensor],
        stands: list[Tensor], initial: list[Any],
    ) -> None:  # fmt: skip
        results, entry.structure = flatten(result)
        outs = [r for r in results if isinstance(r, Tensor)]
        entry.statics = [None if isinstance(r, Tensor) else r for r in results]
        entry.n_results = len(outs)
        entry.requires_grad = [o.requires_grad for o in outs]
        outputs = [tracing.atom(o) for o in outs]
        for t, _ in tracing.changed.values():
            entry.changed.append((t, len(outputs)))
            outputs.append(tracing.atom(t))
        for i, (t, before) in enumerate(zip(stands, initial, strict=True)):
            if t._data is not before:
                entry.changed.append((i, len(outputs)))
                outputs.append(tracing.atom(t))
        positions = {id(t): i for i, t in enumerate(stands)}
        for leaf, before in tracing.grads.values():
            owner: Any = positions.get(id(leaf), leaf)
            if isinstance(owner, Tensor):
                entry.grad_guards.append((leaf, before is None))
            if leaf._grad is before:
                continue
            if leaf._grad is None:
                entry.grads.append((owner, None))
            else:
                entry.grads.append((owner, len(outputs)))
                outputs.append(tracing.atom(leaf._grad))
        forward = len(tracing.eqns)
        differentiable = [o for o in outs if o.requires_grad]
        gradients: list[Any] = []
        cotangents: list[Tensor] = []
        if differentiable:
            candidates: list[tuple[Any, Tensor]] = [
                (i, t) for i, t in enumerate(stands) if t._requires_grad and t._node is None
            ]
            candidates += [(t, t) for t, _ in list(tracing.captures.values())
                           if t._requires_grad and t._node is None]  # fmt: skip
            cotangents = [tracing.new_input(o._data.shape, o._data.dtype) for o in differentiable]
            try:
                found = autograd_grad(
                    differentiable, [t for _, t in candidates], cotangents, allow_unused=True
                )
            except GraphFreedError:  # the function called backward() itself: all is done
                found = (None,) * len(candidates)
            for (owner, _), g in zip(candidates, found, strict=True):
                if g is not None:
                    entry.differentiated.append(owner)
                    gradients.append(tracing.atom(g))
        leaf_of = {id(g): leaf for leaf, g in tracing.grads.values() if g is not None}
        captured = list(tracing.captures.values())
        n_args = len(tracing.inputs) - len(cotangents)
        entry.captures = [(t, leaf_of.get(id(t))) for t, _ in captured]
        entry.guards = [
            (v.shape, self._before(tracing, t).strides, v.dtype, t._requires_grad)
            for t, v in captured
        ]
        inputs = (*tracing.inputs[:n_args], *[v for _, v in captured])
        arrays = [t._data for t in tensors]
        arrays += [self._before(tracing, t) for t, _ in captured]
        residuals: list[Var] = []
        if gradients:
            again, residuals = _recomputed(
                tracing.eqns[:forward], tracing.eqns[forward:], gradients, inputs
            )
            later = again + tracing.eqns[forward:]
            tangents = tuple(tracing.inputs[n_args:])
            backward = passes.run(Graph((*residuals, *tangents), tuple(later), tuple(gradients)))
            samples = [np.empty(v.shape, v.dtype) for v in backward.inputs]
            entry.backward = Executable(backward, samples)
        graph = Graph(inputs, tuple(tracing.eqns[:forward]), (*outputs, *residuals))
        entry.graph = passes.run(graph)
        entry.forward = Executable(entry.graph, arrays)

    def _before(self, tracing: Trace, t: Tensor) -> Any:
        changed = tracing.changed.get(id(t))
        return t._data if changed is None else changed[1][0]

    # -- running ----------------------------------------------------------------------------

    def _run(self, entry: _Entry, tensors: list[Tensor], args: Any, kwargs: Any) -> Any:
        arrays = [t._data for t in tensors]
        for t, leaf in entry.captures:
            source = t if leaf is None else leaf._grad
            arrays.append(source._data)  # type: ignore[union-attr]
        values = entry.forward(arrays)
        for target, i in entry.changed:
            t = tensors[target] if isinstance(target, int) else target
            np.copyto(t._data, values[i])
            version_counter(t)[0] += 1
        for owner, i in entry.grads:
            leaf = tensors[owner] if isinstance(owner, int) else owner
            leaf._grad = None if i is None else wrap(np.array(values[i]))
        inference = thread.modes.inference
        results = [_wrap(np.asarray(v), inference) for v in values[: entry.n_results]]
        if entry.backward is not None:
            self._record(entry, results, values, tensors, args, kwargs)
        if all(s is None for s in entry.statics):
            return unflatten(entry.structure, results)
        it = iter(results)
        return unflatten(entry.structure, [next(it) if s is None else s for s in entry.statics])

    def _record(
        self, entry: _Entry, results: list[Tensor], values: list[Any], tensors: list[Tensor],
        args: Any, kwargs: Any,
    ) -> None:  # fmt: skip
        inputs = [tensors[o] if isinstance(o, int) else o for o in entry.differentiated]
        node = _CompiledBackward([gradient_edge(t) for t in inputs])
        node.entry = entry
        node.inputs = inputs
        assert entry.backward is not None
        first = entry.n_results + len(entry.changed) + sum(i is not None for _, i in entry.grads)
        node.residuals = values[first:]
        node.again = lambda: [
            r for r in flatten(self.fn(*args, **kwargs))[0] if isinstance(r, Tensor)
        ]
        node.n_outputs = sum(entry.requires_grad)
        nr = 0
        for t, requires in zip(results, entry.requires_grad, strict=True):
            if requires:
                t._node, t._nr, t._requires_grad = node, nr, True
                nr += 1

    # -- looking inside ---------------------------------------------------------------------

    def source(self) -> str:
        """The Numba source of the kernels of the latest signature."""
        return "\n\n".join(s for e in self._latest() for s in e.forward.sources)

    def explain(self) -> str:
        """The graph of the latest signature after all passes, and how it runs."""
        lines: list[str] = []
        for e in self._latest():
            lines += [str(e.graph), *e.forward.describe()]
            if e.backward is not None:
                lines += ["", "backward:", str(e.backward.graph), *e.backward.describe()]
        return "\n".join(lines)

    def _latest(self) -> list[_Entry]:
        entries = list(self._entries.values())
        return entries[-1][:1] if entries else []


def _recomputed(
    forward: list[Eqn], backward: list[Eqn], gradients: list[Any], inputs: tuple[Var, ...]
) -> tuple[list[Eqn], list[Var]]:
    """What of the forward pass the backward pass computes again, and what it reads of it.

    Pointwise values and views are computed again from what they are made of: storing and
    reading one costs more time than most functions, and all of the memory.
    """
    producer = {v: e for e in forward for v in e.outputs}
    known = {*producer, *inputs}
    stack = [a for e in backward for a in e.inputs if isinstance(a, Var)]
    stack += [a for a in gradients if isinstance(a, Var)]
    again: set[int] = set()
    residuals: dict[Var, None] = {}
    while stack:
        v = stack.pop()
        if v not in known:
            continue
        e = producer.get(v)
        if e is None or not (e.op.view or supported(e)):
            residuals[v] = None
        elif id(e) not in again:
            again.add(id(e))
            stack += [a for a in e.inputs if isinstance(a, Var)]
    return [e for e in forward if id(e) in again], list(residuals)


def _wrap(array: Any, inference: bool) -> Tensor:
    t = wrap(array)
    if inference:
        t._counter = INFERENCE
    return t


_MISS = object()


def _fast_path(
    entry: _Entry, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[tuple[Any, ...]], Any] | None:
    """For a call of distinct tensors that ends in one program: the call with few Python steps.

    Shapes, strides and dtypes are checked natively. Anything unusual is a miss.
    """
    program = entry.forward.direct
    distinct = len({id(a) for a in args}) == len(args)
    plain = not kwargs and distinct and all(isinstance(a, Tensor) for a in args)
    effects = entry.changed or entry.grads or entry.backward is not None
    if program is None or not plain or effects or any(s is not None for s in entry.statics):
        return None
    if any(leaf is not None for _, leaf in entry.captures) or entry.grad_guards:
        return None
    modes_now = thread.modes.grad
    requires = [a._requires_grad for a in args]
    captures = [t for t, _ in entry.captures]
    requires += [t._requires_grad for t in captures]
    structure = entry.structure
    executable = entry.forward
    try_run, slots_of, results = program.try_run, executable.slots, executable.results
    n = len(args)
    only = executable.result_slots[0]

    def call(args: tuple[Any, ...]) -> Any:
        modes = thread.modes
        if modes.trace is not None or modes.grad is not modes_now or len(args) != n:
            return _MISS
        tensors = (*args, *captures)
        try:
            if modes_now and [t._requires_grad for t in tensors] != requires:
                return _MISS
            slots = slots_of([t._data for t in tensors])
            if not try_run(tuple(slots)):
                return _MISS
        except (AttributeError, TypeError):  # not a tensor, or one that is being traced
            return _MISS
        if structure is None:
            return _wrap(slots[only], modes.inference)
        return unflatten(structure, [_wrap(v, modes.inference) for v in results(slots)])

    return call


def _aliases(tensors: list[Tensor]) -> tuple[int, ...]:
    """Which tensor arguments are one and the same: the first place of each."""
    first: dict[int, int] = {}
    return tuple(first.setdefault(id(t), i) for i, t in enumerate(tensors))


def compile(fn: Callable[..., Any] | None = None) -> Any:
    """Compile a function of tensors: traced at the first call, native from then on.

    Works as a function and as a decorator. Tensors that the function closes over are read at each
    call; those it changes in place, and the ``grad`` of leaves, are written back.

    >>> import numbagrad as ng
    >>> @ng.compile
    ... def f(x):
    ...     return (x * 2 + 1).sum()
    >>> f(ng.ones(3))
    tensor(9.)
    """
    if fn is None:
        return compile
    return Compiled(fn)


