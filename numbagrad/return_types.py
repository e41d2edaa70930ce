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
histogram = _named("histogram", "hist bin_edges")
histogramdd = _named("histogramdd", "hist bin_edges")
geqrf = _named("geqrf", "a tau")
frexp = _named("frexp", "mantissa exponent")
slogdet = _named("slogdet", "sign logabsdet")
linalg_slogdet = _named("linalg_slogdet", "sign logabsdet")
svd = _named("svd", "U S V")
linalg_svd = _named("linalg_svd", "U S Vh")
qr = _named("qr", "Q R")
linalg_qr = _named("linalg_qr", "Q R")
linalg_eigh = _named("linalg_eigh", "eigenvalues eigenvectors")
linalg_eig = _named("linalg_eig", "eigenvalues eigenvectors")
linalg_inv_ex = _named("linalg_inv_ex", "inverse info")
linalg_solve_ex = _named("linalg_solve_ex", "result info")
linalg_cholesky_ex = _named("linalg_cholesky_ex", "L info")
linalg_lu = _named("linalg_lu", "P L U")
lu_unpack = _named("lu_unpack", "P L U")
linalg_lu_factor = _named("linalg_lu_factor", "LU pivots")
linalg_lu_factor_ex = _named("linalg_lu_factor_ex", "LU pivots info")
linalg_lstsq = _named("linalg_lstsq", "solution residuals rank singular_values")
triangular_solve = _named("triangular_solve", "solution cloned_coefficient")
