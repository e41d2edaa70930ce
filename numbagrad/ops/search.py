"""Primitives that find places by the order of values; they have no derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import wrap
from . import view as V
from .batching import SHIFT, Batched
from .registry import call, primitive


def _running_place(x: Any, *, dim: int, largest: bool) -> Any:
    best = (np.maximum if largest else np.minimum).accumulate(x, axis=dim)
    hit = (x == best) | (np.isnan(x) if x.dtype.kind == "f" else False)
    shape = [1] * x.ndim
    shape[dim] = -1
    places = np.where(hit, np.arange(x.shape[dim]).reshape(shape), 0)
    return np.maximum.accumulate(places, axis=dim)


running_place = primitive(
    "running_place",
    _running_place,
    lambda x, dim, largest: (x.shape, dtypes.I64),
    kinds="biuf",
    samples=lambda make: [
        call(make(2, 3), dim=1, largest=True),
        call(make(3, 2), dim=0, largest=False),
        call(make(0, 2), dim=0, largest=True),
    ],
    batch=SHIFT,
    doc="Where the latest extremum of what has come so far along a dimension is; NaN is one.",
)


def _search(sequence: Any, x: Any, *, right: bool) -> Any:
    side = "right" if right else "left"
    if sequence.ndim == 1:
        return np.asarray(np.searchsorted(sequence, x, side), np.int64)
    found = np.empty(x.shape, np.int64)
    for row in np.ndindex(sequence.shape[:-1]):
        found[row] = np.searchsorted(sequence[row], x[row], side)
    return found


def _batch_search(c: Batched) -> Any:
    sequence, x = c.xs
    right = c.params["right"]
    if len(c.shape(0)) > 1:
        return search(c.full(0), c.full(1), right=right)
    if not c.batched[0]:
        return search(sequence, x, right=right)
    rows = c.full(1)  # of each element of the batch, in one row
    shape = tuple(rows._data.shape)
    found = search(sequence, V.reshape(rows, (c.size, rows.numel() // c.size)), right=right)
    return V.reshape(found, shape)


search = primitive(
    "searchsorted",
    _search,
    lambda sequence, x, right: (x.shape, dtypes.I64),
    inputs=("sequence", "x"),
    kinds="biuf",
    samples=lambda make: (
        [call(wrap(np.sort(make(4)._data)), make(2, 3), right=right) for right in (True, False)]
        + [call(wrap(np.sort(make(2, 4)._data)), make(2, 3), right=True)]
    ),
    batch=_batch_search,
    doc="Where values belong in a sorted sequence; row by row if it has several dimensions.",
)
