"""Functions that make tensors: from Python data, from NumPy arrays, filled, counted."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from . import dtypes
from .devices import check_device
from .eager import refused
from .modes import thread
from .ops import elementwise as E
from .ops.export import EXPORTS, accepts_out, check_tensor
from .ops.shape import unpacked
from .tensor import INFERENCE, Tensor, method, wrap


def leaf(data: np.ndarray[Any, Any], requires_grad: bool = False) -> Tensor:
    """A tensor around an array of ours; checks that a gradient makes sense."""
    if requires_grad and data.dtype.kind not in "fc":
        raise RuntimeError(
            "Only Tensors of floating point and complex dtype can require gradients, got "
            f"{dtypes.of(data.dtype)}; pass dtype=ng.float32 or convert with .float()"
        )
    t = wrap(data, requires_grad)
    modes = thread.modes
    if modes.inference:
        t._counter = INFERENCE
    if modes.trace is not None:
        modes.trace.made(t)
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
        if _is_huge(source):
            if d is None or dtypes.of(d).np.kind in "iu":
                raise ValueError("Overflow: an int does not fit in int64; pass dtype=ng.float64")
            source = source.astype(np.float64)
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
    if target.kind in "iu" and source.dtype.kind in "fciu" and source.size:
        if source.dtype.kind == "c":
            raise TypeError(f"must be real numbers for dtype {dtypes.of(target)}, not complex")
        if not isinstance(data, Tensor | np.ndarray):
            for extreme in (source.min(), source.max()):
                dtypes.scalar(extreme.item(), target)
    elif target.kind == "f" and source.dtype.kind == "c" and not isinstance(data, Tensor):
        raise TypeError(f"must be real numbers for dtype {dtypes.of(target)}, not complex")
    return thread.modes.quietly(np.array, source, dtype=target, order="C")


def _is_huge(source: np.ndarray[Any, Any]) -> bool:
    """Whether NumPy made the array of ints that int64 does not hold."""
    if source.dtype.kind == "O":
        return source.size > 0 and all(type(x) is int for x in source.flat)
    return source.dtype == np.uint64


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
        if not isinstance(data._data, np.ndarray):  # inside a transform or compiled function
            copy = data.detach().clone() if dtype is None else data.detach().to(dtype, copy=True)
            return copy.requires_grad_(requires_grad)
    return leaf(_array(data, dtype), requires_grad)


def is_tensor(obj: Any) -> bool:
    """True for tensors."""
    return isinstance(obj, Tensor)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory with an array or tensor of the right dtype."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.of(dtype).np == data.dtype):
        return from_numpy(data)
    return leaf(_array(data, dtype))


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor that shares the memory of `obj` where it can, or must with ``copy=False``.

    Raises:
        ValueError: ``copy=False`` of something that has no memory to share, or of another dtype.

    >>> import numbagrad as ng, numpy as np
    >>> a = np.zeros(2)
    >>> ng.asarray(a)[0] = 5
    >>> a
    array([5., 0.])
    """
    check_device(device)
    t = as_tensor(obj, dtype=dtype)
    source = obj._data if isinstance(obj, Tensor) else obj
    if copy is False and not (
        isinstance(source, np.ndarray) and np.may_share_memory(t._data, source)
    ):
        raise ValueError("can't alias arbitrary sequence or another dtype into a tensor")
    if copy:
        t = wrap(np.array(t._data))
    elif isinstance(obj, Tensor) and not requires_grad:
        return t
    return t.requires_grad_(requires_grad)


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A one-dimensional tensor of what is in a buffer; memory that can be written is shared.

    Raises:
        ValueError: the buffer is empty, or does not hold as much.

    >>> import numbagrad as ng
    >>> ng.frombuffer(bytearray(b"\\x01\\x02"), dtype=ng.uint8)
    tensor([1, 2], dtype=numbagrad.uint8)
    """
    array = np.frombuffer(buffer, _np(dtype), count, offset)
    if array.size == 0:
        raise ValueError("both buffer length and count must not be 0")
    return leaf(array if array.flags.writeable else array.copy(), requires_grad)


def scalar_tensor(
    s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A 0-d tensor of the default dtype."""
    check_device(device)
    return leaf(dtypes.scalar(s, _np(dtype)), requires_grad)


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
    size = unpacked(size)
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
    return leaf(np.full(parse_size("full", (size,)), dtypes.scalar(value, d)), requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The identity matrix with n rows and m (default n) columns."""
    check_device(device)
    rows, columns = parse_size("eye", (n, n if m is None else m))
    return leaf(np.eye(rows, columns, dtype=_np(dtype)), requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... below end: int64 if all three are ints, else the default dtype."""
    check_device(device)
    if end is None:
        start, end = 0, start
    start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
    if dtype is None:
        floating = any(isinstance(x, float) for x in (start, end, step))
        dtype = dtypes.get_default_dtype() if floating else dtypes.int64
    d = dtypes.of(dtype).np
    if d.kind in "bc":
        raise NotImplementedError(refused("arange", d, "iuf"))
    if step == 0 or (d.kind in "iu" and int(step) == 0):
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}"
        )
    if d == dtypes.I64:
        start, end, step = int(start), int(end), int(step)
        count = -((start - end) // step)
    else:
        count = math.ceil((end - start) / step)
    if d.kind in "iu":
        values = int(start) + int(step) * np.arange(max(0, count))
    else:
        values = start + step * np.arange(max(0, count), dtype=np.float64)
    return leaf(values.astype(d), requires_grad)


def range_(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... up to and including end; of the default dtype unless told.

    Deprecated in favour of :func:`arange`, whose end is not included.
    """
    warnings.warn(
        "range is deprecated: use arange, which produces values in [start, end)",
        UserWarning,
        stacklevel=3,
    )
    check_device(device)
    start, end = (0, start) if end is None else (start, end)
    start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
    d = _np(dtype)
    if d.kind in "bc":
        raise NotImplementedError(refused("range", d, "iuf"))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}"
        )
    values = start + step * np.arange(math.floor((end - start) / step) + 1, dtype=np.float64)
    return leaf(values.astype(d), requires_grad)


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Memory that is not initialised, with the dimensions in the order `physical_layout`.

    Raises:
        RuntimeError: `physical_layout` does not name each dimension once.

    >>> import numbagrad as ng
    >>> ng.empty_permuted((2, 3, 5), (1, 2, 0)).stride()
    (1, 10, 2)
    """
    shape, layout = parse_size("empty_permuted", (size,)), tuple(physical_layout)
    if sorted(layout) != [*range(len(shape))]:
        raise RuntimeError(
            f"empty_permuted: physical_layout must name each of {len(shape)} dimensions once, but "
            f"it is {layout}"
        )
    strides = [0] * len(shape)
    step = 1
    for dim in reversed(layout):
        strides[dim] = step
        step *= max(shape[dim], 1)
    return empty_strided(shape, strides, dtype=dtype, device=device, requires_grad=requires_grad)


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Memory of the given shape and strides (in elements), not initialised.

    Raises:
        RuntimeError: a negative extent or stride, or not as many of both.

    >>> import numbagrad as ng
    >>> ng.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    check_device(device)
    shape, strides = parse_size("empty_strided", (size,)), tuple(stride)
    if len(shape) != len(strides):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {len(strides)} and {len(shape)}"
        )
    if any(s < 0 for s in strides):
        raise RuntimeError(f"empty_strided(): negative strides are not supported: {strides}")
    d = _np(dtype)
    reach = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    memory = np.empty(reach if 0 not in shape else 0, d)
    in_bytes = [s * d.itemsize for s in strides]
    return leaf(np.lib.stride_tricks.as_strided(memory, shape, in_bytes), requires_grad)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` evenly spaced values from start to end, both included.

    The ends may be 0-d tensors. As in PyTorch they count as numbers: no gradient flows to them.
    """
    check_device(device)
    values = _evenly("linspace", start, end, steps, dtype)
    if isinstance(values, Tensor):
        return values.requires_grad_(requires_grad)
    return leaf(values, requires_grad)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`base` to the powers of `steps` evenly spaced exponents, with ends as in :func:`linspace`."""
    check_device(device)
    d = _np(dtype)
    exponents = _evenly("logspace", start, end, steps, dtype)
    wide = np.dtype(np.complex128 if d.kind == "c" else np.float64)
    if isinstance(exponents, Tensor):
        powers = E.pow(base, E.to_dtype(exponents, wide))
        return E.to_dtype(powers, d).requires_grad_(requires_grad)
    powers = thread.modes.quietly(np.power, base, exponents.astype(wide))
    return leaf(powers.astype(d), requires_grad)


def _evenly(
    name: str, start: Any, end: Any, steps: int, dtype: Any
) -> np.ndarray[Any, Any] | Tensor:
    """Computed from the nearer end, as in PyTorch, so that both ends are exact.

    A tensor if the ends are traced or mapped.
    """
    if not hasattr(steps, "__index__"):
        raise TypeError(f"the number of steps must be an int, not {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    ends = [x for x in (start, end) if isinstance(x, Tensor)]
    if dtype is None and any(isinstance(x, complex) or _is_complex(x) for x in (start, end)):
        dtype = dtypes.get_default_dtype().to_complex()
    d = _np(dtype)
    if d.kind == "b":
        raise NotImplementedError(refused(name, d, "iufc"))
    i = np.arange(steps)
    near = i < max(steps // 2, 1)
    offset = np.where(near, i, i - (steps - 1))
    if all(isinstance(x._data, np.ndarray) for x in ends):
        first, last = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
        if d.kind in "iu":
            first, last = int(first), int(last)  # type: ignore[arg-type]
        step = (last - first) / (steps - 1) if steps > 1 else 0
        return (np.where(near, first, last) + step * offset).astype(d)
    first, last = (_wide(x, d) for x in (start, end))
    step = (last - first) / (steps - 1) if steps > 1 else 0
    return E.to_dtype(E.where(wrap(near), first, last) + step * wrap(offset.astype(np.float64)), d)


def _is_complex(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_complex()


def _wide(x: Any, d: np.dtype[Any]) -> Any:
    """An end as a float64 or complex128 number or tensor, truncated if `d` is one of ints."""
    if not isinstance(x, Tensor):
        return wrap(np.asarray(int(x) if d.kind in "iu" else x, np.float64))
    if x.ndim:
        raise RuntimeError(
            "linspace only supports 0-dimensional start and end tensors, but got shape "
            f"{tuple(x.shape)}"
        )
    x = x.detach()
    if d.kind in "iu":
        x = E.to_dtype(x, dtypes.I64)
    return E.to_dtype(x, np.dtype(np.complex128 if x.is_complex() else np.float64))


def _like(name: str, t: Tensor, dtype: Any, device: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    check_device(device)
    check_tensor(name, t)
    return t._data.shape, t._data.dtype if dtype is None else dtypes.of(dtype).np


def _beside(like: Tensor, t: Tensor) -> Tensor:
    """A new constant as a tensor of the kind of `like`: mapped if that is mapped by `vmap`."""
    data = like._data
    return t if isinstance(data, np.ndarray) else data.interpreter.beside(like, t)


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Zeros in the shape and dtype of `input`."""
    t = leaf(np.zeros(*_like("zeros_like", input, dtype, device)), requires_grad)
    return _beside(input, t)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Ones in the shape and dtype of `input`."""
    t = leaf(np.ones(*_like("ones_like", input, dtype, device)), requires_grad)
    return _beside(input, t)


def empty_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Uninitialised memory in the shape and dtype of `input`."""
    t = leaf(np.empty(*_like("empty_like", input, dtype, device)), requires_grad)
    return _beside(input, t)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """`fill_value` in the shape and dtype of `input`."""
    shape, d = _like("full_like", input, dtype, device)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return _beside(input, leaf(np.full(shape, dtypes.scalar(value, d)), requires_grad))


def _attach_new_forms() -> None:
    def new_form(make: Any, name: str) -> Any:
        def new(self: Tensor, *args: Any, dtype: Any = None, **options: Any) -> Tensor:
            return _beside(self, make(*args, dtype=dtype or self.dtype, **options))

        new.__name__ = new.__qualname__ = name
        new.__doc__ = f"Like :func:`{make.__name__}`, in this tensor's dtype."
        return new

    for make in (zeros, ones, empty, empty_strided, full, tensor):
        method(f"new_{make.__name__}")(new_form(make, f"new_{make.__name__}"))


_attach_new_forms()

for _f in (
    tensor, as_tensor, asarray, frombuffer, from_numpy, scalar_tensor, zeros_like, ones_like,
    empty_like, full_like, empty_permuted, empty_strided, is_tensor,
):  # fmt: skip
    EXPORTS[_f.__name__] = _f
for _f in (zeros, ones, empty, full, eye, arange, linspace, logspace):
    EXPORTS[_f.__name__] = accepts_out(_f)
EXPORTS["range"] = accepts_out(range_, "range")
