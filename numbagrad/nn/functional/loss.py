"""Losses of regression: differences between numbers."""

from __future__ import annotations

import math as _math
import warnings

from ...dispatch import values_of
from ...ops import elementwise as E
from ...ops.export import check_promoted, check_tensor
from ...ops.math import xlogy
from ...tensor import Tensor


def legacy_reduction(
    size_average: bool | None, reduce: bool | None, reduction: str, name: str
) -> str:
    """The reduction that PyTorch's two old arguments stand for."""
    if size_average is None and reduce is None:
        return reduction
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    chosen = "none" if not reduce else "mean" if size_average else "sum"
    warnings.warn(
        f"{name}: size_average and reduce args will be deprecated, please use "
        f"reduction='{chosen}' instead.",
        stacklevel=3,
    )
    return chosen


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean, the sum, or the elements themselves.

    Raises:
        ValueError: `reduction` is none of "none", "mean", "sum".
    """
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    return check_reduction(loss, reduction)


def check_reduction(loss: Tensor, reduction: str) -> Tensor:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return loss


def _check_pair(name: str, input: Tensor, target: Tensor, kinds: str = "f") -> None:
    check_tensor(name, input)
    check_tensor(name, target, "target", 2)
    check_promoted(name, kinds, input, target)
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target) squared, weighted if `weight` is given.

    >>> import numbagrad as ng
    >>> ng.nn.functional.mse_loss(ng.tensor([1.0, 2.0]), ng.tensor([1.0, 4.0])).item()
    2.0
    """
    reduction = legacy_reduction(size_average, reduce, reduction, "mse_loss")
    _check_pair("mse_loss", input, target)
    return _weighted(E.square(input - target), weight, reduction)


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return reduced(loss, reduction)
    if weight.shape != loss.shape:
        raise ValueError("Weights and input must have the same size.")
    if reduction == "mean":
        return (loss * weight).sum() / weight.sum()
    return reduced(loss * weight, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|, weighted if `weight` is given."""
    reduction = legacy_reduction(size_average, reduce, reduction, "l1_loss")
    _check_pair("l1_loss", input, target, kinds="biufc")
    return _weighted(E.abs(input - target), weight, reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d²/2 where d = |input - target| is at most delta, else delta * (d - delta/2).

    Raises:
        RuntimeError: `delta` is not positive.
    """
    if delta <= 0:
        raise RuntimeError(
            f"huber_loss does not support non-positive values for delta, got {delta}"
        )
    _check_pair("huber_loss", input, target)
    check_tensor("huber_loss", input, kinds="f", refusal=RuntimeError)
    residual = input - target
    d = E.abs(residual)  # squared it would have no curvature at 0
    loss = E.where(E.le(d, delta), E.square(residual) * 0.5, (d - 0.5 * delta) * delta)
    return _weighted(loss, weight, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d²/(2 beta) where d = |input - target| is below beta, else d - beta/2.

    Raises:
        RuntimeError: `beta` is negative.
    """
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    reduction = legacy_reduction(size_average, reduce, reduction, "smooth_l1_loss")
    _check_pair("smooth_l1_loss", input, target)
    residual = input - target
    d = E.abs(residual)
    if beta == 0:
        return reduced(d, reduction)
    near = E.square(residual) * (0.5 / beta)
    return reduced(E.where(E.lt(d, beta), near, d - 0.5 * beta), reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target * (log(target) - input), where `input` (and with `log_target` the target) are logs.

    "batchmean" divides the sum by the extent of the first dimension.
    """
    reduction = legacy_reduction(size_average, reduce, reduction, "kl_div")
    check_tensor("kl_div", input, kinds="f", refusal=RuntimeError)
    check_tensor("kl_div", target, "target", 2, kinds="f", refusal=RuntimeError)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next major "
            "release.",
            stacklevel=2,
        )
    if log_target:
        loss = E.exp(target) * (target - input)
    else:
        loss = xlogy(target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss
    return reduced(loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    size_average: bool | None = None,
    full: bool = False,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts; `full` adds Stirling's formula for log(target!)."""
    reduction = legacy_reduction(size_average, reduce, reduction, "poisson_nll_loss")
    loss = E.exp(input) - target * input if log_input else input - target * E.log(input + eps)
    if full:
        above = E.gt(target, 1)
        t = E.where(above, target, 1.0)
        stirling = t * E.log(t) - t + E.log(t * (2 * _math.pi)) * 0.5
        loss = loss + E.where(above, stirling, 0.0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log(var) + (input - target)² / var) / 2, with `var` at least `eps`.

    Raises:
        ValueError: a variance is negative, its shape does not fit, or the reduction is unknown.
    """
    variance = var if isinstance(var, Tensor) else E.fill(input, var)
    check_tensor("gaussian_nll_loss", variance, "var", 3, kinds="fc", refusal=RuntimeError)
    if variance.shape != input.shape:
        if variance.shape == input.shape[:-1]:
            variance = variance.unsqueeze(-1)
        else:
            differing = [v for x, v in zip(input.shape, variance.shape) if x != v]
            if variance.ndim != input.ndim or differing != [1]:
                raise ValueError("var is of incorrect size")
    known = values_of(variance)
    if known is not None and (known < 0).any():
        raise ValueError("var has negative entry/entries")
    # The limit does not take part in the derivative.
    variance = variance + (E.where(E.lt(variance, eps), eps, variance) - variance).detach()
    loss = (E.log(variance) + E.square(input - target) / variance) * 0.5
    if full:
        loss = loss + 0.5 * _math.log(2 * _math.pi)
    return reduced(loss, reduction)
