"""Clipping gradients: one pass over all of them, without an op call for each."""

from __future__ import annotations

import math
import types
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...creation import tensor
from ...inplace import modify
from ...modes import no_grad, thread
from ...ops.joining import stack
from ...ops.reduce import norm
from ...tensor import Tensor, wrap

Tensors = Tensor | Iterable[Tensor]
_ROW = 4096


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _sum_of_squares(a: np.ndarray[Any, Any]) -> float:
    """Of an array of floats, in one pass without a temporary.

    Rows of a length that BLAS leaves to one thread, whose sums are added pairwise in double
    precision: the same bits on any number of threads, and a small error.
    """
    flat = a.reshape(-1)
    if flat.size < _ROW:
        return float(np.dot(flat, flat))
    whole = flat.size // _ROW * _ROW
    rows, rest = flat[:whole].reshape(-1, _ROW), flat[whole:]
    return float(np.vecdot(rows, rows).sum(dtype=np.float64) + np.dot(rest, rest))


def _total_norm(arrays: list[np.ndarray[Any, Any]], order: float) -> float:
    if order == 2:
        return math.sqrt(sum(map(_sum_of_squares, arrays)))
    # NaN goes through both, and through NumPy's maximum.
    return float(np.max([np.maximum(a.max(), -a.min()) for a in arrays]))


@no_grad()
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors as one vector.

    Args:
        norm_type: the order of the norm; may be inf, also as a string.
        foreach: accepted for compatibility.

    Raises:
        RuntimeError: it is infinite or NaN and `error_if_nonfinite` is set.

    >>> import numbagrad as ng
    >>> ng.nn.utils.get_total_norm([ng.tensor([3.0]), ng.tensor([[4.0]])])
    tensor(5.)
    """
    listed = _listed(tensors)
    norm_type = float(norm_type)
    if not listed:
        return tensor(0.0)
    arrays = [t._data for t in listed]
    plain = thread.modes.trace is None and all(
        a.__class__ is np.ndarray and a.dtype.char in "fd" for a in arrays
    )
    if plain and (norm_type == 2 or (norm_type == math.inf and all(a.size for a in arrays))):
        value = thread.modes.quietly(_total_norm, arrays, norm_type)
        total = wrap(np.array(value, np.result_type(*arrays)))
    else:
        total = norm(stack([norm(t, norm_type) for t in listed]), norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def _scale(*operands: Any) -> None:
    """Gradients, then the factor."""
    factor = operands[-1]
    if isinstance(factor, float) and factor == 1:
        return
    for g in operands[:-1]:
        g *= factor


def _factor(max_norm: float, total: np.ndarray[Any, Any]) -> float:
    # In the dtype of the norm, as PyTorch does.
    number = total.dtype.type
    return float(np.minimum(number(max_norm) / (total + number(1e-6)), number(1)))


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients in place by max_norm / total_norm if that is below 1.

    Args:
        total_norm: what :func:`get_total_norm` gave; NaN makes all gradients NaN.
        foreach: accepted for compatibility.
    """
    grads = _gradients(_listed(parameters))
    if not grads:
        return
    data = total_norm._data
    factor: Any
    if data.__class__ is np.ndarray and thread.modes.trace is None:
        factor = thread.modes.quietly(_factor, float(max_norm), data)
    else:
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    modify(_scale, grads, (), factor)


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients in place so that their common norm is at most `max_norm`.

    Args:
        norm_type: the order of the norm; may be inf.
        foreach: accepted for compatibility.

    Returns:
        The norm before.

    Raises:
        RuntimeError: the norm is infinite or NaN and `error_if_nonfinite` is set; the gradients
            are as they were then.

    >>> import numbagrad as ng
    >>> w = ng.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> ng.nn.utils.clip_grad_norm_([w], max_norm=1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    listed = _listed(parameters)
    if not listed and isinstance(parameters, types.GeneratorType):
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
        )
    total = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(listed, max_norm, total, foreach)
    return total


def _clamp(*operands: Any) -> None:
    limit = operands[-1]
    for g in operands[:-1]:
        if isinstance(g, np.ndarray) and g.dtype.kind == "f":
            np.clip(g, -limit, limit, out=g)
        else:
            (wrap(g) if isinstance(g, np.ndarray) else g).clamp_(-limit, limit)


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of the gradients to ±clip_value, in place; NaN stays.

    Args:
        foreach: accepted for compatibility.

    >>> import numbagrad as ng
    >>> w = ng.tensor([3.0, -0.1], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> ng.nn.utils.clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([ 1.0000, -0.2000])
    """
    modify(_clamp, _gradients(_listed(parameters)), (), float(clip_value))
