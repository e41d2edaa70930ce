"""`compile`: trace a function once for each signature, run it natively afterwards."""

from __future__ import annotations

import functools
import operator
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from . import config
from .autograd.engine import run_backward
from .autograd.recorder import REGION
from .direct import MISS, fast_path, wrapped
from .errors import GraphFreedError, ModifiedError
from .ir.graph import Graph
from .ir.interpret import interpret
from .ir.pytree import flatten, graft, unflatten
from .modes import changing, span, thread
from .ops.view import reshape, view
from .passes.dce import dce
from .replay import check_gradients
from .stack import innermost
from .tape import AccumulateGrad, Node, gradient_edge
from .tensor import INFERENCE, Tensor, count_change, last_change, version_counter, wrap
from .traced import Made, Result, Traced, arrays_of, find
from .traces import Traces, explained, fitting, report
from .tracing import trace_call
from .transforms.levels import active_levels

_ndarray = np.ndarray


class CompiledFunctionBackward(Node):
    """The tape's node for a call of a compiled function."""

    __slots__ = ("again", "check", "owners", "residuals", "traced")

    private_grads = True

    traced: Traced
    residuals: list[Any] | None
    owners: list[tuple[list[int], int]]  # version counters of the residuals, versions then
    again: Callable[[list[Any]], Any]
    check: Callable[[list[Any]], None]  # for anomaly mode, given the cotangents as arrays

    def apply(self, grads: list[Any], mask: int) -> Any:
        if self.residuals is None:
            raise GraphFreedError(
                "Trying to backward through the graph a second time (or directly access saved "
                "tensors after they have already been freed). Specify retain_graph=True if you "
                "need to backward through the graph a second time."
            )
        refused = self.traced.refused
        if refused is not None:
            raise ModifiedError(*refused.args)
        for counter, version in self.owners:
            if counter[0] != version:
                with changing:  # a trace in another thread takes its changes back
                    if counter[0] != version:
                        raise RuntimeError(
                            "one of the variables needed for gradient computation has been "
                            "modified by an inplace operation: a tensor that a compiled function "
                            f"read or returned is at version {counter[0]}; expected version "
                            f"{version} instead.{last_change(counter)}"
                        )
        if thread.modes.grad:
            return self.again(grads)
        backward = self.traced.backward
        assert backward is not None
        cotangents = _cotangents(backward.graph, grads)
        if _mapped(grads):
            return interpret(backward.graph, [*map(wrap, self.residuals), *cotangents])
        arrays = [np.asarray(g._data, order="C") for g in cotangents]
        if self.traced.outer_steps and thread.modes.anomaly is not None:
            self.check(arrays)
        results = backward([*self.residuals, *arrays])
        for i in self.traced.backward_copied:
            results[i] = results[i].copy()
        return [wrap(np.asarray(r)) for r in results]

    def release(self) -> None:
        self.residuals = None


#: The history of a result whose function ran backward itself: it has been freed.
_SPENT = CompiledFunctionBackward([])
_SPENT.residuals = None
_SPENT.n_outputs = 1


class Compiled:
    """A compiled function; call it like the function itself."""

    _stands_for_fn = True  # what `nn.Module` knows a compiled module by
    _user_functions = ("fn",)  # what other compiled functions follow

    def __init__(self, fn: Callable[..., Any], *, effects: bool = True) -> None:
        if not callable(fn):
            raise TypeError(f"compile takes a function or module, got {type(fn).__name__}")
        self.fn = fn
        self.effects = effects
        self._name = getattr(fn, "__name__", type(fn).__name__)
        self._traces = Traces(fn, self._name)
        self._fast: Callable[[tuple[Any, ...]], Any] | None = None
        self._fast_of: Traced | None = None  # the trace that it was made for, if one could be made
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._fast is not None and not kwargs:
            result = self._fast(args)
            if result is not MISS:
                return result
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        modes = thread.modes
        # Compiled in compiled is part of the outer graph. Under vmap and jvp the function may close
        # over what these follow, so that they must see the ops.
        if modes.trace is not None or active_levels():
            return self.fn(*args, **kwargs)
        profiler = modes.profiler
        if profiler is None:
            return self._traced(args, kwargs)
        with profiler.span(f"Compiled Region: {self._name}", REGION, flatten((args, kwargs))[0]):
            return self._traced(args, kwargs)

    def _traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leaves, structure = flatten((args, kwargs))
        tensors: list[Tensor] = []
        parts: list[Any] = []
        for x in leaves:
            if isinstance(x, Tensor):
                data = x._data
                while data.__class__ is not _ndarray:
                    if not data.interpreter.stale((x,)):
                        return self.fn(*args, **kwargs)  # another transform's: it sees the ops
                    data = x._data
                tensors.append(x)
                parts.append((data.shape, data.strides, data.dtype, x._requires_grad))
            elif type(x) in (float, complex):
                parts.append((type(x), repr(x)))  # tells 0.0 from -0.0, finds NaN again
            elif type(x) is slice:
                parts.append((slice, repr(x)))  # no hash before Python 3.12
            else:
                parts.append((type(x), x))
        modes = thread.modes
        key = (structure, tuple(parts), _aliases(tensors), modes.grad, modes.inference)
        tensors = list({id(t): t for t in tensors}.values())
        try:
            entries = self._traces.entries.get(key)
        except TypeError:
            raise TypeError(
                f"{self._name}: arguments that are not tensors must be hashable, since the "
                "function is compiled for their values; pass tuples instead of sets or arrays"
            ) from None
        traced = fitting(entries, tensors)
        if traced is None:
            with changing:
                traced = fitting(self._traces.entries.get(key), tensors)
                if traced is None:
                    reason = ""
                    if entries:
                        reason = entries[0].misfit(tensors)
                    start = time.perf_counter()
                    with span(f"Compilation: {self._name}"):
                        traced = trace_call(
                            self.fn, leaves, structure, tensors, effects=self.effects
                        )
                    level = config.debug()
                    if level:
                        seconds = time.perf_counter() - start
                        why = reason or self._traces.difference(key)
                        report(level, self._name, traced, seconds, why)
                    self._traces.remember(key, traced, reason)
        elif self._fast_of is not traced:
            self._fast_of = traced
            finish = functools.partial(self._finish, traced)
            self._fast = fast_path(traced, leaves, structure, finish) if self.effects else None
        return self._run(traced, tensors, args, kwargs)

    # -- running ----------------------------------------------------------------------------

    def _run(self, traced: Traced, tensors: list[Tensor], args: Any, kwargs: Any) -> Any:
        reads = [read() for read in traced.reads]
        inputs = [*arrays_of(traced.operands(tensors)), *reads]
        if traced.inner_steps and (thread.modes.anomaly is not None or traced.checked):
            check_gradients(_written(traced), traced.inner_steps, inputs, thread.modes.anomaly)
        values = traced.forward(inputs)
        for i in traced.copied:
            values[i] = values[i].copy()
        node = functools.partial(self._node, traced, tensors, values, reads, args, kwargs)
        result = self._finish(traced, tensors, values, node)
        if traced.grafted:
            result, *changed = result
            graft((args, kwargs), tuple(changed))
        if traced.rebound:
            result, values = result
            for (container, key), t in zip(traced.rebound, values, strict=True):
                container[key] = t
        return result

    def _finish(
        self, traced: Traced, tensors: list[Tensor], values: list[Any],
        node_of: Callable[[list[Tensor]], CompiledFunctionBackward] | None = None,
    ) -> Any:  # fmt: skip
        """The function's result, when all that it changes has been changed."""
        inference = thread.modes.inference
        results = [wrapped(np.asarray(v), inference) for v in values[: len(traced.requires_grad)]]
        node = None
        if traced.backward is not None and node_of is not None:
            node = node_of(results)
        for i in traced.made:
            results[i]._requires_grad = True
        if traced.spent:
            for t, requires in zip(results, traced.requires_grad, strict=True):
                if requires:
                    t._node, t._requires_grad = _SPENT, True
        if self.effects and (traced.changed or traced.grads):
            with changing:
                self._write_back(traced, tensors, values)
        if node is not None:
            self._record(traced, node, results, tensors)
        leaves = [
            _outcome(x, tensors, results) if x.__class__ is Result else x for x in traced.leaves
        ]
        return unflatten(traced.structure, leaves)

    def _write_back(self, traced: Traced, tensors: list[Tensor], values: list[Any]) -> None:
        place = innermost(1) if traced.changed else None
        for target, i, _ in traced.changed:
            t = find(target, tensors)
            if values[i] is not t._data:  # else the program has written it there
                np.copyto(t._data, values[i])
            count_change(t, "a compiled function", place)
        for owner, i in traced.grads:
            leaf = find(owner, tensors)
            leaf._grad = None if i is None else wrap(np.asarray(values[i], order="C"))

    def _node(
        self, traced: Traced, tensors: list[Tensor], values: list[Any], reads: list[Any],
        args: Any, kwargs: Any, results: list[Tensor],
    ) -> CompiledFunctionBackward:  # fmt: skip
        inputs = [
            results[ref.number] if isinstance(ref, Made) else find(ref, tensors)
            for ref in traced.differentiated
        ]
        node = CompiledFunctionBackward([gradient_edge(t) for t in inputs])
        node.traced = traced
        node.residuals = values[traced.residuals :]
        # The call overwrites these: a second derivative needs what they were.
        changed = {c.target for c in traced.changed if isinstance(c.target, int)}
        if changed or traced.grafted:
            snapshots = {id(tensors[i]): _snapshot(tensors[i]) for i in changed}
            leaves, structure = flatten((args, kwargs))
            args, kwargs = unflatten(structure, [snapshots.get(id(x), x) for x in leaves])
        bound = [(ref, ref.now()) for ref in traced.named]

        def again(grads: list[Any]) -> Any:
            for ref, t in bound:
                if ref.now() is not t:
                    raise RuntimeError(
                        f"{self._name}: {ref.name!r} was replaced by another tensor after the "
                        "call. A second derivative runs the function again and needs it: pass it "
                        "as an argument, or change it in place"
                    )
            return self._again(traced, reads, args, kwargs, grads)

        node.again = again
        node.check = lambda grads: check_gradients(
            _written(traced),
            traced.outer_steps,
            [*[t._data for t in traced.operands(_tensors((args, kwargs)))], *reads, *grads],
            thread.modes.anomaly,
        )
        return node

    def _record(
        self, traced: Traced, node: CompiledFunctionBackward, results: list[Tensor],
        tensors: list[Tensor],
    ) -> None:  # fmt: skip
        outs = [t for t, r in zip(results, traced.requires_grad, strict=True) if r]
        node.n_outputs = len(outs) + sum(c.requires_grad for c in traced.changed)
        if self.effects:
            outs += [find(c.target, tensors) for c in traced.changed if c.requires_grad]
        for nr, t in enumerate(outs):
            t._node, t._nr, t._requires_grad = node, nr, True
        for watch in thread.modes.watches:
            watch.recorded(node)
        node.owners = []
        for owner in traced.owners:
            if owner is None:
                continue
            is_value = owner.__class__ is tuple and owner[0] == "value"
            t = results[owner[1]] if is_value else find(owner, tensors)
            if t._counter is not INFERENCE:
                counter = version_counter(t)
                node.owners.append((counter, counter[0]))

    def _again(
        self, traced: Traced, reads: list[Any], args: Any, kwargs: Any, grads: list[Any]
    ) -> Any:
        """The gradients as a compiled function of inputs and cotangents, which has its own."""
        if _mapped(grads):
            graph = dce(_written(traced))
            operands = traced.operands(_tensors((args, kwargs)))
            return interpret(graph, [*operands, *map(wrap, reads), *_cotangents(graph, grads)])
        if traced.higher is None:
            if traced.rebound:
                raise RuntimeError(
                    f"{self._name}: no second derivative can be had of a function that puts a new "
                    f"tensor into {traced.rebound[0][1]!r}; return the tensor instead"
                )
            if any(ref.__class__ is Made for ref in traced.differentiated):
                raise RuntimeError(
                    f"{self._name}: no second derivative can be had for a leaf that the function "
                    "makes and returns; make it outside, and pass it as an argument"
                )

            def gradients(reads: Any, args: Any, kwargs: Any, grads: Any) -> list[Any]:
                tensors = _tensors((args, kwargs))
                inputs = [find(ref, tensors) for ref in traced.differentiated]
                edges = [gradient_edge(t) for t in inputs]
                leaves, structure = flatten((args, kwargs))
                args, kwargs = unflatten(structure, leaves)  # the function may change containers
                with thread.modes.trace.replaying(reads):
                    result = self.fn(*args, **kwargs)
                found = flatten((result, args, kwargs) if traced.grafted else result)[0]
                computed: dict[int, Tensor] = {}
                for x, place in zip(found, traced.leaves, strict=True):
                    if place.__class__ is Result and place.owner is None and not place.chain:
                        computed[place.number] = x
                outs = [t for i, t in sorted(computed.items()) if traced.requires_grad[i]]
                outs += [find(c.target, tensors) for c in traced.changed if c.requires_grad]
                pairs = [(o, g) for o, g in zip(outs, grads, strict=True) if g is not None]
                return run_backward(
                    [gradient_edge(o) for o, _ in pairs], [g for _, g in pairs], keep_graph=True,
                    create_graph=True, inputs=edges, accumulate=False,
                    ends=frozenset(n for n, _ in edges if n.__class__ is not AccumulateGrad),
                )  # fmt: skip

            traced.higher = Compiled(gradients, effects=False)
        return traced.higher([wrap(r) for r in reads], args, kwargs, list(grads))

    def __reduce__(self) -> Any:
        name = self.__dict__.get("__qualname__", "")
        try:
            found = operator.attrgetter(name)(sys.modules[self.__module__])
        except (AttributeError, KeyError):  # local, or a module's
            found = None
        # Decorated functions are pickled as all functions are: by their name, under which `fn` is
        # not found any more. Other copies trace for themselves.
        return name if found is self else (Compiled, (self.fn,))

    # -- as what it stands for ----------------------------------------------------------------

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __getattr__(self, name: str) -> Any:
        # The attributes of a compiled module, and those of functions that wraps() did not copy.
        if name == "fn":
            raise AttributeError(name)
        return getattr(self.fn, name)

    # -- looking inside ---------------------------------------------------------------------

    def source(self) -> str:
        """The Numba source of the kernels of the latest signature."""
        return "\n\n".join(s for e in self._latest() for s in e.forward.sources)

    def explain(self) -> str:
        """The graph of the latest signature after all passes, and how it runs."""
        return "\n".join(line for e in self._latest() for line in explained(e))

    def _latest(self) -> list[Traced]:
        return self._traces.latest()


def _tensors(tree: Any) -> list[Tensor]:
    """The distinct tensors in nested containers."""
    return list({id(x): x for x in flatten(tree)[0] if isinstance(x, Tensor)}.values())


def _mapped(grads: list[Any]) -> bool:
    """Whether gradients come from under a transform, whose tracers no program takes."""
    return any(g is not None and g._data.__class__ is not _ndarray for g in grads)


def _cotangents(graph: Graph, grads: list[Any]) -> list[Tensor]:
    """The gradients as the last inputs of a graph: zeros where there is none."""
    return [
        wrap(np.zeros(v.shape, v.dtype)) if g is None else g
        for v, g in zip(graph.inputs[len(graph.inputs) - len(grads) :], grads, strict=True)
    ]


def _written(traced: Traced) -> Graph:
    assert traced.written is not None  # there are steps
    return traced.written


def _outcome(place: Result, tensors: list[Tensor], results: list[Tensor]) -> Tensor:
    """A tensor of the result."""
    t = results[place.number] if place.owner is None else find(place.owner, tensors)
    if not place.chain:
        return t
    modes = thread.modes
    grad = modes.grad
    modes.grad = grad and not place.detached
    try:
        for op, params in place.chain:
            # As in the function itself, reshape copies where the strides allow no view.
            t = reshape(t, params["shape"]) if op is view else op(t, **params)
    finally:
        modes.grad = grad
    return t.detach() if place.detached else t


def _snapshot(t: Tensor) -> Tensor:
    """A copy with the same history."""
    copy = wrap(t._data.copy(), t._requires_grad)
    copy._node, copy._nr = t._node, t._nr
    return copy


def _aliases(tensors: list[Tensor]) -> tuple[int, ...]:
    """Which tensor arguments are one and the same: the first place of each."""
    first: dict[int, int] = {}
    return tuple(first.setdefault(id(t), i) for i, t in enumerate(tensors))


def compile(
    fn: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """Compile a function of tensors: traced at the first call, native from then on.

    Works as a function and as a decorator. Tensors that the function closes over are read at each
    call; those it changes in place, and the ``grad`` of leaves, are written back.

    With `disable` it is the function itself. PyTorch's other arguments have no effect: there is one
    backend, the graph is always whole, and kernels serve every extent.

    Raises:
        RuntimeError: both `mode` and `options` are given.

    >>> import numbagrad as ng
    >>> @ng.compile
    ... def f(x):
    ...     return (x * 2 + 1).sum()
    >>> f(ng.ones(3))
    tensor(9.)
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified")
    if fn is None:
        return lambda fn: compile(fn, disable=disable)
    return fn if disable else Compiled(fn)
