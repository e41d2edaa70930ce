"""Functions that make tensors: from Python data, from NumPy arrays, filled, counted."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from . import dtypes
from .devices import check_device
from .modes import thread
from .ops.export import EXPORTS
from .tensor import INFERENCE, Tensor, method, wrap


def leaf(data: np.ndarray[Any, Any], requires_grad: bool = False) -> Tensor:
    """A tensor around an array of ours; checks that a gradient makes sense."""
    if requires_grad and data.dtype.kind not in "fc":
        raise RuntimeError(
            "Only Tensors of floating point and complex dtype can require gradients, got "
            f"{dtypes.of(data.dtype)}; pass dtype=ng.float32 or convert with .float()"
        )
    t = wrap(data, requires_grad)
    if thread.modes.inference:
        t._counter = INFERENCE
    return t


def _array(data: Any, d: Any) -> np.ndarray[Any, Any]:
    """Python data, arrays or tensors as a new array of PyTorch's choice of dtype."""
    if isinstance(data, Tensor):
        source = data._data
    elif isinstance(data, np.ndarray | np.generic):
        source = np.asarray(data)
        dtypes.of(source.dtype.newbyteorder("="))
    else:
        if isinstance(data, list | tuple):
            data = _plain(data)
        try:
            source = np.array(data)
        except ValueError as error:
            raise ValueError(
                f"expected sequences of equal length at every depth, got a ragged one: {error}"
            ) from None
        if source.dtype.kind == "O":
            raise RuntimeError(
                f"Could not infer dtype of {type(_first(data)).__name__}; a tensor holds numbers "
                "and bools"
            )
        if source.dtype.kind in "US":
            raise TypeError(f"new(): invalid data type 'str': {_first(data)!r} is not a number")
        if d is None and not _has_arrays(data):
            if source.dtype.kind == "f":
                d = dtypes.get_default_dtype()
            elif source.dtype.kind == "c":
                d = dtypes.get_default_dtype().to_complex()
        if source.size == 0 and d is None:
            d = dtypes.get_default_dtype()
    target = dtypes.of(d).np if d is not None else dtypes.of(source.dtype.newbyteorder("=")).np
    if target.kind in "biu" and source.dtype.kind in "fc" and target.kind != "b":
        with np.errstate(invalid="ignore"):
            return np.array(source, dtype=target, order="C")
    return np.array(source, dtype=target, order="C")


def _plain(data: Any) -> Any:
    """Nested sequences with tensors in them as nested sequences of arrays and numbers."""
    if isinstance(data, Tensor):
        return data._data if data.ndim else data.item()
    if isinstance(data, list | tuple):
        return [_plain(x) for x in data]
    return data


def _has_arrays(data: Any) -> bool:
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return isinstance(data, np.ndarray | np.generic)


def _first(data: Any) -> Any:
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return data


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor with a copy of `data`: numbers, nested sequences, arrays, tensors.

    Python floats become the default dtype (float32), ints int64.

    Raises:
        TypeError: strings, object arrays or unknown dtypes.
        ValueError: ragged sequences.
        RuntimeError: an integer tensor that is to require grad.

    >>> import numbagrad as ng
    >>> ng.tensor([[1, 2], [3, 4.5]])
    tensor([[1.0000, 2.0000],
            [3.0000, 4.5000]])
    """
    check_device(device)
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() rather than numbagrad.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
    return leaf(_array(data, dtype), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory with an array or tensor of the right dtype."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.of(dtype).np == data.dtype):
        return from_numpy(data)
    return leaf(_array(data, dtype))


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the array's memory.

    Raises:
        TypeError: not an array, or of a dtype that tensors do not have.
        ValueError: negative strides, foreign byte order.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion "
            "between byte orders is currently not supported; use "
            "array.astype(array.dtype.newbyteorder('='))"
        )
    d = dtypes.of(array.dtype).np
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not supported. (Use array.copy() to make one with positive strides.)"
        )
    if any(s % d.itemsize for s in array.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size; use array.copy()"
        )
    if not array.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable. Writing to the tensor is an error; copy the "
            "array to get a writable tensor.",
            UserWarning,
            stacklevel=2,
        )
    # A view of exactly ndarray, with the singleton dtype that fast paths compare by identity.
    view = array.view(np.ndarray)
    if view.dtype is not d:
        view = view.view(d)
    return leaf(view)


def parse_size(name: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape given as separate ints or as one sequence."""
    if len(size) == 1 and isinstance(size[0], list | tuple):
        size = tuple(size[0])
    shape = []
    for s in size:
        if isinstance(s, Tensor):
            s = s.item()
        if isinstance(s, bool) or not hasattr(s, "__index__"):
            raise TypeError(f"{name}(): argument 'size' must be ints, got {type(s).__name__}")
        s = s.__index__()
        if s < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {s}: {list(size)}")
        shape.append(s)
    return tuple(shape)


def _np(dtype: Any) -> np.dtype[Any]:
    return (dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)).np


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the given shape, float32 unless said otherwise."""
    check_device(device)
    return leaf(np.zeros(parse_size("zeros", size), _np(dtype)), requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the given shape, float32 unless said otherwise."""
    check_device(device)
    return leaf(np.ones(parse_size("ones", size), _np(dtype)), requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Memory of the given shape, not initialised."""
    check_device(device)
    return leaf(np.empty(parse_size("empty", size), _np(dtype)), requires_grad)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`fill_value` in the given shape; its Python type decides the dtype."""
    check_device(device)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    d = dtypes.number_dtype(value) if dtype is None else dtypes.of(dtype).np
    return leaf(np.full(parse_size("full", (size,)), value, d), requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The identity matrix with n rows and m (default n) columns."""
    check_device(device)
    return leaf(np.eye(n, m, dtype=_np(dtype)), requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... below end: int64 if all three are ints, else the default dtype."""
    check_device(device)
    if end is None:
        start, end = 0, start
    start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}"
        )
    if dtype is None:
        floating = any(isinstance(x, float) for x in (start, end, step))
        dtype = dtypes.get_default_dtype() if floating else dtypes.int64
    d = dtypes.of(dtype).np
    count = max(0, int(np.ceil((end - start) / step)))
    if d.kind == "f":
        return leaf((start + step * np.arange(count, dtype=np.float64)).astype(d), requires_grad)
    return leaf(np.arange(start, end, step).astype(d), requires_grad)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` evenly spaced values from start to end, both included."""
    check_device(device)
    start, end = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
    return leaf(np.linspace(start, end, steps).astype(_np(dtype)), requires_grad)


def _like(t: Tensor, dtype: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return t._data.shape, t._data.dtype if dtype is None else dtypes.of(dtype).np


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in the shape and dtype of `input`."""
    check_device(device)
    return leaf(np.zeros(*_like(input, dtype)), requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones in the shape and dtype of `input`."""
    check_device(device)
    return leaf(np.ones(*_like(input, dtype)), requires_grad)


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uninitialised memory in the shape and dtype of `input`."""
    check_device(device)
    return leaf(np.empty(*_like(input, dtype)), requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`fill_value` in the shape and dtype of `input`."""
    check_device(device)
    shape, d = _like(input, dtype)
    return leaf(np.full(shape, fill_value, d), requires_grad)


@method("new_zeros")
def _new_zeros(self: Tensor, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the given shape in this tensor's dtype."""
    return zeros(*size, dtype=dtype or self.dtype, requires_grad=requires_grad)


@method("new_ones")
def _new_ones(self: Tensor, *size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the given shape in this tensor's dtype."""
    return ones(*size, dtype=dtype or self.dtype, requires_grad=requires_grad)


@method("new_full")
def _new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None) -> Tensor:
    """`fill_value` of the given shape in this tensor's dtype."""
    return full(size, fill_value, dtype=dtype or self.dtype)


@method("new_empty")
def _new_empty(self: Tensor, *size: Any, dtype: Any = None) -> Tensor:
    """Uninitialised memory of the given shape in this tensor's dtype."""
    return empty(*size, dtype=dtype or self.dtype)


@method("new_tensor")
def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None) -> Tensor:
    """A new tensor of `data` in this tensor's dtype."""
    return tensor(data, dtype=dtype or self.dtype)


for _f in (
    tensor, as_tensor, from_numpy, zeros, ones, empty, full, eye, arange, linspace,
    zeros_like, ones_like, empty_like, full_like,
):  # fmt: skip
    EXPORTS[_f.__name__] = _f
