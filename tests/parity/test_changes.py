"""Random programs of views and in-place changes, run by both libraries step by step.

After each step values, flags, versions and the types of errors are compared, at the end gradients.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numbagrad as ng

from .oracle import torch

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

Step = Callable[[Any, Any, Any], Any]

VIEWS: dict[str, Step] = {
    "first": lambda m, t, u: t[0],
    "tail": lambda m, t, u: t[1:],
    "every second": lambda m, t, u: t[::2],
    "column": lambda m, t, u: t[..., -1],
    "transposed": lambda m, t, u: t.t(),
    "reshape": lambda m, t, u: t.reshape(-1),
    "view": lambda m, t, u: t.view(-1),
    "unsqueeze": lambda m, t, u: t.unsqueeze(0),
    "squeeze": lambda m, t, u: t.squeeze(),
    "diagonal": lambda m, t, u: t.diagonal(),
    "expand": lambda m, t, u: t.expand(2, *t.shape),
    "unbind": lambda m, t, u: t.unbind(0)[0],
    "chunk": lambda m, t, u: t.chunk(2)[0],
    "tensor_split": lambda m, t, u: m.tensor_split(t, 2)[0],
    "view_as": lambda m, t, u: t.view_as(t),
    "detach": lambda m, t, u: t.detach(),
    "data": lambda m, t, u: t.data,
    "contiguous": lambda m, t, u: t.contiguous(),
    "narrow": lambda m, t, u: t.narrow(0, 0, 1),
    "movedim": lambda m, t, u: t.movedim(0, -1),
}
VALUES: dict[str, Step] = {
    "sin": lambda m, t, u: t.sin(),
    "exp": lambda m, t, u: (t * 0.1).exp(),
    "mul": lambda m, t, u: t * u,
    "add": lambda m, t, u: t + u,
    "square": lambda m, t, u: t * t,
    "clone": lambda m, t, u: t.clone(),
    "sum": lambda m, t, u: t.sum(),
    "relu": lambda m, t, u: m.relu(t),
    "rows": lambda m, t, u: t[[0]],
    "where": lambda m, t, u: m.where(t > 1, t, u),
}
CHANGES: dict[str, Step] = {
    "mul_": lambda m, t, u: t.mul_(2),
    "add_": lambda m, t, u: t.add_(u),
    "+=": lambda m, t, u: t.__iadd__(u),
    "mul_ other": lambda m, t, u: t.mul_(u.clone()),
    "copy_": lambda m, t, u: t.copy_(u),
    "sin_": lambda m, t, u: t.sin_(),
    "clamp_": lambda m, t, u: t.clamp_(-2, 2),
    "zero_": lambda m, t, u: t.zero_(),
    "fill_": lambda m, t, u: t.fill_(0.3),
    "fill_ tensor": lambda m, t, u: t.fill_(u.sum()),
    "[0] = number": lambda m, t, u: t.__setitem__(0, 1.5),
    "[0] = tensor": lambda m, t, u: t.__setitem__(0, u),
    "[[0]] = tensor": lambda m, t, u: t.__setitem__([0], u.clone()),
    "lerp_": lambda m, t, u: t.lerp_(u.clone(), 0.3),
    "index_add_": lambda m, t, u: t.index_add_(0, m.tensor([0]), t[:1].clone()),
    "requires_grad_": lambda m, t, u: t.requires_grad_(),
}


def inputs(m: Any) -> list[Any]:
    x = m.tensor([[0.5, 1.5, 2.5], [-1.0, 0.25, 0.75]], requires_grad=True)
    constant = m.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    w = m.tensor([2.0, 0.5, -1.0], requires_grad=True)
    return [x, constant, w, x * 1]


def apply(m: Any, tensors: list[Any], step: tuple[Any, ...]) -> Any:
    kind, name, i, j, recording = step
    with contextlib.nullcontext() if recording else m.no_grad():
        result = kind[name](m, tensors[i], tensors[j])
    return None if kind is CHANGES else result


def values(t: Any) -> Any:
    return np.array(t.detach().tolist(), dtype=np.float64)


def facts(t: Any) -> tuple[Any, ...]:
    try:
        leaf = t.is_leaf
    except RuntimeError:
        leaf = "raises"
    return t.requires_grad, leaf, t._version, t._is_view(), tuple(t.shape)


def caught(fn: Callable[[], Any]) -> Any:
    try:
        return fn()
    except Exception as error:
        return error


def same_kind(a: Any, b: Any) -> bool:
    kinds = [
        next(c for c in type(x).__mro__ if c.__module__ == "builtins")
        if isinstance(x, Exception) else None
        for x in (a, b)
    ]  # fmt: skip
    return kinds[0] is kinds[1]


def overlap(error: Any) -> bool:
    """Memory that is written twice: PyTorch refuses some of what is computed first here."""
    return isinstance(error, RuntimeError) and "unsupported operation" in str(error)


def run(seed: int) -> None:
    rng = random.Random(seed)
    ours, theirs = inputs(ng), inputs(torch)
    for _ in range(rng.randrange(3, 10)):
        kind = rng.choice([VIEWS, VIEWS, VALUES, CHANGES, CHANGES, CHANGES])
        n = len(ours)
        i = rng.randrange(n) if rng.random() < 0.5 else rng.randrange(max(0, n - 3), n)
        step = kind, rng.choice(list(kind)), i, rng.randrange(n), rng.random() < 0.8
        expected = caught(lambda s=step: apply(torch, theirs, s))
        found = caught(lambda s=step: apply(ng, ours, s))
        if overlap(expected) or overlap(found):
            return
        assert same_kind(found, expected), (step[1:], found, expected)
        if isinstance(expected, Exception):
            if any(not np.array_equal(values(a), values(b)) for a, b in zip(ours, theirs)):
                return  # PyTorch changed the data before it refused
            continue
        if expected is not None:
            ours.append(found)
            theirs.append(expected)
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert facts(a) == facts(b), (k, step[1:])
            np.testing.assert_allclose(values(a), values(b), 1e-4, 1e-5, err_msg=f"{k} {step[1:]}")
    for a, b in zip(ours[3:], theirs[3:], strict=True):
        if not b.requires_grad:
            continue

        def gradients(m: Any, t: Any, of: list[Any]) -> Any:
            return m.autograd.grad((t * t).sum(), of, allow_unused=True, retain_graph=True)

        expected = caught(lambda b=b: gradients(torch, b, [theirs[0], theirs[2]]))
        found = caught(lambda a=a: gradients(ng, a, [ours[0], ours[2]]))
        if overlap(expected):
            return
        assert same_kind(found, expected), (found, expected)
        if isinstance(expected, Exception):
            continue
        for g, h in zip(found, expected, strict=True):
            if g is not None and h is not None:
                np.testing.assert_allclose(values(g), values(h), 1e-4, 1e-5)
            else:  # no gradient and a gradient of zeros mean the same
                assert all(t is None or not values(t).any() for t in (g, h))


@pytest.mark.parametrize("block", range(10))
def test_random_changes(block):
    for seed in range(40 * block, 40 * block + 40):
        try:
            run(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
