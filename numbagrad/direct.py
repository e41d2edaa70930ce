"""Calls of compiled functions that are one program: few Python steps."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from .codegen.overwrite import apart
from .ir.pytree import flatten, unflatten
from .modes import thread
from .surroundings import Named
from .tensor import INFERENCE, Tensor, wrap
from .traced import Result, Traced, find

_data = operator.attrgetter("_data")

MISS = object()
"""What a fast call returns that is none: make the call in full."""


def wrapped(array: Any, inference: bool) -> Tensor:
    """A result as a tensor."""
    t = wrap(array)
    if inference:
        t._counter = INFERENCE
    return t


Finish = Callable[[list[Tensor], list[Any]], Any]


def fast_path(
    entry: Traced, leaves: list[Any], given: Any, finish: Finish
) -> Callable[[tuple[Any, ...]], Any] | None:
    """For a call of distinct tensors that ends in one program: the call with few Python steps.

    Shapes, strides and dtypes are checked natively. Anything unusual is a miss.

    Args:
        leaves: those of the arguments.
        given: the structure of (args, kwargs).
        finish: ``finish(tensors, values)`` changes what the function changes, and makes its
            result of what the program computed; for those that do not just return that.
    """
    program = entry.forward.direct
    distinct = len({id(a) for a in leaves}) == len(leaves)
    of_args, of_kwargs = given[1]
    plain = distinct and all(isinstance(a, Tensor) for a in leaves) and not of_kwargs[-1]
    if program is None or not plain or entry.backward is not None or entry.copied:
        return None
    if entry.draws or entry.pinned or entry.checked or entry.grafted or entry.rebound:
        return None
    # What is changed is written by the program itself, or else in full calls only.
    inputs = range(len(entry.graph.inputs))
    if any(entry.forward.result_slots[c.number] not in inputs for c in entry.changed):
        return None
    results_only = entry.leaves == [Result(None, i) for i in range(len(entry.requires_grad))]
    effects = bool(
        entry.changed or entry.grads or entry.made or entry.spent or not results_only
        or entry.absent or entry.reads
    )  # fmt: skip
    modes_now = thread.modes.grad
    compared = modes_now or effects
    requires = [a._requires_grad for a in leaves]
    captures: list[Any] = entry.captures
    gradients = any(not isinstance(t, Tensor | Named) for t in captures)
    closed_over = None if gradients else _fetch(captures)
    facts = [(fact.mapping.get, fact.key, fact.value) for fact in entry.facts]
    requires += [find(ref, leaves)._requires_grad for ref in captures]
    absent, reads = entry.absent, entry.reads
    structure = entry.structure
    executable = entry.forward
    changed = executable.changed
    try_run, fresh_slots, results = program.try_run, executable.fresh_slots(), executable.results
    n = len(leaves)
    flat = all(part is None for part in of_args[-1])
    only = -1 if executable.plan.checks or structure is not None else executable.result_slots[0]

    def call(args: tuple[Any, ...]) -> Any:
        modes = thread.modes
        if modes.watches or modes.grad is not modes_now:
            return MISS  # a trace is one of the watches
        if flat:
            if len(args) != n:
                return MISS
            passed: Any = args
        else:
            passed, structure_now = flatten(args)
            if structure_now != of_args:
                return MISS
        for get, key, value in facts:
            if get(key) is not value:
                return MISS
        try:
            closed = closed_over() if closed_over else [find(t, passed) for t in captures]
            if compared and [t._requires_grad for t in (*passed, *closed)] != requires:
                return MISS
            if effects:
                if len(set(map(id, passed))) < n:
                    return MISS  # one tensor for two would get two gradients
                for leaf, without in absent:
                    if (find(leaf, passed)._grad is None) is not without:
                        return MISS
                arrays = (*map(_data, passed), *map(_data, closed), *[read() for read in reads])
                if changed and not apart(arrays, changed):
                    return MISS
                slots = (*arrays, *fresh_slots())
            else:
                slots = (*map(_data, passed), *map(_data, closed), *fresh_slots())
            if not try_run(slots):
                return MISS
        except (AttributeError, TypeError, LookupError, ValueError):
            return MISS  # not a tensor, or one that is being traced; nothing where one was
        if effects:
            return finish(passed, results(slots))
        if only >= 0:
            return wrapped(slots[only], modes.inference)
        return unflatten(structure, [wrapped(v, modes.inference) for v in results(slots)])

    return call


def _fetch(captures: list[Any]) -> Callable[[], Any]:
    """A function that gives the closed-over tensors as they are now, in few Python steps."""
    if not any(isinstance(t, Named) for t in captures):
        return lambda: captures
    places = [t.subscript if isinstance(t, Named) else ((t,), 0) for t in captures]
    container = places[0][0]
    if len(places) > 1 and all(c is container for c, _ in places):
        return functools.partial(operator.itemgetter(*[key for _, key in places]), container)
    return lambda: [c[key] for c, key in places]
