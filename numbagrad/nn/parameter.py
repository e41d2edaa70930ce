"""Parameters: the tensors that a module learns."""

from __future__ import annotations

from typing import Any

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
