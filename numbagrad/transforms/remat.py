"""`checkpoint`: a function that keeps its arguments only, and computes the rest again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..autograd.api import grad as autograd_grad
from ..autograd.graph import GradientEdge
from ..ir.pytree import flatten, unflatten
from ..modes import thread
from ..tape import AccumulateGrad, Edge
from ..tensor import Tensor
from .jvp import Dual, dual, primal_of, tangent_of
from .levels import leave
from .rules import Leaves, Rule, differentiable
from .vjp import Taped, recording
from .vmap import Batch, batch_of, unbatch

Flat = Callable[[Leaves], Leaves]


class _Checkpoint(Rule):
    captures = True

    def __init__(self, name: str, run: Flat) -> None:
        self.name = name
        self.run = run  # type: ignore[method-assign]

    def forward(self, leaves: Leaves) -> tuple[Leaves, Any]:
        return self.run(leaves), leaves

    def residuals(self, leaves: Leaves) -> Any:
        return leaves

    def pull(
        self, residuals: Any, cotangents: list[Tensor | None], captured: Sequence[Edge]
    ) -> list[Tensor | None]:
        places = [i for i, x in enumerate(residuals) if differentiable(x)]
        again = thread.modes.grad
        with recording():
            taped = Taped([residuals[i] for i in places], again)
            full = list(residuals)
            for i, t in zip(places, taped.inputs, strict=True):
                full[i] = t
            outs = self.run(full)
            taped.ended()
        pairs = [
            (o, c)
            for o, c in zip(outs, cotangents, strict=True)
            if isinstance(o, Tensor) and o._requires_grad and c is not None
        ]
        grads: list[Tensor | None] = [None] * (len(residuals) + len(captured))
        if not pairs:
            return grads
        with _without_hooks(captured):
            found: Any = autograd_grad(
                [o for o, _ in pairs], [*taped.inputs, *(GradientEdge(*e) for e in captured)],
                [c for _, c in pairs], create_graph=again, allow_unused=True,
            )  # fmt: skip
        for i, g in zip([*places, *range(len(residuals), len(grads))], found, strict=True):
            grads[i] = g if g is None else leave(g)
        return grads

    def push(self, primals: Leaves, tangents: list[Tensor | None]) -> tuple[Leaves, Any]:
        places = [i for i, t in enumerate(tangents) if t is not None]
        n = len(primals)

        def pushed(leaves: Leaves) -> Leaves:
            full = list(leaves[:n])
            with Dual() as level:
                for i, t in zip(places, leaves[n:], strict=True):
                    full[i] = dual(level, full[i], t)
                outs = self.run(full)
                tensors = [o for o in outs if isinstance(o, Tensor)]
                return [primal_of(level, o) for o in outs] + [
                    tangent_of(level, o, False) for o in tensors
                ]

        results = _Checkpoint(self.name, pushed)([*primals, *(tangents[i] for i in places)])
        count = sum(isinstance(o, Tensor) for o in results) // 2
        outs, rest = results[: len(results) - count], iter(results[len(results) - count :])
        return outs, [next(rest) if isinstance(o, Tensor) else None for o in outs]

    def batched(self, level: Batch, flags: Sequence[bool]) -> Rule:
        size, randomness = level.size, level.randomness

        def mapped(leaves: Leaves) -> Leaves:
            with Batch(size, randomness) as inner:
                outs = self.run(
                    [batch_of(inner, x, 0) if f else x for x, f in zip(leaves, flags, strict=True)]
                )
                return [unbatch(inner, o, 0) if isinstance(o, Tensor) else o for o in outs]

        return _Checkpoint(self.name, mapped)


@contextmanager
def _without_hooks(edges: Sequence[Edge]) -> Iterator[None]:
    """The hooks of captured leaves run when their gradient arrives there, not before."""
    hidden = []
    for node, _ in edges:
        extras = node.variable._extras if isinstance(node, AccumulateGrad) else None
        if extras is not None and extras.hooks:
            hidden.append((extras, extras.hooks))
            extras.hooks = None
    try:
        yield
    finally:
        for extras, hooks in hidden:
            extras.hooks = hooks


def checkpoint(func: Callable[..., Any]) -> Callable[..., Any]:
    """A function that computes what `func` does and keeps nothing of it for the backward pass.

    Its gradient runs `func` again, with the same random numbers. It may close over tensors that
    require grad, and composes with all transforms; :func:`numbagrad.utils.checkpoint.checkpoint`
    is the same for a single call, with PyTorch's options.

    Args:
        func: takes and returns pytrees of tensors; must do the same each time.

    >>> import numbagrad as ng
    >>> f = ng.func.checkpoint(lambda x: ng.sin(ng.sin(x)))
    >>> ng.func.grad(f)(ng.tensor(0.0))
    tensor(1.)
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten((args, kwargs))
        found: list[Any] = [None]

        def run(leaves: Leaves) -> Leaves:
            given, named = unflatten(structure, leaves)
            outs, found[0] = flatten(func(*given, **named))
            return outs

        name = getattr(func, "__name__", type(func).__name__)
        outs = _Checkpoint(f"checkpoint({name})", run)(leaves)
        return unflatten(found[0], outs)

    return wrapper
