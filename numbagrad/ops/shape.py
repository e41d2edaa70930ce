"""Public functions that reshape, slice up and join tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import devices, dtypes
from ..devices import check_device
from ..tape import refresh
from ..tensor import Tensor, method
from . import view as V
from .elementwise import cast, conj, imag_part, make_complex, real, to_dtype
from .export import check_tensor, public
from .registry import broadcast_shapes
from .view import wrap_dim

Shape = tuple[int, ...]


def ints(name: str, values: tuple[Any, ...], **keyword: dict[str, Any]) -> Shape:
    """Ints given one by one or as one sequence (a Size, list or tuple).

    ``ints(name, values, dims=named)`` also takes them from ``named["dims"]``.
    """
    for key, named in keyword.items():
        if named and (values or list(named) != [key]):
            raise TypeError(f"{name}() takes {key} as ints or as one sequence, got {named}")
        values = values or tuple(named.values())
    if len(values) == 1 and isinstance(values[0], list | tuple):
        values = tuple(values[0])
    result = []
    for v in values:
        if isinstance(v, Tensor):
            v = v.item()
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise TypeError(f"{name}(): expected ints, got {type(v).__name__}: {v!r}")
        result.append(v.__index__())
    return tuple(result)


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
def _view(self: Tensor, *shape: Any, **named: Any) -> Tensor:
    """The same storage in another shape, or (given a dtype) the same bits in another dtype.

    Raises:
        RuntimeError: the strides do not allow it: use `reshape`.
    """
    if len(shape) == 1 and isinstance(shape[0], dtypes.dtype):
        return _view_dtype(self, shape[0])
    return V.view(self, shape=V.infer_shape(ints("view", shape, size=named), self.numel()))


def _view_dtype(x: Tensor, d: dtypes.dtype) -> Tensor:
    from ..tensor import wrap

    try:
        return wrap(x._data.view(d.np))
    except ValueError as error:
        raise RuntimeError(
            f"view: {x.dtype} of shape {tuple(x.shape)} and strides {x.stride()} cannot be seen as "
            f"{d}: {error}"
        ) from None


@method("view_as")
def _view_as(self: Tensor, other: Tensor) -> Tensor:
    """A view in the shape of `other`."""
    return _view(self, tuple(other.shape))


@method("reshape_as")
def _reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """Reshaped to the shape of `other`."""
    return reshape(self, tuple(other.shape))


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


def _matrix_transposed(self: Tensor) -> Tensor:
    if self.ndim == 0:
        return self
    if self.ndim < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D "
            "tensor."
        )
    return transpose(self, -2, -1)


def _reversed_dims(self: Tensor) -> Tensor:
    return V.permute(self, dims=tuple(reversed(range(self.ndim))))


@public()
def adjoint(input: Tensor) -> Tensor:
    """The matrix transposed and conjugated."""
    x = _matrix_transposed(check_tensor("adjoint", input))
    return conj(x) if x._data.dtype.kind == "c" else x


Tensor.mH = property(adjoint)  # type: ignore[attr-defined]
Tensor.mT = property(_matrix_transposed)  # type: ignore[method-assign]
Tensor.mH = property(lambda self: conj(_matrix_transposed(self)))  # type: ignore[method-assign]
Tensor.T = property(_reversed_dims)  # type: ignore[method-assign]
Tensor.H = property(lambda self: conj(_reversed_dims(self)))  # type: ignore[method-assign]
Tensor.real = property(real)  # type: ignore[method-assign]


@public("conj")
def _conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor as it is."""
    return conj(check_tensor("conj", input))


@public("real", method=False)
def _real(input: Tensor) -> Tensor:
    """The real part; a real tensor as it is."""
    return real(check_tensor("real", input))


@public("imag", method=False)
def imag(input: Tensor) -> Tensor:
    """The imaginary part of a complex tensor.

    Raises:
        RuntimeError: the tensor is real.
    """
    if check_tensor("imag", input)._data.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return imag_part(input)


Tensor.imag = property(imag)  # type: ignore[method-assign]


@public("complex", method=False, out=True)
def complex_(real: Tensor, imag: Tensor) -> Tensor:
    """A complex tensor from its real and imaginary parts, which have the same dtype."""
    if real.dtype != imag.dtype or not real.is_floating_point():
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors of one dtype but got "
            f"{real.dtype} and {imag.dtype}"
        )
    return make_complex(real, imag)


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
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    return tuple(V.broadcast_all(*tensors))


@public("broadcast_shapes", method=False)
def _broadcast_shapes(*shapes: Any) -> Any:
    """The common shape of several under broadcasting."""
    from ..tensor import Size

    return Size(broadcast_shapes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes]))


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


# -- joining and splitting ------------------------------------------------------------------------


def _joinable(name: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name}(): argument 'tensors' must be tuple of Tensors, not Tensor")
    xs = list(tensors)
    for i, x in enumerate(xs):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}"
            )
    if not xs:
        error = ValueError if name == "cat" else RuntimeError  # as in PyTorch
        raise error(f"{name}(): expected a non-empty list of Tensors")
    d = xs[0]._data.dtype
    for x in xs[1:]:
        d = dtypes.promote(d, x._data.dtype)
    return [to_dtype(x, d) for x in xs]


@public(aliases=("concat", "concatenate"), method=False, out=True)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along a dimension; the other extents must agree."""
    xs = _joinable("cat", tensors)
    kept = [x for x in xs if x._data.shape != (0,)] or xs[:1]  # PyTorch's legacy empty tensors
    first = kept[0]._data.shape
    if not first:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    d = wrap_dim(dim, len(first))
    for i, x in enumerate(kept[1:], 1):
        shape = x._data.shape
        if len(shape) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}"
            )
        for axis, (s, f) in enumerate(zip(shape, first, strict=True)):
            if axis != d and s != f:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {d}. Expected size {f} but "
                    f"got size {s} for tensor number {i} in the list."
                )
    return V.cat(*kept, dim=d)


@public(method=False, out=True)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, joined along a new dimension."""
    xs = _joinable("stack", tensors)
    first = xs[0]._data.shape
    for i, x in enumerate(xs):
        if x._data.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                f"{list(x._data.shape)} at entry {i}"
            )
    d = wrap_dim(dim, len(first) + 1)
    return V.cat(*[unsqueeze(x, d) for x in xs], dim=d)


def _multi_view(parts: list[Tensor]) -> tuple[Tensor, ...]:
    for p in parts:
        if p._view is not None and p._view.creation == "default":
            p._view.creation = "multi"
    return tuple(parts)


@public()
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts: all of one size (but the last), or of the given sizes."""
    shape = check_tensor("split", tensor)._data.shape
    if not shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, len(shape))
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and shape[d]):
            raise RuntimeError(f"split expects split_size be positive, but got {size}")
        count = max(1, -(-shape[d] // size)) if size else 1
        sizes = [min(size, shape[d] - i * size) for i in range(count)]
    else:
        sizes = list(ints("split", tuple(split_size_or_sections)))
        if sum(sizes) != shape[d] or any(s < 0 for s in sizes):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {shape[d]} (input "
                f"tensor's size at dimension {d}), but got split_sizes={sizes}"
            )
    parts = []
    start = 0
    for s in sizes:
        parts.append(V.slice_(tensor, index=(slice(None),) * d + (slice(start, start + s),)))
        start += s
    return _multi_view(parts)


@public()
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` consecutive parts of equal size (but the last)."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    shape = check_tensor("chunk", input)._data.shape
    if not shape:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    extent = shape[wrap_dim(dim, len(shape))]
    if extent == 0:
        return split(input, [0] * chunks, dim)
    return split(input, -(-extent // chunks), dim)


@public()
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts: a number of nearly equal ones, or those between the given indices."""
    shape = check_tensor("tensor_split", input)._data.shape
    if not shape:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got 0-d")
    d = wrap_dim(dim, len(shape))
    n = shape[d]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        k, extra = divmod(n, indices_or_sections)
        bounds = [0]
        for i in range(indices_or_sections):
            bounds.append(bounds[-1] + k + (1 if i < extra else 0))
    else:
        bounds = [0, *ints("tensor_split", tuple(indices_or_sections)), n]
    index = (slice(None),) * d
    return tuple([V.slice_(input, index=(*index, slice(a, b))) for a, b in pairwise(bounds)])


@public()
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all slices along a dimension."""
    shape = check_tensor("unbind", input)._data.shape
    if not shape:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, len(shape))
    return _multi_view([V.slice_(input, index=(slice(None),) * d + (i,)) for i in range(shape[d])])


@public()
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of `length` slices along a dimension from `start`."""
    shape = check_tensor("narrow", input)._data.shape
    d = wrap_dim(dim, len(shape))
    if not shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor):
        if start.ndim or start._data.dtype.kind not in "iu":
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = start.item()
    if not -shape[d] <= start <= shape[d]:
        raise IndexError(
            f"start out of range (expected to be in range of [{-shape[d]}, {shape[d]}], but got "
            f"{start})"
        )
    start = start + shape[d] if start < 0 else start
    if length < 0 or not 0 <= start <= shape[d] - length:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({shape[d]})."
        )
    return V.slice_(input, index=(slice(None),) * d + (slice(start, start + length),))


@public()
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of one slice along a dimension."""
    shape = check_tensor("select", input)._data.shape
    d = wrap_dim(dim, len(shape))
    if not -shape[d] <= index < shape[d]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at dimension "
            f"{d}"
        )
    return V.slice_(input, index=(slice(None),) * d + (index % shape[d],))


@public(aliases=())
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of two dimensions, as the last dimension."""
    n = check_tensor("diagonal", input).ndim
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return V.diagonal(input, offset=offset, dim1=a, dim2=b)


@public(out=True)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    if check_tensor("diag", input).ndim == 2:
        return V.clone(V.diagonal(input, offset=diagonal, dim1=0, dim2=1))
    if input.ndim != 1:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return diag_embed(input, diagonal)


@public()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices of zeros with the last dimension of `input` on their diagonals."""
    shape = check_tensor("diag_embed", input)._data.shape
    n = shape[-1] + abs(offset)
    a, b = wrap_dim(dim1, len(shape) + 1), wrap_dim(dim2, len(shape) + 1)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    full = list(shape[:-1])
    for d in sorted((a, b)):
        full.insert(d, n)
    return V.diagonal_backward(input, shape=tuple(full), offset=offset, dim1=a, dim2=b)


@public()
def flip(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """A copy with the order along some dimensions reversed."""
    n = check_tensor("flip", input).ndim
    axes = tuple(wrap_dim(d, n) for d in ints("flip", dims, dims=named))
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"flip(): a dim appears multiple times in the list of dims {axes}")
    return V.flip(input, dims=axes) if n else V.clone(input)


@public()
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved along dimensions, those that leave at the end enter at the start."""
    check_tensor("roll", input)
    if dims is None:
        return V.reshape(roll(flatten(input), shifts, 0), tuple(input.shape))
    start = input
    amounts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(amounts) != len(axes):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(amounts)}, dims:{len(axes)}"
        )
    for amount, dim in zip(amounts, axes, strict=True):
        d = wrap_dim(dim, input.ndim)
        n = input._data.shape[d]
        if n and amount % n:
            index = (slice(None),) * d
            cut = n - amount % n
            input = V.cat(
                V.slice_(input, index=(*index, slice(cut, n))),
                V.slice_(input, index=(*index, slice(0, cut))), dim=d,
            )  # fmt: skip
    return input if input is not start else V.clone(input)


@method("repeat")
def repeat(self: Tensor, *sizes: Any, **named: Any) -> Tensor:
    """A copy, tiled `sizes` times along each dimension."""
    counts = ints("repeat", sizes, repeats=named)
    shape = tuple(self._data.shape)
    if len(counts) < len(shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    shape = (1,) * (len(counts) - len(shape)) + shape
    spread = V.reshape(self, tuple(x for s in shape for x in (1, s)))
    tiled = V.expand(spread, shape=tuple(x for c, s in zip(counts, shape) for x in (c, s)))
    result = V.reshape(V.clone(tiled), tuple(c * s for c, s in zip(counts, shape)))
    result._view = None  # nobody else sees the clone
    return result


@public()
def tile(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """Tiled as NumPy's tile does: missing leading counts are 1."""
    counts = ints("tile", dims, dims=named)
    return repeat(input, (1,) * (check_tensor("tile", input).ndim - len(counts)) + counts)


@public()
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element repeated in place, `repeats` times or as often as its entry there says.

    With counts alone: the positions 0, 1, ... repeated so often.
    """
    check_tensor("repeat_interleave", input)
    if repeats is None:
        from ..tensor import wrap

        return wrap(np.repeat(np.arange(input.numel()), input._data))
    if dim is None:
        input, dim = flatten(input), 0
    d = wrap_dim(dim, input.ndim)
    if not isinstance(repeats, Tensor) and repeats < 0:
        raise RuntimeError(f"Repeats must be non-negative, got {repeats}")
    if isinstance(repeats, Tensor):
        from .scatter import index_select

        counts = repeats._data
        where = np.repeat(np.arange(input.shape[d]), counts if counts.ndim else int(counts))
        from ..tensor import wrap

        return index_select(input, d, wrap(where.astype(np.int64)))
    shape = tuple(input._data.shape)
    spread = V.expand(unsqueeze(input, d + 1), shape=(*shape[: d + 1], repeats, *shape[d + 1 :]))
    return V.reshape(V.clone(spread), (*shape[:d], shape[d] * repeats, *shape[d + 1 :]))


def _triangle(name: str, input: Tensor, diagonal: int, lower: bool) -> Tensor:
    from ..tensor import wrap
    from .elementwise import number_like, where

    shape = check_tensor(name, input)._data.shape
    if len(shape) < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    mask = np.tri(shape[-2], shape[-1], diagonal if lower else diagonal - 1, bool)
    keep = wrap(mask if lower else ~mask)
    return where(keep, input, number_like(input, 0))


@public(inplace=True, out=True)
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zeros above the diagonal."""
    return _triangle("tril", input, diagonal, True)


@public(inplace=True, out=True)
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zeros below the diagonal."""
    return _triangle("triu", input, diagonal, False)


@public(method=False)
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinate grids of vectors, with matrix ("ij") or Cartesian ("xy") indexing."""
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    xs = list(tensors)
    for x in xs:
        if check_tensor("meshgrid", x).ndim > 1:
            raise RuntimeError(f"meshgrid: Expected 0D or 1D tensors, got shape {tuple(x.shape)}")
    swap = indexing == "xy" and len(xs) >= 2
    if swap:
        xs[0], xs[1] = xs[1], xs[0]
    shape = tuple(x.numel() for x in xs)
    grids = [
        V.expand(V.reshape(x, (1,) * i + (x.numel(),) + (1,) * (len(xs) - i - 1)), shape=shape)
        for i, x in enumerate(xs)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


# -- copies and casts -----------------------------------------------------------------------------


@public()
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with its own storage; gradients flow through it."""
    return V.clone(check_tensor("clone", input))


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


@method("to")
def to(
    self: Tensor, *args: Any, dtype: Any = None, device: Any = None, copy: bool = False,
    non_blocking: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Converted to a dtype (or to that of another tensor); itself if nothing changes.

    Raises:
        DeviceError: a device other than the CPU.
    """
    flags = [a for a in args if isinstance(a, bool)]  # non_blocking, copy
    copy = copy or (len(flags) > 1 and flags[1])
    for a in args:
        if isinstance(a, Tensor):
            dtype = a.dtype
        elif isinstance(a, bool):
            continue
        elif isinstance(a, str | devices.device):
            device = a
        elif a is not None:
            dtype = a
    check_device(device)
    if dtype is not None:
        d = dtypes.of(dtype).np
        if d is not self._data.dtype:
            return cast(self, dtype=d)
    return V.clone(self) if copy else self


def _attach_casts() -> None:
    def caster(d: dtypes.dtype) -> Any:
        def convert(self: Tensor, memory_format: Any = None) -> Tensor:
            return to_dtype(self, d.np)

        convert.__doc__ = f"Converted to {d.name}."
        return convert

    more = {"bool": dtypes.bool, "byte": dtypes.uint8, "char": dtypes.int8}
    for name, d in {**dtypes.ALIASES, **more}.items():
        method(name)(caster(d))


_attach_casts()


@method("cuda")
def _cuda(self: Tensor, device: Any = None, *args: Any, **kwargs: Any) -> Tensor:
    """An error: there is no GPU.

    Raises:
        DeviceError: always.
    """
    check_device("cuda" if device is None else device)
    return self


@method("type_as")
def _type_as(self: Tensor, other: Tensor) -> Tensor:
    """Converted to the dtype of `other`."""
    return to(self, other.dtype)


@method("cpu")
def _cpu(self: Tensor) -> Tensor:
    """Itself: all tensors are on the CPU."""
    return self
