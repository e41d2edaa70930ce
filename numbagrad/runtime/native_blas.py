"""The matrix product as a kernel that calls BLAS through its address. Imported only to compile."""

from typing import Any

from llvmlite import ir

from numbagrad.kernels.language import WORD, Intrinsic, intrinsic
from numbagrad.runtime.layout import (
    G_A,
    G_ACCUMULATE,
    G_B,
    G_BLOCK,
    G_C,
    G_DIMS,
    G_FUNCTION,
    G_K,
    G_LDA,
    G_LDB,
    G_LDC,
    G_M,
    G_N,
    G_TRANS_A,
    G_TRANS_B,
    GEMM_WORDS,
)

_ROW_MAJOR = 101
_NO_TRANS, _TRANS = 111, 112


def _blas(name: str, real: Any) -> Intrinsic:
    def emit(builder, function, trans_a, trans_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc):
        integer, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(
            ir.VoidType(),
            (integer,) * 6 + (real, pointer, integer, pointer, integer, real, pointer, integer),
        )
        ints = [builder.trunc(v, integer) for v in (trans_a, trans_b, m, n, k, lda, ldb, ldc)]
        pointers = [builder.inttoptr(v, pointer) for v in (a, b, c)]
        beta = builder.sitofp(accumulate, real)
        order = ir.Constant(integer, _ROW_MAJOR)
        one = ir.Constant(real, 1.0)
        builder.call(
            builder.inttoptr(function, kind.as_pointer()),
            [order, *ints[:5], one, pointers[0], ints[5], pointers[1], ints[6], beta,
             pointers[2], ints[7]],
        )  # fmt: skip

    emit.__name__ = name
    emit.__doc__ = f"Call cblas_{name} with alpha = 1 and beta = 0 or 1."
    return intrinsic(*(WORD,) * 13)(emit)


_sgemm = _blas("sgemm", ir.FloatType())
_dgemm = _blas("dgemm", ir.DoubleType())


def gemm(table, lo, hi, single):
    """Compute the blocks lo..hi of rows of C = A @ B (+ C); `single` is 1 for float32.

    The blocks are the same whatever the number of threads, so that BLAS gives the same bits.
    """
    size = 4 if single else 8
    m, n, k, rows = table[G_M], table[G_N], table[G_K], table[G_BLOCK]
    lda, ldb, ldc = table[G_LDA], table[G_LDB], table[G_LDC]
    blocks = (m + rows - 1) // rows
    trans_a = _TRANS if table[G_TRANS_A] else _NO_TRANS
    trans_b = _TRANS if table[G_TRANS_B] else _NO_TRANS
    a_step = rows * size * (1 if table[G_TRANS_A] else lda)
    for unit in range(lo, hi):
        batch = unit // blocks
        block = unit - batch * blocks
        a = table[G_A] + block * a_step
        b = table[G_B]
        c = table[G_C] + block * rows * ldc * size
        for d in range(table[G_DIMS]):
            at = GEMM_WORDS + 4 * d
            rest = batch // table[at]
            i = batch - rest * table[at]
            a = a + i * table[at + 1]
            b = b + i * table[at + 2]
            c = c + i * table[at + 3]
            batch = rest
        height = min(rows, m - block * rows)
        if single:
            _sgemm(table[G_FUNCTION], trans_a, trans_b, height, n, k,
                   a, lda, b, ldb, table[G_ACCUMULATE], c, ldc)  # fmt: skip
        else:
            _dgemm(table[G_FUNCTION], trans_a, trans_b, height, n, k,
                   a, lda, b, ldb, table[G_ACCUMULATE], c, ldc)  # fmt: skip
