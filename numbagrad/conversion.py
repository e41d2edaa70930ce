"""Tensors to and from the rest of Python: numbers, lists, NumPy, DLPack, pickle, copy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import dtypes
from .creation import from_numpy, leaf
from .inplace import assign
from .modes import thread
from .ops.export import EXPORTS
from .tensor import Tensor, as_subclass, method, wrap


def _concrete(t: Tensor, name: str) -> np.ndarray[Any, Any]:
    """The array of a tensor that is not being traced."""
    data = t._data
    if isinstance(data, np.ndarray):
        return data
    return _concrete(data.interpreter.concrete(t, name), name)


@method("item")
def item(self: Tensor) -> Any:
    """The one element as a Python number.

    Raises:
        RuntimeError: the tensor has more than one element.
    """
    data = _concrete(self, "item()")
    if data.size != 1:
        raise RuntimeError(
            f"a Tensor with {data.size} elements cannot be converted to Scalar; use tolist() or "
            "reduce it first"
        )
    return data.item()


@method("tolist")
def _tolist(self: Tensor) -> Any:
    """The elements as nested lists of Python numbers."""
    return _concrete(self, "tolist()").tolist()


@method("numpy")
def numpy(self: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """The tensor as an array that shares its memory.

    Raises:
        RuntimeError: the tensor requires grad and gradients are recorded (use
            ``detach().numpy()``, or force=True).
    """
    if self.requires_grad and not force and thread.modes.grad:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    return _concrete(self, "numpy()").view()


def _mapped(name: str, self: Tensor, others: tuple[Tensor, ...], fn: Callable[..., Any]) -> Tensor:
    if any(t.requires_grad for t in (self, *others)):
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. Use "
            f"var.detach().{name}() instead."
        )
    shape = tuple(self._data.shape)
    columns = [_concrete(self, name), *(_concrete(t.expand(shape), name) for t in others)]
    rows = zip(*(c.ravel().tolist() for c in columns), strict=True)
    values = np.array([fn(*row) for row in rows], None if self.numel() else self._data.dtype)
    if values.dtype.kind not in "biufc":
        raise TypeError(f"{name}(): the callable must return numbers, got {values.dtype}")
    return assign(self, wrap(values.reshape(shape)), name, cast=True)


@method("apply_")
def _apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Each element replaced by ``callable(element)``, one after the other in Python: slow."""
    return _mapped("apply_", self, (), callable)


@method("map_")
def _map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Each element replaced by ``callable(element, that of tensor)``, in Python: slow."""
    return _mapped("map_", self, (tensor,), callable)


@method("map2_")
def _map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Each element replaced by ``callable(element, that of x, that of y)``, in Python: slow."""
    return _mapped("map2_", self, (x, y), callable)


@method("__array__")
def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    array = numpy(self)
    if dtype is not None and np.dtype(dtype) != array.dtype:
        if copy is False:
            raise ValueError("a cast to another dtype needs a copy")
        return array.astype(dtype)
    return array.copy() if copy else array


@method("__array_wrap__")
def _array_wrap(
    self: Tensor, array: Any, context: Any = None, return_scalar: bool = False
) -> Tensor:
    return from_numpy(np.asarray(array))


@method("__dlpack__")
def _dlpack(self: Tensor, **options: Any) -> Any:
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return _concrete(self, "__dlpack__").__dlpack__(**options)


@method("__dlpack_device__")
def _dlpack_device(self: Tensor) -> Any:
    return _concrete(self, "__dlpack_device__").__dlpack_device__()


def from_dlpack(external: Any) -> Tensor:
    """A tensor that shares the memory of any object with ``__dlpack__`` on the CPU."""
    array = np.from_dlpack(external)
    if not array.flags.writeable and isinstance(external, np.ndarray | Tensor):
        array.flags.writeable = True
    return from_numpy(array)


EXPORTS["from_dlpack"] = from_dlpack


@method("__len__")
def _len(self: Tensor) -> int:
    if not self._data.shape:
        raise TypeError("len() of a 0-d tensor")
    return self._data.shape[0]


@method("__iter__")
def _iter(self: Tensor) -> Iterator[Tensor]:
    if not self._data.shape:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


@method("__bool__")
def _bool(self: Tensor) -> bool:
    data = _concrete(self, "a decision in Python (if, while, and, or, not)")
    if data.size != 1:
        raise RuntimeError(
            "Boolean value of Tensor with "
            f"{'more than one value' if data.size else 'no values'} is ambiguous; use "
            ".any(), .all() or ng.where"
        )
    return bool(data.item())


def _scalar(self: Tensor, name: str) -> Any:
    """The one element, for a conversion to a Python number."""
    data = _concrete(self, name)
    if data.size != 1:
        raise ValueError(
            f"only one element tensors can be converted to Python scalars, got {data.size}; use "
            "tolist() or reduce it first"
        )
    return data.item()


def _real(self: Tensor, name: str) -> Any:
    value = _scalar(self, name)
    if isinstance(value, complex):
        if value.imag:
            raise RuntimeError(
                f"{value} cannot be converted to a real number without overflow; use .real"
            )
        return value.real
    return value


@method("__float__")
def _float(self: Tensor) -> float:
    return float(_real(self, "float()"))


@method("__int__")
def _int(self: Tensor) -> int:
    return int(_real(self, "int()"))


@method("__complex__")
def _complex(self: Tensor) -> complex:
    return complex(_scalar(self, "complex()"))


@method("__index__")
def _index(self: Tensor) -> int:
    if self._data.dtype.kind not in "biu" or self.numel() != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))


@method("__contains__")
def _contains(self: Tensor, value: Any) -> bool:
    if isinstance(value, Tensor | int | float | complex):
        return bool((self == value).any())
    raise RuntimeError(
        f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(value)}."
    )


@method("__format__")
def _format(self: Tensor, spec: str) -> str:
    return item(self).__format__(spec) if not self._data.shape else object.__format__(self, spec)


# -- copies ---------------------------------------------------------------------------------------


def _rebuild(array: np.ndarray[Any, Any], requires_grad: bool) -> Tensor:
    d = dtypes.of(array.dtype).np
    return leaf(array if array.dtype is d else array.astype(d), requires_grad)


@method("__reduce_ex__")
def _reduce(self: Tensor, protocol: Any) -> Any:
    """Pickled as data: the array and whether it requires grad, not the history."""
    if self._node is not None:
        array = _concrete(self, "pickle")
        return _rebuild, (np.array(array, order="C"), False)
    return _rebuild, (np.array(_concrete(self, "pickle"), order="C"), self._requires_grad)


@method("__deepcopy__")
def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    if self._node is not None:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment; use x.detach().clone()"
        )
    if id(self) in memo:
        return memo[id(self)]
    t = object.__new__(type(self))
    source = wrap(np.array(_concrete(self, "deepcopy")), self._requires_grad)
    for slot in (
        "_data",
        "_requires_grad",
        "_node",
        "_nr",
        "_grad",
        "_counter",
        "_view",
        "_extras",
    ):
        setattr(t, slot, getattr(source, slot))
    memo[id(self)] = t
    if self._grad is not None:
        t._grad = copy.deepcopy(self._grad, memo)
    t.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return t


@method("__copy__")
def _copy(self: Tensor) -> Tensor:
    """Another tensor of the same memory; a leaf, as what pickle makes is one."""
    t = as_subclass(wrap(self._data, self.requires_grad), type(self))
    t.__dict__.update(self.__dict__)
    return t
