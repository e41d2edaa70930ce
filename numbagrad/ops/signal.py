"""Windows, and Fourier transforms of short pieces of a signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..kernels.series import i0
from ..tensor import Tensor, wrap
from . import elementwise as E, fourier, view as V
from .export import check_tensor, public
from .windows import fold, unfold

Array = np.ndarray[Any, Any]

# -- windows --------------------------------------------------------------------------------------


def cosines(*weights: float) -> Callable[[Array], Array]:
    """A sum of cosines over [0, 1] with alternating signs."""
    return lambda t: (
        sum((-1) ** k * w * np.cos(2 * math.pi * k * t) for k, w in enumerate(weights))
        + np.zeros_like(t)
    )


def bartlett_shape(t: Array) -> Array:
    """A triangle over [0, 1]."""
    return 1 - abs(2 * t - 1)


def kaiser_shape(beta: float) -> Callable[[Array], Array]:
    """Kaiser's window over [0, 1]."""
    return lambda t: i0(beta * np.sqrt(np.maximum(1 - (2 * t - 1) ** 2, 0))) / i0(np.array(beta))


def _window(
    name: str, length: int, shape: Callable[[Array], Array], symmetric: bool, dtype: Any,
    requires_grad: bool,
) -> Tensor:  # fmt: skip
    if length < 0:
        raise RuntimeError(
            f"{name}: requires non-negative window_length, got window_length={length}"
        )
    d = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    if d.np.kind != "f":
        raise RuntimeError(f"{name} expects floating point dtypes, got: {d}")
    # A periodic window is a longer symmetric one without its last element.
    values = shape(np.arange(length) / max(length - symmetric, 1)) if length != 1 else np.ones(1)
    return wrap(values.astype(d.np)).requires_grad_(requires_grad)


@public(method=False)
def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Hann's window, sin^2, of a length; periodic or symmetric.

    >>> import numbagrad as ng
    >>> ng.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window(
        "hann_window", window_length, cosines(0.5, 0.5), not periodic, dtype, requires_grad
    )


@public(method=False)
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *,
    dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Hamming's window, alpha - beta cos(2 pi t)."""
    return _window(
        "hamming_window", window_length, cosines(alpha, beta), not periodic, dtype, requires_grad
    )


@public(method=False)
def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Blackman's window, of three cosines."""
    shape = cosines(0.42, 0.5, 0.08)
    return _window("blackman_window", window_length, shape, not periodic, dtype, requires_grad)


@public(method=False)
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Bartlett's window, a triangle."""
    return _window(
        "bartlett_window", window_length, bartlett_shape, not periodic, dtype, requires_grad
    )


@public(method=False)
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None,
    layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Kaiser's window with the shape parameter `beta`."""
    return _window(
        "kaiser_window", window_length, kaiser_shape(beta), not periodic, dtype, requires_grad
    )


# -- pieces of a signal ---------------------------------------------------------------------------


def _padded_window(name: str, window: Tensor | None, n_fft: int, win_length: int, like: Any) -> Any:
    """The window in the middle of `n_fft` elements."""
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got {win_length}")
    if window is None:
        window = wrap(np.ones(win_length, like))
    elif window.ndim != 1 or window.numel() != win_length:
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, but "
            f"got window with size {list(window.shape)}"
        )
    left = (n_fft - win_length) // 2
    return V.pad(window, widths=((left, n_fft - win_length - left),), value=0)


@public()
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect",
    normalized: bool = False, onesided: bool | None = None, return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """The Fourier transforms of overlapping windows of a signal, shape (frequencies, frames).

    Raises:
        RuntimeError: arguments do not fit, or `return_complex` is not given for a real signal.
    """
    x = check_tensor("stft", input)
    if x._data.dtype.kind not in "fc":
        raise RuntimeError(
            f"stft({x.dtype}): expected a tensor of floating point or complex values"
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    complex_input = x.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not complex_input:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    if x.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, got {x.ndim}D")
    if align_to_window is not None and center:
        raise RuntimeError("stft: align_to_window should only be set when center = false.")
    rows = x if x.ndim == 2 else V.slice_(x, index=(None,))
    if center:
        rows = _reflected(rows, n_fft // 2, pad_mode)
    total = rows._data.shape[1]
    if not 0 < n_fft <= total:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {total}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    w = _padded_window("stft", window, n_fft, length, dtypes.real_of(x._data.dtype))
    frames = unfold(rows, 1, n_fft, hop) * w
    onesided = not complex_input if onesided is None else onesided
    if onesided and complex_input:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    y = fourier.rfft(frames, norm=norm) if onesided else fourier.fft(frames, norm=norm)
    y = V.permute(y, dims=(0, 2, 1))
    if x.ndim == 1:
        y = V.slice_(y, index=(0,))
    if return_complex:
        return y
    from .complex import view_as_real

    return view_as_real(y)


def _reflected(rows: Tensor, width: int, mode: str) -> Tensor:
    n = rows._data.shape[1]
    if mode == "constant":
        return V.pad(rows, widths=((0, 0), (width, width)), value=0)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"stft: unknown pad_mode {mode!r}")
    if mode == "reflect" and width >= n:
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but "
            f"got: padding ({width}, {width}) at dimension 1 of input {list(rows.shape)}"
        )
    kind: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    order = wrap(np.pad(np.arange(n), width, kind))
    from .gather import take_rows

    return take_rows(rows, order, dim=1)


@public()
def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False,
    onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal of which :func:`stft` gives `input`: least squares over overlapping windows.

    Raises:
        RuntimeError: arguments do not fit, or windows leave some of the signal undetermined.
    """
    x = check_tensor("istft", input)
    if not x.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    if x.ndim not in (2, 3):
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dimensions, got {x.ndim}")
    hop = n_fft // 4 if hop_length is None else hop_length
    win = n_fft if win_length is None else win_length
    rows = x if x.ndim == 3 else V.slice_(x, index=(None,))
    batch, bins, frames = rows._data.shape
    if batch * bins * frames == 0:
        raise RuntimeError("istft: input tensor cannot be empty.")
    onesided = bins != n_fft if onesided is None else onesided
    if bins != (n_fft // 2 + 1 if onesided else n_fft):
        raise RuntimeError(
            f"istft: expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match n_fft{' / 2 + 1' if onesided else ''}, but got {bins}"
        )
    if not 0 < hop <= win:
        raise RuntimeError(f"istft: expected 0 < hop_length <= win_length, but got {hop}")
    w = _padded_window("istft", window, n_fft, win, dtypes.real_of(x._data.dtype))
    norm = "ortho" if normalized else None
    pieces = V.permute(rows, dims=(0, 2, 1))
    if return_complex:
        if onesided:
            raise RuntimeError("cannot have onesided output if window or input is complex")
        pieces = fourier.ifft(pieces, norm=norm)
    else:  # the signal is real: of two sides, one is enough
        pieces = fourier.irfft(pieces, n_fft, norm=norm)
    total = n_fft + hop * (frames - 1)
    summed = fold(pieces * w, shape=(batch, total), dim=1, size=n_fft, step=hop)
    squares = V.expand_to(E.square(w), (frames, n_fft))
    weight = fold(V.clone(squares), shape=(total,), dim=0, size=n_fft, step=hop)
    start = n_fft // 2 if center else 0
    end = total - n_fft // 2 if center else total
    if length is not None:
        end = start + length
    stop = min(end, total)
    summed = V.slice_(summed, index=(slice(None), slice(start, stop)))
    weight = V.slice_(weight, index=(slice(start, stop),))
    if isinstance(weight._data, np.ndarray) and (abs(weight._data) < 1e-11).any():
        raise RuntimeError("window overlap add min: the windows leave some of the signal out")
    y = summed / weight
    if end > total:
        y = V.pad(y, widths=((0, 0), (0, end - total)), value=0)
    return y if x.ndim == 3 else V.slice_(y, index=(0,))
