"""How tensors print: character for character as in PyTorch.

All numbers of one tensor share a width and a notation, chosen from the elements that are shown;
above `threshold` elements only the `edgeitems` at both ends of each dimension are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import dtypes
from .ops.export import EXPORTS
from .tensor import Tensor, method

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """What :func:`set_printoptions` sets."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None  # None: where the numbers call for it


_PROFILES = {
    "default": Options(),
    "short": Options(precision=2, edgeitems=2),
    "full": Options(threshold=math.inf),
}
_options = Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print; what is None stays as it is.

    Args:
        precision: digits after the point (4).
        threshold: the number of elements above which a tensor is summarised (1000).
        edgeitems: how many elements a summary shows at both ends of a dimension (3).
        linewidth: characters per line (80).
        profile: "default", "short" or "full", the starting point for the others.
        sci_mode: scientific notation always or never; None lets the numbers decide.

    >>> import numbagrad as ng
    >>> ng.set_printoptions(precision=2)
    >>> ng.tensor([1.23456])
    tensor([1.23])
    >>> ng.set_printoptions(profile="default")
    """
    global _options
    options = _options
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"profile must be one of {', '.join(_PROFILES)}, got {profile!r}")
        options = _PROFILES[profile]
    given = {
        "precision": precision, "threshold": threshold, "edgeitems": edgeitems,
        "linewidth": linewidth,
    }  # fmt: skip
    chosen: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    _options = replace(options, sci_mode=sci_mode, **chosen)


class Notation:
    """The common width and notation of the numbers of one real array."""

    def __init__(self, shown: Array, options: Options) -> None:
        self.precision = options.precision
        self.floating = shown.dtype.kind == "f"
        self.whole = True  # floats without a fraction print as "3."
        self.scientific = False
        self.width = 1
        if not self.floating:
            self.width = max([1, *(len(str(v)) for v in shown.ravel().tolist())])
            return
        # Zeros, infinities and NaNs have no say.
        values = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
        if values.size:
            size = np.abs(values)
            low, high = float(size.min()), float(size.max())
            self.whole = bool((values == np.ceil(values)).all())
            self.scientific = high / low > 1000 or high > 1e8 or (not self.whole and low < 1e-4)
            if options.sci_mode is not None:
                self.scientific = options.sci_mode
            self.width = max(len(self._number(v)) for v in values.tolist())

    def _number(self, value: Any) -> str:
        if not self.floating:
            return str(value)
        if self.scientific:
            return f"{value:.{self.precision}e}"
        if self.whole:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{self.precision}f}"

    def __call__(self, value: Any) -> str:
        return self._number(value).rjust(self.width)


class ComplexNotation:
    """The notations of the real and the imaginary parts."""

    def __init__(self, shown: Array, options: Options) -> None:
        self.real = Notation(shown.real, options)
        self.imag = Notation(shown.imag, options)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value: complex) -> str:
        imag = f"{self.imag(value.imag)}j".lstrip()
        sign = "" if imag[0] in "+-" else "+"
        return f"{self.real(value.real)}{sign}{imag}"


def _edges(array: Array, edgeitems: int) -> Array:
    """The elements that a summary shows."""
    for axis, extent in enumerate(array.shape):
        if extent > 2 * edgeitems:
            ends = [*range(edgeitems), *range(extent - edgeitems, extent)]
            array = array.take(ends, axis)
    return array


def _elements(array: Array, options: Options, indent: int) -> str:
    """The nested brackets with the elements, whose later lines are indented by `indent`."""
    if array.size == 0:
        return "[]"
    summarise = array.size > options.threshold
    shown = _edges(array, options.edgeitems) if summarise else array
    kind = ComplexNotation if array.dtype.kind == "c" else Notation
    notation = kind(shown, options)

    def vector(row: Array, indent: int) -> str:
        edge = options.edgeitems
        if summarise and not edge:
            words = ["..."]
        elif summarise and len(row) > 2 * edge:
            first, last = row[:edge].tolist(), row[-edge:].tolist()
            words = [*map(notation, first), " ...", *map(notation, last)]
        else:
            words = [notation(v) for v in row.tolist()]
        per_line = max(1, (options.linewidth - indent) // (notation.width + 2))
        lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
        return f"[{(',' + chr(10) + ' ' * (indent + 1)).join(lines)}]"

    def block(part: Array, indent: int) -> str:
        if part.ndim == 0:
            return notation(part.item())
        if part.ndim == 1:
            return vector(part, indent)
        edge = options.edgeitems
        if summarise and len(part) > 2 * edge:
            first = [block(p, indent + 1) for p in part[:edge]]
            last = [block(p, indent + 1) for p in part[len(part) - edge :]]
            parts = [*first, "...", *last]
        else:
            parts = [block(p, indent + 1) for p in part]
        between = "," + "\n" * (part.ndim - 1) + " " * (indent + 1)
        return f"[{between.join(parts)}]"

    return block(array, indent)


def _facts(t: Tensor, array: Array) -> list[str]:
    """What follows the elements."""
    facts = []
    default = dtypes.get_default_dtype()
    usual = (default,) if array.size == 0 else (
        default, default.to_complex() if default is not dtypes.float16 else None,
        dtypes.int64, dtypes.bool,
    )  # fmt: skip
    if array.ndim != 1 if array.size == 0 else _options.edgeitems == 0:
        facts.append(f"size={tuple(array.shape)}")
    if t.dtype not in usual:
        facts.append(f"dtype={t.dtype}")
    try:
        node = t.grad_fn
    except RuntimeError:  # a view made under no_grad whose base was changed since
        facts.append("grad_fn=<Invalid>")
        return facts
    if node is not None:
        facts.append(f"grad_fn=<{type(node).__name__}>")
    elif t.requires_grad:
        facts.append("requires_grad=True")
    return facts


@method("__repr__", "__str__")
def to_text(self: Tensor) -> str:
    """The tensor as text."""
    array: Any = self._data
    more: list[str] = []
    shown = self
    while not isinstance(array, np.ndarray):  # inside a transform
        text = array.interpreter.text(shown)
        if text is not None:
            return text
        more += array.interpreter.facts(shown)
        shown = array.interpreter.concrete(shown, "printing")
        array = shown._data
    start = "tensor("
    text = start + _elements(array, _options, len(start))
    column = len(text) - text.rfind("\n") + 1
    for fact in [*_facts(self, array), *more]:
        if column + len(fact) + 2 > _options.linewidth:
            text += ",\n" + " " * len(start) + fact
            column = len(start) + len(fact)
        else:
            text += ", " + fact
            column += len(fact) + 2
    return text + ")"


EXPORTS["set_printoptions"] = set_printoptions
