"""Padding: borders around a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...creation import from_numpy
from ...ops import view as V
from ...ops.export import check_tensor
from ...ops.gather import take_rows
from ...tensor import Tensor


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """`input` with a border; negative widths cut off.

    Args:
        pad: (before, after) of the last dimension, then of the one before it, and so on.
        mode: "constant", "reflect" (without the edge), "replicate" (the edge) or "circular".
        value: what a constant border holds, 0 by default.

    Raises:
        RuntimeError: an odd number of widths, too many of them, or wider than the mode allows.
        NotImplementedError: an unknown mode.
        ValueError: a value for a mode that takes none.

    >>> import numbagrad as ng
    >>> ng.nn.functional.pad(ng.tensor([1.0, 2.0]), (1, 1)).tolist()
    [0.0, 1.0, 2.0, 0.0]
    """
    x = check_tensor("pad", input)
    widths = tuple(int(w) for w in pad)
    if len(widths) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, got {list(widths)}")
    if len(widths) // 2 > x.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(widths)} and input of dimension {x.ndim}"
        )
    pairs = [(0, 0)] * (x.ndim - len(widths) // 2) + list(zip(widths[-2::-2], widths[::-2]))
    if mode == "constant":
        return _constant(x, pairs, 0 if value is None else value)
    if value not in (None, 0):
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _INDEX:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    check_tensor(f"pad with mode {mode}", x, kinds="biufc" if mode == "circular" else "iufc")
    if len(widths) // 2 >= x.ndim or x.ndim - len(widths) // 2 > 2:
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now, which "
            f"pads the last {len(widths) // 2} of {x.ndim} dimensions"
        )
    if mode == "circular":  # goes around what negative widths leave
        x = _constant(x, [(min(0, a), min(0, b)) for a, b in pairs], 0)
        pairs = [(max(0, a), max(0, b)) for a, b in pairs]
    for dim, (before, after) in enumerate(pairs):
        if before or after:
            index = _INDEX[mode](x.shape[dim], before, after)
            x = take_rows(x, from_numpy(index), dim=dim)
    return x


def _constant(x: Tensor, pairs: list[tuple[int, int]], value: Any) -> Tensor:
    for n, (before, after) in zip(x.shape, pairs, strict=True):
        if n + before + after < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {before} and {after}, resulted in a "
                "negative output size"
            )
    if any(w < 0 for pair in pairs for w in pair):
        cut = tuple(
            slice(max(0, -before), n + min(0, after))
            for n, (before, after) in zip(x.shape, pairs, strict=True)
        )
        x = V.slice_(x, index=cut)
    widths = tuple((max(0, before), max(0, after)) for before, after in pairs)
    if not any(map(any, widths)):
        return V.clone(x)
    if x.dtype.name in ("int8", "int16", "int32", "int64", "uint8", "bool"):
        value = int(value)
    return V.pad(x, widths=widths, value=value)


def _reflect(n: int, before: int, after: int) -> np.ndarray[Any, Any]:
    if max(before, after) >= n:
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but "
            f"got: padding ({before}, {after}) at dimension of size {n}"
        )
    positions = np.abs(np.arange(-before, n + after))
    return np.where(positions >= n, 2 * (n - 1) - positions, positions)


def _replicate(n: int, before: int, after: int) -> np.ndarray[Any, Any]:
    return np.clip(np.arange(-before, n + after), 0, n - 1)


def _circular(n: int, before: int, after: int) -> np.ndarray[Any, Any]:
    if max(before, after) > n:
        raise RuntimeError(
            "Padding value causes wrapping around more than once: padding "
            f"({before}, {after}) at dimension of size {n}"
        )
    return np.arange(-before, n + after) % n


_INDEX = {"reflect": _reflect, "replicate": _replicate, "circular": _circular}
