"""A plan in words: what runs, what it reads and writes, why each group ends, and the memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..ir.graph import FUSED, Eqn, Var, names_of
from . import side_by_side
from .places import Call
from .pointwise import EQUATIONS, OPERANDS

if TYPE_CHECKING:
    from .plan import Plan


def describe(plan: Plan) -> list[str]:
    """A line for each native call, kernel and NumPy step in order, then the totals."""
    lines: list[str] = []
    names = names_of(plan.graph)
    readers = _readers(plan)
    moved = flops = 0
    for number, group in enumerate(plan.groups):
        if isinstance(group, Call):
            time = plan.time(number, 0)
            lines.append(f"step {number}: NumPy: {group.eqn.op.name} (no kernel for it){time}")
            continue
        lines.append(f"step {number}: one native call of {len(group)} kernels")
        together = {id(k): len(ks) for ks in side_by_side.steps(group, plan.buffers) for k in ks}
        for i, k in enumerate(group):
            split = "in chunks" if k.extent > k.grain else "on one thread"
            if together[id(k)] > 1:
                split = f"one of {together[id(k)]} side by side"
            work = f"{k.moved} bytes, {k.flops} flops, {split}{plan.time(number, i)}"
            lines.append(f"    {k.label}: {work}")
            moved, flops = moved + k.moved, flops + k.flops
            if isinstance(k.what, Eqn):
                for v in k.what.outputs:
                    ends = ""
                    if k.what.op is FUSED:
                        ends = f"; the group ends: {_why(plan, k.what, v, readers)}"
                    lines.append(f"        {names[v]} in {_where(plan, v, names)}{ends}")
    outs = [b for b in plan.buffers if b.kind == "out"]
    results = sum(math.prod(b.shape) * b.dtype.itemsize for b in outs)
    turns = sum(b.kind == "arena" for b in plan.buffers)
    lines.append(f"in all: {moved} bytes moved, {flops} flops")
    lines.append(
        f"memory: {results} bytes of results, an arena of {plan.arena} bytes for {turns} values"
    )
    return lines


def _where(plan: Plan, v: Var, names: dict[Var, str]) -> str:
    place = plan.places[v]
    buffer = plan.buffers[place.buffer]
    if buffer.kind == "in":
        return f"place of {names[plan.overwritten[v]]}, which it replaces"
    if buffer.kind == "arena":
        return f"the arena at {buffer.at + place.offset}"
    inside = f" at {place.offset}" if place.offset or place.shape != buffer.shape else ""
    return f"result {sum(b.kind == 'out' for b in plan.buffers[: place.buffer])}{inside}"


def _readers(plan: Plan) -> dict[Var, list[Eqn]]:
    readers: dict[Var, list[Eqn]] = {}
    for e in plan.graph.eqns:
        for a in dict.fromkeys(e.inputs):
            if isinstance(a, Var):
                readers.setdefault(a, []).append(e)
    return readers


def _why(plan: Plan, e: Eqn, v: Var, readers: dict[Var, list[Eqn]]) -> str:
    """Why a fused equation stores a variable instead of going on with whatever reads it."""
    inner = next(x for x in e.params["graph"].eqns if v in x.outputs)
    if inner.op.pointwise is None:
        return f"{inner.op.name} is known after the loop only"
    return ", ".join(dict.fromkeys(_reasons(plan, e, v, readers, "")))


def _reasons(
    plan: Plan, e: Eqn, v: Var, readers: dict[Var, list[Eqn]], through: str
) -> Iterator[str]:
    if v in plan.graph.outputs:
        yield f"it is returned{through}"
    for r in readers.get(v, ()):
        if r.op.view:
            yield from _reasons(plan, e, r.outputs[0], readers, f" through {r.op.name}")
        elif r.op is not FUSED:
            yield f"{r.op.name}, which is not pointwise, reads it{through}"
        elif through or _loop(r) != _loop(e):
            yield f"a loop over {list(_loop(r))} reads it{through}"
        elif _together(e, r):
            yield "the next group also waits for something that is not pointwise"
        else:
            yield f"a kernel takes {OPERANDS} operands and {EQUATIONS} equations at most"


def _loop(e: Eqn) -> tuple[int, ...]:
    """The shape over which a fused equation loops."""
    return e.params["graph"].eqns[0].outputs[0].shape


def _together(e: Eqn, r: Eqn) -> bool:
    """Whether two groups would fit into one kernel."""
    operands = {*e.inputs, *e.outputs, *r.inputs, *r.outputs}
    equations = len(e.params["graph"].eqns) + len(r.params["graph"].eqns)
    return len(operands) <= OPERANDS and equations <= EQUATIONS
