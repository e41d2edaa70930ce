"""The device object, for code written for PyTorch: tensors live on one device, the CPU."""

from __future__ import annotations

from typing import Any

#: The names PyTorch knows. They can be spoken of and compared; tensors are on the CPU.
_TYPES = (
    "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga",
    "maia", "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
)  # fmt: skip


class DeviceError(AssertionError, RuntimeError):
    """A tensor was to go where there is none; PyTorch without CUDA raises an AssertionError."""


class device:
    """Where a tensor lives. Scripts may name any device, tensors can be on the CPU only.

    Raises:
        TypeError: not a name.
        RuntimeError: there is no device of this name.

    >>> device("cpu")
    device(type='cpu')
    >>> device("cpu") == device("cpu:0")
    False
    >>> device("cuda:1").index
    1
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        if not isinstance(type, str | device):
            raise TypeError(f"device(): argument 'type' must be str, not {type!r}")
        name, colon, number = str(type).partition(":")
        if name not in _TYPES:
            raise RuntimeError(
                f"Expected one of {', '.join(_TYPES)} device type at start of device string: {name}"
            )
        if colon and index is not None:
            raise RuntimeError(
                "type (string) must not include an index because index was passed explicitly: "
                f"{type}"
            )
        if colon and not number.isdecimal():
            raise RuntimeError(f"Invalid device string: '{type}'")
        self.type = name
        self.index = int(number) if colon else index

    def __repr__(self) -> str:
        place = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{place})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and other.type == self.type and other.index == self.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __enter__(self) -> device:
        check_device(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        """Nothing to undo: there is one device."""

    def __reduce__(self) -> Any:
        return device, (str(self),)


CPU = device("cpu")


def check_device(d: Any) -> None:
    """Raise unless `d` is None or the CPU, as an object or by name.

    Raises:
        DeviceError: CUDA (a RuntimeError, and an AssertionError as in PyTorch).
        RuntimeError: any other device.
    """
    if d is None or d is CPU:
        return
    asked = d if isinstance(d, device) else device(d)
    if asked.type != "cpu":
        kind = DeviceError if asked.type == "cuda" else RuntimeError
        raise kind(f"numbagrad runs on the CPU only, got device {str(asked)!r}")


def get_default_device() -> device:
    """Where tensors are made: on the CPU."""
    return CPU


def set_default_device(device: Any) -> None:
    """Nothing, for the CPU or None.

    Raises:
        DeviceError: CUDA.
        RuntimeError: any other device.
    """
    check_device(device)
