"""Losses of samples that have several classes at once."""

from __future__ import annotations

from ... import dtypes
from ...ops import elementwise as E
from ...ops.export import check_tensor
from ...ops.gather import gather_
from ...ops.math import clamp_min
from ...ops.scatter import scatter_add
from ...tensor import Tensor
from .activation import logsigmoid
from .loss import check_reduction, legacy_reduction, reduced


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of max(0, 1 - input[target] + input[other]), for all targets.

    Args:
        input: (batch, classes) or (classes,).
        target: int64 of the same shape: the classes of a sample, ended by -1.

    Raises:
        RuntimeError: shapes or dtypes that do not fit, or a target that is no class.

    >>> import numbagrad as ng
    >>> x = ng.tensor([0.1, 0.2, 0.4, 0.8])
    >>> round(ng.nn.functional.multilabel_margin_loss(x, ng.tensor([3, 0, -1, 1])).item(), 4)
    0.85
    """
    reduction = legacy_reduction(size_average, reduce, reduction, "multilabel_margin_loss")
    check_reduction(check_tensor("multilabel_margin_loss", input, kinds="f"), reduction)
    check_tensor("multilabel_margin_loss", target, "target", 2)
    if input.ndim > 2 or (input.ndim == 2 and 0 in input.shape[1:]):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )
    if target.shape != input.shape and target.numel() != input.numel():
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    if target.dtype is not dtypes.int64:
        raise RuntimeError(f"expected scalar type Long but found {target.dtype}")
    classes = input.shape[-1] if input.ndim else 1
    x, t = input.reshape(-1, classes), target.reshape(-1, classes)
    # What comes after the first -1 does not count.
    ended = E.lt(t, 0).long().cumsum(1)
    valid = E.eq(ended, 0)
    index = E.where(valid, t, 0)
    is_target = E.gt(scatter_add(E.fill(index, 0), 1, index, valid.long()), 0)
    # gaps[n, target, other]
    gaps = clamp_min(1 - gather_(x, index, dim=1).unsqueeze(2) + x.unsqueeze(1), 0)
    counts = E.logical_and(valid.unsqueeze(2), E.logical_not(is_target).unsqueeze(1))
    loss = E.where(counts, gaps, 0.0).sum((1, 2)) / classes
    return reduced(loss.reshape(input.shape[:-1]), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of the binary cross entropy of sigmoid(input) and target.

    Args:
        input, target: (..., classes); the target holds zeros and ones.
        weight: a factor per class.

    Raises:
        ValueError: an unknown reduction.
    """
    reduction = legacy_reduction(size_average, reduce, reduction, "multilabel_soft_margin_loss")
    check_tensor("multilabel_soft_margin_loss", input)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(check_reduction(loss.mean(-1), reduction), reduction)
