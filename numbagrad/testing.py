"""Comparing results in tests, as ``torch.testing``."""

from __future__ import annotations

import cmath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import dtypes
from .tensor import Tensor

#: (rtol, atol) by the dtype of the real parts; integers and bools must be equal.
_TOLERANCES = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}
_SCALARS = (bool, int, float, complex)


class _Mismatch(Exception):
    """What differs, and on the way out of nested structures where."""

    def __init__(self, kind: type[Exception], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.place = ""


class _Comparison:
    """The options of one call."""

    def __init__(self, rtol: float | None, atol: float | None, equal_nan: bool, dtype: bool,
                 stride: bool) -> None:  # fmt: skip
        if (rtol is None) != (atol is None):
            raise ValueError(
                "Both 'rtol' and 'atol' must be either specified or omitted, but got no "
                f"{'rtol' if rtol is None else 'atol'}."
            )
        self.rtol, self.atol = rtol, atol
        self.equal_nan, self.check_dtype, self.check_stride = equal_nan, dtype, stride

    def tolerances(self, *kinds: np.dtype[Any]) -> tuple[float, float]:
        """The larger of what the dtypes allow."""
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        pairs = [
            _TOLERANCES[dtypes.real_of(d).name] if d.kind in "fc" else (0.0, 0.0) for d in kinds
        ]
        return max(r for r, _ in pairs), max(a for _, a in pairs)

    def compare(self, actual: Any, expected: Any) -> None:
        for kind in (Tensor, np.ndarray):
            if isinstance(actual, kind) and isinstance(expected, kind):
                self.tensors(actual, expected)
                return
        if isinstance(actual, _SCALARS) and isinstance(expected, _SCALARS):
            self.scalars(actual, expected)
        elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
            self.mappings(actual, expected)
        elif _is_sequence(actual) and _is_sequence(expected):
            self.sequences(actual, expected)
        elif actual is not None or expected is not None:
            raise _Mismatch(
                TypeError,
                "No comparison pair was able to handle inputs of type "
                f"{type(actual)} and {type(expected)}.",
            )

    def inside(self, key: Any, actual: Any, expected: Any) -> None:
        try:
            self.compare(actual, expected)
        except _Mismatch as mismatch:
            mismatch.place = f"[{key!r}]{mismatch.place}"
            raise

    def sequences(self, actual: Any, expected: Any) -> None:
        if len(actual) != len(expected):
            raise _Mismatch(
                AssertionError,
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}",
            )
        for i, (a, b) in enumerate(zip(actual, expected)):
            self.inside(i, a, b)

    def mappings(self, actual: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
        missing = [k for k in expected if k not in actual]
        additional = [k for k in actual if k not in expected]
        if missing or additional:
            message = "The keys of the mappings do not match:"
            if missing:
                message += f"\nMissing keys in the actual mapping: {sorted(missing)}"
            if additional:
                message += f"\nAdditional keys in the actual mapping: {sorted(additional)}"
            raise _Mismatch(AssertionError, message)
        for k in actual:
            self.inside(k, actual[k], expected[k])

    def scalars(self, a: Any, b: Any) -> None:
        if self.check_dtype and type(a) is not type(b):
            raise _Mismatch(AssertionError, f"The (d)types do not match: {type(a)} != {type(b)}.")
        rtol, atol = self.tolerances(*(dtypes.number_dtype(x) for x in (a, b)))
        # A Python float has double precision, whatever the default dtype.
        if self.rtol is None and isinstance(a, float | complex):
            rtol, atol = _TOLERANCES["float64"]
        self._report_scalars(a, b, rtol, atol)

    def _report_scalars(self, a: Any, b: Any, rtol: float, atol: float) -> None:
        if a == b or (self.equal_nan and a != a and b != b):
            return
        difference = abs(a - b)
        if cmath.isfinite(a) and cmath.isfinite(b) and difference <= atol + rtol * abs(b):
            return
        relative = difference / abs(b) if b else float("inf")
        exact = rtol == atol == 0
        allowed = ("", "") if exact else (f" (up to {atol} allowed)", f" (up to {rtol} allowed)")
        raise _Mismatch(
            AssertionError,
            f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {b} but got {a}.\n"
            f"Absolute difference: {difference}{allowed[0]}\n"
            f"Relative difference: {relative}{allowed[1]}",
        )

    def attribute(self, name: str, a: Any, b: Any) -> None:
        if a != b:
            raise _Mismatch(
                AssertionError, f"The values for attribute '{name}' do not match: {a} != {b}."
            )

    def tensors(self, actual: Any, expected: Any) -> None:
        self.attribute("shape", actual.shape, expected.shape)
        if self.check_dtype:
            self.attribute("dtype", actual.dtype, expected.dtype)
        if self.check_stride and isinstance(actual, Tensor):
            self.attribute("stride()", actual.stride(), expected.stride())
        a, b = (x.numpy(force=True) if isinstance(x, Tensor) else x for x in (actual, expected))
        rtol, atol = self.tolerances(a.dtype, b.dtype)
        wide = np.result_type(a, b)
        a, b = (x.astype(np.int64 if wide.kind in "bu" else wide, copy=False) for x in (a, b))
        if not a.shape:
            self._report_scalars(a.item(), b.item(), rtol, atol)
            return
        with np.errstate(all="ignore"):
            close = np.isclose(a, b, rtol, atol, equal_nan=self.equal_nan)
            if close.all():
                return
            difference = abs(a - b)
            # float32 is what the ratio of integers is shown in.
            relative = difference / abs(b) if wide.kind in "fc" else np.divide(
                difference, abs(b), dtype=np.float32)  # fmt: skip
        exact = rtol == atol == 0
        count = int(np.sum(~close))
        lines = [
            f"Tensor-likes are not {'equal' if exact else 'close'}!\n",
            f"Mismatched elements: {count} / {a.size} ({count / a.size:.1%})",
        ]
        for name, values, allowed in (("absolute", difference, atol), ("relative", relative, rtol)):
            at = np.unravel_index(int(np.where(close, -1, values).argmax()), a.shape)
            index = tuple(int(i) for i in at)
            tail = "" if exact else f" (up to {allowed} allowed)"
            value = values[index].item()
            lines.append(f"Greatest {name} difference: {value} at index {index}{tail}")
        raise _Mismatch(AssertionError, "\n".join(lines))


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str | bytes)


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None,
    atol: float | None = None, equal_nan: bool = False, check_device: bool = True,
    check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:  # fmt: skip
    """Raise unless ``|actual - expected| <= atol + rtol * |expected|``, in nested structures too.

    Args:
        rtol, atol: both or none; without them what the dtype makes sensible.
        equal_nan: NaN equals NaN.
        check_dtype, check_stride: these must be the same, as shapes must always.
        msg: the message of the error, or a function of the message that is raised without it.

    Raises:
        AssertionError: something differs; the message says what, by how much and where.
        TypeError: there is something that cannot be compared.
        ValueError: one of `rtol` and `atol` is missing.

    >>> import numbagrad as ng
    >>> ng.testing.assert_close(ng.tensor([1.0, 2.0]), ng.tensor([1.0, 2.0 + 1e-7]))
    >>> ng.testing.assert_close(ng.tensor([1.0, 2.0]), ng.tensor([1.0, 3.0]))
    Traceback (most recent call last):
        ...
    AssertionError: Tensor-likes are not close!
    <BLANKLINE>
    Mismatched elements: 1 / 2 (50.0%)
    Greatest absolute difference: 1.0 at index (1,) (up to 1e-05 allowed)
    Greatest relative difference: 0.3333333432674408 at index (1,) (up to 1.3e-06 allowed)
    """
    comparison = _Comparison(rtol, atol, equal_nan, check_dtype, check_stride)
    try:
        comparison.compare(actual, expected)
    except _Mismatch as mismatch:
        text = str(mismatch)
        if mismatch.place:
            text += f"\n\nThe failure occurred for item {mismatch.place}"
        if msg is not None and mismatch.kind is AssertionError:
            text = msg if isinstance(msg, str) else msg(text)
        raise mismatch.kind(text) from None
