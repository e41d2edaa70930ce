"""Functions whose derivatives the user writes: `custom_vjp` and `custom_jvp`, as in JAX."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..ir.pytree import flatten, shown, unflatten
from ..ops.elementwise import to_dtype
from ..tape import Edge
from ..tensor import Tensor
from .jvp import zeros_like
from .rules import Leaves, Rule, differentiable
from .vjp import Taped, recording


class _Custom:
    """What both kinds have in common: calling the function and naming its arguments."""

    #: What `compile` follows to what the user's rules close over.
    _user_functions = ("fun", "_fwd", "_bwd", "_jvp")

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: int | Sequence[int] = ()) -> None:
        if not callable(fun):
            raise TypeError(f"{type(self).__name__} takes a function, got {type(fun).__name__}")
        self.fun = fun
        single = isinstance(nondiff_argnums, int)
        self.nondiff_argnums = (nondiff_argnums,) if single else tuple(nondiff_argnums)
        functools.update_wrapper(self, fun)

    def _rule(self, call: _Call) -> Rule:
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
            bound.apply_defaults()
            if bound.kwargs:
                raise TypeError(
                    f"{self.__name__} has keyword-only arguments, which have no derivatives of "
                    "their own: bind them with functools.partial before the decoration"
                )
            args = bound.args
        call = _Call(self.__name__, self.fun, args, self.nondiff_argnums)
        return call.result(self._rule(call)(call.leaves))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    __name__: str


class _Call:
    """The arguments of one call as flat leaves, and the way back."""

    def __init__(
        self, name: str, fun: Callable[..., Any], args: tuple[Any, ...], fixed: tuple[int, ...]
    ) -> None:
        places = {i % len(args) if -len(args) <= i < len(args) else i for i in fixed}
        if any(i >= len(args) for i in places):
            raise TypeError(
                f"{name}: nondiff_argnums={fixed} names an argument that the call does not have; "
                f"it has {len(args)}"
            )
        self.name = name
        self.fun = fun
        self.args = args
        self.fixed = tuple(args[i] for i in sorted(places))
        self.open = [i for i in range(len(args)) if i not in places]
        self.leaves, self.structure = flatten(tuple(args[i] for i in self.open))
        self.out_structure: Any = None

    def arguments(self, leaves: Leaves) -> tuple[Any, ...]:
        """All arguments in their places."""
        full = list(self.args)
        for i, x in zip(self.open, unflatten(self.structure, leaves), strict=True):
            full[i] = x
        return tuple(full)

    def run(self, leaves: Leaves) -> Leaves:
        return self.outputs(self.fun(*self.arguments(leaves)))

    def outputs(self, result: Any) -> Leaves:
        """The leaves of a result."""
        outs, self.out_structure = flatten(result)
        return outs

    def result(self, outs: Leaves) -> Any:
        return unflatten(self.out_structure, outs)

    def check_like(self, given: Any, what: str, likes: Leaves, structure: Any) -> Leaves:
        """The leaves of something that must have the structure and shapes of `likes`."""
        leaves, found = flatten(given)
        if found != structure:
            raise TypeError(
                f"{self.name}: {what} must have the structure {shown(structure)}, got "
                f"{shown(found)}"
            )
        for x, like in zip(leaves, likes, strict=True):
            if x is None or not isinstance(like, Tensor):
                continue
            if not isinstance(x, Tensor) or x._data.shape != like._data.shape:
                shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
                raise TypeError(
                    f"{self.name}: {what} must have the shape of what it belongs to, "
                    f"{tuple(like.shape)}, got {shape}"
                )
        return leaves


def _fit(g: Tensor | None, like: Any) -> Tensor | None:
    if g is None or not differentiable(like):
        return None
    return to_dtype(g, like._data.dtype)


# -- custom_vjp -----------------------------------------------------------------------------------


class _VjpRule(Rule):
    def __init__(self, call: _Call, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        self.name = call.name
        self.call = call
        self.fwd = fwd
        self.bwd = bwd

    def run(self, leaves: Leaves) -> Leaves:
        return self.call.run(leaves)

    def forward(self, leaves: Leaves) -> tuple[Leaves, Any]:
        result = self.fwd(*self.call.arguments(leaves))
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"{self.name}: the forward rule must return a pair (output, residuals), got "
                f"{type(result).__name__}"
            )
        return self.call.outputs(result[0]), (leaves, result[1])

    def pull(
        self, residuals: Any, cotangents: list[Tensor | None], captured: Sequence[Edge]
    ) -> list[Tensor | None]:
        leaves, saved = residuals
        result = self.bwd(*self.call.fixed, saved, self.call.result(cotangents))
        args = unflatten(self.call.structure, leaves)
        if not isinstance(result, tuple) or len(result) != len(args):
            got = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result)
            raise TypeError(
                f"{self.name}: the backward rule must return a tuple with a cotangent for each of "
                f"the {len(args)} arguments (None: no gradient), got {got}"
            )
        found: list[Tensor | None] = []
        for i, (g, x) in enumerate(zip(result, args, strict=True)):
            likes, structure = flatten(x)
            if g is None:
                found += [None] * len(likes)
                continue
            grads = self.call.check_like(g, f"cotangent {i} of the backward rule", likes, structure)
            found += map(_fit, grads, likes)
        return found

    def push(self, primals: Leaves, tangents: list[Tensor | None]) -> tuple[Leaves, Any]:
        """The transpose of `pull`, which is linear in the cotangents."""
        with recording() as outer:
            outs, residuals = self.forward(primals)
            places = [i for i, o in enumerate(outs) if differentiable(o)]
            dummies = Taped([zeros_like(outs[i]) for i in places], False)
            cotangents: list[Tensor | None] = [None] * len(outs)
            for i, d in zip(places, dummies.inputs, strict=True):
                cotangents[i] = d
            pulled = self.pull(residuals, cotangents, ())
            dummies.ended()
            pairs = [
                (p, t)
                for p, t in zip(pulled, tangents, strict=True)
                if p is not None and t is not None
            ]
            found = dummies.gradients([p for p, _ in pairs], [t for _, t in pairs], False, outer)
        pushed: list[Tensor | None] = [None] * len(outs)
        for i, t in zip(places, found, strict=True):
            pushed[i] = t
        return outs, pushed


class custom_vjp(_Custom):
    """A function with a reverse-mode derivative of your own.

    Decorate the function, then give the two rules with :meth:`defvjp`. All transforms, `backward`
    and `ng.compile` use them; forward mode transposes the backward rule. Arguments and results
    are pytrees; leaves that are no tensors have no derivative.

    Args:
        fun: the function of positional arguments.
        nondiff_argnums: numbers of arguments without a derivative; the backward rule gets them
            first. They must not be tensors that a transform follows.

    Raises:
        TypeError: in a call, if the rules are missing or return what does not fit.
        RuntimeError: the function closes over a tensor whose gradient would be lost.

    >>> import numbagrad as ng
    >>> @ng.func.custom_vjp
    ... def clip(x, low, high):  # the identity with a limited gradient
    ...     return x.clone()
    >>> def forward(x, low, high):
    ...     return clip(x, low, high), (low, high)
    >>> def backward(residuals, g):
    ...     return g.clamp(*residuals), None, None
    >>> clip.defvjp(forward, backward)
    >>> ng.func.grad(lambda x: (clip(x, -1.0, 1.0) ** 2).sum())(ng.tensor([0.1, 3.0]))
    tensor([0.2000, 1.0000])
    """

    _fwd: Callable[..., Any] | None = None
    _bwd: Callable[..., Any] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Give the rules.

        Args:
            fwd: takes the arguments, returns ``(output, residuals)``; the residuals are any
                pytree.
            bwd: ``bwd(residuals, cotangent)`` returns a tuple with a cotangent for each argument;
                None for one without.
        """
        self._fwd, self._bwd = fwd, bwd

    def _rule(self, call: _Call) -> Rule:
        if self._fwd is None or self._bwd is None:
            raise TypeError(
                f"{self.__name__} has no derivative yet: call {self.__name__}.defvjp(fwd, bwd)"
            )
        return _VjpRule(call, self._fwd, self._bwd)


# -- custom_jvp -----------------------------------------------------------------------------------


class _JvpRule(Rule):
    def __init__(self, call: _Call, jvp: Callable[..., Any]) -> None:
        self.name = call.name
        self.call = call
        self.jvp = jvp

    def run(self, leaves: Leaves) -> Leaves:
        return self.call.run(leaves)

    def forward(self, leaves: Leaves) -> tuple[Leaves, Any]:
        return self.call.run(leaves), leaves

    def residuals(self, leaves: Leaves) -> Any:
        return leaves

    def pull(
        self, residuals: Any, cotangents: list[Tensor | None], captured: Sequence[Edge]
    ) -> list[Tensor | None]:
        """The transpose of `push`, which is linear in the tangents."""
        places = [i for i, x in enumerate(residuals) if differentiable(x)]
        with recording() as outer:
            dummies = Taped([zeros_like(residuals[i]) for i in places], False)
            tangents: list[Tensor | None] = [None] * len(residuals)
            for i, d in zip(places, dummies.inputs, strict=True):
                tangents[i] = d
            _, pushed = self.push(residuals, tangents)
            dummies.ended()
            pairs = [
                (p, c)
                for p, c in zip(pushed, cotangents, strict=True)
                if p is not None and c is not None and differentiable(p)
            ]
            found = dummies.gradients([p for p, _ in pairs], [c for _, c in pairs], False, outer)
        grads: list[Tensor | None] = [None] * len(residuals)
        for i, g in zip(places, found, strict=True):
            grads[i] = g
        return grads

    def push(self, primals: Leaves, tangents: list[Tensor | None]) -> tuple[Leaves, Any]:
        call = self.call
        full = [
            zeros_like(x) if t is None and differentiable(x) else t
            for x, t in zip(primals, tangents, strict=True)
        ]
        result = self.jvp(
            *call.fixed, unflatten(call.structure, primals), unflatten(call.structure, full)
        )
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"{self.name}: the rule must return a pair (output, tangent of the output), got "
                f"{type(result).__name__}"
            )
        outs = call.outputs(result[0])
        pushed = call.check_like(result[1], "the tangent of the rule", outs, call.out_structure)
        return outs, list(map(_fit, pushed, outs))


class custom_jvp(_Custom):
    """A function with a forward-mode derivative of your own; reverse mode transposes it.

    Decorate the function, then give the rule with :meth:`defjvp`, which can be a decorator too.
    Arguments, results and errors are as for :class:`custom_vjp`.

    >>> import numbagrad as ng
    >>> @ng.func.custom_jvp
    ... def log1pexp(x):
    ...     return ng.log1p(ng.exp(x))
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), (1 - 1 / (1 + ng.exp(x))) * t
    >>> ng.func.grad(log1pexp)(ng.tensor(100.0))  # without the rule: inf / inf
    tensor(1.)
    """

    _jvp: Callable[..., Any] | None = None

    def defjvp(self, jvp: Callable[..., Any]) -> Callable[..., Any]:
        """Give the rule: ``jvp(primals, tangents)`` returns ``(output, tangent)``.

        Both arguments are tuples in the structure of the arguments; the tangents of leaves that
        are no floating-point tensors are None. The result must be linear in the tangents.
        Returns `jvp`.
        """
        self._jvp = jvp
        return jvp

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Give a rule for each argument, a tensor: ``rule(tangent, output, *primals)``.

        The tangent of the output is the sum of theirs; None stands for zero.
        """

        def jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
            output = self(*primals)
            total = zeros_like(output)
            for rule, t in zip(rules, tangents, strict=True):
                if rule is not None and t is not None:
                    total = total + rule(t, output, *primals)
            return output, total

        if self.nondiff_argnums:
            raise TypeError(f"{self.__name__}: defjvps has no way to pass nondiff_argnums")
        self._jvp = jvp

    def _rule(self, call: _Call) -> Rule:
        if self._jvp is None:
            raise TypeError(f"{self.__name__} has no derivative yet: call {self.__name__}.defjvp")
        return _JvpRule(call, self._jvp)
