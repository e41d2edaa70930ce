"""The memory behind tensors: what it is, views at any place of it, another one in its stead."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ..dispatch import bind
from ..inplace import check_mutable
from ..modes import thread
from ..runtime.storage import owner, placed, resized, row_major
from ..stack import at_user_line
from ..tensor import Tensor, count_change, method
from ..views import refresh
from . import view as V
from .batching import Shift
from .export import check_tensor, public
from .registry import call, primitive
from .shape import ints
from .view import wrap_dim

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


class UntypedStorage:
    """The bytes that a tensor and its views share: ``x.untyped_storage()``.

    >>> import numbagrad as ng
    >>> x = ng.zeros(4)
    >>> x[1:].untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    True
    >>> x[1:].untyped_storage().nbytes()
    16
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: Array) -> None:
        self._owner = owner

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._owner.ctypes.data

    def nbytes(self) -> int:
        """How many bytes there are."""
        return self._owner.nbytes

    size = __len__ = nbytes

    def __repr__(self) -> str:
        return f"<numbagrad.UntypedStorage of {self.nbytes()} bytes>"


def _positions(size: Shape, stride: Shape, offset: int) -> Array:
    """The place in the flattened source that each element is read from."""
    steps = np.array(stride, np.intp).reshape(-1, *[1] * len(size))
    return (np.indices(size) * steps).sum(axis=0, dtype=np.intp) + offset


def _strided_backward(
    g: Array, *, shape: Shape, size: Shape, stride: Shape, offset: int, numel: int
) -> Array:
    result = np.zeros(numel, g.dtype)
    np.add.at(result, _positions(size, stride, offset), g)  # places may be read several times
    return result.reshape(shape)


class _Strided(Shift):
    """Over a batch: one more stride, as wide as the source is without the batch."""

    def params(self, size: int, params: dict[str, Any]) -> dict[str, Any]:
        numel = params["numel"]
        return {
            **super().params(size, params),
            "size": (size, *params["size"]),
            "stride": (numel, *params["stride"]),
            "numel": size * numel,
        }


# Strides count in the flattened source of `numel` elements, so that the op means the same for a
# gradient in any layout.
strided = primitive(
    "as_strided",
    lambda x, size, stride, offset, numel: placed(np.ascontiguousarray(x), size, stride, offset),
    lambda x, size, **_: (size, x.dtype),
    grad=lambda g, x_shape, size, stride, offset, numel: strided_backward(
        g, shape=x_shape, size=size, stride=stride, offset=offset, numel=numel),
    view=True, linear=True, samples=lambda make: [
        call(make(2, 3), size=(2, 2), stride=(3, 1), offset=1, numel=6),
        call(make(4), size=(3, 2), stride=(1, 1), offset=0, numel=4),
        call(make(3), size=(), stride=(), offset=2, numel=3),
    ],
    batch=_Strided(),
    doc="A view whose elements lie at any strides in the memory of x.",
)  # fmt: skip
strided_backward = primitive(
    "as_strided_backward", _strided_backward, lambda g, shape, **_: (shape, g.dtype),
    grad=lambda g, size, stride, offset, numel: strided(
        g, size=size, stride=stride, offset=offset, numel=numel),
    linear=True, samples=lambda make: [
        call(make(3, 2), shape=(4,), size=(3, 2), stride=(1, 1), offset=0, numel=4)],
    batch=_Strided(),
    doc="The sums of what strided places hold for each element.",
)  # fmt: skip


def _checked(
    name: str, x: Tensor, size: Any, stride: Any, storage_offset: int | None
) -> tuple[Shape, Shape, int]:
    """Size, strides and the offset from the first element of the storage, if they fit."""
    size, stride = ints(name, (size,)), ints(name, (stride,))
    if len(size) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {name} got size {list(size)} and "
            f"stride {list(stride)}"
        )
    if any(s < 0 for s in stride):
        raise RuntimeError(
            f"{name}: Negative strides are not supported at the moment, got strides: {list(stride)}"
        )
    if any(s < 0 for s in size):
        raise RuntimeError(f"{name}: negative extent in {list(size)}")
    offset = x.storage_offset() if storage_offset is None else storage_offset
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset} ({name})")
    return size, stride, offset


def _last(size: Shape, stride: Shape, offset: int) -> int:
    """One more than the place of the last element."""
    if 0 in size:
        return 0
    return 1 + offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))


def _check_bounds(name: str, last: int, elements: int, itemsize: int) -> None:
    if last > elements:
        raise RuntimeError(
            f"{name}: the given size, stride and storage offset need {last * itemsize} bytes, "
            f"which are out of bounds for storage of size {elements * itemsize}"
        )


@public()
def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the storage with the given size, strides and offset, all counted in elements.

    Raises:
        RuntimeError: it does not lie inside of the storage; or a gradient is wanted and the tensor
            whose memory it is is not contiguous.
    """
    x = check_tensor("as_strided", input)
    size, stride, offset = _checked("as_strided", x, size, stride, storage_offset)
    refresh(x)
    base = x._view.base if x._view is not None else x
    data = base._data
    traced = data.__class__ is not np.ndarray
    last = _last(size, stride, offset)
    numel = math.prod(data.shape)
    if not traced:
        memory = owner(data)
        itemsize = data.dtype.itemsize
        _check_bounds("as_strided", last, memory.nbytes // itemsize, itemsize)
        start = (data.ctypes.data - memory.ctypes.data) // itemsize
        offset, last = offset - start, last - start
    if is_contiguous(base) and offset >= 0 and last <= numel:
        refresh(base)
        params = {"size": size, "stride": stride, "offset": offset, "numel": numel}
        view = bind(strided, (base,), params)
        if x._view is not None and view._view is not None and view._view.creation == "default":
            view._view.creation = x._view.creation
        return view
    if traced or x.requires_grad:
        raise RuntimeError(
            "as_strided: the strides leave the tensor whose memory this is, or that tensor is not "
            "contiguous: no gradient can follow. Use detach(), or clone() it first."
        )
    view = V.alias(x)
    view._data = placed(data, size, stride, offset)
    return view


@public()
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy of `input` with `src` in the places that :func:`as_strided` names."""
    x = check_tensor("as_strided_scatter", input)
    size, stride, offset = _checked("as_strided_scatter", x, size, stride, storage_offset)
    offset -= x.storage_offset()
    numel = math.prod(x._data.shape)
    _check_bounds("as_strided_scatter", _last(size, stride, offset), numel, x.element_size())
    params = {"size": size, "stride": stride, "offset": offset, "numel": numel}
    return V.view_scatter(x, src, chain=((strided, params),))


@method("untyped_storage")
def _untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that this tensor shares with its views."""
    return UntypedStorage(owner(_array(self, "untyped_storage()")))


@method("contiguous")
def _contiguous(self: Tensor) -> Tensor:
    """Itself if its memory is contiguous, else a copy that is."""
    if self._data.__class__ is not np.ndarray:
        refresh(self)
    return self if is_contiguous(self) else V.clone(self)


@method("is_contiguous")
def is_contiguous(self: Tensor) -> bool:
    """True if the elements lie in memory in row-major order without gaps."""
    return V.is_contiguous(self._data)


@method("stride")
def _stride(self: Tensor, dim: int | None = None) -> Any:
    """How many elements apart neighbours along each dimension (or along `dim`) are."""
    data = self._data
    strides = tuple(s // data.dtype.itemsize for s in data.strides)
    return strides if dim is None else strides[wrap_dim(dim, len(strides))]


@method("data_ptr")
def _data_ptr(self: Tensor) -> int:
    """The address of the first element."""
    return self._data.ctypes.data


@method("storage_offset")
def _storage_offset(self: Tensor) -> int:
    """The position of the first element in the storage, in elements."""
    data = self._data
    if data.__class__ is not np.ndarray:
        return 0
    return (data.ctypes.data - owner(data).ctypes.data) // data.dtype.itemsize


@method("is_set_to")
def _is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """True if both are the same elements of the same memory, in the same order."""
    a, b = _array(self, "is_set_to()"), _array(tensor, "is_set_to()")
    return a.ctypes.data == b.ctypes.data and a.shape == b.shape and a.strides == b.strides


def _array(t: Tensor, name: str) -> Array:
    data = t._data
    if data.__class__ is not np.ndarray:
        raise data.interpreter.concrete_error(t, name)
    return data


def _check_untraced(name: str) -> None:
    if thread.modes.trace is not None:
        raise RuntimeError(
            f"{name}() gives a tensor other memory, which a compiled function cannot record: make "
            f"a new tensor instead, or call it outside of the compiled function{at_user_line()}"
        )


def _replace(self: Tensor, data: Array) -> Tensor:
    """Another array in the place of the present one; its views keep what they have."""
    self._data = data
    self._view = None
    count_change(self, "set_")
    return self


@method("set_")
def set_(
    self: Tensor,
    source: Tensor | None = None,
    storage_offset: int = 0,
    size: Any = None,
    stride: Any = None,
) -> Tensor:
    """Share the memory of `source` from now on (without one: be empty).

    Args:
        source: a tensor of the same dtype.
        storage_offset, size, stride: which elements of its storage; without a size, those that
            `source` itself has.

    Raises:
        RuntimeError: a tensor requires grad, dtypes differ, or the storage is too small.
    """
    _check_untraced("set_")
    check_mutable(self, "set_")
    own = _array(self, "set_()")
    if source is None:
        return _replace(self, np.empty(0, own.dtype))
    data = _array(check_tensor("set_", source, "source"), "set_()")
    if self.requires_grad or source.requires_grad:
        raise RuntimeError("the derivative for 'set_' is not implemented; use copy_()")
    if data.dtype is not own.dtype:
        raise RuntimeError(
            f"Could not set tensor of type {source.dtype} to a tensor of type {self.dtype}"
        )
    if size is None:
        return _replace(self, data.view())
    size = ints("set_", (size,))
    stride = row_major(size) if stride is None else ints("set_", (stride,))
    size, stride, offset = _checked("set_", source, size, stride, storage_offset)
    memory = owner(data)
    itemsize = data.dtype.itemsize
    _check_bounds("set_", _last(size, stride, offset), memory.nbytes // itemsize, itemsize)
    start = (data.ctypes.data - memory.ctypes.data) // itemsize
    return _replace(self, placed(data, size, stride, offset - start))


@method("resize_")
def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """Change the shape in place; elements of the storage stay, new ones are not initialised.

    A larger tensor gets new memory, and its views keep the old.

    Raises:
        RuntimeError: the tensor requires grad, or an extent is negative.
    """
    _check_untraced("resize_")
    check_mutable(self, "resize_")
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if not size:
        raise TypeError("resize_(): give the new size, as ints or as one sequence")
    shape = ints("resize_", size)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"resize_: negative extent in {list(shape)}")
    data = _array(self, "resize_()")
    if data.shape != shape:
        self._data = resized(data, shape)
        self._view = None
        count_change(self, "resize_")
    return self


@public(method=False)
def resize_as_(input: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """:meth:`Tensor.resize_` to the shape of another tensor."""
    return resize_(input, tuple(check_tensor("resize_as_", the_template)._data.shape))


Tensor.resize_as_ = resize_as_  # type: ignore[attr-defined]


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchange all that two tensors are: afterwards each object is what the other was.

    Raises:
        RuntimeError: one of them is not a tensor, or is a leaf that a recorded graph refers to.

    >>> import numbagrad as ng
    >>> a, b = ng.zeros(1), ng.ones(2)
    >>> ng.utils.swap_tensors(a, b)
    >>> a, b
    (tensor([1., 1.]), tensor([0.]))
    """
    for t in (t1, t2):
        if not isinstance(t, Tensor):
            raise RuntimeError(f"swap_tensors: expected a Tensor, got {type(t).__name__}")
        e = t._extras
        if e is not None and e.accumulator is not None and e.accumulator() is not None:
            raise RuntimeError(
                "swap_tensors: a recorded graph refers to this leaf, and its gradient would go to "
                "the other tensor; delete the results that were computed from it first"
            )
    names = [n for n in Tensor.__slots__ if not n.startswith("__")]
    for name in itertools.chain(names, ("__dict__", "__class__")):
        first, second = getattr(t1, name), getattr(t2, name)
        setattr(t1, name, second)
        setattr(t2, name, first)


def _nbytes(self: Tensor) -> int:
    """How many bytes the elements take."""
    return self._data.dtype.itemsize * math.prod(self._data.shape)


Tensor.nbytes = property(_nbytes)  # type: ignore[attr-defined]
