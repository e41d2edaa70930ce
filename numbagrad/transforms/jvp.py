"""Forward mode: an interpreter that carries a tangent along with each value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.api import grad as autograd_grad
from ..dispatch import bind
from ..inplace import update
from ..ir.pytree import flatten, shown, tree_map, unflatten
from ..modes import set_fwd_grad_enabled, thread
from ..ops.elementwise import add, to_dtype
from ..ops.view import expand_to, reshape, view
from ..tensor import Tensor, wrap
from ..views import refresh
from .levels import Level, LevelTracer, TransformInput, enter, leave, recorded_below, settled
from .vjp import Argnums, replaced, select, split_aux

_ndarray = np.ndarray


class DualTracer(LevelTracer):
    """A value and its tangent, tensors of the level below; no tangent stands for zeros."""

    __slots__ = ("primal", "tangent")

    def __init__(self, interpreter: Dual, primal: Tensor, tangent: Tensor | None) -> None:
        self.interpreter = interpreter
        self.primal = primal
        self.tangent = tangent
        self.shape = primal._data.shape
        self.dtype = primal._data.dtype

    def contents(self) -> tuple[Tensor, ...]:
        return (self.primal,) if self.tangent is None else (self.primal, self.tangent)


class Dual(Level):
    """The interpreter of one `jvp`."""

    name = "jvp"

    def constant_of(self, data: DualTracer) -> Tensor:
        return wrap(DualTracer(self, data.primal.detach(), None))

    def concrete(self, t: Tensor, what: str) -> Tensor:
        return t._data.contents()[0]

    def facts(self, t: Tensor) -> list[str]:
        tangent = t._data.tangent if self.active and self.owns(t) else None
        return [] if tangent is None else [f"tangent={tangent}"]

    def apply(self, op: Any, args: list[Any], owned: list[bool], params: dict[str, Any]) -> Any:
        forward = thread.modes.forward
        primals = [a._data.primal if o else a for a, o in zip(args, owned)]
        tangents = [a._data.tangent if o and forward else None for a, o in zip(args, owned)]
        out, tangent = push(op, primals, tangents, params)
        if out.__class__ is tuple:
            return tuple([self._result(o, t) for o, t in zip(out, tangent, strict=True)])
        return self._result(out, tangent)

    def apply_rule(self, rule: Any, leaves: list[Any]) -> list[tuple[Any, ...]]:
        primals = [x._data.primal if self.owns(x) else x for x in leaves]
        tangents = [x._data.tangent if self.owns(x) else None for x in leaves]
        if all(t is None for t in tangents):
            return [(o, None) for o in rule(primals)]
        outs, pushed = rule.push(primals, tangents)
        return list(zip(outs, pushed, strict=True))

    def joined(self, *parts: Any) -> Tensor:
        primal, *tangent = parts
        return wrap(self._result(primal, tangent[0] if tangent else None))

    def _result(self, out: Tensor, tangent: Tensor | None) -> DualTracer:
        return DualTracer(self, settled(out), None if tangent is None else settled(tangent))


# -- one op ---------------------------------------------------------------------------------------


def push(
    op: Any, primals: Sequence[Any], tangents: Sequence[Tensor | None], params: dict[str, Any]
) -> tuple[Any, Any]:
    """The result of an op and its tangent; two tuples for several results."""
    mask = op.differentiable_mask
    moving = False
    used: list[Tensor | None] = []
    for i, t in enumerate(tangents):
        if t is not None and mask is not None and not mask >> i & 1:
            t = None
        elif t is not None:
            moving = True
        used.append(t)
    tangents = used
    if not moving or op.rules is None:
        out = bind(op, tuple(primals), params)
        return out, (None,) * len(out) if isinstance(out, tuple) else None
    pointwise = op.expr is not None and _all_real(primals)
    if not (pointwise or op.linear or op.multilinear or op.jvp is not None):
        return _transposed_twice(op, primals, tangents, params)
    out: Any = bind(op, tuple(primals), params)
    if not isinstance(out, tuple) and out._data.dtype.kind not in "fc":
        return out, None
    if op.jvp is not None:
        tangent = op.jvp(primals, tangents, out, **params)
    elif pointwise:
        tangent = _pointwise(op, primals, tangents, out)
    elif op.linear:
        tangent = _linear(op, _linear_inputs(op, primals, tangents), params)
    else:
        tangent = _multilinear(op, primals, tangents, params)
    if isinstance(out, tuple) or tangent is None:
        return out, tangent
    data = out._data
    if tangent._data.dtype is not data.dtype:
        tangent = to_dtype(tangent, data.dtype)
    if tangent._data.shape != data.shape:
        tangent = expand_to(tangent, tuple(data.shape))
    return out, tangent


def _all_real(xs: Sequence[Any]) -> bool:
    return not any(
        [x._data.dtype.kind == "c" if isinstance(x, Tensor) else x.__class__ is complex for x in xs]
    )


def _linear(op: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    if op is view:  # the strides of a tangent need not be those of its primal
        return reshape(args[0], params["shape"])
    return bind(op, tuple(args), params)


def _pointwise(
    op: Any, primals: Sequence[Any], tangents: Sequence[Tensor | None], out: Any
) -> Tensor | None:
    """The Jacobian of a pointwise op is diagonal: the gradient rule applied to the tangent."""
    named = dict(zip(op.inputs, primals))
    named["out"] = out
    dtype = out._data.dtype
    total = None
    for rule, wanted, t in zip(op.rules, op._wants, tangents):
        if t is None or rule is None:
            continue
        named["g"] = t if t._data.dtype is dtype else to_dtype(t, dtype)
        term = rule(*[named[n] for n in wanted])
        total = term if total is None else add(total, term)
    return total


def _linear_inputs(op: Any, primals: Sequence[Any], tangents: Sequence[Tensor | None]) -> list[Any]:
    mask = op.differentiable_mask
    inputs = []
    for i, (x, t) in enumerate(zip(primals, tangents, strict=True)):
        if t is not None:
            inputs.append(t)
        elif mask is None or mask >> i & 1:
            inputs.append(zeros_like(x) if isinstance(x, Tensor) else 0)
        else:
            inputs.append(x)  # an index
    return inputs


def _multilinear(
    op: Any, primals: Sequence[Any], tangents: Sequence[Tensor | None], params: dict[str, Any]
) -> Tensor | None:
    """The product rule."""
    total = None
    for i, t in enumerate(tangents):
        if t is None:
            continue
        term = bind(op, (*primals[:i], t, *primals[i + 1 :]), params)
        total = term if total is None else add(total, term)
    return total


def zeros_like(x: Tensor) -> Tensor:
    return wrap(np.zeros(x._data.shape, x._data.dtype))


def _transposed_twice(
    op: Any, primals: Sequence[Any], tangents: Sequence[Tensor | None], params: dict[str, Any]
) -> tuple[Any, Any]:
    """Forward by reverse: u -> vjp(u) is linear, and its transpose is the derivative.

    As each transposition is one of real vector spaces, this is right for complex values as well.
    """
    modes = thread.modes
    before = modes.grad, modes.inference
    outer = before[0] and not before[1]
    modes.grad, modes.inference = True, False
    try:
        inputs = [
            x if t is None else enter(x, outer) for x, t in zip(primals, tangents, strict=True)
        ]
        result = bind(op, tuple(inputs), params)
        outs = result if isinstance(result, tuple) else (result,)
        used = [o for o in outs if o._requires_grad and o._data.dtype.kind in "fc"]
        directions = [t for t in tangents if t is not None]
        wanted = [x for x, t in zip(inputs, tangents, strict=True) if t is not None]
        pushed = _second_transpose(used, wanted, directions, outer)
    finally:
        modes.grad, modes.inference = before
    for x, t in zip(inputs, tangents, strict=True):
        if t is not None:
            assert isinstance(x._node, TransformInput)
            x._node.active = False
    found = iter(pushed)
    tangents_out = [next(found) if any(o is u for u in used) else None for o in outs]
    results = tuple(map(leave, outs))
    tangent = tuple(None if t is None else leave(t) for t in tangents_out)
    return (results, tangent) if isinstance(result, tuple) else (results[0], tangent[0])


def _second_transpose(
    outs: list[Tensor], inputs: list[Tensor], tangents: list[Tensor], outer: bool
) -> list[Tensor | None]:
    if not outs:
        return []
    starts = [enter(zeros_like(o)) for o in outs]
    pulled: Any = autograd_grad(outs, inputs, starts, create_graph=True, allow_unused=True)
    pairs = [
        (p, t) for p, t in zip(pulled, tangents, strict=True) if p is not None and p._requires_grad
    ]
    if not pairs:
        return [None] * len(outs)
    again = outer and any(
        x._requires_grad or recorded_below(x) for x in [*tangents, *(p for p, _ in pairs)]
    )
    found: Any = autograd_grad(
        [p for p, _ in pairs], starts, [to_dtype(t, p._data.dtype) for p, t in pairs],
        create_graph=again, allow_unused=True,
    )  # fmt: skip
    for s in starts:
        assert isinstance(s._node, TransformInput)
        s._node.active = False
    return list(found)


# -- a function -----------------------------------------------------------------------------------


def _check_pairs(primals: Sequence[Any], tangents: Sequence[Any]) -> None:
    for i, (x, t) in enumerate(zip(primals, tangents, strict=True)):
        for what, value in (("primals", x), ("tangents", t)):
            if not isinstance(value, Tensor):
                raise RuntimeError(
                    f"jvp(f, primals, tangents): Expected {what} to only contain Tensors, got "
                    f"{type(value)}"
                )
        if x._data.shape != t._data.shape:
            raise RuntimeError(
                f"jvp(f, primals, tangents): Expected tangent {i} to have the shape of its primal, "
                f"but got {tuple(t.shape)} for a primal of shape {tuple(x.shape)}"
            )
        for what, value in (("primal", x), ("tangent", t)):
            if value._data.dtype.kind not in "fc":
                raise ValueError(
                    f"jvp(f, primals, tangents): Expected {what} to be floating point or complex, "
                    f"but got: {value.dtype}"
                )
        if t._data.dtype.kind == "c" and x._data.dtype.kind == "f":
            raise RuntimeError(
                f"jvp(f, primals, tangents): Expected tangent {i} to be real as its primal is, but "
                f"got {t.dtype}"
            )


def dual(level: Dual, x: Tensor, t: Tensor | None) -> Tensor:
    """The tensor of the level for a value and its tangent."""
    if x._view is not None:
        refresh(x)
    if t is not None and t._data.dtype is not x._data.dtype:
        t = to_dtype(t, x._data.dtype)
    return wrap(DualTracer(level, x, t))


def jvp_of(
    func: Callable[..., Any], args: tuple[Any, ...], tangents: Any, argnums: Argnums,
    has_aux: bool, strict: bool = False,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """(output, tangents of the output, aux)."""
    where = "jvp(f, primals, tangents)"
    leaves, structure = flatten(select(args, argnums))
    flat, given = flatten(tangents)
    if given != structure:
        raise RuntimeError(
            f"{where}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with "
            f"structure {shown(structure)} and tangents with structure {shown(given)}"
        )
    if not leaves:
        raise RuntimeError(f"{where}: Expected primals to contain at least one Tensor.")
    _check_pairs(leaves, flat)
    with set_fwd_grad_enabled(True), Dual() as level:
        stands = [dual(level, x, t) for x, t in zip(leaves, flat, strict=True)]
        before = [s._data for s in stands]
        result = func(*replaced(args, argnums, unflatten(structure, stands)))
        aux = None
        if has_aux:
            result, aux = split_aux(result, where)
            aux = tree_map(lambda x: primal_of(level, x), aux)
        outs, out_structure = flatten(result)
        if not outs:
            raise RuntimeError(
                f"{where}: Expected f to be a function that has non-empty output (got output = "
                f"{result})"
            )
        for o in outs:
            if not isinstance(o, Tensor):
                raise RuntimeError(
                    f"{where}: expected f(*args) to return only tensors, got unsupported type "
                    f"{type(o)}"
                )
        out = [primal_of(level, o) for o in outs]
        out_tangents = [tangent_of(level, o, strict) for o in outs]
        # What the function changed in place is changed for the caller, as in PyTorch.
        changed = [
            (x, primal_of(level, s))
            for x, s, b in zip(leaves, stands, before, strict=True)
            if s._data is not b
        ]
    for x, value in changed:
        update(x, value, "jvp")
    return unflatten(out_structure, out), unflatten(out_structure, out_tangents), aux


def primal_of(level: Dual, x: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    return leave(x._data.primal if level.owns(x) else level.released(x))


def tangent_of(level: Dual, x: Tensor, strict: bool) -> Tensor:
    t = x._data.tangent if level.owns(x) else None
    if t is None:
        if strict:
            raise RuntimeError(
                "jvp(f, primals, tangents, strict=True): The output of f is independent of the "
                "inputs. This is not allowed with strict=True."
            )
        return zeros_like(x)
    return leave(t)


def jvp(
    func: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value of `func` and its derivative in the direction of `tangents`, in one forward pass.

    Args:
        primals: the positional arguments, a tuple of pytrees of tensors.
        tangents: the direction, in the structure, shapes and dtypes of `primals`.
        strict: raise if an output does not depend on the inputs, instead of a tangent of zeros.
        has_aux: `func` returns (output, aux), and aux is not differentiated.

    Returns:
        ``(output, tangent)``, or ``(output, tangent, aux)``.

    Raises:
        RuntimeError: primals is no tuple, or tangents do not fit.

    >>> import numbagrad as ng
    >>> ng.func.jvp(ng.sin, (ng.tensor(0.0),), (ng.tensor(2.0),))
    (tensor(0.), tensor(2.))
    """
    if not isinstance(primals, tuple):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to "
            "call f(*primals)."
        )
    argnums = tuple(range(len(primals)))
    output, tangent, aux = jvp_of(func, primals, tangents, argnums, has_aux, strict)
    return (output, tangent, aux) if has_aux else (output, tangent)
