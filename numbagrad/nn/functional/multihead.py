"""Attention of several heads over projections of query, key and value."""

from __future__ import annotations

import math
from typing import Any

from ...creation import zeros_like
from ...ops import nn
from ...ops.export import check_tensor
from ...ops.joining import cat
from ...tensor import Tensor
from .attention import scaled_dot_product_attention
from .dropout import dropout
from .linear import linear
from .padding import pad


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What :class:`numbagrad.nn.MultiheadAttention` computes.

    Args:
        query: (queries, batch, embed_dim), `key`: (keys, batch, kdim), `value`: (keys, batch,
            vdim), or without the batch.
        in_proj_weight: (3 * embed_dim, embed_dim), or with `use_separate_proj_weight` one for
            each: `q_proj_weight`, `k_proj_weight` and `v_proj_weight`.
        bias_k, bias_v: (1, 1, embed_dim), one more key and value for all; or None.
        add_zero_attn: one more key and value of zeros.
        key_padding_mask: (batch, keys), True (or -inf) for keys to be ignored.
        attn_mask: (queries, keys) or (batch * heads, queries, keys), True where attention is not
            allowed, or numbers to be added to the scores.
        static_k, static_v: (batch * heads, keys, embed_dim / heads) instead of projections.
        is_causal: says that `attn_mask`, which must be given, is the causal one.

    Returns:
        (queries, batch, embed_dim), and if they are needed the weights, (batch, queries, keys) or
        with `average_attn_weights` off (batch, heads, queries, keys).

    Raises:
        RuntimeError: `is_causal` without a mask, or a mask that does not fit.
        AssertionError: shapes that do not fit.
    """
    batched = check_tensor("multi_head_attention_forward", query, "query").ndim == 3
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if batched:
        q, k, v = (t.transpose(0, 1) for t in (query, key, value))
    else:
        q, k, v = (t.unsqueeze(0) for t in (query, key, value))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    _check_sizes(q, k, v, embed_dim_to_check, num_heads, use_separate_proj_weight)
    weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    if not use_separate_proj_weight:
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        weights = in_proj_weight.chunk(3)
    if any(w is None for w in weights):
        raise AssertionError("use_separate_proj_weight is True but a projection weight is None")
    biases: Any = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True))  # type: ignore[arg-type]
    batch, queries, size = q.shape
    mask = _mask(q, k, num_heads, attn_mask, key_padding_mask)
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must both be set or both be None")
    more = 0
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value.")
        k, v = (cat([t, b.expand(batch, 1, size)], 1) for t, b in ((k, bias_k), (v, bias_v)))
        more += 1
    q, k, v = (_heads(t, num_heads) for t in (q, k, v))
    k, v = _static(k, static_k, "static_k"), _static(v, static_v, "static_v")
    if add_zero_attn:
        k, v = (cat([t, zeros_like(t[:, :, :1])], 2) for t in (k, v))
        more += 1
    if mask is not None and more:
        mask = pad(mask, (0, more))
    drop = dropout_p if training else 0.0
    shown = None
    if need_weights:
        scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-2, -1)
        shown = dropout(nn.softmax(scores if mask is None else scores + mask, -1), drop)
        heads = shown @ v
        if average_attn_weights:
            shown = shown.mean(1)
        if not batched:
            shown = shown.squeeze(0)
    else:
        heads = scaled_dot_product_attention(q, k, v, mask, drop)
    joined = heads.transpose(1, 2).reshape(batch, queries, size)
    output = linear(joined, out_proj_weight, out_proj_bias)
    return output.transpose(0, 1) if batched else output.squeeze(0), shown


def _check_sizes(q: Tensor, k: Tensor, v: Tensor, size: int, heads: int, separate: bool) -> None:
    if q.shape[-1] != size:
        raise AssertionError(f"was expecting embedding dimension of {size}, but got {q.shape[-1]}")
    if size % heads:
        raise AssertionError(f"embed_dim {size} not divisible by num_heads {heads}")
    if separate and k.shape[:2] != v.shape[:2]:
        raise AssertionError(
            f"key's sequence and batch dims {k.shape[:2]} do not match value's {v.shape[:2]}"
        )
    if not separate and k.shape != v.shape:
        raise AssertionError(f"key shape {k.shape} does not match value shape {v.shape}")


def _heads(x: Tensor, heads: int) -> Tensor:
    """(batch, sequence, features) → (batch, heads, sequence, features per head)."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(1, 2)


def _static(computed: Tensor, given: Tensor | None, name: str) -> Tensor:
    if given is None:
        return computed
    batch, heads, _, size = computed.shape
    if given.shape[0] != batch * heads or given.shape[2] != size:
        raise AssertionError(
            f"expecting {name} of shape ({batch * heads}, keys, {size}), but got "
            f"{tuple(given.shape)}"
        )
    return given.reshape(batch, heads, given.shape[1], size)


def _mask(
    q: Tensor, k: Tensor, heads: int, attn_mask: Tensor | None, padding: Tensor | None
) -> Tensor | None:
    """Both masks as numbers to be added to the scores (batch, heads, queries, keys)."""
    (batch, queries), keys = q.shape[:2], k.shape[1]
    total = None
    if attn_mask is not None:
        expected = [(queries, keys), (batch * heads, queries, keys)]
        if tuple(attn_mask.shape) not in expected:
            raise RuntimeError(
                f"The shape of the attn_mask is {attn_mask.shape}, but should be {expected[0]} "
                f"or {expected[1]}."
            )
        total = _additive(attn_mask, q)
        if attn_mask.ndim == 3:
            total = total.reshape(batch, heads, queries, keys)
    if padding is not None:
        if tuple(padding.shape) != (batch, keys):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, keys)}, but got "
                f"{tuple(padding.shape)}"
            )
        hidden = _additive(padding, q).reshape(batch, 1, 1, keys)
        total = hidden if total is None else total + hidden
    return total


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask that is True for what is ignored, as numbers to be added."""
    if mask.dtype.name == "bool":
        return zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)
    return mask.to(like.dtype)
