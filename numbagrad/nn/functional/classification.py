"""Losses of classification, of ranking and of similarity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import dtypes
from ...dispatch import values_of
from ...ops import elementwise as E, math, nn
from ...ops.export import check_tensor
from ...tensor import Tensor
from .linear import pairwise_distance
from .loss import check_reduction, legacy_reduction, reduced


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative of the log-probability that `input` gives the target class.

    Args:
        input: log-probabilities, (batch, classes, ...) or (classes,).
        target: int64 classes, (batch, ...) or ().
        weight: a weight per class; "mean" divides by the sum of the weights that count.
        ignore_index: targets of this value do not count.

    Raises:
        IndexError: a target is not a class.
        ValueError, RuntimeError: shapes or dtypes that do not fit.

    >>> import numbagrad as ng
    >>> ng.nn.functional.nll_loss(ng.tensor([[-1.0, -2.0]]), ng.tensor([1])).item()
    2.0
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction, "nll_loss")
    shape, target_shape = check_tensor("nll_loss", input, kinds="f").shape, target.shape
    rank = len(shape)
    if rank == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {rank})")
    if target.dtype is not dtypes.int64:
        if target.dtype is not dtypes.uint8:
            raise RuntimeError(
                f"expected scalar type Long but found {target.dtype}; convert the target with "
                ".long()"
            )
        target = target.long()
    if rank == 1:
        if target_shape not in ((), (1,)):
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.numel()}"
            )
    elif target_shape != (shape[0], *shape[2:]):
        if len(target_shape) and target_shape[0] != shape[0]:
            raise ValueError(
                f"Expected input batch_size ({shape[0]}) to match target batch_size "
                f"({target_shape[0]})."
            )
        raise RuntimeError(
            f"Expected target size {[shape[0], *shape[2:]]}, got {list(target_shape)}"
        )
    if weight is not None and weight.shape != (shape[0] if rank == 1 else shape[1],):
        raise RuntimeError(
            "weight tensor should be defined either for all "
            f"{shape[0] if rank == 1 else shape[1]} classes or no classes but got weight tensor of "
            f"shape: {list(weight.shape)}"
        )
    if reduction != "mean":
        check_reduction(input, reduction)
    if rank > 1:
        return nn.nll(input, target, weight, ignore_index, reduction)
    loss = nn.nll(input.unsqueeze(0), target.reshape(1), weight, ignore_index, reduction)
    return loss.reshape(target_shape) if reduction == "none" else loss


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The negative log-probability of the target class under softmax(input).

    Args:
        input: logits, (batch, classes, ...) or (classes,).
        target: int64 classes, (batch, ...) or (); or probabilities in the shape of `input`.
        weight: a weight per class; "mean" over class targets divides by the sum of the weights.
        ignore_index: class targets of this value do not count.
        label_smoothing: mixes the target with the uniform distribution; in [0, 1].

    Raises:
        IndexError: a target is not a class.
        ValueError, RuntimeError: shapes or dtypes that do not fit.

    >>> import numbagrad as ng
    >>> ng.nn.functional.cross_entropy(ng.zeros(1, 2), ng.tensor([0])).item()
    0.6931471824645996
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction, "cross_entropy")
    rank = check_tensor("cross_entropy", input).ndim
    check_tensor("cross_entropy", target, "target", 2)
    if label_smoothing and not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 0 if rank == 1 else 1
    if target.is_floating_point():
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing, dim)
    logs = nn.log_softmax(input, dim)
    loss = nll_loss(logs, target, weight, ignore_index=ignore_index, reduction=reduction)
    if not label_smoothing:
        return loss
    smooth = _uniform_loss(logs, target, weight, ignore_index, reduction, dim)
    share = label_smoothing / input.shape[dim]
    return loss * (1 - label_smoothing) + smooth * share


def _uniform_loss(
    logs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, dim: int
) -> Tensor:
    """The sum of the losses of all classes, reduced as nll_loss reduces."""
    valid = E.ne(target, ignore_index)
    weighted = logs if weight is None else logs * _per_class(weight, logs, dim)
    loss = E.where(valid, -weighted.sum(dim), 0.0)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if weight is None:
        return loss.sum() / valid.sum()
    classes = E.where(valid, target, 0)
    return loss.sum() / E.where(valid, weight[classes], 0.0).sum()


def _per_class(weight: Tensor, like: Tensor, dim: int) -> Tensor:
    return weight.reshape((-1,) + (1,) * (like.ndim - dim - 1))


def _soft_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
    dim: int,
) -> Tensor:
    if target.ndim == input.ndim - 1:
        raise RuntimeError(
            f"expected target dtype to be Long or Byte for class indices, but got {target.dtype}"
        )
    if input.shape != target.shape:
        raise ValueError(
            f"Expected floating point type for target with class probabilities of shape "
            f"{list(input.shape)}, got {list(target.shape)}"
        )
    classes = input.shape[dim]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    terms = nn.log_softmax(input, dim) * target
    if weight is not None:
        terms = terms * _per_class(weight, terms, dim)
    loss = -terms.sum(dim)
    # "mean" is over the targets: also those of one batch element (images) count.
    return reduced(loss, reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(target * log(input) + (1 - target) * log(1 - input)); logarithms are at least -100.

    Raises:
        ValueError: the shapes differ.
        RuntimeError: an input is outside of [0, 1].
    """
    reduction = legacy_reduction(size_average, reduce, reduction, "binary_cross_entropy")
    if check_tensor("binary_cross_entropy", input).shape != target.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    known = values_of(input)
    if known is not None and not ((known >= 0) & (known <= 1)).all():
        raise RuntimeError("all elements of input should be between 0 and 1")
    if input.dtype is not target.dtype:
        raise RuntimeError(
            f"Found dtype {target.dtype} but expected {input.dtype}; convert one with .to(dtype)"
        )
    loss = nn.binary_cross_entropy(input, target)
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy of sigmoid(input), without overflow.

    Args:
        pos_weight: a weight of the positive targets, broadcast against them.

    Raises:
        ValueError: the shapes differ.

    >>> import numbagrad as ng
    >>> F = ng.nn.functional
    >>> F.binary_cross_entropy_with_logits(ng.tensor([-1000.0]), ng.tensor([1.0])).item()
    1000.0
    """
    reduction = legacy_reduction(
        size_average, reduce, reduction, "binary_cross_entropy_with_logits"
    )
    name = "binary_cross_entropy_with_logits"
    check_tensor(name, input, kinds="f")
    check_tensor(name, target, "target", 2, kinds="fc", refusal=RuntimeError)
    if input.shape != target.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    # -log(sigmoid(x)) = max(-x, 0) + log1p(exp(-|x|)); the choice by sign keeps the slope at 0.
    positive = E.gt(input, 0)
    minus_log = E.log1p(E.exp(E.where(positive, -input, input))) - E.where(positive, 0.0, input)
    if pos_weight is None:
        loss = (1 - target) * input + minus_log
    else:
        loss = (1 - target) * input + ((pos_weight - 1) * target + 1) * minus_log
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """input where the target is 1, max(0, margin - input) where it is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction, "hinge_embedding_loss")
    short = E.to_dtype(margin - input, input._data.dtype)
    apart = E.where(E.ne(target, 1), math.clamp_min(short, 0), 0)
    together = E.where(E.ne(target, -1), input, 0)
    return reduced(apart + together, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin); the target, 1 or -1, says which is larger."""
    reduction = legacy_reduction(size_average, reduce, reduction, "margin_ranking_loss")
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return reduced(math.clamp_min(-target * (input1 - input2) + margin, 0), reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target * input)) for targets 1 and -1."""
    reduction = legacy_reduction(size_average, reduce, reduction, "soft_margin_loss")
    check_tensor("soft_margin_loss", input, kinds="fc", refusal=RuntimeError)
    from .activation import logsigmoid

    return reduced(-logsigmoid(target * input), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the other classes of max(0, margin - input[target] + input)ᵖ.

    Raises:
        ValueError: `p` is neither 1 nor 2.
    """
    reduction = legacy_reduction(size_average, reduce, reduction, "multi_margin_loss")
    check_tensor("multi_margin_loss", input, kinds="f")
    check_reduction(input, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    x = input if input.ndim == 2 else input.reshape(1, -1)
    index = target.reshape(-1, 1)
    gaps = math.clamp_min(margin - x.gather(1, index) + x, 0)
    if p == 2:
        gaps = E.square(gaps)
    if weight is not None:
        gaps = gaps * weight[index]
    others = E.where(_one_hot(index, x), 0.0, gaps)
    loss = others.sum(1) / x.shape[1]
    return reduced(loss.reshape(target.shape), reduction)


def _one_hot(index: Tensor, like: Tensor) -> Tensor:
    from ...creation import arange

    return E.eq(index, arange(like.shape[1]))


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction, "cosine_embedding_loss")
    lengths = (E.square(input1).sum(-1) + 1e-12) * (E.square(input2).sum(-1) + 1e-12)
    cosine = (input1 * input2).sum(-1) / E.sqrt(lengths)
    together = E.where(E.eq(target, 1), 1 - cosine, 0.0)
    apart = E.where(E.eq(target, -1), math.clamp_min(cosine - margin, 0), 0.0)
    return reduced(together + apart, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the p-norm of the difference.

    Raises:
        ValueError: `margin` is not positive.
    """
    reduction = legacy_reduction(size_average, reduce, reduction, "triplet_margin_loss")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    near: Any = pairwise_distance(anchor, positive, p, eps)
    far: Any = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = E.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(math.clamp_min(near - far + margin, 0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """:func:`triplet_margin_loss` with any distance, :func:`pairwise_distance` by default.

    Raises:
        ValueError: an unknown reduction, or a margin that is not positive.
        RuntimeError: tensors of different numbers of dimensions.
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    check_reduction(anchor, reduction)
    distance = pairwise_distance if distance_function is None else distance_function
    ranks = (anchor.ndim, positive.ndim, negative.ndim)
    if len(set(ranks)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {ranks[0]}D, positive {ranks[1]}D, and negative "
            f"{ranks[2]}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = E.minimum(far, distance(positive, negative))
    return reduced(math.clamp_min(near - far + margin, 0), reduction)
