"""Discrete Fourier transforms, published as ``ng.fft``.

Three primitives without normalisation (complex to complex, real to half a spectrum, and back); all
functions scale, pad and trim around them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor, wrap
from . import elementwise as E, view as V
from .arrange import roll
from .batching import SHIFT
from .export import check_tensor, public
from .registry import call, primitive

# -- primitives -----------------------------------------------------------------------------------


def _c2c(x: Any, *, dims: tuple[int, ...], inverse: bool) -> Any:
    if inverse:
        return np.asarray(np.fft.ifftn(x, axes=dims, norm="forward"), x.dtype)
    return np.asarray(np.fft.fftn(x, axes=dims), x.dtype)


#: The adjoint of sum_j exp(-2 pi i j k / n) x_j is the transform with the other sign.
c2c = primitive(
    "fft_c2c", _c2c, lambda x, **_: (tuple(x.shape), x.dtype), kinds="c", linear=True, batch=SHIFT,
    grad=lambda g, dims, inverse: c2c(g, dims=dims, inverse=not inverse),
    samples=lambda make: [
        call(make(5), dims=(0,), inverse=False), call(make(2, 3, 2), dims=(0, 2), inverse=True)],
    doc="The Fourier transform over some dimensions, or its inverse times the number of elements.",
)  # fmt: skip


def _r2c_shape(x: Any, *, dim: int) -> Any:
    shape = list(x.shape)
    shape[dim] = shape[dim] // 2 + 1
    return tuple(shape), E.complex_of(x.dtype)


def _r2c_grad(g: Tensor, x_shape: tuple[int, ...], dim: int) -> Tensor:
    # The half that was left out got no gradient.
    missing = x_shape[dim] - g._data.shape[dim]
    full = V.pad(g, widths=tuple((0, missing if d == dim else 0) for d in range(g.ndim)), value=0)
    return E.real_part(c2c(full, dims=(dim,), inverse=True))


r2c = primitive(
    "fft_r2c",
    lambda x, dim: np.asarray(np.fft.rfft(x, axis=dim), E.complex_of(x.dtype)),
    _r2c_shape, kinds="f", linear=True, batch=SHIFT, grad=_r2c_grad,
    samples=lambda make: [call(make(5), dim=0), call(make(2, 4), dim=1), call(make(4, 2), dim=0)],
    doc="The non-negative frequencies of the Fourier transform of real numbers.",
)  # fmt: skip


def _c2r_grad(g: Tensor, dim: int, n: int) -> Tensor:
    # A frequency strictly between 0 and n / 2 stands for its negative, too.
    half = n // 2 + 1
    weights = np.full(half, 2.0, g._data.dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    shape = [1] * g.ndim
    shape[dim] = half
    return r2c(g, dim=dim) * wrap(weights.reshape(shape))


def _c2r_shape(x: Any, *, dim: int, n: int) -> Any:
    shape = list(x.shape)
    shape[dim] = n
    return tuple(shape), dtypes.real_of(x.dtype)


c2r = primitive(
    "fft_c2r",
    lambda x, dim, n: np.asarray(
        np.fft.irfft(x, n, axis=dim, norm="forward"), dtypes.real_of(x.dtype)),
    _c2r_shape, kinds="c", linear=True, batch=SHIFT, grad=_c2r_grad,
    samples=lambda make: [
        call(make(3), dim=0, n=5), call(make(2, 3), dim=1, n=4), call(make(3, 2), dim=0, n=4)],
    doc="Real numbers from the non-negative frequencies of their Fourier transform, times n.",
)  # fmt: skip

# -- arguments ------------------------------------------------------------------------------------

_NORMS = ("backward", "ortho", "forward")


def _scaled(x: Tensor, norm: str | None, n: int, forward: bool) -> Tensor:
    if norm not in (None, *_NORMS):
        raise RuntimeError(f"Invalid normalization mode: {norm!r}; use one of {_NORMS}")
    if norm == "ortho":
        return x * (1 / math.sqrt(n))
    plain = (norm or "backward") == ("backward" if forward else "forward")
    return x if plain else x * (1 / n)


def _real(name: str, input: Any) -> Tensor:
    x = check_tensor(name, input)
    if x.is_complex():
        raise RuntimeError(f"{name} expects a real input tensor, but got {x.dtype}")
    return _floating(x)


def _floating(x: Tensor) -> Tensor:
    x = E.to_floating(x)
    if x._data.dtype.itemsize == 2:
        raise RuntimeError(f"Unsupported dtype {x.dtype}; convert it with .float()")
    return x


def _complex(name: str, input: Any) -> Tensor:
    x = _floating(check_tensor(name, input))
    return E.to_dtype(x, E.complex_of(x._data.dtype))


def _resized(x: Tensor, dim: int, n: int) -> Tensor:
    """Trimmed, or padded with zeros at the end."""
    now = x._data.shape[dim]
    if now > n:
        return V.slice_(x, index=(*(slice(None),) * dim, slice(0, n)))
    if now == n:
        return x
    return V.pad(x, widths=tuple((0, n - now if d == dim else 0) for d in range(x.ndim)), value=0)


def _length(x: Tensor, n: int | None, dim: int) -> tuple[int, int]:
    d = V.wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    length = x._data.shape[d] if n is None else n
    if length < 1:
        raise RuntimeError(f"Invalid number of data points ({length}) specified")
    return d, length


def _lengths(
    x: Tensor, s: Sequence[int] | None, dim: Any, last: int | None = None
) -> tuple[list[int], list[int]]:
    """(dims, lengths): -1 stands for the length of the input (`last` for the last one)."""
    if isinstance(dim, int):
        dim = (dim,)
    if isinstance(s, int):
        s = (s,)
    if dim is not None:
        dims = [V.wrap_dim(d, x.ndim) for d in dim]
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > x.ndim:
            raise RuntimeError(
                f"Got shape with {len(s)} values but input tensor only has {x.ndim} dimensions."
            )
        dims = list(range(x.ndim - len(s), x.ndim))
    else:
        dims = list(range(x.ndim))
    lengths = [x._data.shape[d] for d in dims]
    if last is not None and dims:
        lengths[-1] = 2 * (lengths[-1] - 1)
    if s is not None:
        lengths = [now if n == -1 else n for n, now in zip(s, lengths, strict=True)]
    for n in lengths:
        if n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return dims, lengths


def _c2c_over(
    x: Tensor, dims: Sequence[int], lengths: Sequence[int], norm: str | None, forward: bool
) -> Tensor:
    for d, n in zip(dims, lengths, strict=True):
        x = _resized(x, d, n)
    if dims:
        x = c2c(x, dims=tuple(dims), inverse=not forward)
    return _scaled(x, norm, math.prod(lengths), forward)


# -- one dimension --------------------------------------------------------------------------------


@public(namespace="fft", out=True)
def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The Fourier transform along a dimension, which is first padded or trimmed to `n`.

    `norm`: "backward" scales the inverse by 1/n, "forward" this one, "ortho" both by 1/sqrt(n).

    Raises:
        RuntimeError: `n` is not positive, or `norm` unknown.
        IndexError: there is no such dimension.

    >>> import numbagrad as ng
    >>> ng.fft.fft(ng.tensor([1.0, 0.0, 0.0])).real
    tensor([1., 1., 1.])
    """
    x = _complex("fft", input)
    d, length = _length(x, n, dim)
    return _c2c_over(x, [d], [length], norm, True)


@public(namespace="fft", out=True)
def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of :func:`fft`."""
    x = _complex("ifft", input)
    d, length = _length(x, n, dim)
    return _c2c_over(x, [d], [length], norm, False)


def _r2c_along(x: Tensor, d: int, n: int, norm: str | None, forward: bool) -> Tensor:
    y = r2c(_resized(x, d, n), dim=d)
    return _scaled(y if forward else E.conj(y), norm, n, forward)


def _c2r_along(x: Tensor, d: int, n: int, norm: str | None, forward: bool) -> Tensor:
    x = _resized(x, d, n // 2 + 1)
    return _scaled(c2r(E.conj(x) if forward else x, dim=d, n=n), norm, n, forward)


@public(namespace="fft", out=True)
def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The non-negative frequencies of the transform of real numbers."""
    x = _real("rfft", input)
    d, length = _length(x, n, dim)
    return _r2c_along(x, d, length, norm, True)


@public(namespace="fft", out=True)
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of :func:`rfft`; `n` is ``2 * (length - 1)`` by default."""
    x, d, length = _half_spectrum("irfft", input, n, dim)
    return _c2r_along(x, d, length, norm, False)


def _half_spectrum(name: str, input: Any, n: int | None, dim: int) -> tuple[Tensor, int, int]:
    x = _complex(name, input)
    d, length = _length(x, None if x.ndim else n, dim)
    length = 2 * (length - 1) if n is None else n
    if length < 1:
        raise RuntimeError(f"Invalid number of data points ({length}) specified")
    return x, d, length


@public(namespace="fft", out=True)
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform, which is real, of a Hermitian signal given by its first half."""
    x, d, length = _half_spectrum("hfft", input, n, dim)
    return _c2r_along(x, d, length, norm, True)


@public(namespace="fft", out=True)
def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of :func:`hfft`."""
    x = _real("ihfft", input)
    d, length = _length(x, n, dim)
    return _r2c_along(x, d, length, norm, False)


# -- several dimensions ---------------------------------------------------------------------------


@public(namespace="fft", out=True)
def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The Fourier transform over several dimensions (all by default), of lengths `s`."""
    x = _complex("fftn", input)
    return _c2c_over(x, *_lengths(x, s, dim), norm, True)


@public(namespace="fft", out=True)
def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of :func:`fftn`."""
    x = _complex("ifftn", input)
    return _c2c_over(x, *_lengths(x, s, dim), norm, False)


def _nonempty(name: str, dims: list[int]) -> None:
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")


@public(namespace="fft", out=True)
def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The transform of real numbers; non-negative frequencies in the last of the dimensions."""
    x = _real("rfftn", input)
    dims, lengths = _lengths(x, s, dim)
    _nonempty("rfftn", dims)
    y = _r2c_along(x, dims[-1], lengths[-1], norm, True)
    return _c2c_over(y, dims[:-1], lengths[:-1], norm, True)


@public(namespace="fft", out=True)
def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of :func:`rfftn`."""
    x = _complex("irfftn", input)
    dims, lengths = _lengths(x, s, dim, last=1)
    _nonempty("irfftn", dims)
    y = _c2c_over(x, dims[:-1], lengths[:-1], norm, False)
    return _c2r_along(y, dims[-1], lengths[-1], norm, False)


@public(namespace="fft", out=True)
def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The transform, which is real, of a signal that is Hermitian in the last dimension."""
    x = _complex("hfftn", input)
    dims, lengths = _lengths(x, s, dim, last=1)
    _nonempty("hfftn", dims)
    y = _c2c_over(x, dims[:-1], lengths[:-1], norm, True)
    return _c2r_along(y, dims[-1], lengths[-1], norm, True)


@public(namespace="fft", out=True)
def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of :func:`hfftn`."""
    x = _real("ihfftn", input)
    dims, lengths = _lengths(x, s, dim)
    _nonempty("ihfftn", dims)
    y = _r2c_along(x, dims[-1], lengths[-1], norm, False)
    return _c2c_over(y, dims[:-1], lengths[:-1], norm, False)


def _publish_planes() -> None:
    """fft2 and the others: two dimensions, the last ones by default."""
    for fn in (fftn, ifftn, rfftn, irfftn, hfftn, ihfftn):

        def plane(
            input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, fn: Any = fn
        ) -> Tensor:
            return fn(input, s, dim, norm)

        plane.__name__ = plane.__qualname__ = f"{fn.__name__[:-1]}2"
        plane.__doc__ = f":func:`{fn.__name__}` over the last two dimensions, or two others."
        public(namespace="fft", out=True)(plane)


_publish_planes()

# -- frequencies ----------------------------------------------------------------------------------


def _shift_dims(x: Tensor, dim: Any) -> list[int]:
    if dim is None:
        return list(range(x.ndim))
    return [V.wrap_dim(d, x.ndim) for d in ((dim,) if isinstance(dim, int) else dim)]


@public(namespace="fft")
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Frequencies reordered so that 0 is in the middle."""
    dims = _shift_dims(check_tensor("fftshift", input), dim)
    return roll(input, [input._data.shape[d] // 2 for d in dims], dims)


@public(namespace="fft")
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of :func:`fftshift`."""
    dims = _shift_dims(check_tensor("ifftshift", input), dim)
    return roll(input, [-(input._data.shape[d] // 2) for d in dims], dims)


def _frequencies(values: Any, dtype: Any, requires_grad: bool) -> Tensor:
    d = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    return wrap(values.astype(d.np)).requires_grad_(requires_grad)


@public(namespace="fft", out=True)
def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of the elements of :func:`fft`, for samples `d` apart.

    >>> import numbagrad as ng
    >>> ng.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _frequencies(np.fft.fftfreq(n, d), dtype, requires_grad)


@public(namespace="fft", out=True)
def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of the elements of :func:`rfft`, for samples `d` apart."""
    return _frequencies(np.fft.rfftfreq(n, d), dtype, requires_grad)
