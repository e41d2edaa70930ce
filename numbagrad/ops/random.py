"""Random numbers as pure functions of a key: Philox4x64-10, the counter-based generator of NumPy.

A *key* is an int64 tensor ``(seed, offset)``. It names an endless sequence of 64-bit words: those
of ``np.random.Philox(key=seed, counter=offset)``. Each step of the counter gives a *block* of four
words, lanes 0 to 3, so word ``w`` is lane ``w % 4`` of block ``offset + w // 4``; `skip` moves the
start by that many blocks. Under `vmap` a key has dimensions in front, and so has the result: each
key names the sequence of its own part. Element ``i`` (in C order, whatever the layout of the
result) is made of

=====================  =========================================================================
uniform, float32       the 24 high bits of a 32-bit half: word i // 2, low half where i is even
uniform, float64       the 53 high bits of word i
normal                 Box–Muller: the uniforms a, b of the elements 2p and 2p + 1 (p = i // 2)
                       give sqrt(-2 log(1 - a)) times cos(2πb) where i is even, sin where odd
integer                low + word i % count: a value is off its probability by a relative
                       count / 2**64 at most
=====================  =========================================================================

float16 rounds the float32 number; complex takes elements 2i and 2i + 1 as real and imaginary part.
Nothing depends on how a call is divided among threads, and a compiled kernel can compute any
element by itself.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from .. import dtypes
from .batching import SHIFT
from .registry import call, primitive

Shape = tuple[int, ...]

#: Box–Muller goes through its temporaries in pieces of this many elements, which stay in cache.
_PIECE = 1 << 15
_BIT64 = 1 << 64


class _Source(threading.local):
    """NumPy's generator, one per thread: moving it to a key costs a tenth of making a new one."""

    def __init__(self) -> None:
        # NumPy imports its random module (10 ms) on first use, and so do we.
        from numpy.random import Generator, Philox

        self.bits = Philox(key=0)
        self.generator = Generator(self.bits)
        self.counter = np.zeros(4, np.uint64)
        self.key = np.zeros(2, np.uint64)
        self.state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": self.counter, "key": self.key},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }

    def at(self, key: Any, skip: int) -> Any:
        """The NumPy generator at the start of the sequence that `key` and `skip` name."""
        seed, offset = key.tolist()
        self.key[0] = seed % _BIT64
        self.counter[0] = (offset + skip) % _BIT64
        self.bits.state = self.state
        return self.generator


_source: _Source | None = None


def _at(key: Any, skip: int) -> Any:
    global _source
    if _source is None:
        _source = _Source()
    return _source.at(key, skip)


def blocks(shape: Shape, dtype: np.dtype[Any]) -> int:
    """How many blocks a call of one of these ops reads."""
    n = math.prod(shape)
    if dtype.kind == "c":
        n *= 2
    per_block = 8 if dtype.kind in "fc" and dtypes.real_of(dtype).itemsize <= 4 else 4
    return -(-n // per_block)


def _uniform(key: Any, *, shape: Shape, dtype: np.dtype[Any], skip: int) -> Any:
    generator = _at(key, skip)
    real = dtypes.real_of(dtype)
    if real is dtype:
        drawn = dtypes.F32 if dtype.itemsize == 2 else dtype
        r = generator.random(shape, drawn)
        return r if drawn is dtype else r.astype(dtype)
    return generator.random((*shape, 2), real).view(dtype).reshape(shape)


def _normal(key: Any, *, shape: Shape, dtype: np.dtype[Any], skip: int) -> Any:
    generator = _at(key, skip)
    real = dtypes.real_of(dtype)
    n = math.prod(shape) * (1 if real is dtype else 2)
    drawn = dtypes.F32 if real.itemsize == 2 else real
    # Rounded up to whole pairs.
    r = generator.random(n + n % 2, drawn)
    for start in range(0, n, _PIECE):
        _box_muller(r[start : start + _PIECE])
    r = r[:n]
    if real is not dtype:
        # The two parts share the variance 1.
        return (r * np.sqrt(0.5, dtype=real)).view(dtype).reshape(shape)
    r = r.reshape(shape)
    return r if drawn is dtype else r.astype(dtype)


def _box_muller(u: Any) -> None:
    """Replace pairs of uniforms by pairs of normals, in place."""
    radius = 1 - u[0::2]
    np.log(radius, radius)
    radius *= -2
    np.sqrt(radius, radius)
    angle = u[1::2] * (2 * np.pi)
    np.multiply(radius, np.cos(angle), u[0::2])
    np.multiply(radius, np.sin(angle), u[1::2])


def _integers(
    key: Any, *, shape: Shape, low: int, count: int, dtype: np.dtype[Any], skip: int
) -> Any:
    generator = _at(key, skip)
    words = generator.bit_generator.random_raw(math.prod(shape)).reshape(shape)
    if count != _BIT64:
        words %= np.uint64(count)
    words += np.uint64(low % _BIT64)  # wraps around to negative numbers
    return words.view(np.int64).astype(dtype, copy=False)


def _by_row(draw: Any) -> Any:
    """The evaluation of an op whose key may have dimensions in front: those of the result."""

    def evaluate(key: Any, *, shape: Shape, dtype: np.dtype[Any], **params: Any) -> Any:
        if key.ndim == 1:
            return draw(key, shape=shape, dtype=dtype, **params)
        r = np.empty(shape, dtype)
        inner = shape[key.ndim - 1 :]
        for row in np.ndindex(key.shape[:-1]):
            r[row] = draw(key[row], shape=inner, dtype=dtype, **params)
        return r

    return evaluate


def _like_params(key: Any, *, shape: Shape, dtype: np.dtype[Any], **_: Any) -> Any:
    return shape, dtype


random_uniform = primitive(
    "random_uniform", _by_row(_uniform), _like_params, inputs=("key",), kinds="i",
    samples=lambda make: [call(make.key(), shape=(2, 3), dtype=dtypes.F32, skip=1)],
    batch=SHIFT,
    doc="Uniform numbers in [0, 1) from a key.",
)  # fmt: skip
random_normal = primitive(
    "random_normal", _by_row(_normal), _like_params, inputs=("key",), kinds="i",
    samples=lambda make: [call(make.key(), shape=(2, 3), dtype=dtypes.F64, skip=1)],
    batch=SHIFT,
    doc="Normal numbers of mean 0 and standard deviation 1 from a key.",
)  # fmt: skip
random_integers = primitive(
    "random_integers", _by_row(_integers), _like_params, inputs=("key",), kinds="i",
    samples=lambda make: [
        call(make.key(), shape=(2, 3), low=-1, count=5, dtype=dtypes.I64, skip=1)],
    batch=SHIFT,
    doc="Integers in [low, low + count) from a key.",
)  # fmt: skip


def _inverse_cdf(x: Any, y: Any) -> Any:
    r = np.empty(y.shape, np.int64)
    rows = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), r.reshape(-1, y.shape[-1])
    for cdf, u, found in zip(*rows, strict=True):
        total = cdf[-1]
        found[...] = np.searchsorted(cdf, u * total, "right")
        # Where u * total was rounded up to total: the last category that has a weight.
        np.minimum(found, np.searchsorted(cdf, total, "left"), out=found)
    return r


inverse_cdf = primitive(
    "inverse_cdf", _inverse_cdf, lambda x, y: (y.shape, dtypes.I64), inputs=("x", "y"), kinds="f",
    samples=lambda make: [call(make(2, 3, low=0.2, high=0.3), make(2, 4, low=0, high=0.5))],
    batch=SHIFT,
    doc="The categories at which running sums of weights x, per row, reach the fractions y.",
)  # fmt: skip
