"""The named tuples that ops with several results return, as in ``torch.return_types``."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def _named(name: str, fields: str) -> Any:
    def show(self: Any) -> str:
        body = ",\n".join(f"{f}={v!r}" for f, v in zip(self._fields, self, strict=True))
        return f"numbagrad.return_types.{name}(\n{body})"

    base = namedtuple(name, fields)
    return type(name, (base,), {"__slots__": (), "__repr__": show, "__module__": __name__})


max, min, sort, topk, kthvalue, median, nanmedian, mode, cummax, cummin = (
    _named(name, "values indices")
    for name in ("max", "min", "sort", "topk", "kthvalue", "median", "nanmedian", "mode", "cummax",
                 "cummin")
)  # fmt: skip
aminmax = _named("aminmax", "min max")
frexp = _named("frexp", "mantissa exponent")
slogdet = _named("slogdet", "sign logabsdet")
