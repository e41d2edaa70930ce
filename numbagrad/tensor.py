"""The Tensor: an array with what autograd must know about it.

Only state lives here. Operators and methods are attached where they are implemented: an op's
record attaches its methods (`ops.registry`), other modules use :func:`method`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import devices, dtypes
from .locks import free_in_child
from .stack import described, innermost

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

#: Held while something is made at first use that threads share: there must be one of it.
creating = free_in_child(threading.Lock())

# Stands where the version counter would be: inference tensors do not count versions.
INFERENCE: list[Any] = []


class Tracer(Protocol):
    """What stands in a tensor for an array while an interpreter is at work."""

    interpreter: Any
    shape: Shape
    dtype: np.dtype[Any]


class View:
    """How a view came from its base: replaying `chain` on the base gives the view again."""

    __slots__ = ("base", "chain", "creation", "reshapes", "version")

    def __init__(self, base: Tensor, chain: tuple[Any, ...], version: int, creation: str) -> None:
        self.base = base
        self.chain = chain
        self.version = version
        #: How often the base's own shape had been changed in place when `chain` was made.
        self.reshapes = 0 if base._extras is None else len(base._extras.reshapes)
        #: "default"; "no_grad" or "inference" after the mode; "multi": one of several results;
        #: "detached": by `detach` in a compiled function; "function": given out by a Function.
        self.creation = creation

    @property
    def is_leaf(self) -> bool:
        """Made without recording: no gradient flows from it to its base, as in PyTorch."""
        return self.creation in ("no_grad", "inference", "detached")


class Extras:
    """The rarely used state of a tensor, allocated when first wanted."""

    __slots__ = ("accumulator", "hooks", "post_accumulate_hooks", "reshapes", "retains_grad")

    def __init__(self) -> None:
        self.accumulator: Any = None  # weak reference to the AccumulateGrad node
        self.hooks: dict[int, Callable[..., Any]] | None = None
        self.post_accumulate_hooks: dict[int, Callable[..., Any]] | None = None
        self.retains_grad = False
        #: The (view op, parameters) that undoes each change of the shape in place (``t_``).
        self.reshapes: tuple[Any, ...] = ()


class Tensor:
    """A multi-dimensional array that remembers how it was computed.

    Made by :func:`numbagrad.tensor`, :func:`numbagrad.zeros` and the like; ``Tensor([1, 2])`` and
    ``Tensor(2, 3)`` (not initialised) have the default dtype.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_counter",  # [version, last change], shared by all views; None while it is 0
        "_data",  # numpy array or tracer
        "_extras",
        "_grad",
        "_node",  # the tape's Node that computed it, None for a leaf
        "_nr",  # which output of that node
        "_requires_grad",  # of leaves and of results alike
        "_view",
    )

    _data: Any
    _requires_grad: bool
    _node: Any
    _nr: int
    _grad: Tensor | None
    _counter: list[Any] | None
    _view: View | None
    _extras: Extras | None

    if TYPE_CHECKING:
        # Methods are attached by the ops that implement them.
        requires_grad: bool
        is_leaf: bool
        grad: Tensor | None
        grad_fn: Any
        data: Tensor

        def __new__(cls, *args: Any, device: Any = None) -> Any: ...
        def __getattr__(self, name: str) -> Callable[..., Any]: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __len__(self) -> int: ...
        def __bool__(self) -> bool: ...
        def __float__(self) -> float: ...
        def __int__(self) -> int: ...

    # NumPy returns NotImplemented from `ndarray + tensor`, so that ours runs; its own functions
    # get the array (`__array__`) and give a tensor (`__array_wrap__`).
    __array_priority__ = 1000

    def __hash__(self) -> int:
        return id(self)

    # -- what the array is ------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size(self._data.shape)

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes._BY_NUMPY[self._data.dtype]

    @property
    def ndim(self) -> int:
        return len(self._data.shape)

    @property
    def device(self) -> devices.device:
        """Always the CPU."""
        return devices.CPU

    @property
    def itemsize(self) -> int:
        return self._data.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.numel() * self._data.dtype.itemsize

    def dim(self) -> int:
        return len(self._data.shape)

    ndimension = dim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the extent of one dimension."""
        if dim is None:
            return self.shape
        shape = self._data.shape
        if not -len(shape) <= dim < max(len(shape), 1):
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-len(shape)}, "
                f"{len(shape) - 1}], but got {dim})"
            )
        return shape[dim]

    def numel(self) -> int:
        n = 1
        for s in self._data.shape:
            n *= s
        return n

    nelement = numel

    def element_size(self) -> int:
        return self._data.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self._data.dtype.kind == "f"

    def is_complex(self) -> bool:
        return self._data.dtype.kind == "c"

    def is_signed(self) -> bool:
        return self._data.dtype.kind in "ifc"

    def get_device(self) -> int:
        return -1

    # -- what autograd knows ----------------------------------------------------------------

    @property
    def output_nr(self) -> int:
        return self._nr

    @property
    def _version(self) -> int:
        """How many times the storage was changed in place."""
        counter = self._counter
        if counter is INFERENCE:
            raise RuntimeError("Inference tensors do not track version counter.")
        return counter[0] if counter else 0

    def is_inference(self) -> bool:
        """True if the tensor was made under ``inference_mode``."""
        return self._counter is INFERENCE

    @property
    def _base(self) -> Tensor | None:
        """The tensor this one is a view of."""
        return self._view.base if self._view is not None else None

    def _is_view(self) -> bool:
        return self._view is not None

    @property
    def retains_grad(self) -> bool:
        return self._extras is not None and self._extras.retains_grad

    @property
    def names(self) -> tuple[None, ...]:
        return (None,) * self.ndim


class Size(tuple[int, ...]):
    """A tensor's shape: a tuple that can say its number of elements."""

    __slots__ = ()

    def numel(self) -> int:
        n = 1
        for s in self:
            n *= s
        return n

    def __repr__(self) -> str:
        return f"numbagrad.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, index: Any) -> Any:
        r = super().__getitem__(index)
        return Size(r) if isinstance(index, slice) else r

    def __add__(self, other: Any) -> Size:
        return Size(tuple(self) + tuple(other))

    def __mul__(self, count: Any) -> Size:
        return Size(tuple(self) * count)

    __rmul__ = __mul__


def wrap(data: Any, requires_grad: bool = False) -> Tensor:
    """A new leaf tensor around an array or tracer."""
    t = object.__new__(Tensor)
    t._data = data
    t._requires_grad = requires_grad
    t._node = None
    t._nr = 0
    t._grad = None
    t._counter = None
    t._view = None
    t._extras = None
    return t


def as_subclass(t: Tensor, cls: type[Tensor]) -> Any:
    """An instance of `cls`, a subclass of Tensor, with the state of `t`; they share storage."""
    new = object.__new__(cls)
    for slot in Tensor.__slots__:
        if not slot.startswith("__"):
            setattr(new, slot, getattr(t, slot))
    return new


def extras(t: Tensor) -> Extras:
    """The tensor's rarely used state, made at first use."""
    if t._extras is None:
        with creating:
            if t._extras is None:
                t._extras = Extras()
    return t._extras


def version_counter(t: Tensor) -> list[Any]:
    """The counter that this tensor shares with all its views, made at first use."""
    if t._counter is None:
        t._counter = [0, None]
    return t._counter


def count_change(t: Tensor, name: str, place: Any = None) -> None:
    """`name` has changed the storage: whoever saved a tensor of it can tell, and say where.

    `place` is what :func:`innermost` gives, for those who know it already.

    Behind the version in the counter stands the last change.
    """
    counter = t._counter
    if counter is None:  # nobody has saved it
        t._counter = [1, None]
    elif counter is not INFERENCE:
        counter[0] += 1
        counter[1] = name, innermost(1) if place is None else place


def last_change(counter: list[Any]) -> str:
    """A sentence, after a space, on the last change that `counter` counted; "" if unknown."""
    if counter[1] is None:
        return ""
    name, place = counter[1]
    return f" It was changed (last) by {name} at {described(place)}."


def method(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Attach the decorated function to Tensor under its own name or under `names`."""

    def attach(fn: Callable[..., Any]) -> Callable[..., Any]:
        for name in names or (fn.__name__,):
            setattr(Tensor, name, fn)
        return fn

    return attach
