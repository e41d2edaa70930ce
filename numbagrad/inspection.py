"""Questions about tensors and dtypes as functions, as in ``torch``."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from . import dtypes
from .ops.export import EXPORTS, check_tensor, operand
from .tensor import Tensor, method


class memory_format(enum.Enum):
    """How a copy is laid out in memory. Copies here are always contiguous, whatever is asked."""

    contiguous_format = enum.auto()
    preserve_format = enum.auto()
    channels_last = enum.auto()
    channels_last_3d = enum.auto()

    def __repr__(self) -> str:
        return f"numbagrad.{self.name}"

    __str__ = __repr__


class layout(enum.Enum):
    """How a tensor stores its elements: always strided."""

    strided = enum.auto()

    def __repr__(self) -> str:
        return f"numbagrad.{self.name}"

    __str__ = __repr__


def is_tensor(obj: Any) -> bool:
    """True for tensors."""
    return isinstance(obj, Tensor)


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The dtype of the result of an arithmetic op on two tensors or numbers."""
    xs = [operand("result_type", x) for x in (tensor1, tensor2)]
    return dtypes.of(dtypes.result_dtype([x._data if isinstance(x, Tensor) else x for x in xs]))


def _question(name: str) -> Any:
    def ask(input: Tensor) -> Any:
        return getattr(check_tensor(name, input), name)()

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = f"The method :meth:`Tensor.{name}` as a function."
    return ask


for _name in ("numel", "is_floating_point", "is_complex", "is_signed", "is_inference", "is_nonzero",
              "is_conj", "is_neg", "is_same_size", "detach"):  # fmt: skip
    EXPORTS[_name] = _question(_name)


@method("is_nonzero")
def _is_nonzero(self: Tensor) -> bool:
    """True if the one element is not zero."""
    if self.numel() != 1:
        raise RuntimeError(f"Boolean value of Tensor with {self.numel()} values is ambiguous")
    return bool(self)


@method("is_same_size")
def _is_same_size(self: Tensor, other: Tensor) -> bool:
    """True if both have the same shape."""
    return self._data.shape == other._data.shape


EXPORTS["is_same_size"] = lambda input, other: _is_same_size(input, other)


def _never(self: Tensor) -> bool:
    """False: this library has no such tensors."""
    return False


method("is_conj", "is_neg", "is_shared", "is_pinned")(_never)


@method("resolve_conj", "resolve_neg")
def _itself(self: Tensor) -> Tensor:
    """Itself: conjugation and negation are never lazy."""
    return self


EXPORTS["resolve_conj"] = EXPORTS["resolve_neg"] = _itself

for _name in ("is_cuda", "is_mps", "is_sparse", "is_quantized", "is_meta", "is_nested",
              "is_mkldnn", "is_xpu"):  # fmt: skip
    setattr(Tensor, _name, False)
Tensor.is_cpu = True  # type: ignore[method-assign, assignment]
Tensor.layout = layout.strided  # type: ignore[method-assign, assignment]
Tensor.name = None  # type: ignore[method-assign, assignment]


@method("dim_order")
def _dim_order(self: Tensor) -> tuple[int, ...]:
    """The dimensions from the outermost to the innermost in memory."""
    strides = self._data.strides
    return tuple(int(i) for i in np.argsort([-s for s in strides], kind="stable"))


for _f in (is_tensor, result_type):
    EXPORTS[_f.__name__] = _f
EXPORTS["can_cast"] = dtypes.can_cast
EXPORTS["finfo"], EXPORTS["iinfo"] = dtypes.finfo, dtypes.iinfo
EXPORTS["memory_format"], EXPORTS["layout"] = memory_format, layout
EXPORTS["strided"] = layout.strided
EXPORTS.update(memory_format.__members__)
