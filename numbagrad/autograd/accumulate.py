"""Gradients of several batches in one: `GradientAccumulator`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..inplace import modify
from ..modes import no_grad, thread
from ..stack import at_user_line
from ..tensor import Tensor


def _add(*operands: Any) -> None:
    """Sums, then what is added to them: one call for all."""
    n = len(operands) // 2
    for total, g in zip(operands[:n], operands[n:], strict=True):
        total += g


class GradientAccumulator:
    """Collects the gradients of small batches for one step of the optimizer.

    The backward pass may be compiled; the calls of these methods are made outside of it.

    Args:
        params: the leaves whose ``grad`` is collected.

    >>> import numbagrad as ng
    >>> w = ng.tensor([1.0], requires_grad=True)
    >>> batches = ng.autograd.GradientAccumulator([w])
    >>> for x in (2.0, 4.0):
    ...     (w * x).sum().backward()
    ...     batches.accumulate()
    >>> batches.average()
    >>> w.grad, batches.count
    (tensor([3.]), 2)
    """

    def __init__(self, params: Iterable[Tensor]) -> None:
        self.params = [params] if isinstance(params, Tensor) else list(params)
        self.sums: list[Tensor | None] = [None] * len(self.params)
        #: How many batches have been accumulated.
        self.count = 0

    def accumulate(self) -> None:
        """Add each ``grad`` to the sums and set it to None, ready for the next batch.

        Raises:
            RuntimeError: called in a compiled function, which runs its Python code only once.
        """
        if thread.modes.trace is not None:
            raise RuntimeError(
                "GradientAccumulator.accumulate() in a compiled function would run once, when it "
                f"is traced: call it after the compiled function{at_user_line()}"
            )
        with no_grad():
            later = [(t, p) for t, p in zip(self.sums, self.params, strict=True) if t is not None]
            later = [(t, p.grad) for t, p in later if p.grad is not None]
            modify(_add, [t for t, _ in later], [g for _, g in later])
            for i, p in enumerate(self.params):
                if self.sums[i] is None and p.grad is not None:
                    self.sums[i] = p.grad.detach()
                p.grad = None  # type: ignore[method-assign]
        self.count += 1

    def average(self) -> None:
        """Set each ``grad`` to the mean over the batches; None where there was never one.

        Raises:
            RuntimeError: nothing was accumulated.
        """
        if not self.count:
            raise RuntimeError(
                "there is nothing to average: call accumulate() after each backward()"
            )
        with no_grad():
            for p, total in zip(self.params, self.sums, strict=True):
                p.grad = None if total is None else total / self.count  # type: ignore[method-assign]

    def reset(self) -> None:
        """Forget the sums; the ``grad`` of the parameters stays as it is."""
        self.sums = [None] * len(self.params)
        self.count = 0
