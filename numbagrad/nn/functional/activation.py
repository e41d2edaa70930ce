"""Activation functions: composites of elementary functions."""

from __future__ import annotations

import math as _math
from collections.abc import Callable
from typing import Any

from ...inplace import in_place
from ...ops import elementwise as E, nn
from ...ops.activation import hardshrink as _hardshrink
from ...ops.export import accepts_out, check_tensor, public
from ...tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); the slope at 0 is 0.

    >>> import numbagrad as ng
    >>> ng.nn.functional.relu(ng.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    x = input if isinstance(input, Tensor) else check_tensor("relu", input)
    return in_place("relu_", E.relu, x) if inplace else E.relu(x)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return E.tanh(check_tensor("tanh", input))


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return E.sigmoid(check_tensor("sigmoid", input))


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x limited to [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x limited to [min_val, max_val]; the slope at and beyond the limits is 0.

    Raises:
        ValueError: `min_val` is above `max_val`.
    """
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val, got {min_val} and {max_val}")
    x = check_tensor("hardtanh", input, kinds="iufc", refusal=RuntimeError)
    if inplace:
        return in_place("hardtanh_", hardtanh, x, min_val, max_val)
    if not x.is_floating_point():
        min_val, max_val = int(min_val), int(max_val)
    if x._data.dtype.kind == "u" and min_val < 0:
        raise RuntimeError(
            "cannot do hardtanh on an unsigned type with negative limits; convert with .to(dtype)"
        )
    low = E.where(E.le(x, min_val), min_val, x)
    return E.where(E.ge(x, max_val), max_val, low)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6."""
    x = check_tensor("hardsigmoid", input, kinds="f")
    if inplace:
        return in_place("hardsigmoid_", hardsigmoid, x)
    inside = E.logical_and(E.gt(x, -3), E.lt(x, 3))
    return E.where(inside, (x + 3) / 6, (relu6(x + 3) / 6).detach())


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * relu6(x + 3) / 6."""
    x = check_tensor("hardswish", input, kinds="f")
    if inplace:
        return in_place("hardswish_", hardswish, x)
    inside = E.logical_and(E.gt(x, -3), E.lt(x, 3))
    middle = E.where(inside, x, 0.0)
    return E.where(inside, middle * ((middle + 3) / 6), E.where(E.le(x, -3), x * 0.0, x))


@accepts_out
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, and 0 within.

    Raises:
        RuntimeError: `lambd` is negative.
    """
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    x = check_tensor("softshrink", input, kinds="f")
    within = E.where(E.le(E.abs(x), lambd), x * 0.0, x)  # NaN passes, with its gradient
    below = E.where(E.lt(x, -lambd), x + lambd, within)
    return E.where(E.gt(x, lambd), x - lambd, below)


hardshrink = accepts_out(_hardshrink)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - tanh(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value."""
    x = check_tensor("threshold", input, kinds="iuf")

    def limited(t: Tensor) -> Tensor:
        return E.where(E.le(t, threshold), value, t)

    return in_place("threshold_", limited, x) if inplace else limited(x)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope * x."""
    x = check_tensor("leaky_relu", input, kinds="f")
    if inplace:
        return in_place("leaky_relu_", leaky_relu, x, negative_slope)
    return E.where(E.gt(x, 0), x, x * negative_slope)


def _in_place(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def form(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return fn(input, *args, inplace=True, **kwargs)

    form.__name__ = form.__qualname__ = f"{fn.__name__}_"
    form.__doc__ = f"In-place form of :func:`{fn.__name__}`."
    return form


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1).

    >>> import numbagrad as ng
    >>> ng.nn.functional.elu(ng.tensor([1.0, 0.0])).tolist()
    [1.0, 0.0]
    """
    x = check_tensor("elu", input, kinds="f")
    if inplace:
        return in_place("elu_", elu, x, alpha)
    return _elu(x, alpha, 1.0, 1.0)


def _elu(x: Tensor, alpha: float, scale: float, rate: float) -> Tensor:
    # exp(x) of a large x is infinite, and infinity times the 0 of `where` would be NaN.
    curved = E.le(x, 0)
    low = E.expm1(E.where(curved, x * rate if rate != 1 else x, 0.0)) * (alpha * scale)
    return E.where(curved, low, x * scale if scale != 1 else x)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """elu with the constants that keep mean 0 and variance 1."""
    x = check_tensor("selu", input, kinds="f")
    if inplace:
        return in_place("selu_", selu, x)
    return _elu(x, 1.6732632423543772, 1.0507009873554805, 1.0)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (exp(x / alpha) - 1).

    Raises:
        RuntimeError: `alpha` is 0.
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    x = check_tensor("celu", input, kinds="f")
    if inplace:
        return in_place("celu_", celu, x, alpha)
    return _elu(x, alpha, 1.0, 1 / alpha)


@accepts_out
def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """x times the standard normal distribution function of x, or its ``"tanh"`` approximation.

    Raises:
        RuntimeError: `approximate` is neither "none" nor "tanh".

    >>> import numbagrad as ng
    >>> ng.nn.functional.gelu(ng.tensor(0.0)).item()
    0.0
    """
    x = check_tensor("gelu", input, kinds="f")
    if approximate == "none":
        return x * 0.5 * (E.erf(x * _math.sqrt(0.5)) + 1)
    if approximate == "tanh":
        inner = (x + x * x * x * 0.044715) * _math.sqrt(2 / _math.pi)
        return x * 0.5 * (E.tanh(inner) + 1)
    raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate!r}")


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)."""
    x = check_tensor("silu", input, kinds="fc")
    if inplace:
        return in_place("silu_", silu, x)
    return x * E.sigmoid(x)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x))."""
    x = check_tensor("mish", input, kinds="f")
    if inplace:
        return in_place("mish_", mish, x)
    return x * E.tanh(softplus(x))


@accepts_out
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold."""
    x = check_tensor("softplus", input, kinds="f")
    scaled = x if beta == 1 else x * beta
    linear = E.gt(scaled, threshold)
    curved = E.log1p(E.exp(E.where(linear, 0.0, scaled)))
    return E.where(linear, x, curved if beta == 1 else curved / beta)


@accepts_out
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), accurate for large negative x."""
    x = check_tensor("logsigmoid", input, kinds="f")
    # min(x, 0) - log1p(exp(-|x|)), with one-sided choices that keep the slope at 0.
    negative = E.lt(x, 0)
    low = E.where(negative, x, 0.0)
    return low - E.log1p(E.exp(E.where(negative, x, -x)))


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (E.abs(check_tensor("softsign", input)) + 1)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b), where a and b are the halves of `input` along `dim`.

    Raises:
        RuntimeError: the extent of `dim` is odd, or the tensor has no dimension.
    """
    x = check_tensor("glu", input, kinds="f")
    if x.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if x.shape[dim] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim} is size {x.shape[dim]}"
        )
    a, b = x.chunk(2, dim)
    return a * E.sigmoid(b)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """exp(input) scaled to the sum 1 along `dim`; see :func:`numbagrad.softmax`."""
    return nn.softmax(input, _dim("softmax", input, dim), dtype=dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """softmax(-input)."""
    return nn.softmax(-input, _dim("softmin", input, dim), dtype=dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """log(softmax(input)) along `dim`; see :func:`numbagrad.log_softmax`."""
    return nn.log_softmax(input, _dim("log_softmax", input, dim), dtype=dtype)


def _dim(name: str, input: Tensor, dim: int | None) -> int:
    if dim is not None:
        return dim
    import warnings

    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        stacklevel=3,
    )
    return 0 if check_tensor(name, input).ndim in (0, 1, 3) else 1


celu_, elu_, hardtanh_, leaky_relu_, relu_, selu_, threshold_ = map(
    _in_place, (celu, elu, hardtanh, leaky_relu, relu, selu, threshold)
)
for _form in (celu_, selu_, threshold_):
    public(method=False)(_form)
