"""Tensor types by dtype, PyTorch's older way: ``FloatTensor([1, 2])``, ``x.type()``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import dtypes
from .creation import empty, tensor
from .devices import DeviceError, check_device
from .ops.export import EXPORTS
from .tensor import Size, Tensor, as_subclass, method


def _made(d: dtypes.dtype | None, args: tuple[Any, ...]) -> Tensor:
    """What a type called with `args` makes: of data, or of ints, which are a shape.

    Without a dtype it is the default one, but a tensor keeps its own.
    """
    if len(args) == 1 and not (type(args[0]) is int or isinstance(args[0], Size)):
        (data,) = args
        if isinstance(data, Tensor):
            if data.dtype is not d and d is not None:
                raise TypeError(f"expected a tensor of {d} (got {data.dtype}); use .to(dtype)")
            return data.detach()
        if not isinstance(data, Sequence | np.ndarray):
            raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
        return tensor(
            data if isinstance(data, np.ndarray | str) else list(data),
            dtype=d or dtypes.get_default_dtype(),
        )
    return empty(*(args or (0,)), dtype=d)


def _new(cls: type[Tensor], *args: Any, data: Any = None, device: Any = None) -> Any:
    """A tensor of the default dtype: of the given data, or not initialised in the given shape.

    :func:`numbagrad.tensor` finds the dtype that fits the data.
    """
    check_device(device)
    made = _made(None, args if data is None else (data,))
    return made if cls is Tensor else as_subclass(made, cls)


# Not a method of the class itself: tensors that ops make (`wrap`) must not pass through it.
Tensor.__new__ = staticmethod(_new)  # type: ignore[method-assign, assignment]


@method("new")
def _new_like(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """A tensor of this one's dtype: of the given data, or not initialised in the given shape."""
    check_device(device)
    return _made(self.dtype, args)


class TensorType(type):
    """The class of ``FloatTensor`` and its like: they make tensors, and know theirs."""

    tensor_dtype: dtypes.dtype

    def __call__(cls, *args: Any) -> Tensor:
        """A tensor of the given data, or not initialised in the given shape."""
        return _made(cls.tensor_dtype, args)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.tensor_dtype


def _published() -> dict[str, TensorType]:
    types = {}
    for d, name in dtypes.TYPE_NAMES.items():
        if not d.is_complex:
            members = {"tensor_dtype": d, "dtype": d, "__doc__": f"Tensors of {d.name}.",
                       "__module__": "numbagrad"}  # fmt: skip
            types[f"{name}Tensor"] = TensorType(f"{name}Tensor", (), members)
    return types


TYPES = _published()
EXPORTS.update(TYPES)


@method("type")
def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """Converted to `dtype` (or a type such as ``FloatTensor``), or the name of the present type.

    Raises:
        ValueError: there is no type of this name.

    >>> import numbagrad as ng
    >>> ng.ones(1).type()
    'numbagrad.FloatTensor'
    >>> ng.ones(1).type(ng.LongTensor)
    tensor([1])
    """
    if dtype is None:
        return f"numbagrad.{dtypes.TYPE_NAMES[self.dtype]}Tensor"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2]
        if ".cuda." in dtype:
            raise DeviceError(f"type {dtype} not available: numbagrad runs on the CPU only")
        if name not in TYPES:
            raise ValueError(f"invalid type: {dtype!r}")
        dtype = TYPES[name]
    return self.to(dtype.tensor_dtype if isinstance(dtype, TensorType) else dtype)
