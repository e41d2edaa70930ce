"""Reductions and normalisations of the elements that a mask leaves, as in ``torch.masked``.

A mask is a bool tensor that broadcasts to the input and is true at the elements that take part.
What is masked out counts as the number that changes nothing, and gets no gradient. A result over
nothing is that number, or NaN where there is none.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from . import dtypes
from .linalg import vector_norm
from .ops import elementwise as E, math as M, nn, reduce as D, sorting as S
from .ops.export import check_tensor
from .ops.view import expand_to
from .tensor import Tensor

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]


def _checked_mask(input: Tensor, mask: Tensor) -> Tensor:
    """The mask in the shape of the input."""
    check_tensor("masked", mask, "mask", kinds="b", refusal=ValueError)
    if mask.ndim > input.ndim:
        raise IndexError(
            f"_input_mask expected broadcastable mask (got mask dimensionality {mask.ndim} higher "
            f"than of the input {input.ndim})"
        )
    return expand_to(mask, tuple(input._data.shape))


def _filled(name: str, input: Tensor, mask: Tensor | None, value: float) -> Tensor:
    """The input with `value`, or the number of its dtype next to it, where it is masked out."""
    x = check_tensor(name, input)
    if mask is None:
        return x
    d = x._data.dtype
    if math.isinf(value) and d.kind in "iu":
        value = np.iinfo(d).max if value > 0 else np.iinfo(d).min
    return E.where(_checked_mask(x, mask), x, E.number_like(x, value))


def _cast(x: Tensor, dtype: Any) -> Tensor:
    return x if dtype is None else E.to_dtype(x, dtypes.of(dtype).np)


def _wide(input: Tensor, dtype: Any) -> Any:
    """The dtype in which integers are added and multiplied, unless another is given."""
    return dtypes.int64 if dtype is None and input._data.dtype.kind in "biu" else dtype


def sum(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The sum of the elements that are left; 0 of none.

    >>> import numbagrad as ng
    >>> ng.masked.sum(ng.tensor([1.0, 2.0, 4.0]), mask=ng.tensor([True, False, True]))
    tensor(5.)
    """
    x = _filled("masked.sum", input, mask, 0)
    return D.sum(x, dim, keepdim, dtype=_wide(input, dtype))


def prod(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The product of the elements that are left; 1 of none."""
    x = _filled("masked.prod", input, mask, 1)
    return D.prod(x, dim, keepdim, dtype=_wide(input, dtype))


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running sums of the elements that are left, in the dtype of the input unless told."""
    x = _filled("masked.cumsum", input, mask, 0)
    return D.cumsum(x, dim, dtype=input.dtype if dtype is None else dtype)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running products of the elements that are left; dtypes as in :func:`cumsum`."""
    x = _filled("masked.cumprod", input, mask, 1)
    return D.cumprod(x, dim, dtype=input.dtype if dtype is None else dtype)


def amax(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The largest of the elements that are left; the smallest number of the dtype of none."""
    x = _filled("masked.amax", input, mask, -math.inf)
    return _cast(D.amax(x, () if dim is None else dim, keepdim), dtype)


def amin(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The smallest of the elements that are left; the largest number of the dtype of none."""
    x = _filled("masked.amin", input, mask, math.inf)
    return _cast(D.amin(x, () if dim is None else dim, keepdim), dtype)


def argmax(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where the largest of the elements that are left is; in the dtype of the input unless told."""
    x = _filled("masked.argmax", input, mask, -math.inf)
    return _cast(D.argmax(x, dim, keepdim), input.dtype if dtype is None else dtype)


def argmin(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where the smallest of the elements that are left is; dtypes as in :func:`argmax`."""
    x = _filled("masked.argmin", input, mask, math.inf)
    return _cast(D.argmin(x, dim, keepdim), input.dtype if dtype is None else dtype)


def _count(input: Tensor, dim: Any, keepdim: bool, mask: Tensor | None) -> Tensor:
    """How many elements are left."""
    left = E.fill(E.ne(input, input), True) if mask is None else _checked_mask(input, mask)
    return D.sum(left, dim, keepdim)


def mean(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The mean of the elements that are left; NaN of none.

    Raises:
        ValueError: neither the tensor nor `dtype` is floating-point or complex.
    """
    kind = input.dtype if dtype is None else dtypes.of(dtype)
    if kind.np.kind not in "fc":
        raise ValueError(
            "mean(): Could not infer output dtype. It must be either a floating point or complex "
            f"dtype. Got: {kind}"
        )
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _count(input, dim, keepdim, mask)


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The lower median of the elements that are left along a dimension; NaN of none.

    Raises:
        ValueError: no element is left somewhere, of a dtype that has no NaN.
    """
    floating = input.is_floating_point()
    x = _filled("masked.median", input if floating else input.float(), mask, math.nan)
    result = S.nanmedian(x, dim, keepdim)[0]
    if floating:
        return result
    if builtins.bool(D.any(E.isnan(result))):
        raise ValueError(
            "masked median expects no fully masked out rows if dtype is not floating point"
        )
    return _cast(result, input.dtype if dtype is None else dtype)


def _variance(
    input: Tensor, dim: Any, unbiased: bool | None, correction: float | None, keepdim: bool,
    dtype: Any, mask: Tensor | None,
) -> Tensor:  # fmt: skip
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 0 if unbiased is False else 1
    x = check_tensor("masked.var", input, kinds="iufc", refusal=RuntimeError)
    if dtype is not None:
        x = _cast(x, dtype)
    elif x._data.dtype.kind in "biu":
        x = x.float()
    center = mean(x, dim, keepdim=True, mask=mask)
    squares = E.square(E.abs(x - center))
    total = sum(squares, dim, keepdim=keepdim, mask=mask)
    count = _count(x, dim, keepdim, mask)
    variance = total / M.clamp_min(count.to(total.dtype) - correction, 0)
    return E.to_dtype(variance, x._data.dtype)


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *,
    correction: float | None = None, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The variance of the elements that are left; NaN of none."""
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask)


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, *,
    correction: float | None = None, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The standard deviation of the elements that are left; NaN of none."""
    return E.sqrt(_variance(input, dim, unbiased, correction, keepdim, dtype, mask))


def norm(
    input: Tensor, ord: float | None = 2.0, dim: Any = None, *, keepdim: bool = False,
    dtype: Any = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The p-norm of the elements that are left; 0 of none, and inf for the order -inf."""
    neutral = math.inf if ord is not None and ord < 0 else 0
    x = _filled("masked.norm", input, mask, neutral)
    return vector_norm(x, 2.0 if ord is None else ord, dim, keepdim, dtype=dtype)


def logsumexp(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """log(sum(exp(x))) over the elements that are left; -inf of none."""
    x = _filled("masked.logsumexp", input, mask, -math.inf)
    return _cast(D.logsumexp(x, dim, keepdim), input.dtype if dtype is None else dtype)


def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """log(exp(input) + exp(other)), without what the masks leave out."""
    x = _filled("masked.logaddexp", input, input_mask, -math.inf)
    y = _filled("masked.logaddexp", other, other_mask, -math.inf)
    return _cast(M.logaddexp(x, y), input.dtype if dtype is None else dtype)


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """exp(x) of the elements that are left, scaled to the sum 1; 0 elsewhere."""
    return nn.softmax(_filled("masked.softmax", input, mask, -math.inf), dim, dtype=dtype)


def log_softmax(
    input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The logarithm of :func:`softmax`."""
    return nn.log_softmax(_filled("masked.log_softmax", input, mask, -math.inf), dim, dtype=dtype)


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """exp(-x) of the elements that are left, scaled to the sum 1; 0 elsewhere."""
    return nn.softmax(-_filled("masked.softmin", input, mask, math.inf), dim, dtype=dtype)


def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The elements that are left over their norm, which is at least `eps`; 0 elsewhere."""
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    x = _cast(_filled("masked.normalize", input, mask, 0), dtype)
    return x / M.clamp_min(size, eps)
