"""Looking up rows of a table, and sums over bags of them."""

from __future__ import annotations

import math as _math
from typing import Any

import numpy as np

from ... import dtypes
from ...creation import arange, from_numpy
from ...dispatch import values_of
from ...modes import no_grad
from ...ops import elementwise as E, joining, math, nn, reduce, sorting
from ...ops.export import check_tensor
from ...ops.gather import add_rows
from ...tensor import Tensor


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that the indices in `input` name.

    Args:
        input: int64 or int32, of any shape.
        weight: (number of rows, features).
        padding_idx: a row that gets no gradient.
        max_norm: rows used here whose norm is larger are scaled to it first, in place.

    Raises:
        IndexError: an index is out of range.
        RuntimeError: the indices are not integers.
        AssertionError: `padding_idx` is out of range.
        NotImplementedError: `scale_grad_by_freq` or `sparse` is asked for.

    >>> import numbagrad as ng
    >>> ng.nn.functional.embedding(ng.tensor([2, 0]), ng.eye(3)).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if scale_grad_by_freq or sparse:
        raise NotImplementedError(
            "embedding(): scale_grad_by_freq and sparse gradients are not supported; leave both "
            "False"
        )
    check_tensor("embedding", input)
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {input.dtype} instead (while checking arguments for embedding)"
        )
    if check_tensor("embedding", weight, "weight", 2).ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    rows = weight.shape[0]
    padding_idx = _padding(padding_idx, rows)
    if max_norm is not None:
        _limit_norms(weight, input, max_norm, norm_type)
    result = nn.embed(weight, input)
    if padding_idx is None:
        return result
    return math.where((input == padding_idx).unsqueeze(-1), result.detach(), result)


def _limit_norms(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    with no_grad():
        used = sorting.unique(index)
        norms = reduce.norm(weight[used], norm_type, 1, True)
        scale = math.where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
        weight[used] = weight[used] * scale


def _padding(padding_idx: int | None, rows: int) -> int | None:
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % rows


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum over each bag of rows of `weight`.

    Args:
        input: (bags, size) of indices, or (indices,) with `offsets` where each bag starts.
        weight: (number of rows, features).
        mode: "sum", "mean" or "max"; an empty bag gives 0.
        per_sample_weights: factors of the rows, of the shape of `input`; "sum" only.
        include_last_offset: the last offset is where the last bag ends.
        padding_idx: a row that is left out.
        max_norm: rows used here whose norm is larger are scaled to it first, in place.

    Raises:
        ValueError: shapes or a mode that do not fit.
        RuntimeError: offsets that do not fit, or indices that are not integers.
        NotImplementedError: `scale_grad_by_freq` or `sparse`, or weights for another mode.

    >>> import numbagrad as ng
    >>> index, starts = ng.tensor([0, 1, 2]), ng.tensor([0, 1])
    >>> ng.nn.functional.embedding_bag(index, ng.eye(3), starts, mode="sum").tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    """
    check_tensor("embedding_bag", input)
    check_tensor("embedding_bag", weight, "weight", 2, kinds="f", refusal=RuntimeError)
    if scale_grad_by_freq or sparse:
        raise NotImplementedError(
            "embedding_bag(): scale_grad_by_freq and sparse gradients are not supported; leave "
            "both False"
        )
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
                f"supported for mode='sum' (got mode='{mode}')."
            )
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not "
                f"None, then it must have the same shape as the input ({list(input.shape)})"
            )
        if per_sample_weights.dtype != weight.dtype:
            raise RuntimeError(
                f"expected per_sample_weights to have the dtype of weight, {weight.dtype}, but got "
                f"{per_sample_weights.dtype}"
            )
        per_sample_weights = per_sample_weights.reshape(-1)
    starts = _starts(input, offsets, include_last_offset)
    padding = _padding(padding_idx, weight.shape[0])
    index = input.reshape(-1)
    rows = embedding(index, weight, None, max_norm, norm_type)
    counts = starts[1:] - starts[:-1]
    used: Any = None
    if padding is not None:
        used = E.ne(index, padding)
    if mode == "max":
        return _largest(rows, starts, counts, used)
    if used is not None:
        rows = E.where(used.unsqueeze(1), rows, 0.0)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    places = sorting.searchsorted(starts, arange(rows.shape[0]), right=True) - 1
    bags = counts.shape[0]
    # One more: what lies behind the end of the last bag.
    total = add_rows(rows, places, shape=(bags + 1, rows.shape[1]), dim=0)[:bags]
    if mode == "sum":
        return total
    number = counts
    if used is not None:
        number = add_rows(used.long(), places, shape=(bags + 1,), dim=0)[:bags]
    return total / math.clamp_min(number, 1).to(total.dtype).unsqueeze(1)


def _starts(input: Tensor, offsets: Tensor | None, include_last: bool) -> Tensor:
    """Where each bag starts, and the last one ends, in the flattened input."""
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                "of fixed length sequences. However, found offsets of type Tensor"
            )
        return from_numpy(np.arange(input.shape[0] + 1) * input.shape[1])
    if input.ndim != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}"
        )
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if input.dtype != offsets.dtype:
        raise RuntimeError(
            "expected input and offsets to have the same dtype, but got "
            f"{input.dtype} and {offsets.dtype}"
        )
    length = input.shape[0]
    if include_last and not offsets.shape[0]:
        raise ValueError("include_last_offset: number of offset should be at least 1")
    known = values_of(offsets)
    if known is not None:
        for row in known.reshape(-1, offsets.shape[0]):  # several under vmap
            _check_starts(row, length)
    starts = offsets.detach().long()
    return starts if include_last else joining.cat([starts, starts.new_full((1,), length)])


def _check_starts(starts: np.ndarray[Any, Any], length: int) -> None:
    if len(starts) and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {starts[0]}"
        )
    if len(starts) and starts[-1] > length:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length({length}). However, got "
            f"offsets[-1] of {starts[-1]}"
        )
    if (np.diff(starts) < 0).any():
        raise RuntimeError(f"offsets must not decrease, but got {starts.tolist()}")


def _largest(rows: Tensor, starts: Tensor, counts: Tensor, used: Tensor | None) -> Tensor:
    """The maximum over each bag; the first of equal ones gets the gradient."""
    known = values_of(counts)
    longest = rows.shape[0] if known is None else int(known.max(initial=0))
    if not longest:
        return rows.new_zeros((counts.shape[0], rows.shape[1]))
    step = arange(longest)
    index = math.clamp_max(starts[:-1].unsqueeze(1) + step, rows.shape[0] - 1)
    inside = E.lt(step, counts.unsqueeze(1))
    if used is not None:
        inside = E.logical_and(inside, used[index])
    candidates = E.where(inside.unsqueeze(2), rows[index], -_math.inf)
    return E.where(inside.any(1).unsqueeze(1), candidates.max(1).values, 0.0)
