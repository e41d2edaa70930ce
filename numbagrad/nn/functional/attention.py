"""Scaled dot-product attention."""

from __future__ import annotations

import math

from ...creation import ones
from ...ops import elementwise as E, nn
from ...ops.arrange import repeat_interleave
from ...ops.diagonals import tril
from ...ops.export import check_tensor
from ...tensor import Tensor
from .dropout import dropout


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ keyᵀ * scale + mask) @ value.

    Args:
        query: (..., heads, queries, features), `key`: (..., heads, keys, features), `value`:
            (..., heads, keys, value features).
        attn_mask: a bool mask, True where attention is allowed, or numbers to be added to the
            scores; broadcasts to (..., heads, queries, keys).
        dropout_p: the probability of dropping a weight. It is not off in evaluation: pass 0.
        is_causal: allow key j for query i only if j <= i.
        scale: 1/√features unless given.
        enable_gqa: heads of the query share heads of key and value.

    Returns:
        (..., heads, queries, value features); 0 for a query that may look at nothing.

    Raises:
        RuntimeError: both `attn_mask` and `is_causal`, or shapes or dtypes that do not fit.

    >>> import numbagrad as ng
    >>> x = ng.ones(1, 2, 4)
    >>> ng.nn.functional.scaled_dot_product_attention(x, x, x).shape
    numbagrad.Size([1, 2, 4])
    """
    for name, t in (("query", query), ("key", key), ("value", value)):
        if (
            check_tensor(
                "scaled_dot_product_attention", t, name, kinds="fc", refusal=RuntimeError
            ).ndim
            < 2
        ):
            raise RuntimeError(
                "scaled_dot_product_attention: Expected query, key, and value to all be at least "
                f"2 dimensional, but got {name}.dim: {t.ndim}"
            )
        if t.dtype != query.dtype:
            raise RuntimeError(
                "scaled_dot_product_attention: Expected query, key, and value to have the same "
                f"dtype, but got query.dtype: {query.dtype} and {name}.dtype: {t.dtype} instead."
            )
    if attn_mask is not None and is_causal:
        raise RuntimeError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
        )
    if enable_gqa:
        key = repeat_interleave(key, query.shape[-3] // key.shape[-3], -3)
        value = repeat_interleave(value, query.shape[-3] // value.shape[-3], -3)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = tril(ones(query.shape[-2], key.shape[-2])) > 0
    if attn_mask is None:
        weights = nn.softmax(scores, -1)
    elif attn_mask.dtype.name == "bool":
        weights = _masked_softmax(scores, attn_mask)
    else:
        weights = nn.softmax(scores + attn_mask.to(scores.dtype), -1)
    return dropout(weights, dropout_p) @ value


def _masked_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """softmax over what is allowed; a row where nothing is gives zeros instead of NaN."""
    any_allowed = allowed.any(-1, keepdim=True)
    weights = nn.softmax(E.where(E.logical_or(allowed, ~any_allowed), scores, -math.inf), -1)
    return E.where(any_allowed, weights, 0.0)
