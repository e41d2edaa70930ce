"""Einstein summation by permutes, products and batched matrix multiplications."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..tensor import Tensor
from . import linalg as L, view as V
from .elementwise import to_dtype
from .export import check_tensor
from .reduction import sum_


def _parse(equation: str, xs: list[Tensor]) -> tuple[list[str], str]:
    """The subscripts of each operand and of the result, the ellipsis spelled out."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(xs):
        raise RuntimeError(
            f"einsum(): more operands were provided than specified in the equation: {equation!r} "
            f"names {len(terms)}, got {len(xs)}"
        )
    spare = [c for c in string.ascii_letters if c not in text]
    widest = 0
    for term, x in zip(terms, xs, strict=True):
        if "..." in term:
            widest = max(widest, x.ndim - len(term.replace("...", "")))
    dots = "".join(spare[:widest])
    expanded = []
    for term, x in zip(terms, xs, strict=True):
        if "..." in term:
            n = x.ndim - len(term.replace("...", ""))
            term = term.replace("...", dots[widest - n :] if n else "")
        if len(term) != x.ndim:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(term)}) does not match "
                f"the number of dimensions ({x.ndim}) for operand {len(expanded)}"
            )
        expanded.append(term)
    if arrow:
        result = right.replace("...", dots)
    else:
        letters = "".join(expanded)
        once = sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots)
        result = dots + "".join(once)
    for c in result:
        if all(c not in t for t in expanded):
            raise RuntimeError(
                f"einsum(): output subscript {c} does not appear in the equation for any input"
            )
    return expanded, result


def spelled_out(args: tuple[Any, ...]) -> tuple[str, tuple[Tensor, ...]]:
    """The equation of the form with lists: operand, dimensions, ..., dimensions of the result."""

    def letters(dims: Sequence[Any]) -> str:
        return "".join("..." if d is Ellipsis else string.ascii_letters[d] for d in dims)

    terms = ",".join(letters(d) for d in args[1::2])
    if len(args) % 2:
        terms = ",".join(letters(d) for d in args[1:-1:2]) + "->" + letters(args[-1])
    return terms, args[: len(args) - len(args) % 2 : 2]


def _diagonals(x: Tensor, term: str) -> tuple[Tensor, str]:
    """Take the diagonal of dimensions that bear the same letter."""
    i = 0
    while i < len(term):
        j = term.find(term[i], i + 1)
        if j < 0:
            i += 1
            continue
        x = V.diagonal(x, offset=0, dim1=i, dim2=j)
        term = term[:i] + term[i + 1 : j] + term[j + 1 :] + term[i]
    return x, term


def _sum_out(x: Tensor, term: str, keep: str) -> tuple[Tensor, str]:
    dim = tuple(i for i, c in enumerate(term) if c not in keep)
    if not dim:
        return x, term
    if x._data.dtype.kind in "biu":
        x = to_dtype(x, dtypes.I64)
    return sum_(x, dim=dim, keepdim=False), "".join(c for c in term if c in keep)


def _pair(x: Tensor, a: str, y: Tensor, b: str, keep: str) -> tuple[Tensor, str]:
    """Contract two operands over the letters that nobody else needs."""
    if any(c not in keep for c in a + b):
        check_tensor("einsum", x, kinds="iufc")
    x, a = _sum_out(x, a, b + keep)
    y, b = _sum_out(y, b, a + keep)
    if x._data.dtype.kind in "iu":  # what was summed is wider
        wide = dtypes.promote(x._data.dtype, y._data.dtype)
        x, y = to_dtype(x, wide), to_dtype(y, wide)
    batch = [c for c in a if c in b and c in keep]
    summed = [c for c in a if c in b and c not in keep]
    rows = [c for c in a if c not in b]
    columns = [c for c in b if c not in a]
    extent = dict(zip(a, x._data.shape, strict=True))
    for c, s in zip(b, y._data.shape, strict=True):
        known = extent.get(c, 1)
        if known != 1 and s not in (1, known):
            raise RuntimeError(
                f"einsum(): subscript {c} has size {s} for one operand, which does not broadcast "
                f"with previously seen size {known}"
            )
        extent[c] = max(known, s) if known and s else 0

    def arranged(t: Tensor, term: str, order: list[str]) -> Tensor:
        t = V.permute(t, dims=tuple(term.index(c) for c in order))
        return V.expand_to(t, tuple(extent[c] for c in order))

    def size(letters: list[str]) -> int:
        n = 1
        for c in letters:
            n *= extent[c]
        return n

    left = V.reshape(arranged(x, a, batch + rows + summed), (size(batch), size(rows), size(summed)))
    right = V.reshape(
        arranged(y, b, batch + summed + columns), (size(batch), size(summed), size(columns))
    )
    order = batch + rows + columns
    product = L.matmul(left, right)
    return V.reshape(product, tuple(extent[c] for c in order)), "".join(order)


def contract(equation: str, xs: list[Tensor]) -> Tensor:
    """Evaluate an Einstein summation."""
    terms, result = _parse(equation, xs)
    operands = [_diagonals(x, t) for x, t in zip(xs, terms, strict=True)]
    x, term = operands[0]
    for i, (y, other) in enumerate(operands[1:], 1):
        later = "".join(t for _, t in operands[i + 1 :])
        x, term = _pair(x, term, y, other, result + later)
    x, term = _sum_out(x, term, result)
    return V.permute(x, dims=tuple(term.index(c) for c in result))
