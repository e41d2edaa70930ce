"""Data types and PyTorch's type promotion rules.

A :class:`dtype` names one NumPy dtype. Promotion follows
https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc:
tensors with dimensions outrank 0-d tensors, which outrank Python numbers, and only a
higher *category* (bool < integer < floating < complex) lets the lower rank decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


class dtype:
    """One element type of a tensor, such as ``ng.float32``.

    Instances are singletons: compare them with ``is`` or ``==``.
    """

    __slots__ = ("name", "np", "category", "itemsize", "is_floating_point", "is_complex")

    def __init__(self, name: str, np_dtype: Any) -> None:
        self.name = name
        self.np: np.dtype[Any] = np.dtype(np_dtype)
        kind = self.np.kind
        self.category = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}[kind]
        self.itemsize = self.np.itemsize
        self.is_floating_point = kind == "f"
        self.is_complex = kind == "c"

    @property
    def is_signed(self) -> bool:
        return self.np.kind in "ifc"

    def to_real(self) -> dtype:
        """The real dtype of the same precision: complex64 gives float32."""
        return of(real_of(self.np)) if self.is_complex else self

    def to_complex(self) -> dtype:
        """The complex dtype of the same precision: float32 gives complex64."""
        if self.is_complex:
            return self
        if self is float64:
            return complex128
        if self is float32:
            return complex64
        raise TypeError(f"{self} has no complex counterpart")

    def __repr__(self) -> str:
        return f"numbagrad.{self.name}"

    def __reduce__(self) -> str:
        return "bool" if self.name == "bool" else self.name


float16 = dtype("float16", np.float16)
float32 = dtype("float32", np.float32)
float64 = dtype("float64", np.float64)
complex64 = dtype("complex64", np.complex64)
complex128 = dtype("complex128", np.complex128)
uint8 = dtype("uint8", np.uint8)
int8 = dtype("int8", np.int8)
int16 = dtype("int16", np.int16)
int32 = dtype("int32", np.int32)
int64 = dtype("int64", np.int64)
bool = dtype("bool", np.bool_)  # noqa: A001 - the public name is ng.bool

ALL: tuple[dtype, ...] = (
    float16, float32, float64, complex64, complex128,
    uint8, int8, int16, int32, int64, bool,
)  # fmt: skip
ALIASES = {"half": float16, "float": float32, "double": float64, "cfloat": complex64,
           "cdouble": complex128, "short": int16, "int": int32, "long": int64}  # fmt: skip

_BY_NUMPY: dict[np.dtype[Any], dtype] = {d.np: d for d in ALL}
# Native singletons: `array.dtype is F32` is the fast test of the eager path.
F16, F32, F64 = float16.np, float32.np, float64.np
I64, BOOL = int64.np, bool.np

_default: dtype = float32


def get_default_dtype() -> dtype:
    """The dtype that Python floats become: float32 unless changed."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Set the dtype that Python floats become.

    Raises:
        TypeError: `d` is not a floating-point dtype.
    """
    global _default
    d = of(d)
    if not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {d}")
    _default = d


def of(d: Any) -> dtype:
    """The :class:`dtype` for a dtype, a NumPy dtype or a Python number type.

    Raises:
        TypeError: there is no such tensor dtype (object arrays, strings, uint16, ...).
    """
    if d.__class__ is dtype:
        return d
    if d is float:
        return _default
    if d is int:
        return int64
    if d is complex:
        return _default.to_complex()
    try:
        return _BY_NUMPY[np.dtype(d)]
    except (KeyError, TypeError):
        names = ", ".join(x.name for x in ALL)
        raise TypeError(
            f"{d!r} is not a tensor dtype; the dtypes are {names} "
            "(convert the data with ndarray.astype first)"
        ) from None


_REAL_OF = {complex64.np: float32.np, complex128.np: float64.np}


def real_of(d: np.dtype[Any]) -> np.dtype[Any]:
    """The real NumPy dtype under a complex one; any other dtype unchanged."""
    return _REAL_OF.get(d, d)


def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """PyTorch's ``promote_types`` on NumPy dtypes: an integer never widens a float."""
    if a is b:
        return a
    ka, kb = a.kind, b.kind
    if ka in "fc" and kb in "biu":
        return a
    if kb in "fc" and ka in "biu":
        return b
    return _BY_NUMPY[np.promote_types(a, b)].np


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest dtype that both promote to.

    >>> promote_types(int64, float16)
    numbagrad.float16
    """
    return _BY_NUMPY[promote(of(a).np, of(b).np)]


def number_dtype(x: Any) -> np.dtype[Any]:
    """The dtype a Python number has where nothing else decides."""
    if x is True or x is False:
        return BOOL
    if isinstance(x, int):
        return I64
    if isinstance(x, float):
        return _default.np
    if isinstance(x, complex):
        return complex128.np if _default is float64 else complex64.np
    raise TypeError(f"expected a number or a tensor, got {type(x).__name__}: {x!r}")


_CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}


def result_dtype(operands: Iterable[Any]) -> np.dtype[Any]:
    """The common NumPy dtype of arrays (anything with `dtype` and `ndim`) and Python numbers."""
    ranks: list[np.dtype[Any] | None] = [None, None, None]
    for x in operands:
        d = getattr(x, "dtype", None)
        if d is None:
            rank, d = 2, number_dtype(x)
        else:
            rank = 0 if x.ndim else 1
        seen = ranks[rank]
        ranks[rank] = d if seen is None else promote(seen, d)
    result: np.dtype[Any] | None = None
    for d in ranks:
        if d is None:
            continue
        if result is None:
            result = d
        elif _CATEGORY[d.kind] > _CATEGORY[result.kind]:
            # A lower rank of a higher category decides the category; between float and
            # complex the precision of the higher rank is kept.
            if result.kind == "f" and d.kind == "c":
                result = complex128.np if result is F64 else complex64.np
            else:
                result = d
    if result is None:
        raise TypeError("at least one operand is needed to find a common dtype")
    return result
