"""What scripts ask about GPUs before they run on the CPU: there are none."""

from __future__ import annotations

from typing import Any

from .devices import check_device


def is_available() -> bool:
    """False: numbagrad runs on the CPU."""
    return False


def device_count() -> int:
    """0: numbagrad runs on the CPU."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing, as there is no GPU; `ng.manual_seed` seeds the CPU's generator."""


def manual_seed_all(seed: int) -> None:
    """Nothing, as there is no GPU; `ng.manual_seed` seeds the CPU's generator."""


def empty_cache() -> None:
    """Nothing, as there is no GPU."""


def is_initialized() -> bool:
    """False: there is nothing to initialise."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU."""
    return False


def memory_allocated(device: Any = None) -> int:
    """0: there is no GPU; `ng.cpu.memory_allocated` tells what tensors take here."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Nothing, as there is no GPU."""


def _no_gpu(*args: Any, **kwargs: Any) -> Any:
    """An error: there is no GPU.

    Raises:
        DeviceError: always.
    """
    check_device("cuda")


current_device = set_device = get_device_name = get_device_properties = _no_gpu
get_device_capability = current_stream = mem_get_info = synchronize = _no_gpu
