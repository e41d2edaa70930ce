"""Results that are written over the input that they replace: changes in place without a copy.

A compiled function computes new values of what it changes in place. Where nobody needs the old
one any more, and the kernel that makes the new one reads it at the same index or not at all, the
input's own memory takes the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ..ir.graph import FUSED, Eqn, Graph, Var, dense
from ..runtime import memory
from .places import Array, Place
from .rows import has_reductions


def overwritten(
    graph: Graph,
    order: Sequence[Eqn],
    wanted: Mapping[int, int],
    places: Mapping[Var, Place],
    roots: Mapping[Var, Var],
) -> dict[Var, Var]:
    """For each result that may be written over an input: that input.

    Args:
        order: the graph's equations as they will run.
        wanted: the number of the input that an output is to replace in the end, by its own number.
        places: where the inputs lie.
        roots: for each variable the one whose memory it shares.
    """
    returned = Counter(roots[a] for a in graph.outputs if isinstance(a, Var))
    made_by = {v: i for i, e in enumerate(order) for v in e.outputs}
    last_read: dict[Var, int] = {}
    for i, e in enumerate(order):
        for a in e.inputs:
            if isinstance(a, Var):
                last_read[roots[a]] = i
    found: dict[Var, Var] = {}
    for number, argument in wanted.items():
        new, old = graph.outputs[number], graph.inputs[argument]
        if not isinstance(new, Var) or new not in made_by or roots[new] is not new:
            continue
        i = made_by[new]
        place = places[old]
        if (
            returned[new] == 1
            and not returned[old]  # the old value is not returned, nor kept for a gradient
            and last_read.get(old, -1) <= i
            and (new.shape, new.dtype, new.strides) == (old.shape, old.dtype, None)
            and place.strides == dense(old.shape, old.dtype.itemsize)
            and _same_index(order[i], old, roots)
        ):
            found[new] = old
    return found


def _same_index(e: Eqn, old: Var, roots: Mapping[Var, Var]) -> bool:
    """Whether an equation is a loop that reads no other element of `old` than the one it is at."""
    if e.op is not FUSED or has_reductions(e.params["graph"]):
        return False
    return all(a is old for a in e.inputs if isinstance(a, Var) and roots[a] is old)


def apart(arrays: Sequence[Array], changed: Sequence[int]) -> bool:
    """Whether the arrays with the numbers `changed` can be written while the others are read.

    They can if they share memory with none of them, as far as is known whose it is.
    """
    owners = [id(a) if a.base is None else _known_owner(a) for a in arrays]
    if len(set(owners)) < len(owners):
        counts = Counter(owners)
        if any(counts[owners[i]] > 1 for i in changed):
            return False
    return _UNKNOWN not in owners and all(arrays[i].flags.writeable for i in changed)


_UNKNOWN = 0


def _known_owner(a: Array) -> int:
    owner = memory.owner(a)
    return id(owner) if isinstance(owner, np.ndarray | memory.Block) else _UNKNOWN
