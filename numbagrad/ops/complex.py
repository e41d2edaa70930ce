"""Complex tensors: their parts, conjugates, and the views of them as pairs of reals."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..tensor import Tensor
from . import view as V
from .batching import SHIFT
from .elementwise import conj, imag_part, make_complex, real
from .export import check_tensor, public
from .registry import call, primitive
from .shape import matrix_transposed, reversed_dims


@public("conj")
def _conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor as it is."""
    return conj(check_tensor("conj", input))


@public()
def adjoint(input: Tensor) -> Tensor:
    """The matrix transposed and conjugated."""
    x = matrix_transposed(check_tensor("adjoint", input))
    return conj(x) if x._data.dtype.kind == "c" else x


Tensor.mH = property(lambda self: conj(matrix_transposed(self)))  # type: ignore[method-assign]
Tensor.H = property(lambda self: conj(reversed_dims(self)))  # type: ignore[method-assign]


@public("real", method=False)
def _real(input: Tensor) -> Tensor:
    """The real part; a real tensor as it is."""
    return real(check_tensor("real", input))


Tensor.real = property(real)  # type: ignore[method-assign]


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


@public(inplace=True, out=True)
def conj_physical(input: Tensor) -> Tensor:
    """The complex conjugate."""
    return conj(check_tensor("conj_physical", input))


# -- pairs of reals -------------------------------------------------------------------------------


_as_real = primitive(
    "view_as_real", lambda x: np.expand_dims(x, -1).view(dtypes.real_of(x.dtype)),
    lambda x: ((*x.shape, 2), dtypes.real_of(x.dtype)), grad=lambda g: _from_pairs(g), kinds="c",
    view=True, samples=lambda make: [call(make(2, 3)), call(make())],
    linear=True, batch=SHIFT,
    doc="Real and imaginary parts along a new last dimension.",
)  # fmt: skip


def _from_pairs(g: Tensor) -> Tensor:
    """As `view_as_complex`, for any strides: a gradient may be one number seen many times."""
    lead = (slice(None),) * (g.ndim - 1)
    return make_complex(V.slice_(g, index=(*lead, 0)), V.slice_(g, index=(*lead, 1)))


def _complex_view(x: Any) -> Any:
    if x.strides[-1] != x.itemsize:  # a batch may; the function has checked all else
        x = np.ascontiguousarray(x)
    return x.view(dtypes.of(x.dtype).to_complex().np)[..., 0]


_as_complex = primitive(
    "view_as_complex", _complex_view, lambda x: (x.shape[:-1], dtypes.of(x.dtype).to_complex().np),
    grad=lambda g: _as_real(g), kinds="f", view=True,
    samples=lambda make: [] if make.dtype.itemsize == 2 or make.layout != "contiguous" else [
        call(make(3, 2)), call(make(2))],
    linear=True, batch=SHIFT,
    doc="Pairs of the last dimension as complex numbers.",
)  # fmt: skip


@public(method=False)
def view_as_real(input: Tensor) -> Tensor:
    """A view of complex numbers as pairs of reals, in a new last dimension."""
    if not check_tensor("view_as_real", input).is_complex():
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return _as_real(input)


@public(method=False)
def view_as_complex(input: Tensor) -> Tensor:
    """A view of pairs of reals in the last dimension as complex numbers."""
    x = check_tensor("view_as_complex", input)
    if x.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            f"view_as_complex is only supported for float and double tensors, but got {x.dtype}"
        )
    if not x.ndim or x.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if x._data.strides[-1] != x._data.dtype.itemsize:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    return _as_complex(x)
