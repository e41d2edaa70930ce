"""The native kernels of ops that are not pointwise, by the name that an op's record gives.

A factory gets the plan, an equation and what the record says beside the name. It adds kernels that
compute the equation's outputs, or returns False: then the op's NumPy reference runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir.graph import Eqn, Var
from ..runtime import blas, layout as at
from . import lookup, loops
from .parts import put_together
from .places import Kernel, Place
from .rows import add_reduction

if TYPE_CHECKING:
    from .plan import Plan

_BLAS = (np.dtype(np.float32), np.dtype(np.float64))


def matmul(plan: Plan, e: Eqn, _: None) -> bool:
    """Products of matrices through BLAS, over all but the last two dimensions."""
    x, y = e.inputs
    out = e.outputs[0]
    if not isinstance(x, Var) or not isinstance(y, Var) or out.dtype not in _BLAS:
        return False
    if 0 in (*x.shape, *y.shape):
        return False
    a, trans_a, lda = _matrices(plan, x)
    b, trans_b, ldb = _matrices(plan, y)
    c = plan.allocate(out)
    *batch, m, n = out.shape
    k = x.shape[-1]
    strides = [
        loops.broadcast_strides(p.shape[:-2], p.strides[:-2], tuple(batch)) for p in (a, b, c)
    ]
    nest = loops.collapse(tuple(batch), strides)
    steps = list(zip(nest.extents, zip(*nest.strides, strict=True), strict=True))
    g = blas.gemm(
        out.dtype, m, n, k, lda=lda, ldb=ldb, ldc=n, trans_a=trans_a, trans_b=trans_b,
        batch=steps if nest.extents != (1,) else (),
    )  # fmt: skip
    places = [(at.G_A, a), (at.G_B, b), (at.G_C, c)]
    plan.add(Kernel(g.kernel, list(g.words), places, g.extent, g.grain, e))
    return True


def _matrices(plan: Plan, v: Var) -> tuple[Place, bool, int]:
    """Matrices as BLAS can read them: their place, whether transposed, their row stride."""
    place = plan.places[v]
    size = v.dtype.itemsize
    rows, columns = v.shape[-2:]
    row, column = (s // size for s in place.strides[-2:])
    if (column == 1 or columns == 1) and (row >= columns or rows == 1):
        return place, False, max(row, columns) if rows > 1 else columns
    if (row == 1 or rows == 1) and (column >= rows or columns == 1):
        return place, True, max(column, rows) if columns > 1 else rows
    return plan.copy(v), False, columns


def reduction(plan: Plan, e: Eqn, _: Any) -> bool:
    """Reductions of the dimensions ``dim``."""
    return add_reduction(plan, e)


KERNELS: dict[str, Callable[[Plan, Eqn, Any], bool]] = {
    "add_at": lookup.add_at,
    "matmul": matmul,
    "parts": put_together,
    "reduce": reduction,
    "take": lookup.take,
}
