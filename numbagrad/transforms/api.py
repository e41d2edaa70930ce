"""What is built from `vjp`, `jvp` and `vmap`: Jacobians, Hessians, and functional modules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..ir.pytree import flatten, tree_map, unflatten
from ..ops.joining import stack
from ..ops.view import cat, reshape, slice_
from ..tensor import Tensor, wrap
from .jvp import jvp, jvp_of
from .vjp import Argnums, check_argnums, grad, reals_only, select, tensors_only, vjp_of
from .vmap import from_front, vmap

# -- Jacobians ------------------------------------------------------------------------------------


def basis_rows(leaves: Sequence[Tensor], start: int, stop: int) -> list[Tensor]:
    """Rows `start` to `stop` of the standard basis of all leaves together, one tensor per leaf."""
    result = []
    offset = 0
    for x in leaves:
        n = x.numel()
        rows = np.zeros((stop - start, n), x._data.dtype)
        first, last = max(start, offset), min(stop, offset + n)
        if first < last:
            places = np.arange(first, last)
            rows[places - start, places - offset] = 1
        result.append(wrap(rows.reshape(stop - start, *x._data.shape)))
        offset += n
    return result


def rows_by_leaf(x: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """The rows of `x` that belong to each leaf, in the leaf's shape."""
    parts = []
    start = 0
    for leaf in leaves:
        stop = start + leaf.numel()
        rows = slice_(x, index=(slice(start, stop),))
        parts.append(reshape(rows, (*leaf._data.shape, *x._data.shape[1:])))
        start = stop
    return parts


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that gives the Jacobian of `func` by reverse mode: one pass per output element.

    Args:
        argnums: which positional arguments to differentiate; a tuple gives a tuple of Jacobians.
        has_aux: `func` returns (output, aux); the new function returns (jacobian, aux).
        chunk_size: how many output elements to do at a time, to save memory; default: all.
        _preallocate_and_copy: for the signature's sake; PyTorch joins chunks in another way then.

    Returns:
        A function; its result has the structure of the output, and in it the structure of the
        arguments, with tensors of shape (*output shape, *input shape).

    Raises:
        ValueError: `chunk_size` is not positive, or an argument is not a tensor.
        RuntimeError: a complex tensor, or an output that is not a floating-point tensor.

    >>> import numbagrad as ng
    >>> ng.func.jacrev(lambda x: x**2)(ng.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        which = check_argnums(argnums, len(args))
        primals, structure = flatten(select(args, which))
        reals_only("jacrev", flatten(args)[0], "inputs")
        output, vjp_fn, aux = vjp_of(func, args, which, has_aux)
        outs, out_structure = flatten(output)
        reals_only("jacrev", outs, "outputs")
        rows = sum(o.numel() for o in outs)
        chunk = chunk_size or max(rows, 1)
        parts = []
        for start in range(0, max(rows, 1), chunk):
            basis = basis_rows(outs, start, min(start + chunk, rows))
            if chunk == 1 and rows:  # no more than a backward pass is asked of the ops
                single = [slice_(b, index=(0,)) for b in basis]
                pulled, _ = flatten(vjp_fn(unflatten(out_structure, single)))
                parts.append([slice_(p, index=(None,)) for p in pulled])
            else:
                parts.append(flatten(vmap(vjp_fn)(unflatten(out_structure, basis)))[0])
        columns = [c[0] if len(c) == 1 else cat(*c, dim=0) for c in zip(*parts, strict=True)]
        by_input = [rows_by_leaf(c, outs) for c in columns]
        by_output = [
            unflatten(structure, [by_input[i][o] for i in range(len(primals))])
            for o in range(len(outs))
        ]
        result = unflatten(out_structure, by_output)
        return (result, aux) if has_aux else result

    return wrapper


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """A function that gives the Jacobian of `func` by forward mode: one pass per input element.

    Args and result are those of :func:`jacrev`; `randomness` is that of :func:`vmap`.

    >>> import numbagrad as ng
    >>> ng.func.jacfwd(lambda x: x**2)(ng.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        which = check_argnums(argnums, len(args))
        reals_only("jacfwd", flatten(args)[0], "inputs")
        result, aux, outs = columns_of(func, args, which, has_aux, randomness)
        reals_only("jacfwd", outs, "outputs")
        return (result, aux) if has_aux else result

    return wrapper


def columns_of(
    func: Callable[..., Any], args: tuple[Any, ...], which: Argnums, has_aux: bool, randomness: str
) -> tuple[Any, Any, list[Tensor]]:
    """(Jacobian, aux, tangents): forward mode, mapped over the elements of the arguments."""
    primals, structure = flatten(select(args, which))
    tensors_only(primals, "jacfwd")
    basis = basis_rows(primals, 0, sum(p.numel() for p in primals))
    aux: Any = None

    def push(direction: Any) -> Any:
        nonlocal aux
        _, tangent, aux = jvp_of(func, args, direction, which, has_aux)
        return tangent

    flat, out_structure = flatten(vmap(push, randomness=randomness)(unflatten(structure, basis)))
    by_output = []
    for t in flat:
        parts = []
        for part, p in zip(rows_by_leaf(t, primals), primals, strict=True):
            for _ in range(p.ndim):  # the input's dimensions to the end
                part = from_front(part, part.ndim - 1)
            parts.append(part)
        by_output.append(unflatten(structure, parts))
    return unflatten(out_structure, by_output), aux, flat


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives the Hessian of `func`, forward over reverse.

    Args and errors are those of :func:`jacrev`; the result has the structure of the output, then
    twice that of the arguments.

    >>> import numbagrad as ng
    >>> ng.func.hessian(lambda x: (x**3).sum())(ng.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def hvp(func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """The product of the Hessian of a scalar function with a vector, without the Hessian.

    Args:
        primals: the positional arguments, a tuple of pytrees of tensors.
        tangents: the vector, in the structure of `primals`.

    Returns:
        The product in the structure of the argument, or a tuple if there are several.

    >>> import numbagrad as ng
    >>> x, v = ng.tensor([1.0, 2.0]), ng.tensor([1.0, 1.0])
    >>> ng.func.hvp(lambda x: (x**3).sum(), (x,), (v,))
    tensor([ 6., 12.])
    """
    argnums: Argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(func, argnums), primals, tangents)[1]


def stop_gradient(tree: Any) -> Any:
    """The tensors of a pytree as constants: no transform differentiates through them.

    >>> import numbagrad as ng
    >>> ng.func.grad(lambda x: x * ng.func.stop_gradient(x))(ng.tensor(3.0))
    tensor(3.)
    """
    return tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)


# -- modules --------------------------------------------------------------------------------------


_MISSING = object()  # there was no attribute


def _owner(module: Any, path: str) -> tuple[dict[str, Any], str]:
    """The dictionary that holds the parameter, buffer or other attribute of this name.

    Raises:
        KeyError: the name is empty.
        AttributeError: there is no such submodule.
        TypeError: the attribute is no tensor.
    """
    if not path:
        raise KeyError("functional_call: the name of a parameter or buffer cannot be empty")
    *parents, name = path.split(".")
    for p in parents:
        inner = module._modules.get(p)
        if inner is None:
            known = sorted(module._modules)
            raise AttributeError(
                f"{type(module).__name__} has no submodule {p!r} for {path!r}: it has {known}"
            )
        module = inner
    for kind in (module._parameters, module._buffers):
        if name in kind:
            return kind, name
    now = getattr(module, name, None)
    if now is not None and not isinstance(now, Tensor):
        raise TypeError(
            f"attribute {path!r}: {type(now).__name__} is not an instance of numbagrad.Tensor, and "
            "only tensors can be replaced"
        )
    return module.__dict__, name


def _tied(module: Any) -> dict[int, list[str]]:
    """The names under which each parameter and buffer is known."""
    names: dict[int, list[str]] = {}
    for members in (module.named_parameters, module.named_buffers):
        for name, t in members(remove_duplicate=False):
            names.setdefault(id(t), []).append(name)
    return names


@contextmanager
def _swapped(module: Any, state: dict[str, Any], tie: bool, strict: bool) -> Iterator[None]:
    tied = _tied(module)
    given = state
    if tie:
        state = _with_ties(state, tied)
    known = {n for names in tied.values() for n in names}
    if strict:
        missing, unexpected = sorted(known - state.keys()), sorted(state.keys() - known)
        if missing or unexpected:
            raise RuntimeError(
                f"Error(s) in loading state for {type(module).__name__}: missing keys {missing}, "
                f"unexpected keys {unexpected}"
            )
    before = []
    try:
        for path, value in state.items():
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"functional_call: {value!r} for {path!r} is not an instance of "
                    "numbagrad.Tensor"
                )
            kind, name = _owner(module, path)
            before.append((path, kind, name, kind.get(name, _MISSING)))
            kind[name] = value
        yield
        for path, kind, name, _ in before:
            if path in given and kind.get(name, given[path]) is not given[path]:
                given[path] = kind[name]  # a buffer that the module replaced
    finally:
        for _, kind, name, value in reversed(before):
            if value is _MISSING:
                kind.pop(name, None)
            else:
                kind[name] = value


def _with_ties(state: dict[str, Any], tied: dict[int, list[str]]) -> dict[str, Any]:
    result = dict(state)
    for names in tied.values():
        given = {id(state[n]): state[n] for n in names if n in state}
        if len(given) > 1:
            raise ValueError(
                f"functional_call got multiple values for the tied weights {names}. Consider "
                "passing tie_weights=False"
            )
        for value in given.values():
            result.update(dict.fromkeys(names, value))
    return result


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: dict[str, Any] | Sequence[dict[str, Any]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other parameters and buffers in place of its own.

    Args:
        parameter_and_buffer_dicts: tensors by name, or a sequence of such dictionaries.
        args: the arguments of the call, a tuple; a single other value counts as the only one.
        tie_weights: parameters that are shared in the module are replaced together.
        strict: the names must be exactly those of the module.

    Raises:
        ValueError: two values for one parameter.
        RuntimeError: with `strict`, names are missing or unknown.

    >>> import numbagrad as ng
    >>> m = ng.nn.Linear(2, 1)
    >>> state = {"weight": ng.ones(1, 2), "bias": ng.zeros(1)}
    >>> ng.func.functional_call(m, state, ng.tensor([1.0, 2.0]))
    tensor([3.])
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        state = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        state = {}
        for d in parameter_and_buffer_dicts:
            if not isinstance(d, dict):
                raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dicts")
            for k, v in d.items():
                if k in state:
                    raise ValueError(f"{k} appears in multiple dictionaries; behavior is ambiguous")
                state[k] = v
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _swapped(module, state, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and buffers of several modules of one class, stacked for `vmap`.

    Returns:
        ``(parameters, buffers)``, dictionaries of tensors with one more dimension in front.

    Raises:
        RuntimeError: no modules, modules of different classes, or not all in the same mode.

    >>> import numbagrad as ng
    >>> params, buffers = ng.func.stack_module_state([ng.nn.Linear(2, 3) for _ in range(4)])
    >>> params["weight"].shape
    numbagrad.Size([4, 3, 2])
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError(
            "stack_module_state: Expected all models to be of the same class, got "
            f"{sorted({type(m).__name__ for m in models})}"
        )
    return (
        _stacked([dict(m.named_parameters()) for m in models], leaves=True),
        _stacked([dict(m.named_buffers()) for m in models], leaves=False),
    )


def _stacked(states: list[dict[str, Tensor]], leaves: bool) -> dict[str, Any]:
    result = {}
    for name, first in states[0].items():
        t = stack([s[name].detach() for s in states])
        result[name] = t.requires_grad_(first.requires_grad) if leaves else t
    return result
