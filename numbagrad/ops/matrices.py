"""Arguments that are matrices: what the functions of linear algebra check and share."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import elementwise as E, matrix_parts as P, view as V
from .export import check_tensor


def check_matrix(
    name: str, x: Any, argument: str = "A", position: int = 1, *,
    refusal: type[RuntimeError] = RuntimeError,
) -> Tensor:  # fmt: skip
    """`x` if it is a (batch of) matrices of floating-point or complex numbers.

    Raises:
        TypeError: it is no tensor.
        RuntimeError: it has fewer than two dimensions.
        RuntimeError, or the class given as `refusal`: it has another dtype.
    """
    check_tensor(name, x, argument, position)
    check_float(name, x, refusal)
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    return x


def check_float(name: str, x: Tensor, refusal: type[RuntimeError] = RuntimeError) -> None:
    """Raise unless `x` holds floating-point or complex numbers of 32 bits or more."""
    if x._data.dtype.kind not in "fc":
        raise refusal(
            f"{name}: Expected a floating point or complex tensor as input. Got {x.dtype}; convert "
            "it with .to(ng.float32)"
        )
    if x._data.dtype.itemsize == 2:
        raise NotImplementedError(
            f"{name}: Low precision dtypes not supported. Got {x.dtype}; convert it with .float()"
        )


def check_square(
    name: str, x: Any, argument: str = "A", *, refusal: type[RuntimeError] = RuntimeError
) -> Tensor:
    """`x` if it is a (batch of) square matrices; raises as `check_matrix` does."""
    check_matrix(name, x, argument, refusal=refusal)
    m, n = x._data.shape[-2:]
    if m != n:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are {m} by {n} "
            "matrices"
        )
    return x


def check_same_dtype(name: str, a: Tensor, b: Tensor) -> None:
    """Raise unless both have one dtype."""
    if a._data.dtype is not b._data.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type {a.dtype} and B "
            f"of type {b.dtype} instead; convert one with .to(dtype)"
        )


def is_vector(a: Tensor, b: Tensor) -> bool:
    """Whether `b` is a (batch of) vectors for the matrices `a`, as PyTorch decides it."""
    return b.ndim == 1 or (
        a.ndim - 1 == b.ndim and tuple(b._data.shape) == tuple(a._data.shape[:-1])
    )


def dropped(x: Tensor) -> Tensor:
    """Columns as vectors: without the last dimension."""
    return V.slice_(x, index=(*(slice(None),) * (x.ndim - 1), 0))


def eye_like(x: Tensor, n: int) -> Tensor:
    """An identity matrix of the dtype of `x`."""
    return E.to_dtype(P.identity(n), x._data.dtype)
