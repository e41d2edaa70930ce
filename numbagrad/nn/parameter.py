"""Parameters: the tensors that a module learns."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..creation import empty
from ..tensor import Tensor, as_subclass


class Parameter(Tensor):
    """A tensor that :class:`Module` registers when it is assigned to an attribute.

    It shares the storage of `data`, is a leaf, and requires grad unless said otherwise.

    Raises:
        TypeError: `data` is not a tensor.
        RuntimeError: an integer tensor that is to require grad.

    >>> import numbagrad as ng
    >>> ng.nn.Parameter(ng.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = empty(0)
        elif not isinstance(data, Tensor):
            raise TypeError(
                f"Parameter(): data must be a Tensor, not {type(data).__name__}; convert it with "
                "ng.tensor(...)"
            )
        source = data.detach()
        if requires_grad:
            source.requires_grad_()
        return as_subclass(source, cls)

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        """The work is done by `__new__`, as for tensors."""

    def __repr__(self) -> str:
        return "Parameter containing:\n" + Tensor.__repr__(self)

    __str__ = __repr__

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.detach().clone(), self.requires_grad)


def new_parameter(*shape: int, wanted: bool = True, **factory: Any) -> Parameter | None:
    """A parameter whose values are still to be drawn, or None if none is wanted.

    Args:
        factory: `device` and `dtype`, as :func:`numbagrad.empty` takes them.
    """
    return Parameter(empty(*shape, **factory)) if wanted else None


class Buffer(Tensor):
    """A tensor that :class:`Module` registers as a buffer when it is assigned to an attribute.

    `persistent` says whether it is part of the state dict.
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        source = (empty(0) if data is None else data).detach()
        buffer = as_subclass(source, cls)
        buffer.persistent = persistent
        return buffer

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        """The work is done by `__new__`, as for tensors."""


class _Nothing:
    """What stands in the place of an uninitialized tensor's data: any use of it is an error."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __getattr__(self, name: str) -> Any:
        raise ValueError(
            "Attempted to use an uninitialized parameter. This error happens when you are using a "
            "lazy module or explicitly manipulating uninitialized parameters. Call `forward` of "
            "the lazy module with a dummy batch to initialize its parameters first"
        )


class UninitializedTensor(Tensor):
    """What uninitialized parameters and buffers have in common."""

    __slots__ = ()
    _becomes: type[Tensor] = Tensor

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None) -> Any:
        new = as_subclass(empty(0, device=device, dtype=dtype), cls)
        if requires_grad:
            new.requires_grad_()
        new._data = _Nothing(new._data.dtype)
        return new

    def __init__(self, requires_grad: bool = False, device: Any = None, dtype: Any = None) -> None:
        """The work is done by `__new__`, as for tensors."""

    @property
    def shape(self) -> Any:  # type: ignore[override]
        """Not known yet: an error."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually "
            "happens in `load_state_dict` when trying to load an uninitialized parameter into an "
            "initialized one. Call `forward` to initialize the parameters before accessing their "
            "attributes."
        )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or buffer of this shape, with any values."""
        given = dtypes.of(self._data.dtype) if dtype is None else dtype
        self._data = empty(*shape, device=device, dtype=given)._data
        self.__class__ = self._becomes  # type: ignore[assignment]

    def convert(self, fn: Any) -> None:
        """Take the dtype that ``fn(tensor)`` gives to one of this dtype."""
        known = empty(0, dtype=dtypes.of(self._data.dtype))
        self._data = _Nothing(fn(known)._data.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        new = type(self)(self.requires_grad, dtype=dtypes.of(self._data.dtype))
        memo[id(self)] = new
        return new

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__


class UninitializedParameter(UninitializedTensor, Parameter):
    """A parameter of a lazy module, whose shape is known when the module is first called.

    Raises:
        ValueError: it is used before that.
        RuntimeError: its shape is asked for before that.

    >>> import numbagrad as ng
    >>> ng.nn.LazyLinear(3).weight
    <UninitializedParameter>
    """

    __slots__ = ()
    _becomes = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return super().__new__(cls, requires_grad, device, dtype)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        """The work is done by `__new__`, as for tensors."""


class UninitializedBuffer(UninitializedTensor):
    """A buffer of a lazy module, whose shape is known when the module is first called."""

    __slots__ = ()
