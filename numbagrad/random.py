"""Generators of random numbers, and the default one.

A :class:`Generator` is a seed and the offset of the next unused block of its stream. Each call
reserves the blocks it needs in one step under a lock, so threads never share a number, and draws
from them; what it draws depends on the seed and the offset alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import dtypes
from .devices import CPU, check_device, device
from .locks import free_in_child
from .modes import thread
from .ops.export import EXPORTS, check_tensor
from .tensor import Tensor, wrap

_SEEDS = 1 << 64
#: What a new Generator starts from, as in PyTorch.
DEFAULT_SEED = 67280421310721

_moving = free_in_child(threading.Lock())  # the offset of any generator


def _key(seed: int, offset: int) -> np.ndarray[Any, Any]:
    """The first block at an offset of a stream, as `ops.random` takes it."""
    return np.array([seed - _SEEDS if seed >> 63 else seed, offset], np.int64)


class Generator:
    """A stream of random numbers; functions take it as ``generator=``.

    Args:
        device: "cpu".

    >>> import numbagrad as ng
    >>> g = ng.Generator().manual_seed(0)
    >>> a = ng.rand(3, generator=g)
    >>> b = ng.rand(3, generator=g.manual_seed(0))
    >>> ng.equal(a, b)
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self._seed = DEFAULT_SEED
        self._offset = 0
        if thread.modes.trace is not None:  # each call of the function makes a new one
            thread.modes.trace.reseed(self, _key(DEFAULT_SEED, 0))

    @property
    def device(self) -> device:
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed`: an integer from -2**63 to 2**64 - 1."""
        seed = seed.__index__()
        if not -_SEEDS // 2 <= seed < _SEEDS:
            raise RuntimeError(
                f"Overflow when unpacking long: a seed is between -2**63 and 2**64 - 1, got {seed}"
            )
        if thread.modes.trace is not None:
            thread.modes.trace.reseed(self, _key(seed % _SEEDS, 0))
            return self
        with _moving:
            self._seed, self._offset = seed % _SEEDS, 0
        return self

    def seed(self) -> int:
        """Start a stream that nobody can foresee; returns its seed."""
        seed = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def get_state(self) -> Tensor:
        """Seed and offset as 16 bytes, for :meth:`set_state`."""
        trace = thread.modes.trace
        if trace is not None:
            key, skipped = trace.random_place(self)
            words = (key + wrap(np.array([0, skipped]))).reshape(2, 1)
            state = (words >> wrap(np.arange(0, 64, 8)) & 255).to(dtypes.uint8).reshape(16)
            trace.remember_state(self, state)
            return state
        with _moving:
            return wrap(np.array([self._seed, self._offset], np.uint64).view(np.uint8))

    def set_state(self, state: Tensor) -> Generator:
        """Go back to where :meth:`get_state` was called.

        Raises:
            TypeError: not a tensor of bytes.
            RuntimeError: not 16 of them.
        """
        data = check_tensor("set_state", state, "new_state")._data
        if data.dtype != np.uint8:
            raise TypeError(f"expected a tensor of dtype uint8, but got {state.dtype}")
        if data.shape != (16,):
            raise RuntimeError(
                f"RNG state is wrong size: expected shape (16,), got {tuple(state.shape)}; pass "
                "what get_state() returned"
            )
        if thread.modes.trace is not None:
            thread.modes.trace.set_random_state(self, state)
            return self
        with _moving:
            self._seed, self._offset = np.ascontiguousarray(data).view(np.uint64).tolist()
        return self

    def clone_state(self) -> Generator:
        """Another generator at the same place of the same stream."""
        return Generator().set_state(self.get_state())

    def take(self, count: int) -> Tensor:
        """Reserve `count` blocks; returns the key of the first (see `ops.random`)."""
        with _moving:
            seed, offset = self._seed, self._offset
            self._offset = offset + count
        return wrap(_key(seed, offset))

    def move_to(self, key: Any, skipped: int) -> None:
        """Continue so many blocks behind a key that :meth:`take` returned."""
        seed, offset = key.tolist()
        with _moving:
            self._seed, self._offset = seed % _SEEDS, offset + skipped

    def __repr__(self) -> str:
        return f"<numbagrad.Generator seed={self._seed} offset={self._offset}>"

    def __reduce__(self) -> Any:
        return _rebuild, (self.get_state(),)


def _rebuild(state: Tensor) -> Generator:
    return Generator().set_state(state)


default_generator = Generator()
default_generator.seed()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the same seed, the same numbers.

    >>> import numbagrad as ng
    >>> _ = ng.manual_seed(0)
    >>> ng.rand(3)
    tensor([0.0347, 0.0115, 0.6120])
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Bring the default generator back to a state that :func:`get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(enabled: bool = True) -> Iterator[None]:
    """Random calls inside do not move the default generator."""
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


for _f in (manual_seed, seed, initial_seed, get_rng_state, set_rng_state):
    EXPORTS[_f.__name__] = _f
