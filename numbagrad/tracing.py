"""From a function and the arguments of a call to a :class:`Traced`: its programs, what they read
besides the arguments, and what they change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import combinations
from types import GeneratorType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from . import passes
from .autograd.engine import run_backward
from .codegen.program import Executable
from .codegen.scalar import supported
from .errors import GraphFreedError, ModifiedError
from .ir.graph import Eqn, Graph, Var
from .ir.pytree import flatten, unflatten
from .ir.trace import GradientStep, Trace, TraceTracer
from .locks import free_in_child
from .modes import changing, thread
from .ops.view import alias
from .surroundings import Fact, Named, Surroundings
from .tape import AccumulateGrad, Edge, gradient_edge, observe, refresh
from .tensor import INFERENCE, Tensor, wrap

_ndarray = np.ndarray


# A child forked while another thread traces would find tensors changed for ever. Said here, behind
# the locks of the compiler, since a trace takes those.
free_in_child(changing)


class GradOf(NamedTuple):
    """Refers to the gradient that a leaf has at the time of a call."""

    leaf: int | Tensor | Named


class Made(NamedTuple):
    """Refers to a leaf that the function makes: number of the computed value."""

    number: int


Ref = int | Tensor | Named | GradOf | Made
"""A tensor outside of the program: number of an argument, a closed-over tensor or the place where
it is found, a gradient; a leaf among the results."""


def find(ref: Any, tensors: list[Tensor]) -> Any:
    """The tensor that a reference names in a call with these arguments."""
    if ref.__class__ is int:
        return tensors[ref]
    if ref.__class__ is GradOf:
        return find(ref.leaf, tensors)._grad
    if ref.__class__ is Named:
        return ref.now()
    return ref


class Result(NamedTuple):
    """A tensor of the function's result: a computed value (`owner` is None), a tensor that existed
    before, or what a chain of view ops makes of one of these."""

    owner: Ref | None
    number: int = -1  # of the computed value
    chain: tuple[Any, ...] = ()
    detached: bool = False


class Change(NamedTuple):
    """A tensor outside that gets a value of the program."""

    target: Ref
    number: int
    requires_grad: bool


class Traced:
    """One traced signature."""

    def __init__(self) -> None:
        self.captures: list[Ref] = []
        self.named: list[Named] = []  # those of the references that are names
        self.guards: list[Any] = []  # (shape, strides, dtype, requires_grad) of each capture
        self.absent: list[tuple[Ref, bool]] = []  # (leaf, whether it has no gradient)
        self.facts: list[Fact] = []
        self.rebound: list[tuple[Any, Any]] = []  # (container, key) that get a tensor at each call
        self.grafted = False  # the function changed containers that it was given
        self.pinned: list[tuple[int, Tensor]] = []  # arguments that must be these very tensors
        self.reads: list[Callable[[], Any]] = []
        self.once = False
        self.structure: Any = None
        self.leaves: list[Any] = []  # of the result: a `Result` or the value itself
        self.requires_grad: list[bool] = []  # whether each computed value has a history
        self.made: list[int] = []  # those that are leaves which require grad
        self.spent = False  # the function itself ran backward: there is no history left
        self.changed: list[Change] = []
        self.grads: list[tuple[Ref, int | None]] = []
        self.copied: list[int] = []  # values that must not share their memory
        self.residuals = 0  # the number of values before them
        self.owners: list[Any] = []  # of each residual: a Ref, ("value", number), None
        self.differentiated: list[Ref] = []  # for each gradient
        self.forward: Executable
        self.backward: Executable | None = None
        self.refused: ModifiedError | None = None  # what a backward pass raises
        self.backward_copied: list[int] = []
        self.higher: Any = None  # the gradient as a compiled function, for double backward
        # The trace as it was written down, from inputs and cotangents to gradients, and for anomaly
        # mode the nodes that run backward in the two programs.
        self.written: Graph | None = None
        self.inner_steps: list[GradientStep] = []
        self.outer_steps: list[GradientStep] = []

    @property
    def graph(self) -> Graph:
        return self.forward.graph

    @property
    def checked(self) -> bool:
        """Whether the function itself switches anomaly mode on."""
        return any(s.switched and s.anomaly is not None for s in self.inner_steps)

    def operands(self, tensors: list[Tensor]) -> list[Tensor]:
        """What a call with these arguments passes to the program, but for what it `reads`."""
        pinned = {i for i, _ in self.pinned}
        operands = [t for i, t in enumerate(tensors) if i not in pinned]
        operands += [find(ref, tensors) for ref in self.captures]
        return operands

    def misfit(self, tensors: list[Tensor]) -> str:
        """Why this trace is not valid for a call now: empty if it is."""
        for ref in self.named:
            if not isinstance(ref.now(), Tensor):
                return repr(ref.name)
        for ref, guard in zip(self.captures, self.guards):
            t = find(ref, tensors)
            if t is None:
                return "whether a tensor has a gradient"
            data = t._data
            if (data.shape, data.strides, data.dtype, t._requires_grad) != guard:
                return "the shape, dtype or requires_grad of a tensor that it closes over"
        for leaf, absent in self.absent:
            if (find(leaf, tensors)._grad is None) != absent:
                return "whether a tensor has a gradient"
        for fact in self.facts:
            if fact.mapping.get(fact.key) is not fact.value and not fact.holds():
                return repr(fact.name)
        if any(tensors[i] is not t for i, t in self.pinned):
            return "which tensors share memory"
        if self.changed and not self.pinned and self._overlapping(tensors):
            return "which tensors share memory"
        return ""

    def _overlapping(self, tensors: list[Tensor]) -> bool:
        """Whether something changed overlaps an argument: the trace took them for independent."""
        if not tensors:
            return False
        changed = [find(c.target, tensors) for c in self.changed]
        others = list({id(t): t for t in (*changed, *tensors)}.values())
        arrays = arrays_of(others)
        if len({_owner(a) for a in arrays}) == len(others):
            return False
        array_of = {id(t): a for t, a in zip(others, arrays, strict=True)}
        return any(
            a is not b and np.shares_memory(array_of[id(a)], array_of[id(b)])
            for a in changed for b in tensors
        )  # fmt: skip


def arrays_of(tensors: Sequence[Tensor]) -> list[Any]:
    """What tensors hold; a trace in another thread that changes one of them is waited for."""
    arrays = [t._data for t in tensors]
    while TraceTracer in map(type, arrays):
        if not any([a.interpreter.stale(tensors) for a in arrays if type(a) is TraceTracer]):
            break  # leaked from a trace: using it is the error to raise
        arrays = [t._data for t in tensors]
    return arrays


def _owner(a: Any) -> int:
    return id(a if a.base is None else a.base)


def trace_call(
    fn: Callable[..., Any], leaves: list[Any], structure: Any, tensors: list[Tensor],
    pinned: tuple[int, ...] = (),
) -> Traced:  # fmt: skip
    """Trace ``fn(*args, **kwargs)``, given as leaves and structure; nothing is changed by it.

    The caller holds `changing`.

    Args:
        tensors: the distinct tensors among the leaves.
        pinned: numbers of those that are closed over instead of being arguments: they share
            memory with others, so views and changes must find each other.
    """
    modes = thread.modes
    before = modes.grad, modes.inference
    tracing = Trace()
    modes.trace = tracing
    observe(modes)
    objects = [x for x in leaves if not isinstance(x, Tensor)]
    try:
        call = _Call(tracing, tensors, pinned, Surroundings(fn, objects))
        stand_of = {id(t): s for t, s in zip(tensors, call.stands, strict=True)}
        given = [stand_of[id(x)] if isinstance(x, Tensor) else x for x in leaves]
        args, kwargs = unflatten(structure, given)
        try:
            result = fn(*args, **kwargs)
        finally:  # where it fails, too: no tracer stays in the user's objects
            rebound = call.take_back()
        if isinstance(result, GeneratorType):
            raise TypeError(
                f"a compiled function returned a generator ({result.__qualname__}, "
                f"{result.gi_code.co_filename}:{result.gi_code.co_firstlineno}), whose body would "
                "run after the trace has ended: return a list of what it yields"
            )
        if rebound:
            result = result, [t for _, _, t in rebound]
        left, structure_left = flatten((args, kwargs))
        grafted = structure_left != structure or any(
            a is not b for a, b in zip(left, given, strict=True)
        )
        if grafted:
            result = result, args, kwargs
        del args, kwargs, left
        call.check_flags()
        conflicts = call.conflicts()
        if not conflicts:
            traced = call.finish(result)
            traced.grafted = grafted
            traced.rebound = [(container, key) for container, key, _ in rebound]
            return traced
    finally:
        tracing.close()
        modes.trace = None
        observe(modes)
        modes.grad, modes.inference = before
    if pinned or not any(isinstance(c, int) for pair in conflicts for c in pair):
        raise RuntimeError(
            "a compiled function changes a tensor in place that shares memory with another one, "
            "and neither is a view of the other as far as is known (one came from detach(), "
            "from_numpy() or the like); pass or close over a clone()"
        )
    pins = tuple(sorted({c for pair in conflicts for c in pair if isinstance(c, int)}))
    return trace_call(fn, leaves, structure, tensors, pins)


class _Call:
    """The trace of one call while it is turned into programs."""

    def __init__(
        self,
        tracing: Trace,
        tensors: list[Tensor],
        pinned: tuple[int, ...],
        surroundings: Surroundings,
    ) -> None:
        self.tracing = tracing
        self.surroundings = surroundings
        for module in surroundings.modules:
            module._guard(tracing)
        self.found = [(n, n.now()) for n in surroundings.named.values()]
        self.rebound: set[Any] = set()  # (id(container), key) of places that change at each call
        self.tensors = tensors
        self.pinned = pinned
        self.origins: list[Edge | None] = []
        self.stands = [t if i in pinned else self._stand(t) for i, t in enumerate(tensors)]
        self.arguments = [i for i in range(len(tensors)) if i not in pinned]
        self.place = {id(self.stands[i]): i for i in self.arguments}
        self.initial = [s._data for s in self.stands]
        tracing.given = set(self.place)
        self.values: list[Any] = []

    def _stand(self, x: Tensor) -> Tensor:
        """What the function gets for an argument."""
        t = self.tracing.new_input(x._data.shape, x._data.dtype, x._data)
        t._requires_grad = x._requires_grad
        t._grad = x._grad
        if x._counter is INFERENCE:
            t._counter = INFERENCE
        self.origins.append(gradient_edge(t) if x._requires_grad else None)
        if x._node is not None:  # no leaf: may be changed in place
            modes = thread.modes
            grad, modes.grad = modes.grad, True
            t = alias(t)
            modes.grad = grad
            t._view = None
        return t

    def take_back(self) -> list[tuple[Any, Any, Tensor]]:
        """Where the function put another tensor in the place of one: (container, key, tensor).

        The places get back what they held; a call puts there what it computes.
        """
        guards = [(m, key, t) for m, key, t in self.tracing.guards if isinstance(m, dict)]
        places = [(n.container, n.key, t) for n, t in self.found if isinstance(n.container, dict)]
        rebound: dict[Any, tuple[Any, Any, Tensor]] = {}
        for container, key, before in (*guards, *places):
            now = container.get(key)
            if now is before or not isinstance(now, Tensor):
                continue
            if isinstance(before, Tensor):
                self.surroundings.named[id(before)] = Named(container, key, key)
                self.rebound.add((id(container), key))
            if before is None or isinstance(before, Tensor):
                rebound[id(container), key] = container, key, now
                container[key] = before
        return list(rebound.values())

    def check_flags(self) -> None:
        """A flag that the function set stays with what stands for the argument."""
        for i in self.arguments:
            stand, t = self.stands[i], self.tensors[i]
            if stand._requires_grad and not t._requires_grad and stand._node is None:
                raise RuntimeError(
                    f"requires_grad_() was called on the tensor argument number {i} of a compiled "
                    "function, which does not outlive the trace: call it before, or use "
                    "x.detach().requires_grad_() inside"
                )

    # -- sharing of memory ------------------------------------------------------------------

    def conflicts(self) -> list[tuple[Any, Any]]:
        """Pairs of tensors (numbers of arguments) that overlap, unknown to the trace, where one
        is changed."""
        tracing = self.tracing
        changed = {id(t) for t, _ in tracing.changed.values()}
        changed |= {i for i in self.arguments if self.stands[i]._data is not self.initial[i]}
        if not changed:
            return []
        everything: list[tuple[Any, Tensor, Any]] = [
            (i, self.tensors[i], tracing.before(self.tensors[i])) for i in self.arguments
        ]
        outside = [t for t, _ in (*tracing.captures.values(), *tracing.changed.values())]
        outside += [self.tensors[i] for i in self.pinned]
        everything += [
            (t, t, tracing.before(t))
            for t in {id(t): t for t in outside}.values()
            if not tracing.is_made(t)
        ]
        found = []
        for (a, s, x), (b, t, y) in combinations(everything, 2):
            if _owner(x) != _owner(y) or not np.shares_memory(x, y):
                continue
            keys = {ref if isinstance(ref, int) else id(ref) for ref in (a, b)}
            related = not isinstance(a, int) and not isinstance(b, int) and _base(s) is _base(t)
            if keys & changed and not related:
                found.append((a, b))
        return found

    # -- results ----------------------------------------------------------------------------

    def finish(self, result: Any) -> Traced:
        traced = Traced()
        tracing = self.tracing
        thread.modes.watches = (tracing,)  # the user's code has run: what fails now is ours
        leaves, traced.structure = flatten(result)
        self._results(traced, leaves)
        roots = [t for t, r in zip(self.computed, traced.requires_grad, strict=True) if r]
        roots += self._changes(traced)
        self._gradients_of_leaves(traced)
        forward = len(tracing.eqns)
        tangents, gradients = self._differentiate(traced, roots)
        self._programs(traced, forward, tangents, gradients)
        traced.spent = any(traced.requires_grad) and not gradients
        traced.reads = [value for value, _ in tracing.reads]
        traced.facts = self._facts()
        refs = [*traced.captures, *[r for r, _ in (*traced.absent, *traced.grads)]]
        refs = [r.leaf if isinstance(r, GradOf) else r for r in refs]
        traced.named = [r for r in refs if isinstance(r, Named)]
        traced.once = tracing.once
        traced.pinned = [(i, self.tensors[i]) for i in self.pinned]
        return traced

    def _facts(self) -> list[Fact]:
        """What else than shapes and dtypes the trace holds for."""
        facts = [
            Fact(mapping, key, value, key)
            for mapping, key, value in self.tracing.guards
            if (id(mapping), key) not in self.rebound
        ]
        return [*facts, *self.surroundings.facts, *self.identities]

    def _argument_or(self, leaf: Tensor) -> Any:
        i = self.place.get(id(leaf))
        return self._closed_over(leaf) if i is None else i

    def _outside(self, t: Tensor) -> Ref | None:
        """A tensor that exists outside of the trace."""
        i = self.place.get(id(t))
        if i is not None:
            return i
        if self.tracing.is_made(t):
            return None
        outside = id(t) in self.tracing.changed or t._data.__class__ is _ndarray
        return self._closed_over(t) if outside else None

    def _closed_over(self, t: Tensor) -> Ref:
        return self.surroundings.place_of(t) or t

    def _results(self, traced: Traced, leaves: list[Any]) -> None:
        self.computed: list[Tensor] = []
        numbers: dict[int, int] = {}
        traced.leaves = list(leaves)
        views: list[int] = []
        for k, r in enumerate(leaves):
            if not isinstance(r, Tensor):
                continue
            owner = self._outside(r)
            if owner is not None:
                traced.leaves[k] = Result(owner)
            elif r._view is not None and not (r._requires_grad and r._node is None):
                views.append(k)  # but a leaf that gets gradients has memory of its own
            else:
                traced.leaves[k] = self._computed(r, numbers)
        for k in views:
            r = leaves[k]
            view = r._view
            owner = self._outside(view.base)
            number = numbers.get(id(view.base), -1)
            if owner is None and number < 0:
                refresh(r)
                traced.leaves[k] = self._computed(r, numbers)
            else:
                traced.leaves[k] = Result(owner, number, view.chain, view.is_leaf)
        leaf = [t._node is None for t in self.computed]
        requires = [t._requires_grad for t in self.computed]
        traced.requires_grad = [r and not n for r, n in zip(requires, leaf, strict=True)]
        traced.made = [i for i, r in enumerate(requires) if r and leaf[i]]

    def _computed(self, r: Tensor, numbers: dict[int, int]) -> Result:
        number = numbers.setdefault(id(r), len(self.computed))
        if number == len(self.computed):
            self.computed.append(r)
            self.values.append(self.tracing.atom(r))
        return Result(None, number)

    def _changes(self, traced: Traced) -> list[Tensor]:
        """Note what is changed in place; returns the tensors that got a history."""
        tracing = self.tracing
        grad_of = self._grad_of()
        changed: list[tuple[Any, Tensor]] = []
        for t, state in tracing.changed.values():
            if t._view is not None and id(t._view.base) in tracing.changed:
                continue
            found = tracing.captures.get(id(state.data))
            atom = tracing.atom(t)
            if found is None or atom is not found[1]:  # else only views of it were read
                changed.append((grad_of.get(id(t)) or self._closed_over(t), t))
        for i in self.arguments:
            if self.stands[i]._data is not self.initial[i]:
                changed.append((i, self.stands[i]))
        roots = []
        for ref, t in changed:
            before = tracing.changed.get(id(t))
            history = t._requires_grad and t._node is not None and (
                before is None or t._node is not before[1].node)  # fmt: skip
            if history:
                roots.append(t)
                real = find(ref, self.tensors)
                if real._view is not None:
                    raise NotImplementedError(
                        "a compiled function changes a view in place so that a gradient flows "
                        "through it; pass the view's base and make the view inside, or clone() it"
                    )
            traced.changed.append(Change(ref, len(self.values), history))
            self.values.append(tracing.atom(t))
        return roots

    def _grad_of(self) -> dict[int, GradOf]:
        return {
            id(g): GradOf(self._argument_or(leaf))
            for leaf, g in self.tracing.grads.values()
            if g is not None
        }

    def _gradients_of_leaves(self, traced: Traced) -> None:
        tracing = self.tracing
        for leaf, before in tracing.grads.values():
            if tracing.is_made(leaf):
                continue
            owner: Ref | None = self._outside(leaf)
            if owner is None:
                continue
            traced.absent.append((owner, before is None))
            if leaf._grad is before:
                continue
            if leaf._grad is None:
                traced.grads.append((owner, None))
            else:
                traced.grads.append((owner, len(self.values)))
                self.values.append(tracing.atom(leaf._grad))

    # -- the gradient -----------------------------------------------------------------------

    def _differentiate(self, traced: Traced, roots: list[Tensor]) -> tuple[list[Var], list[Any]]:
        """Write down the backward pass: the variables of its cotangents, and the gradients."""
        tracing = self.tracing
        if not roots:
            return [], []
        candidates: list[tuple[Ref, Edge]] = [
            (i, e) for i, e in zip(self.arguments, self.origins, strict=True) if e is not None
        ]
        for t, _ in list(tracing.captures.values()):
            changed = tracing.changed.get(id(t))
            requires = t._requires_grad if changed is None else changed[1].requires_grad
            if requires and not tracing.is_made(t):
                node, nr = (t._node, t._nr) if changed is None else changed[1][1:3]
                edge = gradient_edge(t) if node is None else (node, nr)
                candidates.append((self._closed_over(t), edge))
        candidates += [(Made(i), gradient_edge(self.computed[i])) for i in traced.made]
        cotangents = [tracing.new_input(o._data.shape, o._data.dtype) for o in roots]
        tangents = [c._data.var for c in cotangents]
        if not candidates:
            return tangents, []
        hooks = _hidden_hooks(
            [find(ref, self.tensors) for ref, _ in candidates if ref.__class__ not in (int, Made)]
        )
        try:
            found = self._backward(roots, cotangents, [e for _, e in candidates])
        except ModifiedError as error:
            # Who never runs a backward pass never hears of it, as in eager code.
            traced.refused = error
            leaves = [
                self.computed[ref.number] if isinstance(ref, Made) else find(ref, self.tensors)
                for ref, _ in candidates
            ]
            found = [wrap(np.zeros(t._data.shape, t._data.dtype)) for t in leaves]
        finally:
            for extras, kept in hooks:
                extras.hooks = kept
        gradients = []
        for (owner, _), g in zip(candidates, found, strict=True):
            if g is not None:
                traced.differentiated.append(owner)
                gradients.append(tracing.atom(g))
        return tangents, gradients

    def _backward(
        self, roots: list[Tensor], cotangents: list[Tensor], edges: list[Edge]
    ) -> list[Tensor | None]:
        # What closed-over tensors were computed from is outside: their own nodes go on from here.
        ends = frozenset(node for node, _ in edges if node.__class__ is not AccumulateGrad)
        try:
            return run_backward(
                [gradient_edge(o) for o in roots], cotangents, keep_graph=True,
                create_graph=False, inputs=edges, accumulate=False, ends=ends,
            )  # fmt: skip
        except GraphFreedError:  # the function called backward() on one of them: it is done
            if len(roots) == 1:
                return [None] * len(edges)
        total: list[Tensor | None] = [None] * len(edges)
        for o, c in zip(roots, cotangents, strict=True):
            for k, g in enumerate(self._backward([o], [c], edges)):
                total[k] = g if total[k] is None else total[k] if g is None else total[k] + g
        return total

    # -- programs ---------------------------------------------------------------------------

    def _programs(
        self, traced: Traced, forward: int, tangents: list[Var], gradients: list[Any]
    ) -> None:
        tracing = self.tracing
        grad_of = self._grad_of()
        consts: dict[Var, Any] = {}
        inputs = list(tracing.inputs[: len(self.arguments)])
        refs: list[Any] = list(self.arguments)
        arrays = [self.tensors[i]._data for i in self.arguments]
        captures = list(tracing.captures.values())[::-1]
        read = [t for t, _ in (*captures, *tracing.changed.values())]
        self.identities = self.surroundings.identities(read)
        del read
        tracing.captures.clear()
        while captures:
            t, v = captures.pop()
            data = tracing.before(t)
            # Held by `t` and the argument of getrefcount only: made inside, by an op's rule.
            if tracing.is_made(t):
                consts[v] = tracing.first(t)
            elif sys.getrefcount(t) <= 2 and id(t) not in tracing.changed:
                consts[v] = data
            else:
                inputs.append(v)
                ref = grad_of.get(id(t)) or self._closed_over(t)
                refs.append(ref)
                traced.captures.append(ref)
                changed = tracing.changed.get(id(t))
                requires = t._requires_grad if changed is None else changed[1].requires_grad
                traced.guards.append((v.shape, data.strides, v.dtype, requires))
                arrays.append(data)
        for _, v in tracing.reads:
            inputs.append(v)
            refs.append(None)
            arrays.append(np.empty(v.shape, v.dtype))
        residuals: list[Var] = []
        again: list[Eqn] = []
        first, later = tracing.eqns[:forward], tracing.eqns[forward:]
        if gradients:
            again, residuals = _recomputed(first, later, gradients, inputs)
        traced.inner_steps = [s for s in tracing.gradients if s.at <= forward]
        traced.outer_steps = [s for s in tracing.gradients if s.at > forward]
        if tracing.gradients or gradients:
            traced.written = Graph(
                (*inputs, *tangents), tuple(tracing.eqns), tuple(gradients), dict(consts)
            )
        traced.residuals = len(self.values)
        graph = passes.run(Graph(tuple(inputs), tuple(first), (*self.values, *residuals), consts))
        traced.forward = Executable(graph, arrays)
        self._ownership(traced, graph, refs)
        if gradients:
            backward = passes.run(
                Graph((*residuals, *tangents), (*again, *later), tuple(gradients), dict(consts))
            )
            samples = self._saved(traced) + [np.empty(v.shape, v.dtype) for v in tangents]
            traced.backward = Executable(backward, samples)
            borrowed = {*backward.inputs, *backward.consts}
            traced.backward_copied = _shared(backward, borrowed)

    def _saved(self, traced: Traced) -> list[Any]:
        """Arrays with no memory behind them, laid out as the residuals will be."""
        found = []
        for i, a in enumerate(traced.graph.outputs[traced.residuals :], traced.residuals):
            shape, dtype, strides = traced.forward.layout(a)
            if i in traced.copied:
                found.append(np.empty(shape, dtype))
            else:
                found.append(as_strided(np.empty(0, dtype), shape, strides))
        return found

    def _ownership(self, traced: Traced, graph: Graph, refs: list[Any]) -> None:
        """Find which values lie in memory that is not theirs alone."""
        roots = _roots(graph)
        owner_of: dict[Any, Any] = dict(zip(graph.inputs, refs, strict=True))
        targets = {_key(c.target) for c in traced.changed}
        n = traced.residuals
        kept = Graph(graph.inputs, graph.eqns, graph.outputs[:n], graph.consts)
        traced.copied = _shared(kept, {*graph.inputs, *graph.consts})
        for i, a in enumerate(graph.outputs[:n]):
            if isinstance(a, Var):
                owner_of.setdefault(roots[a], ("value", i))
        for i, a in enumerate(graph.outputs[n:], n):
            owner = owner_of.get(roots[a]) if isinstance(a, Var) else None
            if owner is not None and _key(owner) in targets:
                traced.copied.append(i)  # the call overwrites it
                owner = None
            elif type(owner) is tuple and owner[1] >= len(self.computed):
                owner = None  # nobody else sees it
            traced.owners.append(owner)


def _key(ref: Any) -> Any:
    """What is equal for references to the same tensor (whose == compares elements)."""
    if isinstance(ref, Tensor):
        return id(ref)
    if isinstance(ref, tuple):
        return (type(ref), *map(_key, ref))
    return (type(ref), ref)


def _base(t: Tensor) -> Tensor:
    return t if t._view is None else t._view.base


def _hidden_hooks(refs: list[Any]) -> list[tuple[Any, Any]]:
    """Take the hooks off closed-over leaves: they run when the gradient arrives there."""
    hidden = []
    for t in refs:
        if isinstance(t, Tensor) and t._extras is not None and t._extras.hooks:
            hidden.append((t._extras, t._extras.hooks))
            t._extras.hooks = None
    return hidden


def _roots(graph: Graph) -> dict[Var, Var]:
    """For each variable the one whose memory it shares."""
    roots = {v: v for v in (*graph.inputs, *graph.consts)}
    for e in graph.eqns:
        for v in e.outputs:
            source = e.inputs[0] if e.inputs else None
            roots[v] = roots[source] if e.op.view and isinstance(source, Var) else v
    return roots


def _shared(graph: Graph, borrowed: set[Var]) -> list[int]:
    """Which outputs lie in borrowed memory, or in that of an earlier output."""
    roots = _roots(graph)
    taken = set(borrowed)
    shared = []
    for i, a in enumerate(graph.outputs):
        if isinstance(a, Var):
            if roots[a] in taken:
                shared.append(i)
            taken.add(roots[a])
    return shared


def _recomputed(
    forward: list[Eqn], backward: list[Eqn], gradients: list[Any], inputs: list[Var]
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
