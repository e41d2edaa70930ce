"""The activations that are methods of tensors; the others are in nn.functional."""

from __future__ import annotations

from ..tensor import Tensor
from . import elementwise as E
from .export import check_tensor, public


@public(out=True)
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    x = check_tensor("hardshrink", input, kinds="f")
    return E.where(E.le(E.abs(x), lambd), 0.0, x)


@public()
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight * x, with one weight or one per channel (dimension 1).

    Raises:
        RuntimeError: the number of weights is neither 1 nor the number of channels.
    """
    x = check_tensor("prelu", input, kinds="f")
    if check_tensor("prelu", weight, "weight", 2).ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    if weight.numel() != 1:
        channels = x.shape[1] if x.ndim > 1 else 1
        if weight.numel() != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
        weight = weight.reshape(-1, *(1,) * (x.ndim - 2)) if x.ndim > 1 else weight
    else:
        weight = weight.reshape(())
    return E.where(E.gt(x, 0), x, weight * x)
