"""Random inputs for functions of nn, and the check of their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import numbagrad as ng
from numbagrad.autograd import gradcheck, gradgradcheck


def make(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> ng.Tensor:
    """Random numbers in double precision that require grad."""
    values = np.random.default_rng(seed).uniform(low, high, shape)
    return ng.from_numpy(np.asarray(values)).requires_grad_()


def derivatives(fn: Callable[..., Any], *inputs: ng.Tensor) -> None:
    """First and second derivatives agree with finite differences."""
    assert gradcheck(fn, inputs)
    assert gradgradcheck(fn, inputs)
