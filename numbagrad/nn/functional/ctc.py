"""Connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ... import dtypes
from ...creation import from_numpy, tensor
from ...dispatch import values_of
from ...ops import elementwise as E
from ...ops.export import check_tensor
from ...ops.gather import gather_
from ...ops.joining import cat, stack
from ...ops.math import clamp_min
from ...tensor import Tensor
from .loss import check_reduction

Lengths = Tensor | Sequence[int]


def _lengths(
    name: str, lengths: Lengths, batch: int, most: int | None, bound: int
) -> tuple[Tensor, int]:
    """A length per sample, and the greatest: `bound` where a trace does not know the values."""
    t = lengths if isinstance(lengths, Tensor) else tensor(list(lengths), dtype=dtypes.int64)
    t = t.reshape(-1)
    if t.dtype.is_floating_point or t.dtype.is_complex or t.dtype == dtypes.bool:
        raise RuntimeError(f"{name} must be integral")
    if t.shape[0] != batch:
        raise RuntimeError(f"{name} must be of size batch_size: {t.shape[0]} is not {batch}")
    values = values_of(t)
    if values is None:
        return t.long(), bound
    if batch and values.min() < 0:
        raise RuntimeError(
            f"Expected {name} to have value at least 0, but got value {values.min()}"
        )
    if most is not None and batch and values.max() > most:
        raise RuntimeError(
            f"Expected {name} to have value at most {most}, but got value {values.max()}"
        )
    return t.long(), int(values.max(initial=0))


def _padded_targets(targets: Tensor, lengths: Tensor, longest: int) -> Tensor:
    """(batch, longest), for targets that may be concatenated."""
    batch = lengths.shape[0]
    if targets.ndim == 1:
        values = lengths._data
        if isinstance(values, np.ndarray) and targets.shape[0] != values.sum():
            raise RuntimeError(
                "Expected the concatenated targets to have as many elements as target_lengths sum "
                f"to: {targets.shape[0]} is not {values.sum()}"
            )
        starts = lengths.cumsum(0) - lengths
        index = starts.unsqueeze(1) + from_numpy(np.arange(longest))
        # Beyond a target any class will do: its states are not read.
        return targets[index.clamp(max=max(targets.shape[0] - 1, 0))]
    if targets.ndim != 2 or targets.shape[0] != batch or targets.shape[1] < longest:
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size "
            f"{list(targets.shape)} for argument #2 'targets' (while checking arguments for "
            "ctc_loss)"
        )
    return targets[:, :longest]


def _log_sum(x: Tensor, dim: int) -> Tensor:
    """log(sum(exp(x))), whose slope is 0 where all are -inf: states that no path reaches."""
    top = x.detach().amax(dim, keepdim=True)
    top = E.where(E.eq(top, -math.inf), 0.0, top)
    total = E.exp(x - top).sum(dim)
    none = E.eq(total, 0)
    return E.where(none, -math.inf, E.log(E.where(none, 1.0, total)) + top.squeeze(dim))


def _forward(emitted: Tensor, repeats: Tensor) -> list[Tensor]:
    """log of the sum over all paths to each state, after each step.

    Args:
        emitted: (steps, batch, states), log-probabilities of the states' classes.
        repeats: (batch, states), where a state must not be reached from two states before it.
    """
    low = E.fill(emitted[0, :, :1], -math.inf)
    first = emitted[0, :, :2]
    states = emitted.shape[2]
    rest = E.fill(emitted[0, :, 2:], -math.inf)
    alpha = cat([first, rest], 1)
    found = [alpha]
    for t in range(1, emitted.shape[0]):
        one = cat([low, alpha[:, : states - 1]], 1)
        two = cat([low, low, alpha[:, : states - 2]], 1) if states > 1 else low
        two = E.where(repeats, -math.inf, two)
        alpha = _log_sum(stack([alpha, one, two]), 0) + emitted[t]
        found.append(alpha)
    return found


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """The negative logarithm of the probability of all alignments of inputs with targets.

    Args:
        log_probs: (time, batch, classes) or (time, classes), what log_softmax gave: as in PyTorch
            the gradient is only right after it.
        targets: (batch, longest target), or all targets one after the other.
        input_lengths, target_lengths: a number per sample.
        blank: the class that stands for nothing.
        reduction: "mean" divides by the targets' lengths first.
        zero_infinity: losses of targets that are too long to be aligned, and their gradients,
            are 0.

    Raises:
        RuntimeError: shapes, dtypes, lengths or `blank` that do not fit.

    >>> import numbagrad as ng
    >>> p = ng.full((1, 1, 4), 0.25).log()
    >>> round(ng.nn.functional.ctc_loss(p, ng.tensor([[1]]), [1], [1]).item(), 4)
    1.3863
    """
    check_tensor("ctc_loss", targets, "targets", 2)
    single = check_tensor("ctc_loss", log_probs, "log_probs", kinds="f").ndim == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
    if log_probs.ndim != 3:
        raise RuntimeError(
            "ctc_loss(): log_probs must be of shape (time, batch, classes) or (time, classes), but "
            f"got {list(log_probs.shape)}"
        )
    time, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if targets.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"targets must be int64 or int32, but got {targets.dtype}")
    steps, count = _lengths("input_lengths", input_lengths, batch, time, time)
    most = targets.shape[-1]
    sizes, longest = _lengths("target_lengths", target_lengths, batch, None, most)
    check_reduction(log_probs, reduction)
    if targets.ndim == 1 and single:
        targets = targets.unsqueeze(0)
    labels = _padded_targets(targets, sizes, longest).long()
    losses = _losses(log_probs[: max(count, 1)], labels, steps, sizes, blank)
    if zero_infinity:
        losses = E.where(E.eq(losses, math.inf), 0.0, losses)
    if reduction == "none":
        return losses.squeeze(0) if single else losses
    if reduction == "sum":
        return losses.sum()
    return (losses / clamp_min(sizes, 1).to(losses.dtype)).mean()


def _losses(log_probs: Tensor, labels: Tensor, steps: Tensor, sizes: Tensor, blank: int) -> Tensor:
    batch, longest = labels.shape
    # The states of a path: blank, label, blank, label, ..., blank.
    blanks = E.fill(labels, blank)
    states = stack([blanks, labels], 2).reshape(batch, 2 * longest)
    states = cat([states, E.fill(labels.new_zeros((batch, 1)), blank)], 1)
    before = cat([E.fill(states[:, :2], blank), states[:, :-2]], 1)[:, : states.shape[1]]
    repeats = E.logical_or(E.eq(states, blank), E.eq(states, before))
    count = len(log_probs)
    index = states.unsqueeze(0).expand(count, *states.shape)
    alphas = stack(_forward(gather_(log_probs, index, dim=2), repeats))
    rows = from_numpy(np.arange(batch))
    ends = alphas[clamp_min(steps - 1, 0), rows]
    last = gather_(ends, (2 * sizes).unsqueeze(1), dim=1)
    label = gather_(ends, clamp_min(2 * sizes - 1, 0).unsqueeze(1), dim=1)
    label = E.where(E.eq(sizes, 0).unsqueeze(1), -math.inf, label)
    losses = -_log_sum(cat([last, label], 1), 1)
    # Nothing can be aligned with no input but no target.
    nothing = E.where(E.eq(sizes, 0), 0.0, math.inf)
    losses = E.where(E.eq(steps, 0), nothing.to(losses.dtype), losses)
    # PyTorch's gradient contains that of log_softmax's normalisation; this adds 0 with its slope.
    inside = E.lt(from_numpy(np.arange(count)[:, None]), steps)
    total = E.where(inside, E.exp(log_probs).sum(2), 0.0).sum(0)
    return losses + (total - total.detach())
