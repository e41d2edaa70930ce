"""Public functions that give a tensor another shape, or its dimensions another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Size, Tensor, method
from . import view as V
from .export import check_tensor, public
from .registry import broadcast_shapes
from .view import wrap_dim

Shape = tuple[int, ...]


def unpacked(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments given one by one or as one sequence, one by one."""
    if len(values) == 1 and isinstance(values[0], list | tuple):
        return tuple(values[0])
    return values


def ints(name: str, values: tuple[Any, ...], **keyword: dict[str, Any]) -> Shape:
    """Ints given one by one or as one sequence (a Size, list or tuple).

    ``ints(name, values, dims=named)`` also takes them from ``named["dims"]``.
    """
    for key, named in keyword.items():
        if named and (values or list(named) != [key]):
            raise TypeError(f"{name}() takes {key} as ints or as one sequence, got {named}")
        values = values or tuple(named.values())
    result = []
    for v in unpacked(values):
        if isinstance(v, Tensor):
            v = v.item()
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise TypeError(f"{name}(): expected ints, got {type(v).__name__}: {v!r}")
        result.append(v.__index__())
    return tuple(result)


def several(tensors: tuple[Any, ...]) -> list[Tensor]:
    """Tensors given one by one or as one sequence, at least one."""
    tensors = unpacked(tensors)
    if not tensors:
        raise RuntimeError("expects a non-empty TensorList")
    return [check_tensor("tensors", x) for x in tensors]


# -- shape ----------------------------------------------------------------------------------------


@public()
def reshape(input: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The elements in another shape, as a view where possible; one extent may be -1.

    >>> import numbagrad as ng
    >>> ng.arange(6).reshape(2, -1).shape
    numbagrad.Size([2, 3])
    """
    check_tensor("reshape", input)
    return V.reshape(input, V.infer_shape(ints("reshape", shape, shape=named), input.numel()))


@method("view")
def view(self: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The same storage in another shape, or (given a dtype) the same bits in another dtype.

    Raises:
        RuntimeError: the strides do not allow it: use `reshape`.
    """
    if len(shape) == 1 and isinstance(shape[0], dtypes.dtype):
        return _view_dtype(self, shape[0])
    return V.view(self, shape=V.infer_shape(ints("view", shape, size=named), self.numel()))


def _view_dtype(x: Tensor, d: dtypes.dtype) -> Tensor:
    shape, old, new = x._data.shape, x.dtype.itemsize, d.itemsize
    if old != new:
        problem, found = "", None
        if not shape:
            problem, found = "self.dim() cannot be 0", 0
        elif shape[-1] * old % new:
            problem, found = f"self.size(-1) must be divisible by {new // old}", shape[-1]
        elif x.numel() and x.stride(-1) != 1:
            problem, found = "self.stride(-1) must be 1", x.stride(-1)
        if problem:
            raise RuntimeError(
                f"{problem} to view {x.dtype} as {d} (different element sizes), but got {found}; "
                "reshape the tensor, or make it contiguous"
            )
    bits = V.view_dtype(x.detach(), dtype=d.np)  # bits have no derivative
    if bits._data.__class__ is np.ndarray:
        bits._view = None  # memory and counter are shared; PyTorch knows of no base either
    return bits


@method("view_as")
def _view_as(self: Tensor, other: Tensor) -> Tensor:
    """A view in the shape of `other`."""
    return view(self, tuple(other.shape))


@method("reshape_as")
def _reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """Reshaped to the shape of `other`."""
    return reshape(self, tuple(other.shape))


@public(inplace=False)
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new dimension of extent 1, as a view."""
    d = wrap_dim(dim, check_tensor("unsqueeze", input).ndim + 1)
    return V.slice_(input, index=(slice(None),) * d + (None,))


@public()
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the dimensions of extent 1, or those among `dim`, as a view."""
    shape = check_tensor("squeeze", input)._data.shape
    if dim is None:
        drop = set(range(len(shape)))
    else:
        drop = {wrap_dim(d, len(shape)) for d in ((dim,) if isinstance(dim, int) else dim)}
    return V.slice_(
        input, index=tuple(0 if i in drop and s == 1 else slice(None) for i, s in enumerate(shape))
    )


@public()
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Neighbouring dimensions merged into one."""
    shape = check_tensor("flatten", input)._data.shape
    if not shape:
        wrap_dim(start_dim, 0)
        wrap_dim(end_dim, 0)
        return V.reshape(input, (1,))
    a, b = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if a == b:
        return input
    merged = int(np.prod(shape[a : b + 1], dtype=np.int64))
    return V.reshape(input, (*shape[:a], merged, *shape[b + 1 :]))


@public()
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """One dimension split into several."""
    shape = check_tensor("unflatten", input)._data.shape
    if not shape:
        raise RuntimeError("unflatten: a 0-d tensor has no dimension to split")
    d = wrap_dim(dim, len(shape))
    inner = V.infer_shape(ints("unflatten", (sizes,)), shape[d])
    return V.reshape(input, (*shape[:d], *inner, *shape[d + 1 :]))


@public()
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension, contiguous in memory."""
    return V.reshape(check_tensor("ravel", input).contiguous(), (input.numel(),))


def at_least(n: int, x: Tensor) -> Tensor:
    """`x` with at least n dimensions, as a view."""
    while x.ndim < n:
        # A vector becomes a row, and a matrix the first slice of depth 1.
        x = unsqueeze(x, -1 if x.ndim == 2 else 0)
    return x


def _publish_at_least(n: int) -> Callable[..., Any]:
    def each(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return at_least(n, tensors[0])
        return tuple(at_least(n, x) for x in several(tensors))

    each.__doc__ = f"Each tensor with at least {n} dimensions, as views."
    return public(f"atleast_{n}d", method=False)(each)


atleast_1d, atleast_2d, atleast_3d = (_publish_at_least(n) for n in (1, 2, 3))


# -- the order of dimensions ----------------------------------------------------------------------


@public()
def permute(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The dimensions in another order, as a view."""
    check_tensor("permute", input)
    order = ints("permute", dims, dims=named)
    if len(order) != input.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {input.ndim} is not "
            f"equal to len(dims) = {len(order)}"
        )
    wrapped = tuple(wrap_dim(d, input.ndim) for d in order)
    if len(set(wrapped)) != len(wrapped):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return V.permute(input, dims=wrapped)


@public(aliases=("swapaxes", "swapdims"))
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged, as a view."""
    check_tensor("transpose", input)
    n = input.ndim
    a, b = wrap_dim(dim0, n), wrap_dim(dim1, n)
    order = list(range(n))
    if n:
        order[a], order[b] = b, a
    return V.permute(input, dims=tuple(order))


@public()
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and scalars as they are."""
    if check_tensor("t", input).ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return V.permute(input, dims=tuple(reversed(range(input.ndim))))


@public(aliases=("moveaxis",))
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Move dimensions to new places; the others keep their order."""
    n = check_tensor("movedim", input).ndim
    src = [wrap_dim(d, n) for d in ([source] if isinstance(source, int) else source)]
    dst = [wrap_dim(d, n) for d in ([destination] if isinstance(destination, int) else destination)]
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({src} dims) should contain the "
            f"same number of dims as destination ({dst} dims)"
        )
    if len(set(src)) != len(src) or len(set(dst)) != len(dst):
        raise RuntimeError("movedim: repeated dim in `source` or `destination`")
    if n == 0:
        return V.alias(input)
    order: list[int] = [-1] * n
    for s, d in zip(src, dst, strict=True):
        order[d] = s
    rest = iter(i for i in range(n) if i not in src)
    return V.permute(input, dims=tuple(next(rest) if o < 0 else o for o in order))


def matrix_transposed(self: Tensor) -> Tensor:
    """Each matrix of the last two dimensions transposed, as a view; a scalar as it is."""
    if self.ndim == 0:
        return self
    if self.ndim < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D "
            "tensor."
        )
    return transpose(self, -2, -1)


def reversed_dims(self: Tensor) -> Tensor:
    """The dimensions in reverse order, as a view."""
    return V.permute(self, dims=tuple(reversed(range(self.ndim))))


Tensor.mT = property(matrix_transposed)  # type: ignore[method-assign]
Tensor.T = property(reversed_dims)  # type: ignore[method-assign]


# -- broadcasting ---------------------------------------------------------------------------------


@method("expand")
def expand(self: Tensor, *sizes: Any, **named: Any) -> Tensor:
    """Dimensions of extent 1 repeated, as a view; -1 keeps an extent."""
    shape = ints("expand", sizes, size=named)
    have = tuple(self._data.shape)
    extra = len(shape) - len(have)
    if extra < 0:
        raise RuntimeError(
            f"expand(numbagrad.Tensor{{{list(have)}}}, size={list(shape)}): the number of sizes "
            f"provided ({len(shape)}) must be greater or equal to the number of dimensions in the "
            f"tensor ({len(have)})"
        )
    target = []
    for i, s in enumerate(shape):
        old = have[i - extra] if i >= extra else 1
        if s == -1:
            if i < extra:
                raise RuntimeError(
                    f"The expanded size of the tensor ({s}) isn't allowed in a leading, "
                    f"non-existing dimension {i}"
                )
            s = old
        elif old not in (1, s):
            raise RuntimeError(
                f"The expanded size of the tensor ({s}) must match the existing size ({old}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(shape)}.  Tensor sizes: "
                f"{list(have)}"
            )
        target.append(s)
    return V.expand(self, shape=tuple(target))


@method("expand_as")
def _expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of `other`."""
    return expand(self, tuple(other.shape))


@public()
def broadcast_to(input: Tensor, shape: Any) -> Tensor:
    """Expanded to a shape."""
    return expand(check_tensor("broadcast_to", input), shape)


@public(method=False)
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to their common shape."""
    return tuple(V.broadcast_all(*unpacked(tensors)))


@public("broadcast_shapes", method=False)
def _broadcast_shapes(*shapes: Any) -> Any:
    """The common shape of several under broadcasting."""
    return Size(broadcast_shapes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes]))
