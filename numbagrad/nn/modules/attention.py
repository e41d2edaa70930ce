"""Multi-head attention."""

from __future__ import annotations

import math
from typing import Any

from ...creation import empty, zeros_like
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from .linear import Linear


class MultiheadAttention(Module):
    """Attention of several heads over projections of query, key and value.

    Args:
        embed_dim: features of the query and of the result, divisible by `num_heads`.
        dropout: the probability of dropping a weight in training.
        kdim, vdim: features of key and value; `embed_dim` unless given.
        batch_first: (batch, sequence, features) instead of (sequence, batch, features).
        add_bias_kv, add_zero_attn: not supported.

    Raises:
        ValueError: a size that is not positive.
        AssertionError: `embed_dim` is not divisible by `num_heads`.
        NotImplementedError: `add_bias_kv` or `add_zero_attn`.

    >>> import numbagrad as ng
    >>> x = ng.ones(2, 5, 8)
    >>> output, weights = ng.nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x)
    >>> output.shape, weights.shape
    (numbagrad.Size([2, 5, 8]), numbagrad.Size([2, 5, 5]))
    """

    in_proj_weight: Tensor | None
    in_proj_bias: Tensor | None
    q_proj_weight: Tensor | None
    k_proj_weight: Tensor | None
    v_proj_weight: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        if add_bias_kv or add_zero_attn:
            raise NotImplementedError(
                "MultiheadAttention: add_bias_kv and add_zero_attn are not supported; leave both "
                "False"
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        factory = {"device": device, "dtype": dtype}
        joint = self.kdim == self.vdim == embed_dim
        for name, features in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            weight = None if joint else Parameter(empty(embed_dim, features, **factory))
            self.register_parameter(f"{name}_proj_weight", weight)
        weight = Parameter(empty(3 * embed_dim, embed_dim, **factory)) if joint else None
        self.register_parameter("in_proj_weight", weight)
        self.register_parameter(
            "in_proj_bias", Parameter(empty(3 * embed_dim, **factory)) if bias else None
        )
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, **factory)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (
            self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight,
        ):  # fmt: skip
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)  # type: ignore[arg-type]

    def _projections(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        if self.in_proj_weight is not None:
            weights: Any = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases: Any = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return [
            F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
        ]

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, sequence, features) → (batch, heads, sequence, features per head)."""
        return x.reshape(x.shape[0], x.shape[1], self.num_heads, self.head_dim).transpose(1, 2)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attended values, and the weights (their mean over heads) if they are needed.

        Args:
            query: (queries, batch, embed_dim), `key`: (keys, batch, kdim), `value`: (keys, batch,
                vdim); the batch first with `batch_first`, or no batch at all.
            key_padding_mask: (batch, keys), True (or -inf) for keys to be ignored.
            attn_mask: (queries, keys) or (batch * heads, queries, keys), True where attention is
                not allowed, or numbers to be added to the scores.
            is_causal: says that `attn_mask`, which must be given, is the causal one.

        Raises:
            RuntimeError: `is_causal` without a mask.
            AssertionError: shapes that do not fit.
        """
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        batched = query.ndim == 3
        if not batched:
            query, key, value = (t.unsqueeze(0) for t in (query, key, value))
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        if query.shape[-1] != self.embed_dim:
            raise AssertionError(
                f"was expecting embedding dimension of {self.embed_dim}, but got {query.shape[-1]}"
            )
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's "
                f"{value.shape[:2]}"
            )
        q, k, v = (self._heads(t) for t in self._projections(query, key, value))
        mask = self._mask(q, k, attn_mask, key_padding_mask)
        drop = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * (1 / math.sqrt(self.head_dim))) @ k.transpose(-2, -1)
            weights = F.softmax(scores if mask is None else scores + mask, -1)
            weights = F.dropout(weights, drop)
            heads = weights @ v
            if average_attn_weights:
                weights = weights.mean(1)
            if not batched:
                weights = weights.squeeze(0)
        else:
            heads = F.scaled_dot_product_attention(q, k, v, mask, drop)
        output = self.out_proj(heads.transpose(1, 2).reshape(*query.shape[:2], self.embed_dim))
        if not batched:
            output = output.squeeze(0)
        elif not self.batch_first:
            output = output.transpose(0, 1)
        return output, weights

    def _mask(
        self, q: Tensor, k: Tensor, attn_mask: Tensor | None, padding: Tensor | None
    ) -> Tensor | None:
        """Both masks as numbers to be added to the scores (batch, heads, queries, keys)."""
        batch, _, queries, _ = q.shape
        keys = k.shape[2]
        total = None
        if attn_mask is not None:
            expected = [(queries, keys), (batch * self.num_heads, queries, keys)]
            if tuple(attn_mask.shape) not in expected:
                raise RuntimeError(
                    f"The shape of the attn_mask is {attn_mask.shape}, but should be {expected[0]} "
                    f"or {expected[1]}."
                )
            total = _additive(attn_mask, q)
            if attn_mask.ndim == 3:
                total = total.reshape(batch, self.num_heads, queries, keys)
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
