"""The pool of large blocks: memory comes back only when the last view of it is gone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from numbagrad.runtime import memory

F32 = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def empty_pool() -> Iterator[None]:
    memory.release()
    yield
    memory.release()


def test_views_keep_the_block():
    array = memory.empty((1000, 1000), F32)
    view = array[3:].T
    del array
    assert memory.kept() == 0
    other = memory.empty((1000, 1000), F32)
    assert not np.shares_memory(view, other)
    del view
    assert memory.kept() >= 4_000_000


def test_a_block_is_used_again():
    address = memory.empty((1000, 1000), F32).ctypes.data
    again = memory.empty((1000, 1000), F32)
    assert again.ctypes.data == address
    assert memory.kept() == 0


def test_large_arrays_are_aligned_and_have_the_singleton_dtype():
    array = memory.empty((1000, 1000), F32)
    assert array.ctypes.data % 64 == 0
    assert array.dtype is F32
    assert array.flags.writeable


def test_small_arrays_do_not_enter_the_pool():
    memory.empty((10,), F32)
    assert memory.kept() == 0


def test_no_more_than_the_limit_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "LIMIT", 5_000_000)
    first, second = memory.empty((1000, 1000), F32), memory.empty((1000, 1000), F32)
    del first, second
    assert 0 < memory.kept() <= 5_000_000
