"""Affine and bilinear maps, one-hot vectors, lengths and distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from ...creation import from_numpy, zeros
from ...dispatch import values_of
from ...inplace import assign_out, check_out
from ...ops import math, nn, reduce, scatter
from ...ops.export import check_promoted, check_tensor, public
from ...ops.gather import take_rows
from ...ops.products import einsum, matmul
from ...ops.view import broadcast_all
from ...tensor import Tensor


def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None
) -> Tensor:
    """input @ weight.T + bias.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features), or (in_features,) for a result without out_features.
        bias: (out_features,).

    Raises:
        RuntimeError: the shapes or dtypes do not fit.

    >>> import numbagrad as ng
    >>> ng.nn.functional.linear(ng.ones(1, 2), ng.ones(3, 2), ng.ones(3)).tolist()
    [[3.0, 3.0, 3.0]]
    """
    if out is not None:
        check_out(out, "linear")
        return assign_out(out, linear(input, weight, bias), "linear")
    if not isinstance(input, Tensor) or not isinstance(weight, Tensor):
        check_tensor("linear", input)
        check_tensor("linear", weight, "weight", 2)
    if weight._data.dtype.kind == "b":
        check_tensor("linear", weight, "weight", 2, kinds="iufc")
    if weight.ndim == 1:
        result = matmul(input, weight)
        return result if bias is None else result + bias
    if bias is None:
        return nn.linear_plain(input, weight)
    return nn.linear(input, weight, check_tensor("linear", bias, "bias", 3))


@public(method=False)
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1ᵀ weight[k] input2 + bias[k] for each k.

    Args:
        input1: (..., in1), `input2`: (..., in2), `weight`: (out, in1, in2), `bias`: (out,).

    Raises:
        RuntimeError: the shapes do not fit.
    """
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            "bilinear(): input batch dimensions do not match: got "
            f"{list(input1.shape[:-1])} and {list(input2.shape[:-1])}"
        )
    if weight.shape[1:] != (input1.shape[-1], input2.shape[-1]):
        raise RuntimeError(
            f"bilinear(): input1 size {input1.shape[-1]} and input2 size {input2.shape[-1]} do "
            f"not match weight size {list(weight.shape)}"
        )
    rows1 = input1.reshape(-1, input1.shape[-1])
    rows2 = input2.reshape(-1, input2.shape[-1])
    result = einsum("ni,oij,nj->no", rows1, weight, rows2)
    result = result.reshape(*input1.shape[:-1], weight.shape[0])
    return result if bias is None else result + bias


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 zeros with a one at the class, in a new last dimension of `num_classes`.

    Args:
        tensor: int64 class numbers, of any shape.
        num_classes: -1 means one more than the largest class.

    Raises:
        RuntimeError: not int64, a negative class, or one that is not below `num_classes`.

    >>> import numbagrad as ng
    >>> ng.nn.functional.one_hot(ng.tensor([1, 0]), 3).tolist()
    [[0, 1, 0], [1, 0, 0]]
    """
    if check_tensor("one_hot", tensor).dtype is not dtypes.int64:
        raise RuntimeError(
            "one_hot is only applicable to index tensor of type LongTensor, got "
            f"{tensor.dtype}; convert with .long()"
        )
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return zeros(*tensor.shape, num_classes, dtype=dtypes.int64)
    known = values_of(tensor)
    if known is not None and known.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(tensor.max()) + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    elif known is not None and known.max() >= num_classes:
        raise RuntimeError(
            f"Class values must be smaller than num_classes: {known.max()} is not below "
            f"{num_classes}"
        )
    result = zeros(*tensor.shape, num_classes, dtype=dtypes.int64)
    return scatter.scatter(result, -1, tensor.unsqueeze(-1), 1)


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """`input` divided by its p-norm along `dim`, or by `eps` where the norm is smaller.

    >>> import numbagrad as ng
    >>> ng.nn.functional.normalize(ng.tensor([3.0, 4.0]), dim=0).tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    norms = reduce.norm(input, p, dim, True)
    result = input / math.clamp_min(norms, eps)
    return result if out is None else assign_out(out, result, "normalize")


@public(method=False)
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between x1 and x2 along `dim`; they broadcast.

    >>> import numbagrad as ng
    >>> ng.nn.functional.cosine_similarity(ng.tensor([1.0, 0.0]), ng.tensor([0.0, 2.0]), dim=0)
    tensor(0.)
    """
    check_promoted("cosine_similarity", "f", x1, x2, refusal=RuntimeError)
    x1, x2 = broadcast_all(x1, x2)
    norm1 = math.clamp_min(reduce.norm(x1, 2, dim, True), eps)
    norm2 = math.clamp_min(reduce.norm(x2, 2, dim, True), eps)
    return ((x1 / norm1) * (x2 / norm2)).sum(dim)


@public(method=False)
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last dimension."""
    return reduce.norm(x1 - x2 + eps, p, -1, keepdim)


@public(method=False)
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of all pairs of rows, i before j.

    Raises:
        RuntimeError: not a matrix, or a negative `p`.

    >>> import numbagrad as ng
    >>> ng.pdist(ng.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    if check_tensor("pdist", input, kinds="f", refusal=RuntimeError).ndim != 2:
        raise RuntimeError("pdist only supports 2D tensors, got: " + f"{input.ndim}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = (from_numpy(i) for i in np.triu_indices(input.shape[0], 1))
    return reduce.norm(take_rows(input, first, dim=0) - take_rows(input, second, dim=0), p, -1)
