"""Padding as modules."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from .. import functional as F
from ..module import Module


class _Pad(Module):
    """A border; `padding` is one width for all sides or one per side, as F.pad takes them."""

    rank = 1
    mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.rank) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_Pad):
    """Zeros around the last dimension."""


class ZeroPad2d(_Pad):
    """Zeros around images."""

    rank = 2


class ReflectionPad1d(_Pad):
    """The last dimension mirrored at its ends."""

    mode = "reflect"


class ReflectionPad2d(_Pad):
    """Images mirrored at their edges."""

    rank = 2
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """The ends of the last dimension repeated."""

    mode = "replicate"


class ReplicationPad2d(_Pad):
    """The edges of images repeated."""

    rank = 2
    mode = "replicate"


class CircularPad1d(_Pad):
    """The last dimension continued from its other end."""

    mode = "circular"


class CircularPad2d(_Pad):
    """Images continued from their other edge."""

    rank = 2
    mode = "circular"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A constant around the last dimension."""


class ConstantPad2d(_ConstantPad):
    """A constant around images."""

    rank = 2


class ZeroPad3d(_Pad):
    """Zeros around volumes."""

    rank = 3


class ReflectionPad3d(_Pad):
    """Volumes mirrored at their faces."""

    rank = 3
    mode = "reflect"


class ReplicationPad3d(_Pad):
    """The faces of volumes repeated."""

    rank = 3
    mode = "replicate"


class CircularPad3d(_Pad):
    """Volumes continued from their other face."""

    rank = 3
    mode = "circular"


class ConstantPad3d(_ConstantPad):
    """A constant around volumes."""

    rank = 3
