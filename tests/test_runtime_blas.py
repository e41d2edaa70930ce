"""Matrix products through OpenBLAS: every form, the same bits on any number of threads."""

import os
import subprocess
import sys

import numpy as np
import pytest

from numbagrad.runtime import blas, layout as at, threads
from numbagrad.runtime.executor import Program


@pytest.fixture(autouse=True)
def restore_threads():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def program(product: blas.Gemm) -> Program:
    bindings = [(at.G_A, 0, 0), (at.G_B, 1, 0), (at.G_C, 2, 0)]
    steps = [(product.kernel, 0, product.extent, product.grain)]
    return Program(steps, product.words, bindings, 3)


def matrix(rng: np.random.Generator, rows: int, columns: int, dtype) -> np.ndarray:
    return rng.standard_normal((rows, columns)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (200, 33, 150), (300, 10, 400)])
def test_all_forms(dtype, trans_a, trans_b, shape):
    m, n, k = shape
    rng = np.random.default_rng(m)
    a = matrix(rng, *((k, m) if trans_a else (m, k)), dtype)
    b = matrix(rng, *((n, k) if trans_b else (k, n)), dtype)
    expected = (a.T if trans_a else a).astype(float) @ (b.T if trans_b else b).astype(float)
    c = np.full((m, n), np.nan, dtype)
    bound = 4 * k * np.finfo(dtype).eps * 10
    options = {"lda": a.shape[1], "ldb": b.shape[1], "ldc": n, "trans_a": trans_a,
               "trans_b": trans_b}  # fmt: skip
    program(blas.gemm(c.dtype, m, n, k, **options)).run((a, b, c))
    assert np.abs(c - expected).max() < bound
    program(blas.gemm(c.dtype, m, n, k, accumulate=True, **options)).run((a, b, c))
    assert np.abs(c - 2 * expected).max() < 2 * bound


def test_row_strides_and_batch():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 40, 50)), rng.standard_normal((3, 50, 60))
    c = np.full((3, 40, 64), 7.0)
    steps = (a.strides[0], b.strides[0], c.strides[0])
    product = blas.gemm(a.dtype, 40, 20, 30, lda=50, ldb=60, ldc=64, batch=[(3, steps)])
    program(product).run((a, b, c))
    np.testing.assert_allclose(c[:, :, :20], a[:, :, :30] @ b[:, :30, :20], atol=1e-12)
    assert (c[:, :, 20:] == 7).all()


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_empty(shape):
    m, n, k = shape
    c = np.full((m, n), np.nan, np.float32)
    a, b = np.zeros((m, k), np.float32), np.zeros((k, n), np.float32)
    program(blas.gemm(c.dtype, m, n, k, lda=k, ldb=n, ldc=n)).run((a, b, c))
    assert (c == 0).all()


@pytest.mark.parametrize("shape", [(257, 65, 129), (512, 10, 300), (100, 200, 300)])
def test_same_bits_on_any_number_of_threads(shape):
    m, n, k = shape
    rng = np.random.default_rng(1)
    a, b = matrix(rng, m, k, np.float32), matrix(rng, k, n, np.float32)
    product = blas.gemm(a.dtype, m, n, k, lda=k, ldb=n, ldc=n)
    assert product.extent > 1
    results = set()
    for number in (1, 2, 3, 7):
        threads.set_num_threads(number)
        c = np.empty((m, n), np.float32)
        program(product).run((a, b, c))
        results.add(c.tobytes())
    assert len(results) == 1


def test_errors():
    with pytest.raises(TypeError, match="not int64"):
        blas.gemm(np.dtype(np.int64), 1, 1, 1, lda=1, ldb=1, ldc=1)
    with pytest.raises(ValueError, match="too large"):
        blas.gemm(np.dtype(np.float32), 2**31, 1, 1, lda=1, ldb=1, ldc=1)
    for strides in ((2, 4, 4), (3, 3, 4), (3, 4, 3)):
        lda, ldb, ldc = strides
        with pytest.raises(ValueError, match="too small"):
            blas.gemm(np.dtype(np.float32), 2, 4, 3, lda=lda, ldb=ldb, ldc=ldc)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux")
def test_openblas_starts_no_threads_and_the_environment_stays():
    code = (
        "import os\nfrom numbagrad.runtime import blas\nimport ctypes\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "blas.gemm_address(__import__('numpy').dtype('f4'))\n"
        "print(len(os.listdir('/proc/self/task')) - before, os.environ['OPENBLAS_NUM_THREADS'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OPENBLAS_NUM_THREADS": "2"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert result.stdout == "0 2\n", result
