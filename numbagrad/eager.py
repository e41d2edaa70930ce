"""Eager evaluation of pointwise functions: NumPy at once, a compiled kernel where it pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import dtypes
from .dtypes import BOOL, F32, F64

_ndarray = np.ndarray
Array = np.ndarray[Any, Any]


class DtypeRule(NamedTuple):
    """How the dtypes of the operands of a pointwise op decide those of its computation."""

    name: str
    #: operands -> (dtype the operands are cast to, dtype of the result)
    resolve: Callable[[Sequence[Any]], tuple[np.dtype[Any], np.dtype[Any]]]
    #: The first operand is a condition: it stays as it is.
    condition: bool = False


def _promote(xs: Sequence[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    d = dtypes.result_dtype(xs)
    return d, d


def _floating(xs: Sequence[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    d = dtypes.result_dtype(xs)
    if d.kind in "biu":
        d = dtypes.get_default_dtype().np
    return d, d


def _compare(xs: Sequence[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    return dtypes.result_dtype(xs), BOOL


def _real(xs: Sequence[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    d = dtypes.result_dtype(xs)
    return d, dtypes.real_of(d)


def _integral(xs: Sequence[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
    d = dtypes.result_dtype(xs)
    if d.kind in "fc":
        raise RuntimeError(
            f"expected integer or bool tensors, got a tensor of dtype {dtypes.of(d)}; "
            "convert it with .to(ng.int64) first"
        )
    return d, d


PROMOTE = DtypeRule("promote", _promote)  # add, mul, ...
FLOATING = DtypeRule("floating", _floating)  # sin, div, ...: integers become floats
COMPARE = DtypeRule("compare", _compare)  # eq, lt, ...: the result is bool
REAL = DtypeRule("real", _real)  # abs: complex gives real
INTEGRAL = DtypeRule("integral", _integral)  # bitwise_and, ...
CONDITION = DtypeRule("condition", lambda xs: _promote(xs[1:]), condition=True)  # where


def cast_operand(x: Any, d: np.dtype[Any]) -> Any:
    """An array cast to `d`; a Python number made fit for it."""
    if isinstance(x, _ndarray):
        return x if x.dtype is d else x.astype(d)
    if d.kind in "biu":
        return np.array(x).astype(d)
    return x


def as_array(r: Any) -> Array:
    """NumPy returns scalars where it could return 0-d arrays."""
    return r if r.__class__ is _ndarray else np.asarray(r)


def pointwise(reference: Callable[..., Any], rule: DtypeRule) -> Callable[..., Array]:
    """The eager evaluation of one elementwise op: dtype rules around its NumPy reference."""

    def general(*xs: Any) -> Array:
        compute, out = rule.resolve(xs)
        if rule.condition:
            operands = [xs[0], *(cast_operand(x, compute) for x in xs[1:])]
        else:
            operands = [cast_operand(x, compute) for x in xs]
        r = as_array(reference(*operands))
        return r if r.dtype is out else r.astype(out)

    if rule.condition or rule is INTEGRAL:
        return general

    def evaluate(x: Any, *others: Any) -> Array:
        # The common case, one floating dtype throughout, needs no rule.
        if x.__class__ is _ndarray:
            d = x.dtype
            if d is F32 or d is F64:
                for y in others:
                    if y.__class__ is _ndarray:
                        if y.dtype is not d:
                            return general(x, *others)
                    elif y.__class__ is complex:
                        return general(x, *others)
                r = reference(x, *others)
                return r if r.__class__ is _ndarray else np.asarray(r)
        return general(x, *others)

    return evaluate
