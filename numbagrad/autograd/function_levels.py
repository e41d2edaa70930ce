"""How a custom Function passes the levels of the transforms: its `jvp`, and its rule for `vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..ir.pytree import flatten, tree_map, unflatten
from ..ops.reduction import sum_to
from ..ops.view import wrap_dim
from ..tensor import Tensor, wrap
from ..transforms.levels import Level, LevelTracer
from ..transforms.vmap import Batch, batch_of, broadcast_prefix, to_front, unbatch
from .function_node import FunctionCtx

NEEDS_SETUP = (
    "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, "
    "...), it must override the setup_context staticmethod: forward(*args) computes, and "
    "setup_context(ctx, inputs, output) saves."
)
Dims = tuple[Any, ...]


class VmapInfo(NamedTuple):
    """What the ``vmap`` of a Function is told: the size of the batch, and `vmap`'s randomness."""

    batch_size: int
    randomness: str


def highest_level(args: tuple[Any, ...]) -> Level | None:
    """The level that a call with these arguments belongs to."""
    found: Level | None = None
    for a in args:
        for x in flatten(a)[0] if isinstance(a, tuple | list | dict) else (a,):
            if isinstance(x, Tensor) and isinstance(x._data, LevelTracer):
                level = x._data.interpreter
                if found is None or level.level > found.level:
                    found = level
    return found


class Custom:
    """One call of a Function as a rule for the levels, see `transforms.rules`.

    Arguments are the leaves of those of the Function, results are flat.
    """

    captures = False

    def __init__(
        self, function: Any, base: Any, args: tuple[Any, ...],
        run: Callable[..., tuple[Any, FunctionCtx]],
    ) -> None:  # fmt: skip
        """`base`: the class Function; `run`: the call at the level below, with its ctx."""
        self.separate = function.setup_context is not base.setup_context
        self.function = function
        self.base = base
        self.below = run
        self.name: str = function.__name__
        self.leaves, self.structure = flatten(args)
        self.several = False  # the result is a tuple
        self.lower: tuple[Any, list[Any], list[Any]] | None = None  # ctx, arguments, outputs below
        self.changed: dict[int, int] = {}  # number of an output: of the argument that it is

    def at(self, level: Level) -> Any:
        """The result at a level.

        Raises:
            RuntimeError: the Function has no `setup_context`, and the level wants it.
        """
        if not (self.separate or level.combined):
            raise RuntimeError(f"{NEEDS_SETUP} {self.name} does not.")
        outs = level.custom(self, self.leaves)
        for i, k in self.changed.items():
            self.leaves[k]._data = outs[i]._data
            outs[i] = self.leaves[k]
        return tuple(outs) if self.several else outs[0]

    def __call__(self, leaves: list[Any]) -> list[Any]:
        raw, ctx = self.below(unflatten(self.structure, leaves))
        outs = self._outputs(raw, leaves)
        self.lower = ctx, leaves, outs
        return outs

    def lift(self, ctx: FunctionCtx, level: Any, raw: Any) -> None:
        """Put on `ctx`, for this level, what forward has left on the one below."""
        assert self.lower is not None
        below, leaves, outs = self.lower
        raws = raw if isinstance(raw, tuple) else (raw,)
        known = dict(zip(map(id, [*leaves, *outs]), [*self.leaves, *raws], strict=True))

        def lifted(x: Any) -> Any:
            if isinstance(x, tuple):
                return tuple(map(lifted, x))
            return known.get(id(x), level._held(x)) if isinstance(x, Tensor) else x

        own = {
            "needs_input_grad", "_constant_outputs", "_saved_values", "_tape_node", "_given_values",
        }  # fmt: skip
        ctx.__dict__.update(
            {name: lifted(x) for name, x in below.__dict__.items() if name not in own}
        )

    def forget(self) -> None:
        """Let go of what forward has handed over below: an output may refer to it."""
        if self.lower is not None:
            self.lower[0]._forget()
            self.lower = None

    def _outputs(self, raw: Any, leaves: list[Any]) -> list[Any]:
        self.several = isinstance(raw, tuple)
        outs = list(raw) if self.several else [raw]
        places = {id(x): k for k, x in enumerate(leaves) if isinstance(x, Tensor)}
        self.changed = {i: places[id(o)] for i, o in enumerate(outs) if id(o) in places}
        return outs

    def push(self, primals: list[Any], tangents: list[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs, and the tangent of each or None."""
        if self.function.jvp is self.base.jvp:
            raise NotImplementedError(
                "You must implement the jvp function for custom autograd.Function to use it with "
                f"forward mode AD: {self.name} has none."
            )
        raw, ctx = self.below(unflatten(self.structure, primals))
        outs = self._outputs(raw, primals)
        self.lower = ctx, primals, outs
        return outs, self._tangents(ctx, primals, tangents, outs)

    def _tangents(
        self, ctx: FunctionCtx, primals: list[Any], tangents: list[Any], outs: Sequence[Any]
    ) -> list[Any]:
        """What `jvp` says are the tangents of the outputs."""
        if ctx.materialize_grads:
            tangents = [
                _zeros(x) if t is None and _differentiable(x) else t
                for x, t in zip(primals, tangents, strict=True)
            ]
        with ctx._saving(ctx.saved_for_forward or None):
            found = self.function.jvp(ctx, *unflatten(self.structure, tangents))
        return self._checked_tangents(found, outs, ctx)

    def _checked_tangents(self, found: Any, outs: Sequence[Any], ctx: FunctionCtx) -> list[Any]:
        found = list(found) if isinstance(found, tuple) else [found]
        if len(found) != len(outs):
            raise RuntimeError(
                f"Function's jvp returned an invalid number of forward gradients (expected "
                f"{len(outs)} but got {len(found)}): {self.name}"
            )
        constant = ctx._constant_outputs
        for i, (t, out) in enumerate(zip(found, outs, strict=True)):
            if t is None:
                continue
            if not isinstance(t, Tensor):
                raise RuntimeError(
                    f"expected Variable or None (got {type(t).__name__}) for grad output {i} of "
                    f"the jvp of {self.name}"
                )
            if not isinstance(out, Tensor) or not _differentiable(out) or i in constant:
                raise RuntimeError(
                    f"Function's jvp returned a gradient at position {i}, but the corresponding "
                    "forward output is not a differentiable Tensor. You should return None at "
                    f"that position instead: {self.name}"
                )
            if t._data.shape != out._data.shape:
                raise RuntimeError(
                    "Trying to set a forward gradient that has a different size than that of the "
                    f"original Tensor, this is not supported. Tensor is of size {list(out.shape)} "
                    f"while the given forward gradient is of size {list(t.shape)}: {self.name}"
                )
        return found

    def batched(self, level: Batch, flags: list[bool]) -> Callable[[list[Any]], list[Any]]:
        """The function for the whole batch, which is dimension 0 of arguments and results."""
        function = self.function
        own = function.vmap is not self.base.vmap
        if own and function.generate_vmap_rule:
            raise RuntimeError(
                f"You tried to vmap over {self.name}, but it has both generate_vmap_rule=True and "
                "an overridden vmap staticmethod. Please set generate_vmap_rule=False or delete "
                "the overridden vmap staticmethod to avoid ambiguity."
            )
        if not own and not function.generate_vmap_rule:
            raise RuntimeError(
                f"You tried to vmap over {self.name}, but it does not have vmap support. Please "
                "override and implement the vmap staticmethod or set generate_vmap_rule=True."
            )
        dims = unflatten(self.structure, [0 if f else None for f in flags])

        def run(leaves: list[Any]) -> list[Any]:
            xs = unflatten(self.structure, leaves)
            if not own:
                return self._outputs(vmapped(function, self.base, level, dims).apply(*xs), leaves)
            raw = function.vmap(VmapInfo(level.size, level.randomness), dims, *xs)
            outs, out_dims = self._checked_pair(raw, leaves)
            return [
                (level.spread(o) if d is None else to_front(o, wrap_dim(d, o.ndim)))
                if isinstance(o, Tensor)
                else o
                for o, d in zip(outs, out_dims, strict=True)
            ]

        return run

    def _checked_pair(self, result: Any, leaves: list[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs of a `vmap`, and where each has the batch."""
        expected = (
            "Expected the vmap staticmethod to have two returns, an output and out_dims with "
            "pytree structure compatible with the output. "
        )
        if not isinstance(result, tuple):
            raise RuntimeError(f"{expected}Got a {type(result)} instead: {self.name}")
        if len(result) != 2:
            raise RuntimeError(f"{expected}Got {len(result)} returns instead: {self.name}")
        dims = broadcast_prefix(result[1], result[0])
        if dims is None:
            raise ValueError(f"{expected}Got out_dims={result[1]}: {self.name}")
        return self._outputs(result[0], leaves), dims


def _differentiable(x: Any) -> bool:
    return isinstance(x, Tensor) and x._data.dtype.kind in "fc"


def _zeros(x: Tensor) -> Tensor:
    zeros = wrap(np.zeros(x._data.shape, x._data.dtype))
    inner = x._data
    return inner.interpreter.beside(x, zeros) if isinstance(inner, LevelTracer) else zeros


# -- generate_vmap_rule ---------------------------------------------------------------------------


def vmapped(function: Any, base: Any, level: Batch, dims: Dims) -> Any:
    """The Function that is `function` applied to each element of a batch.

    Args:
        level: gives the size of the batch and the randomness.
        dims: where each argument has the batch; None for one that has none.
    """
    size, randomness = level.size, level.randomness

    def stands(batch: Batch, values: Any, where: Any) -> list[Any]:
        return [_stand(batch, x, d) for x, d in zip(values, where, strict=True)]

    def forward(*args: Any) -> Any:
        with Batch(size, randomness) as batch:
            raw = function.forward(*stands(batch, args, dims))
            return tree_map(lambda x: _outside(batch, x), raw)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        own: Any = FunctionCtx(ctx.needs_input_grad)
        with Batch(size, randomness) as batch:
            args = stands(batch, inputs, dims)
            outs = tree_map(lambda x: _stand(batch, x, 0), output)
            function.setup_context(own, tuple(args), outs)
            if own.dirty_tensors:
                raise RuntimeError(
                    f"{function.__name__}: mark_dirty does not go with generate_vmap_rule=True; "
                    "define the vmap staticmethod"
                )
            # Inputs and outputs are saved as they are outside, with their history.
            known = {id(s): (x, 0) for s, x in zip(flatten(outs)[0], flatten(output)[0])}
            known |= {id(s): (x, d) for s, x, d in zip(args, inputs, dims, strict=True)}

            def kept(tensors: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
                pairs = [
                    known.get(id(t)) or (_outside(batch, t), 0 if batch.owns(t) else None)
                    for t in tensors
                ]
                return [t for t, _ in pairs], [d for _, d in pairs]

            ctx.to_save, ctx.saved_dims = kept(own.to_save)
            ctx.saved_for_forward, ctx.forward_dims = kept(own.saved_for_forward)
            ctx.non_differentiable = tuple(known[id(t)][0] for t in own.non_differentiable)
            ctx.shapes = [tuple(a.shape) if isinstance(a, Tensor) else None for a in args]
        own._forget()
        ctx.materialize_grads = own.materialize_grads
        ctx.own = own

    def backward(ctx: Any, *grads: Any) -> Any:
        own = ctx.own
        with Batch(size, randomness) as batch:
            saved = stands(batch, ctx.saved_tensors, ctx.saved_dims)
            with own._saving(tuple(saved)):
                found = function.gradient_rule()(own, *[_stand(batch, g, 0) for g in grads])
            found = found if isinstance(found, tuple) else (found,)
            kept = [_pulled(batch, *each) for each in zip(found, dims, ctx.shapes)]
        return (*kept, *found[len(kept) :])

    def jvp(ctx: Any, *tangents: Any) -> Any:
        own = ctx.own
        with Batch(size, randomness) as batch:
            saved = stands(batch, ctx.saved_tensors, ctx.forward_dims)
            with own._saving(tuple(saved)):
                found = function.jvp(own, *stands(batch, tangents, dims))
            return tree_map(lambda x: _outside(batch, x), found)

    members = {
        "forward": staticmethod(forward),
        "setup_context": staticmethod(setup_context),
        "backward": staticmethod(backward),
        "generate_vmap_rule": True,  # for the levels below this one
    }
    if function.jvp is not base.jvp:
        members["jvp"] = staticmethod(jvp)
    return type(base)(f"Vmapped{function.__name__}", (base,), members)


def _stand(batch: Batch, x: Any, dim: Any) -> Any:
    """What the function sees of a value that has the batch at `dim`, or of a pytree of them."""
    leaves, structure = flatten(x)
    dims = broadcast_prefix(dim, x) or []
    return unflatten(structure, [
        batch_of(batch, t, d) if d is not None and isinstance(t, Tensor) else t
        for t, d in zip(leaves, dims, strict=True)
    ])  # fmt: skip


def _outside(batch: Batch, x: Any) -> Any:
    return unbatch(batch, x, 0) if isinstance(x, Tensor) else x


def _pulled(batch: Batch, g: Any, dim: Any, shape: tuple[int, ...] | None) -> Any:
    """The gradient of an argument; of one that all elements of the batch share, their sum."""
    if not isinstance(g, Tensor) or shape is None:
        return g
    if tuple(g.shape) != shape:
        g = sum_to(g, shape)
    if dim is not None:
        return unbatch(batch, g, dim)
    return sum_to(unbatch(batch, g, 0), shape) if batch.owns(g) else batch.released(g)
