"""Typed pointers from addresses, for kernels."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic


def _at(kind: Any) -> Any:
    @intrinsic
    def at(typingctx: Any, address: Any) -> Any:
        pointer = types.CPointer(kind)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(pointer))

        return pointer(types.int64), generate

    return at


# Named after NumPy's dtypes; bools are bytes.
at_float32 = _at(types.float32)
at_float64 = _at(types.float64)
at_int8 = _at(types.int8)
at_int16 = _at(types.int16)
at_int32 = _at(types.int32)
at_int64 = _at(types.int64)
at_uint8 = _at(types.uint8)
at_bool = _at(types.uint8)
