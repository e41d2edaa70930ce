"""Numerical derivatives and integrals of sampled functions, and numbers taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import return_types
from ..tensor import Tensor
from . import elementwise as E, reduce as D, view as V
from .batching import SHIFT
from .export import check_tensor, public
from .registry import call, primitive
from .view import wrap_dim


def _part(x: Tensor, d: int, start: int | None, stop: int | None) -> Tensor:
    s = slice(*slice(start, stop).indices(x._data.shape[d]))
    return V.slice_(x, index=(*(slice(None),) * d, s))


@public("gradient", method=False)
def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """Slopes along each of `dim` (all by default), of second order inside and `edge_order` at ends.

    `spacing`: the distance of samples, one for each dimension, or tensors with their coordinates.

    Raises:
        RuntimeError: the spacing does not fit the dimensions, or one of these is too short.

    >>> import numbagrad as ng
    >>> ng.gradient(ng.tensor([0.0, 1.0, 4.0, 9.0]))
    (tensor([1., 2., 4., 5.]),)
    """
    x = check_tensor("gradient", input, kinds="ifc", refusal=RuntimeError)
    dims = list(range(x.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [wrap_dim(d, x.ndim) for d in dims]
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {dims[-1]} appears multiple times in the list of dims")
    spacing = 1 if spacing is None else spacing
    spacings = list(spacing) if isinstance(spacing, Sequence) else [spacing] * len(dims)
    if len(spacings) != len(dims):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length "
            f"{len(dims)}, but got a list of length {len(spacings)}"
        )
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    x = E.to_floating(x)
    for d in dims:
        if x._data.shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    return tuple(_slopes(x, d, s, edge_order) for d, s in zip(dims, spacings, strict=True))


def _slopes(x: Tensor, d: int, spacing: Any, edge_order: int) -> Tensor:
    n = x._data.shape[d]
    if isinstance(spacing, Tensor) and spacing.ndim:
        if spacing.ndim != 1 or spacing.numel() != n:
            raise RuntimeError(
                "torch.gradient expected each element of spacing to be 1D and as long as its "
                f"dimension, {n}, but got shape {tuple(spacing.shape)}"
            )
        steps = _part(spacing, 0, 1, None) - _part(spacing, 0, 0, -1)
        h = V.reshape(steps, tuple(n - 1 if i == d else 1 for i in range(x.ndim)))
        before, after = _part(h, d, 0, -1), _part(h, d, 1, None)
        inside = (
            _part(x, d, 0, -2) * (-after / (before * (before + after)))
            + _part(x, d, 1, -1) * ((after - before) / (before * after))
            + _part(x, d, 2, None) * (before / (after * (before + after)))
        )
        first = _edge(x, d, [0, 1, 2], _part(h, d, 0, 1), _part(h, d, 1, 2), edge_order)
        last = _edge(x, d, [n - 1, n - 2, n - 3], -_part(h, d, n - 2, n - 1),
                     -_part(h, d, n - 3, n - 2), edge_order)  # fmt: skip
    else:
        inside = (_part(x, d, 2, None) - _part(x, d, 0, -2)) / (2 * spacing)
        first = _edge(x, d, [0, 1, 2], spacing, spacing, edge_order)
        last = _edge(x, d, [n - 1, n - 2, n - 3], -spacing, -spacing, edge_order)
    return V.cat(first, inside, last, dim=d)


def _edge(x: Tensor, d: int, at: list[int], near: Any, far: Any, order: int) -> Tensor:
    """The slope at the first of three neighbours, `near` and `far` their signed distances."""
    y0, y1, y2 = (_part(x, d, i, i + 1) if i >= 0 else None for i in at)
    assert y0 is not None and y1 is not None
    if order == 1:
        return (y1 - y0) / near
    assert y2 is not None
    return (
        y0 * (-(2 * near + far) / (near * (near + far)))
        + y1 * ((near + far) / (near * far))
        + y2 * (-near / (far * (near + far)))
    )


def _taken_apart(x: Any) -> Any:
    mantissa, exponent = np.frexp(x)
    return np.asarray(mantissa), np.asarray(exponent, np.int32)


_frexp = primitive(
    "frexp", _taken_apart,
    lambda x: [(x.shape, x.dtype), (x.shape, np.dtype(np.int32))],
    # The exponent is constant between the powers of two.
    grad=lambda g, exponent: g[0] / E.exp2(E.to_dtype(exponent, g[0]._data.dtype)),
    outputs=("mantissa", "exponent"), kinds="f", batch=SHIFT,
    samples=lambda make: [call(make(2, 3)), call(make())],
    doc="Mantissas in [0.5, 1) and exponents of 2.",
)  # fmt: skip


@public(out=True)
def frexp(input: Tensor) -> Any:
    """Mantissas in [0.5, 1) and exponents with ``input = mantissa * 2**exponent``."""
    x = check_tensor("frexp", input)
    if x._data.dtype.kind != "f":
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return return_types.frexp(*_frexp(x))


# -- integrals ------------------------------------------------------------------------------------


def _spacings(name: str, y: Tensor, x: Any, dx: Any, dim: int) -> tuple[Tensor, Any, int]:
    d = wrap_dim(dim, check_tensor(name, y, "y", kinds="iufc", refusal=RuntimeError).ndim)
    index = (slice(None),) * d
    n = y._data.shape[d]
    sums = V.slice_(y, index=(*index, slice(1, max(n, 1)))) + V.slice_(
        y, index=(*index, slice(0, max(n - 1, 0))))  # fmt: skip
    if x is None:
        return sums, dx if dx is not None else 1, d
    check_tensor(name, x, "x", 2, kinds="iufc", refusal=RuntimeError)
    steps = D.diff(x, dim=-1 if x.ndim == 1 else dim)
    if x.ndim == 1:
        steps = V.reshape(steps, (steps.numel(), *(1,) * (y.ndim - d - 1)))
    return sums, steps, d


@public(method=False, aliases=("trapz",))
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral along a dimension by the trapezoidal rule."""
    sums, steps, d = _spacings("trapezoid", y, x, dx, dim)
    return D.sum(sums * steps, d) / 2


@public(method=False)
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1
) -> Tensor:
    """Running integrals along a dimension by the trapezoidal rule."""
    sums, steps, d = _spacings("cumulative_trapezoid", y, x, dx, dim)
    return D.cumsum(sums * steps / 2, d)
