"""Typed pointers from addresses, for kernels."""

from __future__ import annotations

from typing import Any

from numbagrad.kernels.language import KINDS, WORD, Intrinsic, Kind, pointer


def _at(item: Kind) -> Intrinsic:
    kind = pointer(item)

    def emit(builder: Any, address: Any) -> Any:
        return builder.inttoptr(address, kind.llvm)

    return Intrinsic(f"at_{item.name}", 1, lambda given: ((WORD,), kind), emit)


# Named after NumPy's dtypes; bools are bytes.
at_float32 = _at(KINDS["float32"])
at_float64 = _at(KINDS["float64"])
at_int8 = _at(KINDS["int8"])
at_int16 = _at(KINDS["int16"])
at_int32 = _at(KINDS["int32"])
at_int64 = _at(KINDS["int64"])
at_uint8 = at_bool = _at(KINDS["uint8"])
