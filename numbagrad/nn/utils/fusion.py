"""Batch normalisation merged into the layer before it, for evaluation."""

from __future__ import annotations

import copy
from typing import Any

from ...ops.elementwise import rsqrt
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter


def _merged(
    weight: Tensor, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float,
    scale: Tensor | None, shift: Tensor | None, shape: tuple[int, ...],
) -> tuple[Parameter, Parameter]:  # fmt: skip
    factor = rsqrt(variance + eps)
    if scale is not None:
        factor = factor * scale
    moved = (-mean if bias is None else bias - mean) * factor
    if shift is not None:
        moved = moved + shift
    bias_dtype = weight.dtype if bias is None else bias.dtype
    return (
        Parameter((weight * factor.reshape(shape)).detach().to(weight.dtype), weight.requires_grad),
        Parameter(moved.detach().to(bias_dtype), bias is not None and bias.requires_grad),
    )


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
    bn_w: Tensor | None, bn_b: Tensor | None, transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of a convolution that normalises what it computes.

    Args:
        conv_w, conv_b: those of the convolution, transposed if `transpose`.
        bn_rm, bn_rv, bn_eps: the running mean and variance and what is added to it.
        bn_w, bn_b: the factor and the summand of the normalisation.
    """
    ones = (1,) * (conv_w.ndim - 2)
    shape = (1, -1, *ones) if transpose else (-1, 1, *ones)
    return _merged(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape)


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
    bn_w: Tensor | None, bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of an affine map that normalises what it computes."""
    return _merged(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, (-1, 1))


def _fused(layer: Any, bn: Any, merge: Any, *options: Any) -> Any:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval! Call .eval() on both modules first")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused = copy.deepcopy(layer)
    fused.weight, fused.bias = merge(
        layer.weight, layer.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias,
        *options,
    )  # fmt: skip
    return fused


def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Any:
    """A copy of a convolution that does what it and the batch normalisation after it do.

    Raises:
        AssertionError: a module is training, or the normalisation keeps no statistics.

    >>> import numbagrad as ng
    >>> conv, bn = ng.nn.Conv2d(2, 3, 1).eval(), ng.nn.BatchNorm2d(3).eval()
    >>> x = ng.randn(1, 2, 4, 4)
    >>> ng.allclose(ng.nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    return _fused(conv, bn, fuse_conv_bn_weights, transpose)


def fuse_linear_bn_eval(linear: Module, bn: Module) -> Any:
    """A copy of an affine layer that does what it and the batch normalisation after it do.

    Raises:
        AssertionError: as :func:`fuse_conv_bn_eval`; or the features of the two do not fit.
    """
    features: Any = bn.num_features
    if features not in (1, linear.out_features):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={features}"
        )
    return _fused(linear, bn, fuse_linear_bn_weights)
