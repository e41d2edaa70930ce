"""The functions that PyTorch has at its top level as well, but with other arguments there.

Statistics stand after weights, whether it is training has no default, and reductions are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...ops.export import public
from ...tensor import Tensor
from . import activation, classification, ctc, loss, noise, norm, padding, pooling
from .conv import Ints
from .dropout import alpha_dropout, dropout, feature_alpha_dropout, feature_dropout
from .grid import affine_grid, grid_sample
from .lookup import embedding

top = public(method=False)


def _reduction(number: int) -> str:
    names = ("none", "mean", "sum")
    if number.__class__ is not int or not 0 <= number < len(names):
        raise ValueError(
            f"reduction must be 0 (none), 1 (mean) or 2 (sum) here, but got {number!r}; the "
            "functions of nn.functional take names"
        )
    return names[number]


# -- normalisation --------------------------------------------------------------------------------


@top
def batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, training: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """:func:`numbagrad.nn.functional.batch_norm` with the statistics after the weights."""
    return norm.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


@top
def instance_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, use_input_stats: bool, momentum: float, eps: float,
    cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """:func:`numbagrad.nn.functional.instance_norm` with the statistics after the weights."""
    return norm.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


@top
def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5, cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    """:func:`numbagrad.nn.functional.layer_norm`."""
    return norm.layer_norm(input, normalized_shape, weight, bias, eps)


@top
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5, cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """:func:`numbagrad.nn.functional.group_norm`."""
    return norm.group_norm(input, num_groups, weight, bias, eps)


# -- dropout and activations ----------------------------------------------------------------------


def _publish_dropout(name: str, fn: Callable[..., Tensor]) -> None:
    def form(input: Tensor, p: float, train: bool) -> Tensor:
        return fn(input, p, train)

    def form_(input: Tensor, p: float, train: bool) -> Tensor:
        return fn(input, p, train, inplace=True)

    form.__doc__ = f":func:`numbagrad.nn.functional.{fn.__name__}`."
    form_.__doc__ = f"In-place form of :func:`{name}`."
    for own, function in ((name, form), (f"{name}_", form_)):
        function.__name__ = function.__qualname__ = own
        top(function)


for _fn in (dropout, alpha_dropout, feature_alpha_dropout, feature_dropout):
    _publish_dropout(_fn.__name__, _fn)


@top
def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """:func:`numbagrad.nn.functional.celu`."""
    return activation.celu(input, alpha)


@top
def selu(input: Tensor) -> Tensor:
    """:func:`numbagrad.nn.functional.selu`."""
    return activation.selu(input)


@public(method=False, out=True)
def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """:func:`numbagrad.nn.functional.threshold`."""
    return activation.threshold(input, threshold, value)


@top
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """:func:`numbagrad.nn.functional.rrelu`."""
    return noise.rrelu(input, lower, upper, training)


# -- embeddings, images ---------------------------------------------------------------------------


@public("embedding", method=False)
def embed(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:  # fmt: skip
    """:func:`numbagrad.nn.functional.embedding` with the table first; -1 is no padding."""
    padding = None if padding_idx < 0 else padding_idx
    return embedding(indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)


@top
def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """:func:`numbagrad.nn.functional.affine_grid`."""
    return affine_grid(theta, size, align_corners)


@public(method=False, aliases=("grid_sampler_2d", "grid_sampler_3d"))
def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`numbagrad.nn.functional.grid_sample` with the modes as numbers."""
    return grid_sample(
        input, grid, ("bilinear", "nearest", "bicubic")[interpolation_mode],
        ("zeros", "border", "reflection")[padding_mode], align_corners,
    )  # fmt: skip


@top
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """:func:`numbagrad.nn.functional.pad` with a constant."""
    return padding.pad(input, pad, "constant", value)


@top
def max_pool1d_with_indices(
    input: Tensor, kernel_size: Ints, stride: Any = (), padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The maxima of :func:`max_pool1d`, and where they are."""
    return pooling.max_pool1d(
        input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=True
    )


# -- losses ---------------------------------------------------------------------------------------


@top
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None,
    reduction: int = 1,
) -> Tensor:  # fmt: skip
    """:func:`numbagrad.nn.functional.binary_cross_entropy_with_logits`."""
    return classification.binary_cross_entropy_with_logits(
        input, target, weight, pos_weight=pos_weight, reduction=_reduction(reduction)
    )


@top
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1
) -> Tensor:
    """:func:`numbagrad.nn.functional.cosine_embedding_loss`."""
    return classification.cosine_embedding_loss(
        input1, input2, target, margin, reduction=_reduction(reduction)
    )


@top
def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: ctc.Lengths, target_lengths: ctc.Lengths,
    blank: int = 0, reduction: int = 1, zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """:func:`numbagrad.nn.functional.ctc_loss`."""
    return ctc.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _reduction(reduction),
        zero_infinity,
    )  # fmt: skip


@top
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 1
) -> Tensor:
    """:func:`numbagrad.nn.functional.hinge_embedding_loss`."""
    return classification.hinge_embedding_loss(
        input, target, margin, reduction=_reduction(reduction)
    )


@top
def kl_div(
    input: Tensor, target: Tensor, reduction: int = 1, *, log_target: bool = False
) -> Tensor:
    """:func:`numbagrad.nn.functional.kl_div`."""
    # The mean is over all elements: a warning of the other form says that it should not be.
    each = loss.kl_div(input, target, reduction="none", log_target=log_target)
    return loss.reduced(each, _reduction(reduction))


@top
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1
) -> Tensor:
    """:func:`numbagrad.nn.functional.margin_ranking_loss`."""
    return classification.margin_ranking_loss(
        input1, input2, target, margin, reduction=_reduction(reduction)
    )


@top
def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int
) -> Tensor:
    """:func:`numbagrad.nn.functional.poisson_nll_loss`."""
    return loss.poisson_nll_loss(
        input, target, log_input=log_input, full=full, eps=eps, reduction=_reduction(reduction)
    )


@top
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, reduction: int = 1,
) -> Tensor:  # fmt: skip
    """:func:`numbagrad.nn.functional.triplet_margin_loss`."""
    return classification.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction)
    )
