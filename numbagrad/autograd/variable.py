"""`Variable`, the name that tensors with gradients once had, for old code."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """A tensor that shares the memory of another one; every tensor is a Variable.

    >>> import numbagrad as ng
    >>> x = ng.autograd.Variable(ng.ones(2), requires_grad=True)
    >>> x
    tensor([1., 1.], requires_grad=True)
    >>> isinstance(x, ng.autograd.Variable)
    True
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable takes a tensor, got {type(data).__name__}: use ng.tensor()")
        return data.detach().requires_grad_(requires_grad)
