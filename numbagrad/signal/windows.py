"""Windows as in ``torch.signal.windows``: symmetric, or periodic with ``sym=False``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import dtypes
from ..devices import check_device
from ..ops.signal import Array, bartlett_shape, cosines, kaiser_shape
from ..tensor import Tensor, wrap

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]  # fmt: skip


def _window(
    name: str, M: int, values: Callable[[Array, int], Array], sym: bool, options: dict[str, Any]
) -> Tensor:
    """`values` of the places 0 to M - 1 and the distance of the first and the last element."""
    dtype, requires_grad = options.pop("dtype", None), options.pop("requires_grad", False)
    check_device(options.pop("device", None))
    options.pop("layout", None)
    if options:
        raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(options))!r}")
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    d = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    if d not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {d}")
    places = np.arange(M, dtype=np.float64)
    found = values(places, M - 1 if sym else M) if M > 1 else np.ones(M)
    return wrap(found.astype(d.np)).requires_grad_(requires_grad)


def _positive(name: str, what: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{what} must be positive, got: {value} instead ({name})")


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """A triangle. `options` of all windows: dtype, device, layout, requires_grad.

    Raises:
        ValueError: `M` is negative, or dtype neither float32 nor float64.

    >>> from numbagrad.signal import windows
    >>> windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _window("bartlett", M, lambda i, n: bartlett_shape(i / n), sym, options)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, **options: Any) -> Tensor:
    """The sum of (-1)^k a_k cos(2 pi k t)."""
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    return _window("general_cosine", M, lambda i, n: cosines(*weights)(i / n), sym, options)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi t)."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Hamming's window: 0.54 - 0.46 cos(2 pi t)."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Hann's window: 0.5 - 0.5 cos(2 pi t)."""
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Blackman's window, of three cosines."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Nuttall's window, of four cosines, with the lowest side lobes."""
    weights = [0.3635819, 0.4891775, 0.1365995, 0.0106411]
    return general_cosine(M, a=weights, sym=sym, **options)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Tensor:
    """Kaiser's window with the shape parameter `beta`."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _window("kaiser", M, lambda i, n: kaiser_shape(beta)(i / n), sym, options)


def cosine(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Half a period of a sine."""
    return _window("cosine", M, lambda i, n: np.sin((i + 0.5) * (math.pi / (n + 1))), sym, options)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **options: Any
) -> Tensor:
    """exp(-|i - center| / tau)."""
    _positive("exponential", "Tau", tau)
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def values(i: Array, n: int) -> Array:
        return np.exp(-abs(i - (n / 2 if center is None else center)) / tau)

    return _window("exponential", M, values, sym, options)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Tensor:
    """exp(-(i - center)^2 / (2 std^2))."""
    _positive("gaussian", "Standard deviation", std)
    return _window(
        "gaussian", M, lambda i, n: np.exp(-(((i - n / 2) / std) ** 2) / 2), sym, options
    )
