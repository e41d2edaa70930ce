"""OpenBLAS's matrix product as a step of a program.

OpenBLAS (of the package scipy-openblas32) runs on the thread that calls it; our own pool divides
C into blocks of rows.
"""

import ctypes
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numbagrad.runtime import compiler, layout as at, openblas
from numbagrad.runtime.vectorize import Hint

_NAMES = {np.dtype(np.float32): "sgemm", np.dtype(np.float64): "dgemm"}

_SMALL = 2 * 96**3  # flops below which a product stays one call on one thread (10-20 µs)
# Rows of a block. BLAS copies B once a block: 3 % of the time with 128 rows, 20 % with 32. OpenBLAS
# is at its best on narrow products with about 64 rows.
_LARGEST_BLOCK, _NARROW_BLOCK, _SMALLEST_BLOCK = 128, 64, 32
_NARROW = 32


class Gemm(NamedTuple):
    """A matrix product ready to be a step: its words, and how it divides.

    The addresses of A, B and C go to the words `layout.G_A`, `G_B` and `G_C`.
    """

    kernel: int
    words: list[int]
    extent: int
    grain: int


def gemm(
    dtype: np.dtype,
    m: int,
    n: int,
    k: int,
    *,
    lda: int,
    ldb: int,
    ldc: int,
    trans_a: bool = False,
    trans_b: bool = False,
    accumulate: bool = False,
    batch: Sequence[tuple[int, tuple[int, int, int]]] = (),
) -> Gemm:
    """Describe C = op(A) @ op(B), or C += with `accumulate`, of row-major matrices.

    Args:
        dtype: float32 or float64.
        m: rows of C. n: columns of C. k: length of the sums.
        lda: elements from one row of A, as it is stored, to the next; `ldb`, `ldc` likewise.
        trans_a: A is stored as (k, m). trans_b: B is stored as (n, k).
        accumulate: add to C.
        batch: per dimension of a batch of products its extent, and the bytes from one A, B and C
            to the next.

    Raises:
        TypeError: the dtype has no BLAS product.
        ValueError: an extent is too large for BLAS's 32-bit integers or a row stride too small.
        NumbagradError: scipy-openblas32 is not installed.
    """
    if dtype not in _NAMES:
        raise TypeError(f"BLAS multiplies float32 and float64, not {dtype}")
    strides = (lda, ldb, ldc)
    if max(m, n, k, *strides) > 2**31 - 1:
        raise ValueError(f"the matrix product ({m}, {k}) @ ({k}, {n}) is too large for BLAS")
    if lda < (m if trans_a else k) or ldb < (k if trans_b else n) or ldc < n:
        raise ValueError(f"row strides {strides} are too small for ({m}, {k}) @ ({k}, {n})")
    flops = 2 * m * n * k
    rows = max(1, m if flops <= _SMALL else min(m, _block_rows(m, n)))
    words = [0] * at.GEMM_WORDS
    words[at.G_FUNCTION] = gemm_address(dtype)
    words[at.G_M], words[at.G_N], words[at.G_K] = m, n, k
    # BLAS wants row strides of at least 1, also for empty matrices.
    words[at.G_LDA], words[at.G_LDB], words[at.G_LDC] = (max(1, stride) for stride in strides)
    words[at.G_TRANS_A], words[at.G_TRANS_B] = int(trans_a), int(trans_b)
    words[at.G_ACCUMULATE] = int(accumulate)
    words[at.G_BLOCK] = rows
    words[at.G_DIMS] = len(batch)
    for number, steps in reversed(batch):
        words += [number, *steps]
    extent = math.prod(number for number, _ in batch) * -(-m // rows) if n else 0
    per_unit = max(1, 2 * rows * n * k)
    return Gemm(gemm_kernel(dtype), words, extent, max(1, _SMALL // per_unit))


def _block_rows(m: int, n: int) -> int:
    """Choose by the shape alone, so that the bits are the same with any number of threads."""
    largest = _NARROW_BLOCK if n <= _NARROW else _LARGEST_BLOCK
    quarter = -(-m // 64) * 16
    return min(largest, max(_SMALLEST_BLOCK, quarter))


def gemm_kernel(dtype: np.dtype) -> int:
    """Return the address of the kernel that multiplies blocks of rows."""
    source = (
        "from numbagrad.runtime.native_blas import gemm\n\n"
        f"def kernel(table, lo, hi):\n    gemm(table, lo, hi, {int(_NAMES[dtype] == 'sgemm')})\n"
    )
    return compiler.compile_source(source, hint=Hint())


def gemm_address(dtype: np.dtype) -> int:
    """Return the address of cblas_sgemm or cblas_dgemm."""
    function = getattr(openblas.library(), f"scipy_cblas_{_NAMES[dtype]}")
    return ctypes.cast(function, ctypes.c_void_p).value or 0
