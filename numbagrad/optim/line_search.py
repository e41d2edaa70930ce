"""A line search for the strong Wolfe conditions (Nocedal and Wright, 2006, algorithms 3.5, 3.6).

Steps between known points minimise the cubic through two values and slopes, with the safeguards of
Schmidt's minFunc.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

_DECREASE, _CURVATURE = 1e-4, 0.9  # c1 and c2 of the conditions


class Point(NamedTuple):
    """A point on the line: the step, the value, the gradient, the slope along the line."""

    t: float
    f: float
    g: Any
    slope: float


def between(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through two points has its minimum, within [low, high]."""
    if a.t > b.t:
        a, b = b, a
    s = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    inside = s * s - a.slope * b.slope
    if not inside >= 0:  # also if it is NaN
        return (low + high) / 2.0
    root = math.sqrt(inside)
    t = b.t - (b.t - a.t) * ((b.slope + root - s) / (b.slope - a.slope + 2 * root))
    return min(max(t, low), high)


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, longest: float,
    tolerance: float = 1e-9, most: int = 25,
) -> tuple[Point, int]:  # fmt: skip
    """A point that fulfils the conditions, or the best one found, and how many were tried.

    Args:
        evaluate: gives the point for a step.
        start: the point of step 0.
        t: the step to try first.
        longest: the largest element of the direction, in absolute value.
        tolerance: the shortest bracket worth dividing.
        most: how many more points than the first may be tried.
    """

    def too_high(p: Point) -> bool:
        return p.f > start.f + _DECREASE * p.t * start.slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -_CURVATURE * start.slope

    previous, point = start, evaluate(t)
    tried = 0
    bracket = None
    while tried < most:
        if too_high(point) or (tried > 1 and point.f >= previous.f):
            bracket = previous, point
            break
        if flat(point):
            return point, tried + 1
        if point.slope >= 0:
            bracket = previous, point
            break
        shortest = point.t + 0.01 * (point.t - previous.t)
        t = between(previous, point, shortest, point.t * 10)
        previous, point = point, evaluate(t)
        tried += 1
    shortest = tolerance / longest if longest else math.inf
    return _divided(evaluate, bracket or (start, point), too_high, flat, tried, most, shortest)


def _divided(
    evaluate: Callable[[float], Point], bracket: tuple[Point, Point],
    too_high: Callable[[Point], bool], flat: Callable[[Point], bool], tried: int, most: int,
    shortest: float,
) -> tuple[Point, int]:  # fmt: skip
    """Make the bracket smaller until a point fulfils the conditions."""
    low, high = bracket if bracket[0].f <= bracket[1].f else bracket[::-1]
    stuck = False
    while tried < most and abs(high.t - low.t) >= shortest:
        left, right = min(low.t, high.t), max(low.t, high.t)
        t = between(low, high, left, right)
        # A step close to an end gains little: once is accepted, then it is moved inwards.
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = evaluate(t)
        tried += 1
        if too_high(point) or point.f >= low.f:
            high = point
            if high.f < low.f:
                low, high = high, low
            continue
        if flat(point):
            return point, tried + 1
        if point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low, tried + 1
