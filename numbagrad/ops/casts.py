"""Methods that convert to another dtype or device."""

from __future__ import annotations

from typing import Any

from .. import devices, dtypes
from ..devices import check_device
from ..tensor import Tensor, method
from . import view as V
from .elementwise import cast, to_dtype


@method("to")
def to(
    self: Tensor, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False,
    non_blocking: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Converted to a dtype (or to that of another tensor); itself if nothing changes.

    Raises:
        DeviceError: a device other than the CPU.
    """
    flags = [a for a in args if isinstance(a, bool)]  # non_blocking, copy
    copy = copy or (len(flags) > 1 and flags[1])
    for a in args:
        if isinstance(a, Tensor):
            dtype = a.dtype
        elif isinstance(a, bool):
            continue
        elif isinstance(a, str | devices.device):
            device = a
        elif a is not None:
            dtype = a
    check_device(device)
    if dtype is not None:
        d = dtypes.of(dtype).np
        if d is not self._data.dtype:
            return cast(self, dtype=d)
    return V.clone(self) if copy else self


def _publish_cast(name: str, d: dtypes.dtype) -> None:
    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        return to_dtype(self, d.np)

    convert.__doc__ = f"Converted to {d.name}."
    method(name)(convert)


for _name, _dtype in dtypes.ALIASES.items():
    _publish_cast(_name, _dtype)
_publish_cast("bool", dtypes.bool)
_publish_cast("byte", dtypes.uint8)
_publish_cast("char", dtypes.int8)


@method("type_as")
def _type_as(self: Tensor, other: Tensor) -> Tensor:
    """Converted to the dtype of `other`."""
    return to(self, other.dtype)


@method("cpu")
def _cpu(self: Tensor) -> Tensor:
    """Itself: all tensors are on the CPU."""
    return self


@method("cuda")
def _cuda(self: Tensor, device: Any = None, *args: Any, **kwargs: Any) -> Tensor:
    """An error: there is no GPU.

    Raises:
        DeviceError: always.
    """
    check_device("cuda" if device is None else device)
    return self
