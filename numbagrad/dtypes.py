"""Data types and PyTorch's type promotion rules.

A :class:`dtype` names one NumPy dtype. Promotion follows
https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc:
tensors with dimensions outrank 0-d tensors, which outrank Python numbers, and only a
higher *category* (bool < integer < floating < complex) lets the lower rank decide.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable
from typing import Any

import numpy as np


class finfo:
    """The limits of a floating-point dtype: ``eps, max, min, tiny, smallest_normal, ...``."""

    def __init__(self, type: Any = None) -> None:
        d = of(_default if type is None else type)
        if d.category < 2:
            raise TypeError(
                f"finfo() requires a floating point input type, got {d}; use iinfo for integers"
            )
        limits = np.finfo(d.np)
        self.dtype = d.to_real().name
        self.bits = limits.bits
        self.eps, self.max, self.min = float(limits.eps), float(limits.max), float(limits.min)
        self.tiny = self.smallest_normal = float(limits.tiny)
        self.resolution = float(limits.resolution)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer dtype: ``bits, max, min``."""

    def __init__(self, type: Any) -> None:
        d = of(type)
        if d.category != 1:
            raise TypeError(
                f"iinfo() requires an integer input type, got {d}; use finfo for floats"
            )
        limits = np.iinfo(d.np)
        self.dtype = d.name
        self.bits = limits.bits
        self.max, self.min = int(limits.max), int(limits.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


class dtype:
    """One element type of a tensor, such as ``ng.float32``.

    Instances are singletons: compare them with ``is`` or ``==``.
    """

    __slots__ = ("category", "is_complex", "is_floating_point", "itemsize", "name", "np")

    def __init__(self, name: str, np_dtype: Any) -> None:
        self.name = name
        self.np: np.dtype[Any] = np.dtype(np_dtype)
        kind = self.np.kind
        self.category = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}[kind]
        self.itemsize = self.np.itemsize
        self.is_floating_point = kind == "f"
        self.is_complex = kind == "c"

    @property
    def is_signed(self) -> builtins.bool:
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
bool = dtype("bool", np.bool_)

ALL: tuple[dtype, ...] = (
    float16, float32, float64, complex64, complex128,
    uint8, int8, int16, int32, int64, bool,
)  # fmt: skip
ALIASES = {"half": float16, "float": float32, "double": float64, "cfloat": complex64,
           "cdouble": complex128, "short": int16, "int": int32, "long": int64}  # fmt: skip

#: PyTorch's older names of tensor types, of which all but "Tensor" is given.
TYPE_NAMES = {float32: "Float", float64: "Double", float16: "Half", uint8: "Byte", int8: "Char",
              int16: "Short", int32: "Int", int64: "Long", bool: "Bool", complex64: "ComplexFloat",
              complex128: "ComplexDouble"}  # fmt: skip

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


def scalar(value: Any, d: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A Python number stored in a given dtype, as a 0-d array: fractions are cut off.

    Raises:
        RuntimeError: `d` cannot hold the number (NaN or a number out of range for an int, an
            imaginary part for a real).
    """
    kind = d.kind
    if kind == "b":
        return np.array(builtins.bool(value), d)
    if kind != "c" and isinstance(value, complex):
        if value.imag:
            raise _overflow(value, d)
        return scalar(value.real, d)
    number: float = value
    if kind in "iu":
        limits = np.iinfo(d)
        # Small negative numbers wrap around in uint8, as in PyTorch.
        low = -int(limits.max) if kind == "u" else int(limits.min)
        if not math.isfinite(number) or not low <= int(number) <= int(limits.max):
            raise _overflow(value, d)
        return np.array(int(number)).astype(d)
    real = number.real
    if math.isfinite(real) and abs(real) > float(np.finfo(d).max):
        raise _overflow(value, d)
    return np.array(value, d)


def _overflow(value: Any, d: np.dtype[Any]) -> RuntimeError:
    return RuntimeError(
        f"value cannot be converted to type {d.name} without overflow: {value}; "
        "use another dtype or a number that fits"
    )


_CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}


def can_cast(from_: dtype, to: dtype) -> builtins.bool:
    """Whether an in-place op may store the first dtype in the second: the category may not drop.

    >>> can_cast(float32, int64), can_cast(int64, float16)
    (False, True)
    """
    return of(from_).category <= of(to).category


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
