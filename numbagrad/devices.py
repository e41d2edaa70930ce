"""The device object, for code written for PyTorch: there is one device, the CPU."""

from __future__ import annotations

from typing import Any


class device:
    """Where a tensor lives: always the CPU.

    Raises:
        RuntimeError: another device is asked for.

    >>> device("cpu")
    device(type='cpu')
    >>> device("cpu") == device("cpu:0")
    False
    """

    __slots__ = ("index",)

    type = "cpu"
    index: int | None

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        name, _, number = str(type).partition(":")
        if name != "cpu" or (number and number != "0") or index not in (None, 0):
            raise RuntimeError(f"numbagrad runs on the CPU only, got device {str(type)!r}")
        self.index = 0 if number else index

    def __repr__(self) -> str:
        return "device(type='cpu')" if self.index is None else "device(type='cpu', index=0)"

    def __str__(self) -> str:
        return "cpu" if self.index is None else "cpu:0"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and other.index == self.index

    def __hash__(self) -> int:
        return hash(("cpu", self.index))


CPU = device()


def check_device(d: Any) -> None:
    """Raise unless `d` is None or the CPU, as an object or by name."""
    if d is not None and d is not CPU:
        device(d)
