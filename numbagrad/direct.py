"""Calls of compiled functions that are one program and change nothing: few Python steps."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

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


def fast_path(
    entry: Traced, leaves: list[Any], given: Any
) -> Callable[[tuple[Any, ...]], Any] | None:
    """For a call of distinct tensors that ends in one program: the call with few Python steps.

    Shapes, strides and dtypes are checked natively. Anything unusual is a miss.

    Args:
        leaves: those of the arguments.
        given: the structure of (args, kwargs).
    """
    program = entry.forward.direct
    distinct = len({id(a) for a in leaves}) == len(leaves)
    of_args, of_kwargs = given[1]
    plain = distinct and all(isinstance(a, Tensor) for a in leaves) and not of_kwargs[-1]
    effects = entry.changed or entry.grads or entry.backward is not None
    effects = effects or entry.made or entry.spent or entry.rebound
    results_only = [Result(None, i) for i in range(len(entry.requires_grad))]
    if program is None or not plain or effects or entry.leaves != results_only or entry.copied:
        return None
    if entry.reads or entry.absent or entry.pinned or entry.checked:
        return None
    if not all(isinstance(t, Tensor | Named) for t in entry.captures):
        return None
    modes_now = thread.modes.grad
    requires = [a._requires_grad for a in leaves]
    captures: list[Any] = entry.captures
    closed_over = _fetch(captures)
    facts = [(fact.mapping.get, fact.key, fact.value) for fact in entry.facts]
    requires += [find(ref, [])._requires_grad for ref in captures]
    structure = entry.structure
    executable = entry.forward
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
            closed = closed_over()
            if modes_now and [t._requires_grad for t in (*passed, *closed)] != requires:
                return MISS
            slots = (*map(_data, passed), *map(_data, closed), *fresh_slots())
            if not try_run(slots):
                return MISS
        except (AttributeError, TypeError, LookupError, ValueError):
            return MISS  # not a tensor, or one that is being traced; nothing where one was
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
