"""Medians and their spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    median: float
    low: float  # quartiles
    high: float
    min: float
    max: float


def summarize(samples: Sequence[float]) -> Summary:
    """
    >>> summarize([3.0, 1.0, 2.0])
    Summary(median=2.0, low=1.5, high=2.5, min=1.0, max=3.0)
    """
    if len(samples) < 2:
        (only,) = samples
        return Summary(only, only, only, only, only)
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Summary(median, low, high, min(samples), max(samples))


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Round by round, so that what slows both in a round cancels.

    >>> ratios([2.0, 6.0], [1.0, 2.0])
    [2.0, 3.0]
    """
    return [a / b for a, b in zip(theirs, ours, strict=True)]
