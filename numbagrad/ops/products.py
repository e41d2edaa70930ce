"""Public matrix and vector products."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..tensor import Tensor, wrap
from . import linalg as L, view as V
from .arrange import roll
from .elementwise import conj
from .export import check_promoted, check_tensor, public, publish_operators
from .reduction import sum_
from .shape import expand, unpacked
from .view import wrap_dim


def _same_dtype(name: str, x: Tensor, y: Tensor) -> None:
    if x._data.dtype is not y._data.dtype:
        raise RuntimeError(
            f"{name}: expected m1 and m2 to have the same dtype, but got: {x.dtype} != {y.dtype}; "
            "convert one with .to(dtype)"
        )


@public(out=True)
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product of matrices, vectors or batches of matrices.

    Shapes (..., n, k) and (..., k, m) give (..., n, m), the leading dimensions broadcast; a vector
    counts as a row on the left and as a column on the right.

    Raises:
        RuntimeError: the inner extents or the dtypes differ.
        NotImplementedError: tensors of bools.

    >>> import numbagrad as ng
    >>> ng.matmul(ng.ones(2, 3), ng.ones(3))
    tensor([3., 3.])
    """
    x = check_tensor("matmul", input, kinds="iufc")
    y = check_tensor("matmul", other, "other", 2)
    _same_dtype("matmul", x, y)
    a, b = x._data.shape, y._data.shape
    if not a or not b:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {len(a)}D and {len(b)}D"
        )
    if len(a) == 1:
        x = V.slice_(x, index=(None,))
    if len(b) == 1:
        y = V.slice_(y, index=(slice(None), None))
    if x._data.shape[-1] != y._data.shape[-2]:
        if len(a) == 1 and len(b) == 1:
            raise RuntimeError(
                f"inconsistent tensor size, expected tensor [{a[0]}] and src [{b[0]}] to have the "
                "same number of elements, but got different sizes"
            )
        L._matmul_shape(x._data, y._data)
    if len(b) <= 2 and x.ndim > 2 and 0 not in a:
        # One product of all rows: its gradient for y is one product too, not a sum of many.
        rows = V.reshape(x, (x.numel() // a[-1], a[-1]))
        r = V.reshape(L.matmul(rows, y), (*a[:-1], y._data.shape[-1]))
    else:
        r = L.matmul(x, y)
    if len(a) == 1:
        r = _drop(r, -2)
    return _drop(r, -1) if len(b) == 1 else r


def _drop(x: Tensor, dim: int) -> Tensor:
    """Without a dimension of extent 1."""
    d = x.ndim + dim
    return V.slice_(x, index=(slice(None),) * d + (0,))


publish_operators(matmul, "__matmul__", "__rmatmul__", "__imatmul__")


@public(out=True)
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    if check_tensor("mm", input).ndim != 2 or check_tensor("mm", mat2, "mat2", 2).ndim != 2:
        raise RuntimeError(
            f"self must be a matrix: mm takes 2-D tensors, got {input.ndim}-D and {mat2.ndim}-D"
        )
    return matmul(input, mat2)


@public(out=True)
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, shapes (b, n, k) and (b, k, m)."""
    if check_tensor("bmm", input).ndim != 3 or check_tensor("bmm", mat2, "mat2", 2).ndim != 3:
        raise RuntimeError(f"batch1 must be a 3D tensor, got {input.ndim}-D and {mat2.ndim}-D")
    if input._data.shape[0] != mat2._data.shape[0]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: "
            f"[{input.shape[0]}, {input.shape[2]}] but got: [{mat2.shape[0]}, {mat2.shape[1]}]."
        )
    return matmul(input, mat2)


@public(out=True)
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    if check_tensor("mv", input).ndim != 2 or check_tensor("mv", vec, "vec", 2).ndim != 1:
        raise RuntimeError("vector + matrix @ vector expected, got " + f"{input.ndim}, {vec.ndim}")
    return matmul(input, vec)


@public(out=True)
def dot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of products of two vectors; complex numbers are not conjugated."""
    if check_tensor("dot", input).ndim != 1 or check_tensor("dot", other, "other", 2).ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {other.ndim}D tensors")
    return matmul(input, other)


@public(out=True)
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimensions."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    if input._data.shape[-1] != other._data.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


@public(aliases=("ger",), out=True)
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of the elements of two vectors."""
    if check_tensor("outer", input).ndim != 1 or check_tensor("outer", vec2, "vec2", 2).ndim != 1:
        raise RuntimeError("outer: Expected 1-D argument self and vec2")
    return V.slice_(input, index=(slice(None), None)) * vec2


def _combined(name: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """beta * input + alpha * product; the numbers take the tensors' dtype."""
    check_tensor(name, input)
    alpha, beta = (dtypes.scalar(n, product._data.dtype) for n in (alpha, beta))
    if alpha != 1:
        product = product * wrap(alpha)
    if beta == 0:  # what is in `input` does not matter then, not even NaN
        return product
    input = expand(input, product._data.shape)
    return (input if beta == 1 else input * wrap(beta)) + product


@public(inplace=True, out=True)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2)."""
    return _combined("addmm", input, mm(mat1, mat2), beta, alpha)


@public(inplace=True, out=True)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    return _combined("addmv", input, mv(mat, vec), beta, alpha)


@public(inplace=True, out=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""
    return _combined("addr", input, outer(vec1, vec2), beta, alpha)


@public(inplace=True, out=True)
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """beta * input + alpha * bmm(batch1, batch2)."""
    return _combined("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@public(method=False, out=True)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over the last `dims` of a and first of b, or over two lists of dims."""
    if isinstance(dims, int):
        left = list(range(a.ndim - dims, a.ndim))
        right = list(range(dims))
    else:
        left = [V.wrap_dim(d, a.ndim) for d in dims[0]]
        right = [V.wrap_dim(d, b.ndim) for d in dims[1]]
    for p, q in zip(left, right, strict=True):
        if a._data.shape[p] == 1:
            b = sum_(b, dim=(q,), keepdim=True)
        elif b._data.shape[q] == 1:
            a = sum_(a, dim=(p,), keepdim=True)
        elif a._data.shape[p] != b._data.shape[q]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[p]} in dim {p} "
                f"and second has size {b.shape[q]} in dim {q}"
            )
    free_a = [d for d in range(a.ndim) if d not in left]
    free_b = [d for d in range(b.ndim) if d not in right]
    shape_a = [a._data.shape[d] for d in free_a]
    shape_b = [b._data.shape[d] for d in free_b]
    k = 1
    for d in left:
        k *= a._data.shape[d]
    n = a.numel() // k if k else 0
    m = b.numel() // k if k else 0
    x = V.reshape(V.permute(a, dims=(*free_a, *left)), (n, k))
    y = V.reshape(V.permute(b, dims=(*right, *free_b)), (k, m))
    return V.reshape(matmul(x, y), (*shape_a, *shape_b))


@public(method=False)
def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products in Einstein's notation; pairs of operands are contracted left to right.

    >>> import numbagrad as ng
    >>> ng.einsum("ij,jk->ik", ng.ones(2, 3), ng.ones(3, 2))
    tensor([[3., 3.],
            [3., 3.]])
    """
    from .einsum import contract, spelled_out

    if not isinstance(equation, str):  # einsum(x, [0, 1], y, [1, 2], [0, 2])
        equation, operands = spelled_out((equation, *operands))
    return contract(equation, list(unpacked(operands)))


@public(out=True)
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of conj(input) * other for two vectors."""
    return dot(conj(check_tensor("vdot", input)), other)


@public(inplace=True, out=True)
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """beta * input + alpha * the sum of the products of a batch of matrices."""
    return _combined("addbmm", input, sum_(bmm(batch1, batch2), dim=(0,), keepdim=False), beta,
                     alpha)  # fmt: skip


@public(out=True)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product along a dimension of extent 3."""
    x, y = V.broadcast_all(check_tensor("cross", input), check_tensor("cross", other, "other", 2))
    check_promoted("cross", "iufc", x, y)
    if dim is None:
        dim = next((i for i, s in enumerate(x._data.shape) if s == 3), -1)
        if dim < 0:
            raise RuntimeError("no dimension of size 3 in input")
    d = wrap_dim(dim, x.ndim)
    if x._data.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {x.shape[d]}"
        )
    return roll(x, -1, d) * roll(y, -2, d) - roll(x, -2, d) * roll(y, -1, d)
