"""The pool of large blocks: memory comes back only when the last view of it is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

import numbagrad as ng
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


def test_statistics():
    ng.cpu.reset_peak_memory_stats()
    ng.cpu.reset_accumulated_memory_stats()
    before = ng.cpu.memory_allocated("cpu")
    arrays = [memory.empty((1000, 1000), F32) for _ in range(2)]
    used = ng.cpu.memory_allocated() - before
    assert used >= 8_000_000 and ng.cpu.memory_reserved() == before + used
    del arrays[0]
    assert ng.cpu.memory_allocated() == before + used // 2
    assert ng.cpu.max_memory_allocated() == before + used == ng.cpu.memory_reserved()
    again = memory.empty((1000, 1000), F32)
    stats = ng.cpu.memory_stats()
    assert stats["allocated_bytes.all.allocated"] == used // 2 * 3
    assert stats["allocated_bytes.all.freed"] == used // 2
    assert stats["reserved_bytes.all.allocated"] == used
    assert (stats["allocation.all.allocated"], stats["allocation.all.freed"]) == (3, 1)
    del again, arrays
    assert ng.cpu.memory_allocated() == before
    ng.cpu.empty_cache()
    assert ng.cpu.memory_reserved() == before and memory.kept() == 0
    assert ng.cpu.max_memory_reserved() == before + used
    ng.cpu.reset_peak_memory_stats()
    assert ng.cpu.max_memory_reserved() == before
    with pytest.raises(RuntimeError, match="CPU only"):
        ng.cpu.memory_stats("cuda")


def test_counts_add_up_with_threads():
    before = ng.cpu.memory_allocated()

    def work():
        for i in range(200):
            memory.empty((1000, 1000 + i % 3), F32)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert ng.cpu.memory_allocated() == before
    held = sum(size * len(unused) for size, unused in memory._free.items())
    assert memory.kept() == held == ng.cpu.memory_reserved() - before
