"""Public scans along a dimension: running extrema and sums of exponentials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import return_types
from ..tensor import Tensor, wrap
from . import elementwise as E, reduce as D, shape as S, view as V
from .export import check_tensor, public
from .gather import gather_
from .search import running_place
from .view import wrap_dim


def _running(name: str, input: Tensor, dim: int) -> Any:
    x = check_tensor(name, input, kinds="biuf")
    kind = getattr(return_types, name)
    d = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        return kind(V.clone(x), wrap(np.zeros((), np.int64)))
    indices = running_place(x, dim=d, largest=name == "cummax")
    return kind(gather_(x, indices, dim=d), indices)


@public(out=True)
def cummax(input: Tensor, dim: int) -> Any:
    """Running maxima along a dimension, and where they are."""
    return _running("cummax", input, dim)


@public(out=True)
def cummin(input: Tensor, dim: int) -> Any:
    """Running minima along a dimension, and where they are."""
    return _running("cummin", input, dim)


@public(out=True)
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Logarithms of the running sums of exponentials along a dimension, without overflow."""
    x = check_tensor("logcumsumexp", input, kinds="fc")
    d = wrap_dim(dim, x.ndim)
    if x.ndim == 0 or x.numel() == 0:
        return V.clone(x)
    # Each prefix with its own maximum taken out: exact for any spread, at quadratic cost.
    n = x._data.shape[d]
    row = S.unsqueeze(S.movedim(x, d, -1), -2)
    keep = wrap(np.tri(n, dtype=bool))
    rows = E.where(keep, row, E.number_like(row, -math.inf))
    return S.movedim(D.logsumexp(rows, -1), -1, d)
