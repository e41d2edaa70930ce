"""Dropout: zeros at random places during training."""

from __future__ import annotations

from ...inplace import in_place
from ...ops import elementwise as E
from ...ops.export import check_tensor
from ...sampling import rand
from ...tensor import Tensor


def _check(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeros with probability p, the other elements divided by 1 - p; the input in evaluation.

    Raises:
        ValueError: `p` is not in [0, 1].

    >>> import numbagrad as ng
    >>> ng.nn.functional.dropout(ng.ones(3), 0.5, training=False)
    tensor([1., 1., 1.])
    """
    _check(p)
    x = check_tensor("dropout", input)
    return _masked(x, tuple(x.shape), p, training, inplace)


def _masked(x: Tensor, shape: tuple[int, ...], p: float, training: bool, inplace: bool) -> Tensor:
    if not training or p == 0:
        return x

    def masked(t: Tensor) -> Tensor:
        if p == 1:  # nothing is left to chance
            return t * 0.0
        keep = E.ge(rand(shape), p)
        return t * (keep.to(t.dtype) * (1 / (1 - p)))

    return in_place("dropout_", masked, x) if inplace else masked(x)


def _channels(
    name: str, input: Tensor, rank: int, p: float, training: bool, inplace: bool
) -> Tensor:
    _check(p)
    x = check_tensor(name, input)
    channel = x.ndim - rank - 1
    shape = (*x.shape[: channel + 1], *(1,) * rank)
    return _masked(x, shape, p, training, inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeros in whole channels of (batch, channels, length), or without the batch."""
    return _channels("dropout1d", input, 1, p, training, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeros in whole channels of (batch, channels, height, width), or without the batch."""
    return _channels("dropout2d", input, 2, p, training, inplace)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeros in whole channels of (batch, channels, depth, height, width), or without the batch."""
    return _channels("dropout3d", input, 3, p, training, inplace)


def feature_dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeros in whole channels of (batch, channels, ...)."""
    x = check_tensor("feature_dropout", input)
    if x.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return _channels("feature_dropout", x, x.ndim - 2, p, training, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean and variance of what SELU gives."""
    x = check_tensor("alpha_dropout", input)
    return _alpha("alpha_dropout", x, tuple(x.shape), p, training, inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """:func:`alpha_dropout` of whole channels of (batch, channels, ...)."""
    x = check_tensor("feature_alpha_dropout", input)
    if x.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = (*x.shape[:2], *(1,) * (x.ndim - 2))
    return _alpha("feature_alpha_dropout", x, shape, p, training, inplace)


def _alpha(
    name: str, x: Tensor, shape: tuple[int, ...], p: float, training: bool, inplace: bool
) -> Tensor:
    _check(p)
    if not training or p == 0:
        return x
    dropped = -1.7580993408473766  # the limit of SELU at minus infinity

    def masked(t: Tensor) -> Tensor:
        if p == 1:
            return t * 0
        keep = E.ge(rand(shape), p).to(t.dtype)
        a = ((1 - p) * (1 + p * dropped**2)) ** -0.5
        return (t * keep + (1 - keep) * dropped) * a - a * p * dropped

    return in_place(f"{name}_", masked, x) if inplace else masked(x)
