"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from .. import functional as F, init
from ..module import Module
from ..parameter import new_parameter
from .linear import Linear


class MultiheadAttention(Module):
    """Attention of several heads over projections of query, key and value.

    Args:
        embed_dim: features of the query and of the result, divisible by `num_heads`.
        dropout: the probability of dropping a weight in training.
        kdim, vdim: features of key and value; `embed_dim` unless given.
        batch_first: (batch, sequence, features) instead of (sequence, batch, features).
        add_bias_kv: learn one more key and value.
        add_zero_attn: one more key and value of zeros.

    Raises:
        ValueError: a size that is not positive.
        AssertionError: `embed_dim` is not divisible by `num_heads`.

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
    bias_k: Tensor | None
    bias_v: Tensor | None

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
            weight = new_parameter(embed_dim, features, wanted=not joint, **factory)
            self.register_parameter(f"{name}_proj_weight", weight)
        weight = new_parameter(3 * embed_dim, embed_dim, wanted=joint, **factory)
        self.register_parameter("in_proj_weight", weight)
        self.register_parameter(
            "in_proj_bias", new_parameter(3 * embed_dim, wanted=bias, **factory)
        )
        for name in ("bias_k", "bias_v"):
            more = new_parameter(1, 1, embed_dim, wanted=add_bias_kv, **factory)
            self.register_parameter(name, more)
        self.add_zero_attn = add_zero_attn
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
        for more in (self.bias_k, self.bias_v):
            if more is not None:
                init.xavier_normal_(more)

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
        turned = self.batch_first and query.ndim == 3
        if turned:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        output, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight,
            self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn, self.dropout,
            self.out_proj.weight, self.out_proj.bias, self.training, key_padding_mask,
            need_weights, attn_mask, self.in_proj_weight is None, self.q_proj_weight,
            self.k_proj_weight, self.v_proj_weight, average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )  # fmt: skip
        return output.transpose(0, 1) if turned else output, weights
