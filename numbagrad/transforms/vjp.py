"""Reverse mode as a transform: `vjp`, `grad`, `jacrev`, on the tape that `backward` uses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd.api import grad as autograd_grad
from ..ir.pytree import flatten, shown, tree_map, unflatten
from ..modes import thread
from ..ops.elementwise import fill
from ..tensor import Tensor, wrap
from .levels import TransformInput, current, enter, leave, reaches_outside, recorded_below

Argnums = int | tuple[int, ...]

# -- arguments ------------------------------------------------------------------------------------


def check_argnums(argnums: Argnums, count: int) -> Argnums:
    """`argnums` counted from the front.

    Raises:
        RuntimeError: it is neither int nor tuple, empty, not unique, or out of range.
    """
    if not isinstance(argnums, int | tuple):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if isinstance(argnums, int):
        if not -count <= argnums < count:
            raise RuntimeError(
                f"Got argnum={argnums}, but only {count} positional inputs: argnums counts "
                "positional arguments from 0; what is passed by keyword is not differentiated"
            )
        return argnums % count
    for a in argnums:
        if not isinstance(a, int):
            raise RuntimeError(f"argnum must be int, got: {type(a)}")
    result = tuple(check_argnums(a, count) for a in argnums)
    if not result:
        raise RuntimeError("argnums must be non-empty")
    if len(set(result)) != len(result):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return result  # type: ignore[return-value]


def select(args: tuple[Any, ...], argnums: Argnums) -> Any:
    """The arguments of these numbers: one, or a tuple."""
    return args[argnums] if isinstance(argnums, int) else tuple(args[a] for a in argnums)


def replaced(args: tuple[Any, ...], argnums: Argnums, new: Any) -> tuple[Any, ...]:
    """`args` with the selected ones replaced by those of `new`."""
    result = list(args)
    if isinstance(argnums, int):
        result[argnums] = new
    else:
        for a, x in zip(argnums, new, strict=True):
            result[a] = x
    return tuple(result)


def tensors_only(leaves: Sequence[Any], where: str) -> None:
    """Raise ValueError unless all leaves are tensors."""
    for x in leaves:
        if not isinstance(x, Tensor):
            raise ValueError(
                f"{where}: Thing passed to transform API must be Tensor, got {type(x)}; use "
                "argnums to name the arguments to differentiate"
            )


def reals_only(name: str, leaves: Sequence[Any], what: str) -> None:
    for i, x in enumerate(leaves):
        if isinstance(x, Tensor) and x._data.dtype.kind == "c":
            raise RuntimeError(
                f"{name}: Expected all {what} to be real but received complex tensor at flattened "
                f"input idx: {i}"
            )


def split_aux(result: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(
            f"{where}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return result


def left(tree: Any) -> Any:
    """A pytree of results as the caller of the transform sees it."""
    return tree_map(lambda t: leave(t) if isinstance(t, Tensor) else t, tree)


@contextmanager
def recording() -> Iterator[bool]:
    """Record on the tape inside; yields whether the caller records."""
    modes = thread.modes
    before = modes.grad, modes.inference
    modes.grad, modes.inference = True, False
    try:
        yield before[0] and not before[1]
    finally:
        modes.grad, modes.inference = before


# -- running a function on the tape ---------------------------------------------------------------


class Taped:
    """One run of a function whose inputs are the beginning of a tape."""

    def __init__(self, leaves: Sequence[Tensor], connect: bool) -> None:
        self.inputs = [enter(x, connect, current()) for x in leaves]
        self.nodes: set[Any] = {t._node for t in self.inputs}

    def ended(self) -> None:
        """The function returned."""
        for node in self.nodes:
            assert isinstance(node, TransformInput)
            node.active = False

    def gradients(
        self, outputs: Sequence[Tensor], cotangents: Sequence[Tensor], keep: bool, outer: bool
    ) -> list[Tensor]:
        """The cotangents of the inputs; differentiable if the caller may want to.

        Args:
            keep: the tape can be used again.
            outer: the caller records.
        """
        pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o._requires_grad]
        if not pairs:
            return [_zeros(t) for t in self.inputs]
        involved = [t for pair in pairs for t in pair]
        again = outer and any(recorded_below(t) or reaches_outside(t, self.nodes) for t in involved)
        found: Any = autograd_grad(
            [o for o, _ in pairs], self.inputs, [c for _, c in pairs],
            retain_graph=keep or again, create_graph=again, allow_unused=True,
        )  # fmt: skip
        return [
            _zeros(t) if g is None else leave(g) for t, g in zip(self.inputs, found, strict=True)
        ]


def _zeros(t: Tensor) -> Tensor:
    return wrap(np.zeros(t._data.shape, t._data.dtype))


def one(t: Tensor) -> Tensor:
    """The cotangent of a scalar result."""
    if t._data.__class__ is np.ndarray:
        return wrap(np.ones((), t._data.dtype))
    return fill(t.detach(), 1)


def _cotangent(c: Any, output: Tensor) -> Tensor:
    """The cotangent of an output; one, if it is None and the output a number."""
    if c is None:
        if output.numel() != 1:
            raise RuntimeError(
                "grad can be implicitly created only for scalar outputs: the cotangent of an "
                f"output of shape {tuple(output.shape)} is None"
            )
        return fill(output.detach(), 1)
    if not isinstance(c, Tensor):
        raise TypeError(
            f"vjp_fn: cotangents can be either Tensors or None, but got {type(c).__name__}; "
            "convert it with ng.tensor(...)"
        )
    if c._data.shape != output._data.shape:
        raise RuntimeError(
            f"vjp_fn: Mismatch in shape: a cotangent has the shape {tuple(c.shape)}, and its "
            f"output {tuple(output.shape)}; expand() it if it is to count for each element"
        )
    return c


def vjp_of(
    func: Callable[..., Any], args: tuple[Any, ...], argnums: Argnums, has_aux: bool
) -> tuple[Any, Callable[..., Any], Any]:
    """(output, vjp_fn, aux); `vjp_fn` gives the cotangents in the structure of the arguments."""
    leaves, structure = flatten(select(args, argnums))
    tensors_only(leaves, "vjp")
    with recording() as outer:
        taped = Taped(leaves, outer)
        try:
            result = func(*replaced(args, argnums, unflatten(structure, taped.inputs)))
        finally:
            taped.ended()
    aux = None
    if has_aux:
        result, aux = split_aux(result, "vjp(f, *primals)")
        aux = left(aux)
    outputs, out_structure = flatten(result)
    if not outputs:
        raise RuntimeError(
            "vjp(f, *primals): Expected f to be a function that has non-empty output (got output "
            f"= {result})"
        )
    for o in outputs:
        if not isinstance(o, Tensor):
            raise RuntimeError(
                "vjp(f, *primals): expected f(*primals) to return only tensors, got unsupported "
                f"type {type(o)}"
            )
        if o._data.dtype.kind not in "fc":
            raise RuntimeError(
                "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                f"Tensor with dtype {o.dtype}"
            )

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        """The cotangents of the primals, given those of the output (of the same structure)."""
        flat, given = flatten(cotangents)
        if given != out_structure:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {shown(given)}, primal output: "
                f"{shown(out_structure)}"
            )
        flat = [_cotangent(c, o) for c, o in zip(flat, outputs, strict=True)]
        records = thread.modes.grad and not thread.modes.inference
        outer = records if create_graph is None else create_graph and records
        return unflatten(structure, taped.gradients(outputs, flat, retain_graph, outer))

    return unflatten(out_structure, list(map(leave, outputs))), vjp_fn, aux


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `func` and the function that pulls cotangents back.

    Args:
        primals: pytrees of tensors.
        has_aux: `func` returns (output, aux), and aux is not differentiated.

    Returns:
        ``(output, vjp_fn)``, or ``(output, vjp_fn, aux)``. ``vjp_fn(cotangents)`` takes cotangents
        in the structure of the output and gives a tuple with one result per primal. It may be
        called again and again.

    Raises:
        ValueError: a primal is not a tensor.
        RuntimeError: an output is not a floating-point tensor, or cotangents do not fit.

    >>> import numbagrad as ng
    >>> y, pull = ng.func.vjp(lambda x: x**2, ng.tensor([1.0, 2.0]))
    >>> pull(ng.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    argnums = tuple(range(len(primals)))
    output, vjp_fn, aux = vjp_of(func, primals, argnums, has_aux)
    return (output, vjp_fn, aux) if has_aux else (output, vjp_fn)


# -- gradients of scalars -------------------------------------------------------------------------


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient and the value of `func`, which returns a scalar.

    Args and errors are those of :func:`grad`; the new function returns ``(gradient, value)``, or
    ``(gradient, (value, aux))``.

    >>> import numbagrad as ng
    >>> ng.func.grad_and_value(lambda x: x**3)(ng.tensor(2.0))
    (tensor(12.), tensor(8.))
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        which = check_argnums(argnums, len(args))
        leaves, structure = flatten(select(args, which))
        tensors_only(leaves, "grad")
        with recording() as outer:
            taped = Taped(leaves, outer)
            aux = None
            try:
                inputs = unflatten(structure, taped.inputs)
                output = func(*replaced(args, which, inputs), **kwargs)
            finally:
                taped.ended()
            where = "grad_and_value(f)(*args)"
            if has_aux:
                output, aux = split_aux(output, where)
            if not isinstance(output, Tensor):
                raise RuntimeError(
                    f"{where}: Expected f(*args) to return a Tensor, got {type(output)}"
                )
            if output.ndim:
                raise RuntimeError(
                    f"{where}: Expected f(*args) to return a scalar Tensor, got tensor with "
                    f"{output.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            if output._requires_grad and output._data.dtype.kind != "f":
                raise RuntimeError(
                    "grad can be implicitly created only for real scalar outputs but got "
                    f"{output.dtype}"
                )
            grads = taped.gradients([output], [one(output)], False, outer)
        value = leave(output)
        result = unflatten(structure, list(map(leave, grads)))
        return (result, (value, left(aux))) if has_aux else (result, value)

    return wrapper


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of `func`, which returns a scalar.

    Args:
        argnums: which positional arguments to differentiate; a tuple gives a tuple of gradients.
            Arguments may be pytrees of tensors.
        has_aux: `func` returns (scalar, aux); the new function returns (gradient, aux).

    Raises:
        RuntimeError: the result is no scalar tensor, an argument is not of floating-point dtype,
            or `argnums` does not fit.

    >>> import numbagrad as ng
    >>> f = lambda x: ng.sin(x).sum()
    >>> ng.func.grad(f)(ng.zeros(2))
    tensor([1., 1.])
    >>> ng.func.grad(ng.func.grad(lambda x: x**3))(ng.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result, value = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return wrapper


def value_and_grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Like :func:`grad_and_value`, in JAX's order: ``(value, gradient)``.

    >>> import numbagrad as ng
    >>> ng.func.value_and_grad(lambda x: x**3)(ng.tensor(2.0))
    (tensor(8.), tensor(12.))
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result, value = both(*args, **kwargs)
        return value, result

    return wrapper


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of `func` and the linear map that approximates it there.

    The function runs once; the map, applied to tangents again and again, is the transpose of the
    transpose that the tape holds.

    Returns:
        ``(output, jvp_fn)``; ``jvp_fn(*tangents)`` takes tangents in the structure of the primals
        and gives the tangents of the output.

    >>> import numbagrad as ng
    >>> y, push = ng.func.linearize(lambda x: x**2, ng.tensor([1.0, 2.0]))
    >>> push(ng.tensor([1.0, 1.0])), push(ng.tensor([0.0, 1.0]))
    (tensor([2., 4.]), tensor([0., 4.]))
    """
    leaves, structure = flatten(primals)
    for x in leaves:
        if isinstance(x, Tensor) and x._data.dtype.kind not in "fc":
            raise ValueError(
                f"linearize: Expected primal to be floating point or complex, but got: {x.dtype}"
            )
    argnums = tuple(range(len(primals)))
    with recording() as outer:
        output, vjp_fn, _ = vjp_of(func, primals, argnums, False)
        outs, out_structure = flatten(output)
        dummies = Taped([_zeros(o) for o in outs], False)
        pulled, _ = flatten(vjp_fn(unflatten(out_structure, dummies.inputs)))
        dummies.ended()

    def jvp_fn(*tangents: Any) -> Any:
        """The tangents of the output."""
        flat, given = flatten(tangents)
        if given != structure:
            raise RuntimeError(
                f"Expected the tangents {shown(given)} to have the same argspec as the primals "
                f"{shown(structure)}"
            )
        for i, (t, x) in enumerate(zip(flat, leaves, strict=True)):
            if t._data.shape != x._data.shape or t._data.dtype != x._data.dtype:
                raise RuntimeError(
                    f"tangent:{i} with shape {tuple(t.shape)} and dtype {t.dtype} in flattened "
                    f"pytree doesn't match the shape {tuple(x.shape)} and dtype {x.dtype} of the "
                    "corresponding primal."
                )
        return unflatten(out_structure, dummies.gradients(pulled, flat, True, outer))

    return output, jvp_fn
