"""Normalisation: zero mean and unit variance over some dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ... import dtypes
from ...modes import no_grad
from ...ops import elementwise as E
from ...ops.export import check_tensor, public
from ...tensor import Tensor
from .padding import pad
from .pooling import avg_pool2d


def _standardised(x: Tensor, dim: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(x - mean) / sqrt(variance + eps), the mean and the variance; float16 gives float32."""
    if x.dtype is dtypes.float16:
        x = x.float()
    mean = x.mean(dim, keepdim=True)
    centered = x - mean
    variance = E.square(centered).mean(dim, keepdim=True)
    return centered * E.rsqrt(variance + eps), mean, variance


def _affine(
    y: Tensor, weight: Tensor | None, bias: Tensor | None, like: Tensor, shape: Sequence[int]
) -> Tensor:
    """y * weight + bias in the dtype of `like`, with weight and bias reshaped."""
    if weight is not None:
        y = y * weight.reshape(shape)
    if bias is not None:
        y = y + bias.reshape(shape)
    return y if y.dtype == like.dtype else y.to(like.dtype)


def _check_normalized(
    name: str, input: Tensor, shape: Sequence[int], **operands: Tensor | None
) -> tuple[int, ...]:
    """The dimensions that `shape` names, checked."""
    check_tensor(name, input, kinds="f" if name == "layer_norm" else "fc")
    shape = tuple(shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            f"element, but got normalized_shape = {list(shape)}"
        )
    for argument, t in operands.items():
        if t is not None and tuple(t.shape) != shape:
            raise RuntimeError(
                f"Expected {argument} to be of same shape as normalized_shape, but got {argument} "
                f"of shape {list(t.shape)} and normalized_shape = {list(shape)}"
            )
    if tuple(input.shape[input.ndim - len(shape) :]) != shape or input.ndim < len(shape):
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    return tuple(range(input.ndim - len(shape), input.ndim))


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalised over the last dimensions, then times `weight` plus `bias` of their shape.

    Raises:
        RuntimeError: shapes that do not fit.

    >>> import numbagrad as ng
    >>> y = ng.nn.functional.layer_norm(ng.tensor([1.0, 3.0]), [2], eps=0.0)
    >>> y.tolist()
    [-1.0, 1.0]
    """
    dim = _check_normalized("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    y, _, _ = _standardised(input, dim, eps)
    return _affine(y, weight, bias, input, tuple(normalized_shape))


@public(method=False)
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divided by the root of the mean square over the last dimensions, then times `weight`.

    `eps` is added to the mean square; by default the smallest step at 1 of the dtype.

    Raises:
        RuntimeError: shapes that do not fit.
    """
    dim = _check_normalized("rms_norm", input, normalized_shape, weight=weight)
    x = input.float() if input.dtype is dtypes.float16 else input
    if eps is None:
        eps = float(2.0**-52 if x.dtype is dtypes.float64 else 2.0**-23)
    y = x * E.rsqrt(E.square(x).mean(dim, keepdim=True) + eps)
    return _affine(y, weight, None, input, tuple(normalized_shape))


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalised over groups of channels of each sample, then times `weight` plus `bias`.

    Args:
        input: (batch, channels, ...).
        weight, bias: (channels,).

    Raises:
        RuntimeError: the channels are not divisible by `num_groups`, or shapes do not fit.
    """
    if check_tensor("group_norm", input, kinds="f").ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    shape = input.shape
    if num_groups <= 0 or shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(shape)} and num_groups={num_groups}"
        )
    _check_per_channel(shape[1], weight=weight, bias=bias)
    size = shape[1] // num_groups * math.prod(shape[2:])
    grouped = input.reshape(shape[0], num_groups, size)
    y, _, _ = _standardised(grouped, (2,), eps)
    return _affine(y.reshape(shape), weight, bias, input, (-1,) + (1,) * (input.ndim - 2))


def _check_per_channel(channels: int, **operands: Tensor | None) -> None:
    for argument, t in operands.items():
        if t is not None and t.shape != (channels,):
            raise RuntimeError(
                f"{argument} should contain {channels} elements not {t.numel()}: expected a vector "
                f"of size equal to the number of channels, got shape {list(t.shape)}"
            )


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalised per channel over batch and space, then times `weight` plus `bias`.

    Args:
        input: (batch, channels, ...).
        running_mean, running_var: (channels,); used in evaluation, updated in place in training:
            ``(1 - momentum) * running + momentum * batch``, with the unbiased variance.
        weight, bias: (channels,).

    Raises:
        ValueError: one value per channel in training.
        RuntimeError: shapes that do not fit, or no running statistics in evaluation.
    """
    shape = check_tensor("batch_norm", input, kinds="f").shape
    channels = shape[1] if len(shape) > 1 else 0
    _check_per_channel(
        channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    per_channel = (-1,) + (1,) * (len(shape) - 2)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "Expected running_mean and running_var to be defined when training=False"
            )
        x = input.float() if input.dtype is dtypes.float16 else input
        scale = E.rsqrt(running_var.reshape(per_channel) + eps)
        y = (x - running_mean.reshape(per_channel)) * scale
        return _affine(y, weight, bias, input, per_channel)
    count = math.prod(shape) // max(channels, 1)
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {list(shape)}"
        )
    y, mean, variance = _standardised(input, (0, *range(2, len(shape))), eps)
    if count == 0:  # an empty batch says nothing
        running_mean = running_var = None
    with no_grad():
        if running_mean is not None:
            _follow(running_mean, mean, momentum)
        if running_var is not None:
            _follow(running_var, variance * (count / max(count - 1, 1)), momentum)
    return _affine(y, weight, bias, input, per_channel)


def _follow(running: Tensor, new: Tensor, momentum: float) -> None:
    running.copy_(running * (1 - momentum) + new.detach().reshape(-1) * momentum)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalised per sample and channel over space, then times `weight` plus `bias`.

    Arguments as in :func:`batch_norm`; `use_input_stats` is its `training`.
    """
    shape = check_tensor("instance_norm", input, kinds="f").shape
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(shape[2:])
    if count == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {list(shape)}"
        )
    y, mean, variance = _standardised(input, tuple(range(2, len(shape))), eps)
    with no_grad():
        if running_mean is not None:
            _follow(running_mean, mean.mean(0), momentum)
        if running_var is not None:
            _follow(running_var, variance.mean(0) * (count / max(count - 1, 1)), momentum)
    return _affine(y, weight, bias, input, (-1,) + (1,) * (len(shape) - 2))


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha * mean of squares over `size` neighbouring channels) to the power beta.

    `input` is (batch, channels, ...), of at least three dimensions (Krizhevsky et al., 2012).

    Raises:
        ValueError: less than three dimensions.
    """
    if check_tensor("local_response_norm", input, kinds="iuf").ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if not input.numel():
        return input
    batch, channels = input.shape[:2]
    squares = E.square(input).reshape(batch, 1, channels, -1)
    padded = pad(squares, (0, 0, size // 2, (size - 1) // 2))
    mean = avg_pool2d(padded, (size, 1), 1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta
