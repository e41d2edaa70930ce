"""From a function and the arguments of a call to a :class:`Traced`: its programs, what they read
besides the arguments, and what they change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import combinations
from types import GeneratorType
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from . import passes
from .autograd.engine import run_backward
from .codegen.program import Executable
from .errors import GraphFreedError, ModifiedError
from .ir.graph import Eqn, Graph, Var
from .ir.pytree import flatten, unflatten
from .ir.trace import Trace
from .locks import free_in_child
from .modes import changing, thread
from .ops.view import alias
from .residuals import recomputed, roots_of, shared
from .runtime import memory
from .surroundings import Fact, Named, Surroundings
from .tape import AccumulateGrad, Edge, gradient_edge, observe
from .tensor import INFERENCE, Tensor, wrap
from .traced import Change, GradOf, Made, Ref, Result, Traced, find
from .views import refresh

_ndarray = np.ndarray

# A child forked while another thread traces would find tensors changed for ever. Said here, behind
# the locks of the compiler, since a trace takes those.
free_in_child(changing)


def trace_call(
    fn: Callable[..., Any], leaves: list[Any], structure: Any, tensors: list[Tensor],
    pinned: tuple[int, ...] = (), *, effects: bool = True,
) -> Traced:  # fmt: skip
    """Trace ``fn(*args, **kwargs)``, given as leaves and structure; nothing is changed by it.

    The caller holds `changing`.

    Args:
        tensors: the distinct tensors among the leaves.
        pinned: numbers of those that are closed over instead of being arguments: they share
            memory with others, so views and changes must find each other.
        effects: whether calls change tensors in place as `fn` does.
    """
    modes = thread.modes
    before = modes.grad, modes.inference
    tracing = Trace()
    modes.trace = tracing
    observe(modes)
    objects = [x for x in leaves if not isinstance(x, Tensor)]
    try:
        call = _Call(tracing, tensors, pinned, Surroundings(fn, objects), effects)
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
    return trace_call(fn, leaves, structure, tensors, pins, effects=effects)


class _Call:
    """The trace of one call while it is turned into programs."""

    def __init__(
        self,
        tracing: Trace,
        tensors: list[Tensor],
        pinned: tuple[int, ...],
        surroundings: Surroundings,
        effects: bool,
    ) -> None:
        self.effects = effects
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
        self.values: list[Any] = []  # what the forward program returns, but for residuals
        self.computed: list[Tensor] = []  # the values that are results
        self.identities: list[Fact] = []

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
            if memory.owner(x) is not memory.owner(y) or not np.shares_memory(x, y):
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
        traced.draws = tracing.draws
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
            Fact(
                mapping, key, value, key if isinstance(key, str) else "the entries of a dictionary"
            )
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
            if tracing.required_grad(t) and not tracing.is_made(t):
                candidates.append((self._closed_over(t), tracing.edge_before(t)))
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
        """Turn what was traced into a program, and if there are gradients into a second one."""
        tracing = self.tracing
        inputs, refs, arrays, consts = self._inputs(traced)
        residuals: list[Var] = []
        again: list[Eqn] = []
        first, later = tracing.eqns[:forward], tracing.eqns[forward:]
        if gradients:
            again, residuals = recomputed(first, later, gradients, inputs)
        traced.inner_steps = [s for s in tracing.gradients if s.at <= forward]
        traced.outer_steps = [s for s in tracing.gradients if s.at > forward]
        if tracing.gradients or gradients:
            traced.written = Graph(
                (*inputs, *tangents), tuple(tracing.eqns), tuple(gradients), dict(consts)
            )
        traced.residuals = len(self.values)
        graph = passes.run(Graph(tuple(inputs), tuple(first), (*self.values, *residuals), consts))
        replaces: dict[int, int] = {}
        if self.effects and not gradients and not self.pinned:
            numbers = {_key(ref): i for i, ref in enumerate(refs)}
            for change in traced.changed:
                argument = numbers.get(_key(change.target))
                if argument is not None:
                    replaces[change.number] = argument
        traced.forward = Executable(graph, arrays, replaces)
        self._ownership(traced, graph, refs)
        if gradients:
            backward = passes.run(
                Graph((*residuals, *tangents), (*again, *later), tuple(gradients), dict(consts))
            )
            samples = self._saved(traced) + [np.empty(v.shape, v.dtype) for v in tangents]
            traced.backward = Executable(backward, samples)
            borrowed = {*backward.inputs, *backward.consts}
            traced.backward_copied = shared(backward, borrowed)

    def _inputs(
        self, traced: Traced
    ) -> tuple[list[Var], list[Ref | None], list[Any], dict[Var, Any]]:
        """The inputs of the forward program: arguments, what it closes over, what it reads.

        Returns the variables, for each the tensor it stands for and an array like it; and the
        constants, which are tensors that nobody outside of the trace can change.
        """
        tracing = self.tracing
        grad_of = self._grad_of()
        consts: dict[Var, Any] = {}
        inputs = list(tracing.inputs[: len(self.arguments)])
        refs: list[Ref | None] = list(self.arguments)
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
                ref = grad_of.get(id(t)) or self._closed_over(t)
                inputs.append(v)
                refs.append(ref)
                arrays.append(data)
                traced.captures.append(ref)
                traced.guards.append((v.shape, data.strides, v.dtype, tracing.required_grad(t)))
        for _, v in tracing.reads:
            inputs.append(v)
            refs.append(None)
            arrays.append(np.empty(v.shape, v.dtype))
        return inputs, refs, arrays, consts

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
        roots = roots_of(graph)
        owner_of: dict[Any, Any] = dict(zip(graph.inputs, refs, strict=True))
        targets = {_key(c.target) for c in traced.changed}
        n = traced.residuals
        kept = Graph(graph.inputs, graph.eqns, graph.outputs[:n], graph.consts)
        traced.copied = shared(kept, {*graph.inputs, *graph.consts})
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
