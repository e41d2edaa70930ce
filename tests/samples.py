"""Samples of every op in the registry, in every dtype and memory layout it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

import numbagrad as ng
from numbagrad.ops.registry import Op, call

Array = np.ndarray[Any, Any]
LAYOUTS = ("contiguous", "strided", "broadcast")
#: One dtype of each kind and width class: the others differ in nothing an op could see.
DTYPES = (ng.bool, ng.uint8, ng.int8, ng.int32, ng.int64, ng.float16, ng.float32, ng.float64,
          ng.complex64, ng.complex128)  # fmt: skip


def takes(op: Op, dtype: ng.dtype) -> bool:
    return dtype.np.kind in op.kinds


class Make:
    """Makes the arguments of samples: tensors of one dtype, in one layout, with fixed values."""

    def __init__(self, dtype: ng.dtype, layout: str = "contiguous", seed: int = 0) -> None:
        self.dtype = dtype
        self.layout = layout
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int, low: float = -2, high: float = 2) -> ng.Tensor:
        return ng.from_numpy(laid_out(self.values(shape, low, high), self.layout))

    def values(self, shape: tuple[int, ...], low: float, high: float) -> Array:
        d = self.dtype.np
        if d.kind == "b":
            return np.asarray(self.rng.integers(0, 2, shape), d)
        if d.kind in "iu":
            smallest = int(max(0, np.ceil(low)) if d.kind == "u" else np.ceil(low))
            largest = max(int(np.floor(high)), smallest + 1)  # a domain may hold no integer
            return np.asarray(self.rng.integers(smallest, largest + 1, shape), d)
        values = self.rng.uniform(low, high, shape)
        if d.kind == "c":
            values = values + 1j * self.rng.uniform(0.2, 1, shape)
        return np.asarray(values, d)

    def index(self, *shape: int, below: int, distinct: bool = False) -> ng.Tensor:
        if distinct:
            return ng.from_numpy(self.rng.permutation(below)[: shape[0]])
        return ng.from_numpy(np.asarray(self.rng.integers(0, below, shape)))

    def mask(self, *shape: int) -> ng.Tensor:
        return ng.from_numpy(np.asarray(self.rng.integers(0, 2, shape), bool))

    def key(self) -> ng.Tensor:
        """The key of a random op: seed and offset."""
        return ng.tensor([7, 0])


def laid_out(a: Array, layout: str) -> Array:
    """The array (or, broadcast, its first column) in another memory layout."""
    if a.ndim == 0 or layout == "contiguous":
        return np.ascontiguousarray(a).reshape(a.shape)
    if layout == "strided":  # transposed, and every second element
        wide = np.zeros((*a.shape[::-1], 2), a.dtype)
        wide[..., 0] = a.T
        return wide[..., 0].T
    first = np.array(a[..., :1])
    return as_strided(first, a.shape, (*first.strides[:-1], 0)) if a.size else a


def samples(op: Op, make: Make) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """(args, params) of calls of one op."""
    if op.samples is not None:
        yield from op.samples(make)
    elif op.expr is not None:
        yield from _elementwise(op, make)


def _elementwise(op: Op, make: Make) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    domain = op.domain or ((-2.0, 2.0),) * len(op.inputs)

    def argument(i: int, *shape: int) -> Any:
        if op.inputs[i] == "condition":
            return make.mask(*shape)
        low, high = domain[min(i, len(domain) - 1)]
        return make(*shape, low=low, high=high)

    n = len(op.inputs)
    for shape in ((2, 3), (), (0, 3)):
        yield call(*[argument(i, *shape) for i in range(n)])
    if n > 1:
        yield call(argument(0, 2, 1), *[argument(i, 3) for i in range(1, n)])
        yield call(*[argument(i, 2) for i in range(n - 1)], argument(n - 1))
        if make.dtype.np.kind in "fc":  # a number where the first of the tensors stands
            numbers = [argument(i) for i in range(n)]
            yield call(*[argument(i, 2) for i in range(n - 1)], numbers[-1].item())
