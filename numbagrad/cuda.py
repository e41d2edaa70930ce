"""What scripts ask about GPUs before they run on the CPU: there are none."""

from __future__ import annotations


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
