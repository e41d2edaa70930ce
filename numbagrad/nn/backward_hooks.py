"""Hooks on the backward pass of a module: where gradients enter it and where they leave it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..autograd import Function
from ..creation import zeros
from ..tensor import Tensor


class BackwardHook(NamedTuple):
    """What a module keeps of a hook: whether it runs before the backward pass of the module."""

    fn: Callable[..., Any]
    before: bool


class _Border(Function):
    """The identity, whose node is the place for hooks."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads


class Borders:
    """The hooks of a module around one of its calls."""

    def __init__(self, module: Any, hooks: list[BackwardHook]) -> None:
        self.module = module
        self.after = [h.fn for h in hooks if not h.before]
        self.before = [h.fn for h in hooks if h.before]
        self.inputs = 0  # the number of arguments
        self.places: list[int] | None = None  # of the tensors among them, if one requires grad
        self.metas: list[tuple[Any, Any]] = []  # their shapes and dtypes
        self.grad_outputs: tuple[Any, ...] | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments for `forward`."""
        self.inputs = len(args)
        args, places, node = _crossed(args)
        if node is not None:
            self.places = places
            self.metas = [(args[i].shape, args[i].dtype) for i in places]
            node.register_hook(self._left)
        return args

    def leave(self, result: Any) -> Any:
        """The result for the caller."""
        several = isinstance(result, tuple)
        outs, places, node = _crossed(result if several else (result,))
        if node is not None:

            def reached(grads: tuple[Any, ...]) -> Any:
                return self._reached(grads, places, len(outs))

            node.register_prehook(reached)
        return outs if several else outs[0]

    def _reached(self, grads: tuple[Any, ...], places: list[int], n: int) -> Any:
        """Gradients of the results are there."""
        full = _spread(grads, places, n)
        for fn in self.before:
            changed = fn(self.module, full)
            if changed is not None:
                full = _replaced(changed, n, "backward pre hook", "grad_output")
        self.grad_outputs = full
        if self.places is None:  # no argument requires grad: this is all there will be
            nothing = (None,) * self.inputs
            for fn in self.after:
                if fn(self.module, nothing, full) is not None:
                    raise RuntimeError(
                        "backward hook for Modules where no input requires gradient should always "
                        "return None or None for all gradients."
                    )
            self.grad_outputs = None
        return tuple(full[i] for i in places)

    def _left(self, grad_inputs: tuple[Any, ...], _: Any) -> Any:
        """Gradients of the arguments are there."""
        if self.grad_outputs is None or self.places is None:
            return None  # the backward pass came here on another way
        # Tensors that require no grad have one of zeros here, as in PyTorch.
        grads = [
            zeros(shape, dtype=dtype) if g is None else g
            for g, (shape, dtype) in zip(grad_inputs, self.metas, strict=True)
        ]
        full = _spread(grads, self.places, self.inputs)
        for fn in self.after:
            changed = fn(self.module, full, self.grad_outputs)
            if changed is not None:
                full = _replaced(changed, self.inputs, "backward hook", "grad_input")
        self.grad_outputs = None
        return tuple(full[i] for i in self.places)


def _crossed(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int], Any]:
    """The values with tensors on the other side of a border, where those are, and its node."""
    places = [i for i, x in enumerate(values) if isinstance(x, Tensor)]
    if not any(values[i].requires_grad for i in places):
        return values, places, None
    crossed = list(values)
    for i, t in zip(places, _Border.apply(*[values[i] for i in places]), strict=True):
        crossed[i] = t
    nodes = [crossed[i].grad_fn for i in places if crossed[i].grad_fn is not None]
    return tuple(crossed), places, nodes[0] if nodes else None


def _spread(grads: Sequence[Any], places: list[int], n: int) -> tuple[Any, ...]:
    full: list[Any] = [None] * n
    for i, g in zip(places, grads, strict=True):
        full[i] = g
    return tuple(full)


def _replaced(changed: Any, n: int, what: str, name: str) -> tuple[Any, ...]:
    if not isinstance(changed, tuple) or len(changed) != n:
        got = len(changed) if isinstance(changed, tuple) else type(changed).__name__
        raise RuntimeError(
            f"{what} returned an invalid number of {name}, got {got}, but expected a tuple of {n}"
        )
    return changed
