"""OpenBLAS of the package scipy-openblas32, on one thread, called from Python.

Compiled programs call it too (see blas.py) and divide large products among our own threads.
"""

import ctypes
import functools
import importlib.util
import os
import threading
from collections.abc import Callable

import numpy as np

from numbagrad.errors import NumbagradError
from numbagrad.runtime import memory

_PACKAGE = "scipy_openblas32"
_NAMES = {np.dtype(np.float32): "sgemm", np.dtype(np.float64): "dgemm"}

_library: ctypes.CDLL | None = None
_lock = threading.Lock()


def library() -> ctypes.CDLL:
    """OpenBLAS of the package scipy-openblas32, loaded once, on one thread.

    Raises:
        NumbagradError: the package is not installed.
    """
    global _library
    with _lock:
        if _library is None:
            _library = _load()
        return _library


def _load() -> ctypes.CDLL:
    spec = importlib.util.find_spec(_PACKAGE)  # importing the package costs 30 ms more
    if spec is None or spec.origin is None:
        raise NumbagradError(
            "matrix products need OpenBLAS: install it with `pip install scipy-openblas32`"
        )
    directory = os.path.join(os.path.dirname(spec.origin), "lib")
    names = [n for n in sorted(os.listdir(directory)) if n.startswith("libscipy_openblas")]
    # Without this OpenBLAS starts threads of its own while it is loaded.
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        library = ctypes.CDLL(os.path.join(directory, names[0]))
    finally:
        if before is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = before
    library.scipy_openblas_set_num_threads(1)
    return library


# Multiplications from which on NumPy's own OpenBLAS would use several threads, and up to which one
# thread is as good. Between them its threads wait for each other by spinning, which on a busy
# machine costs ten times the product itself.
_THREADED, _LARGE = 64**3, 2**25
_ROW_MAJOR, _AS_IS, _TRANSPOSED = 101, 111, 112


def matmul(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``numpy.matmul``, with products of middle size on one thread."""
    if x.ndim < 2 or y.ndim < 2 or x.dtype is not y.dtype or x.dtype not in _NAMES:
        return np.matmul(x, y)
    if x.shape[-1] == 1 == y.shape[-2] and (x.ndim > 2 or y.ndim > 2):
        # Outer products: a call of BLAS for each takes four times as long, a multiplication twice.
        shape = np.broadcast_shapes((*x.shape[:-1], 1), (*y.shape[:-2], 1, y.shape[-1]))
        return np.einsum("...ij,...jk->...ik", x, y, out=memory.empty(shape, x.dtype))
    work = x.shape[-2] * x.shape[-1] * y.shape[-1]
    if not _THREADED <= work <= _LARGE or x.shape[-1] != y.shape[-2] or max(x.ndim, y.ndim) > 3:
        return np.matmul(x, y)
    batch = max(x.shape[0] if x.ndim == 3 else 1, y.shape[0] if y.ndim == 3 else 1)
    if any(a.ndim == 3 and a.shape[0] not in (1, batch) for a in (x, y)):
        return np.matmul(x, y)  # which raises
    multiply = _multiply(x.dtype)
    out = np.empty((batch, x.shape[-2], y.shape[-1]), x.dtype)
    for i in range(batch):
        a = x if x.ndim == 2 else x[i if x.shape[0] > 1 else 0]
        b = y if y.ndim == 2 else y[i if y.shape[0] > 1 else 0]
        multiply(a, b, out[i])
    return out if x.ndim == 3 or y.ndim == 3 else out[0]


@functools.cache
def _multiply(dtype: np.dtype) -> Callable[[np.ndarray, np.ndarray, np.ndarray], None]:
    """A function that stores the product of two matrices in a third, by one BLAS call."""
    function = getattr(library(), f"scipy_cblas_{_NAMES[dtype]}")
    number = ctypes.c_float if dtype.itemsize == 4 else ctypes.c_double
    integers = [ctypes.c_int] * 6
    pointer = ctypes.c_void_p
    function.argtypes = [
        *integers, number, pointer, ctypes.c_int, pointer, ctypes.c_int, number, pointer,
        ctypes.c_int,
    ]  # fmt: skip
    function.restype = None

    def multiply(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
        x, how_x, row_x = _as_stored(x)
        y, how_y, row_y = _as_stored(y)
        m, n = out.shape
        function(
            _ROW_MAJOR, how_x, how_y, m, n, x.shape[1], 1.0, x.ctypes.data, row_x,
            y.ctypes.data, row_y, 0.0, out.ctypes.data, n,
        )  # fmt: skip

    return multiply


def _as_stored(x: np.ndarray) -> tuple[np.ndarray, int, int]:
    """A matrix, whether BLAS must transpose what is stored, and the stored row stride."""
    size = x.itemsize
    rows, columns = x.shape
    row, column = x.strides[0] // size, x.strides[1] // size
    if column == 1 and row >= columns:
        return x, _AS_IS, row
    if row == 1 and column >= rows:
        return x, _TRANSPOSED, column
    return np.ascontiguousarray(x), _AS_IS, columns
