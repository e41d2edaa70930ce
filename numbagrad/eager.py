"""Eager evaluation of pointwise functions: NumPy at once, a compiled kernel where it pays."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import dtypes
from .dtypes import BOOL, F32, F64
from .ir.graph import Graph

_ndarray = np.ndarray
Array = np.ndarray[Any, Any]


class DtypeRule(NamedTuple):
    """How the dtypes of the operands of a pointwise op decide those of its computation."""

    name: str
    #: operands -> (dtype the operands are cast to, dtype of the result)
    resolve: Callable[[Sequence[Any]], tuple[np.dtype[Any], np.dtype[Any]]]
    #: The first operand is a condition: it stays as it is.
    condition: bool = False
    #: Dtype kinds of the computation that the op takes, in NumPy's letters.
    kinds: str = "biufc"

    def limited(self, op: str, kinds: str, refusal: type[RuntimeError]) -> DtypeRule:
        """This rule for an op that takes only some kinds of dtypes, and raises `refusal` else."""
        if kinds == self.kinds:
            return self

        def resolve(xs: Sequence[Any]) -> tuple[np.dtype[Any], np.dtype[Any]]:
            d = self.resolve(xs)
            if d[0].kind not in kinds:
                raise refusal(refused(op, d[0], kinds))
            return d

        return self._replace(resolve=resolve, kinds=kinds)


_KINDS = {"b": "bool", "iu": "integer", "f": "floating-point", "c": "complex"}


def refused(op: str, dtype: np.dtype[Any], kinds: str) -> str:
    """The error message of an op that does not take a dtype."""
    *others, last = [name for letters, name in _KINDS.items() if letters[0] in kinds]
    taken = f"{', '.join(others)} and {last}" if others else last
    return (
        f'"{op}" not implemented for {dtypes.of(dtype)}: it takes {taken} tensors, convert with '
        ".to(dtype)"
    )


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


PROMOTE = DtypeRule("promote", _promote)  # add, mul, ...
FLOATING = DtypeRule("floating", _floating)  # sin, div, ...: integers become floats
COMPARE = DtypeRule("compare", _compare)  # eq, lt, ...: the result is bool
REAL = DtypeRule("real", _real)  # abs: complex gives real
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


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape under NumPy's and PyTorch's broadcasting.

    Raises:
        RuntimeError: the shapes do not fit; the message names the dimension.
    """
    result: list[int] = []
    for axis in range(-1, -max(map(len, shapes), default=0) - 1, -1):
        extent = 1
        for shape in shapes:
            if len(shape) >= -axis and shape[axis] != 1:
                if extent not in (1, shape[axis]):
                    raise RuntimeError(
                        f"The size of tensor a ({extent}) must match the size of tensor b "
                        f"({shape[axis]}) at non-singleton dimension "
                        f"{max(map(len, shapes)) + axis}: the shapes are "
                        f"{' and '.join(str(tuple(s)) for s in shapes)}"
                    )
                extent = shape[axis]
        result.append(extent)
    return tuple(reversed(result))


_constants: dict[np.dtype[Any], dict[Any, Array]] = {F32: {}, F64: {}}


def constant(x: float, d: np.dtype[Any]) -> Array:
    """A Python number as a 0-d array of a floating dtype: NumPy takes it in half the time."""
    known = _constants.get(d)
    if known is None or x == 0:  # 0.0 and -0.0 are one key
        return np.array(x, d)
    a = known.get(x)
    if a is None:
        if len(known) > 1000:
            known.clear()
        a = known[x] = np.array(x, d)
    return a


#: Elements from which on a compiled kernel, with its threads, beats NumPy.
LARGE = 32768
# The same where the reference is several calls of NumPy, or a Python call for each element.
_LARGE_COMPOSED, _LARGE_BY_ELEMENT = 8192, 256
# Seconds of NumPy time on large arrays after which kernels pay: looking for one loads the native
# runtime; making one takes a compilation, and the first of all that of the runner. The first and
# the last count the time of all functions together.
_LOOK, _COMPILE, _FIRST_COMPILE = 0.05, 0.06, 0.15
_numpy_seconds = 0.0


class Hot:
    """A pointwise function of large arrays: NumPy until a kernel is at hand or has paid off."""

    __slots__ = ("_graph", "_kernels", "identity", "reference")

    def __init__(
        self, reference: Callable[..., Any], graph: Callable[[list[np.dtype[Any]]], Graph]
    ) -> None:
        self.reference = reference  # returns an array or a tuple of them
        self._graph = graph  # from the dtypes of the operands
        self.identity = False  # all outputs are the first operand
        self._kernels: dict[Any, Any] = {}  # by dtypes: [kernel or None, seconds of NumPy time]

    def __call__(self, *arrays: Array) -> Any:
        """The outputs, as a list from the kernel or whatever the reference returns."""
        global _numpy_seconds
        key = tuple([a.dtype for a in arrays])
        entry = self._kernels.get(key)
        if entry is None:
            entry = self._kernels[key] = [None, 0.0]
        if _numpy_seconds > _LOOK:
            kernel = entry[0]
            if kernel is None:
                from .codegen.pointwise import PointwiseKernel  # loads the native runtime

                kernel = entry[0] = PointwiseKernel(self._graph(list(key)))
            if kernel.supported:
                pays = entry[1] > _COMPILE and _numpy_seconds > _FIRST_COMPILE
                outs = kernel.run(arrays, may_compile=pays)
                if outs is not None:
                    return outs
        start = time.perf_counter()
        result = self.reference(*arrays)
        spent = time.perf_counter() - start
        entry[1] += spent
        _numpy_seconds += spent
        return result


def pointwise(
    reference: Callable[..., Any], rule: DtypeRule, arity: int, hot: Hot
) -> Callable[..., Array]:
    """The eager evaluation of one elementwise op: dtype rules around its NumPy reference."""
    large = LARGE if isinstance(reference, np.ufunc) else _LARGE_COMPOSED
    if getattr(reference, "by_element", False):
        large = _LARGE_BY_ELEMENT

    def general(*xs: Any) -> Array:
        compute, out = rule.resolve(xs)
        if rule.condition:
            operands = [xs[0], *(cast_operand(x, compute) for x in xs[1:])]
        else:
            operands = [cast_operand(x, compute) for x in xs]
        if any(x.__class__ is _ndarray and x.size >= large for x in operands):
            r = hot(*[x if x.__class__ is _ndarray else np.array(x, compute) for x in operands])
            r = r[0] if r.__class__ is list else r
        else:
            r = as_array(reference(*operands))
        return r if r.dtype is out else r.astype(out)

    if rule.condition or "f" not in rule.kinds:
        return general

    # One floating dtype throughout is the common case and needs no rule.

    def unary(x: Array) -> Array:
        d = x.dtype
        if d is F32 or d is F64:
            if x.size >= large:
                r = hot(x)
                return r[0] if r.__class__ is list else r
            r = reference(x)
            return r if r.__class__ is _ndarray else np.asarray(r)
        return general(x)

    def binary(x: Any, y: Any) -> Array:
        if x.__class__ is _ndarray:
            d = x.dtype
            if d is F32 or d is F64:
                if y.__class__ is _ndarray:
                    if y.dtype is not d:
                        return general(x, y)
                elif y.__class__ is float or y.__class__ is int:
                    number = _constants[d].get(y)
                    y = constant(y, d) if number is None else number
                else:
                    return general(x, y)
                if x.size >= large or y.size >= large:
                    r = hot(x, y)
                    return r[0] if r.__class__ is list else r
                r = reference(x, y)
                return r if r.__class__ is _ndarray else np.asarray(r)
        return general(x, y)

    return unary if arity == 1 else binary if arity == 2 else general
