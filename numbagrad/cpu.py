"""The CPU as a device: ``torch.cpu``, and what ``torch.cuda`` has for the memory of its device.

Large results of compiled kernels, those of 1 MiB and more, lie in a pool of blocks that are used
again instead of going back to the system: writing to fresh memory takes several times as long.
These functions say what the pool holds, and give back what waits there (at most an eighth of the
machine's memory). All other arrays are NumPy's and are not counted.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from .devices import check_device
from .runtime import memory

__all__ = ["current_device", "device_count", "empty_cache", "is_available", "max_memory_allocated",
           "max_memory_reserved", "memory_allocated", "memory_reserved", "memory_stats",
           "reset_accumulated_memory_stats", "reset_peak_memory_stats", "synchronize"]  # fmt: skip

_COUNTS = {
    "allocation": memory.blocks,
    "allocated_bytes": memory.in_use,
    "reserved_bytes": memory.reserved,
}


def is_available() -> bool:
    """True."""
    return True


def device_count() -> int:
    """One."""
    return 1


def current_device() -> str:
    """The name of the device: "cpu"."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Nothing: a result is there when the call returns."""
    check_device(device)


def empty_cache() -> None:
    """Give the blocks that no array lies in back to the system.

    The next large results take longer for it: the system maps and clears their memory anew.

    >>> import numbagrad as ng
    >>> ng.cpu.empty_cache()
    >>> ng.cpu.memory_reserved() == ng.cpu.memory_allocated()
    True
    """
    memory.release()


def memory_allocated(device: Any = None) -> int:
    """Bytes of the pool in which arrays lie."""
    check_device(device)
    return memory.in_use.current


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes in which arrays lay since :func:`reset_peak_memory_stats`."""
    check_device(device)
    return memory.in_use.peak


def memory_reserved(device: Any = None) -> int:
    """Bytes of the pool, with the blocks that wait to be used again."""
    check_device(device)
    return memory.reserved.current


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that were reserved since :func:`reset_peak_memory_stats`."""
    check_device(device)
    return memory.reserved.peak


def memory_stats(device: Any = None) -> OrderedDict[str, int]:
    """All counts, named as those of ``torch.cuda.memory_stats``.

    ``allocation.all.*`` counts the arrays in the pool, ``allocated_bytes.all.*`` their bytes, and
    ``reserved_bytes.all.*`` these and the blocks that wait: each ``current``, ``peak``, and what
    was ``allocated`` and ``freed`` in all.

    Raises:
        RuntimeError: another device is asked for.

    >>> import numbagrad as ng
    >>> stats = ng.cpu.memory_stats()
    >>> stats["reserved_bytes.all.current"] >= stats["allocated_bytes.all.current"]
    True
    """
    check_device(device)
    return OrderedDict(
        (f"{name}.all.{fact}", getattr(count, fact))
        for name, count in _COUNTS.items()
        for fact in ("current", "peak", "allocated", "freed")
    )


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let the peaks begin anew, at what there is now."""
    check_device(device)
    for count in _COUNTS.values():
        count.peak = count.current


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """Let what was allocated and freed in all begin anew, at zero."""
    check_device(device)
    for count in _COUNTS.values():
        count.allocated = count.freed = 0
