"""Whole Jacobians, Hessians and their products with vectors, as in ``torch.autograd.functional``.

The product of a Jacobian with a vector comes from differentiating the backward pass, which is
linear in its cotangent, with respect to that cotangent. Whole matrices are made of one backward
pass per row, of one mapped over all rows (``vectorize=True``), or of a forward pass mapped over all
columns (``strategy="forward-mode"``).

Each function takes `func`, which maps tensors to a tensor or a tuple of them; `inputs`, a tensor or
a tuple of them; `create_graph`, to differentiate the result further; and `strict`, to raise a
RuntimeError where an output does not depend on an input, instead of returning zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..modes import enable_grad, set_grad_enabled, thread
from ..ops.joining import stack
from ..ops.shape import reshape
from ..ops.view import alias
from ..tensor import Tensor, wrap
from ..transforms.api import basis_rows, columns_of, rows_by_leaf
from .api import grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Func = Callable[..., Any]
Tensors = tuple[Tensor, ...]
MaybeTensors = Sequence[Tensor | None]


# -- arguments and results ------------------------------------------------------------------------


def _as_tuple(given: Any, what: str, name: str) -> tuple[bool, Tensors]:
    """Whether it was a tuple, and it as a tuple of tensors."""
    was_tuple = isinstance(given, tuple)
    values = given if was_tuple else (given,)
    for i, x in enumerate(values):
        if not isinstance(x, Tensor):
            which = f"value at index {i}" if was_tuple else f"given {what}"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the"
                f" {which} has type {type(x)}."
            )
    return was_tuple, values


def _untuple(values: Any, was_tuple: bool) -> Any:
    return values if was_tuple else values[0]


def _own(tensors: Tensors, create_graph: bool, requires_grad: bool) -> Tensors:
    """New tensors for the arguments, so that one that `func` also closes over is told apart."""
    return tuple(
        alias(t) if create_graph and t.requires_grad else t.detach().requires_grad_(requires_grad)
        for t in tensors
    )


def _results(values: Sequence[Tensor], create_graph: bool) -> Tensors:
    return tuple(values) if create_graph else tuple(t.detach() for t in values)


def _direction(v: Any, like: Tensors, was_tuple: bool, create_graph: bool, name: str) -> Tensors:
    """The vector of a product, checked against the tensors that it goes with."""
    _, vectors = _as_tuple(v, "v", name)
    vectors = _own(vectors, create_graph, False)
    if len(vectors) != len(like):
        if was_tuple:
            raise RuntimeError(
                f"v is a tuple of invalid length: should be {len(like)} but got {len(vectors)}."
            )
        raise RuntimeError("The given v should contain a single Tensor.")
    for i, (a, b) in enumerate(zip(vectors, like, strict=True)):
        if a.shape != b.shape:
            entry = f"Entry {i} in " if was_tuple else ""
            raise RuntimeError(
                f"{entry}v has invalid size: should be {b.size()} but got {a.size()}."
            )
    return vectors


def _need_no_direction(tensors: Tensors, what: str) -> None:
    if len(tensors) != 1 or tensors[0].numel() != 1:
        raise RuntimeError(
            f"The vector v can only be None if {what} a single Tensor with a single element."
        )


# -- strictness -----------------------------------------------------------------------------------

_INDEPENDENT = {
    "outputs": "Output {} of the user-provided function does not require gradients. The outputs "
    "must be computed in a differentiable manner from the input when running in strict mode.",
    "grad_inputs": "The gradient with respect to input {} is independent of the inputs of the "
    "user-provided function. This is not allowed in strict mode.",
    "jacobian": "While computing the hessian, found that the jacobian of the user-provided "
    "function with respect to input {} is independent of the input. This is not allowed in strict "
    "mode. You should ensure that your function is twice differentiable and that the jacobian "
    "depends on the inputs (this would be violated by a linear function for example).",
}
_MISSING = {
    "back": "The output of the user-provided function is independent of input {}. This is not "
    "allowed in strict mode.",
    "trick": "The gradient with respect to the input is independent of entry {} in the "
    "grad_outputs when using the double backward trick to compute forward mode gradients. This is "
    "not allowed in strict mode.",
    "double": "The jacobian of the user-provided function is independent of input {}. This is not "
    "allowed in strict mode.",
    "double trick": "The hessian of the user-provided function is independent of entry {} in the "
    "grad_jacobian. This is not allowed in strict mode as it prevents from using the double "
    "backward trick to replace forward mode AD.",
}


def _check_depends(tensors: MaybeTensors, what: str, strict: bool) -> None:
    for i, t in enumerate(tensors if strict else ()):
        if t is None:
            raise RuntimeError(_MISSING["back"].format(i))
        if not t.requires_grad:
            raise RuntimeError(_INDEPENDENT[what].format(i))


def _filled(
    grads: MaybeTensors, like: Sequence[Tensor], strict: bool, create_graph: bool, stage: str
) -> list[Tensor]:
    """Zeros in place of None, or the error that `strict` asks for."""
    result = []
    for i, (g, t) in enumerate(zip(grads, like, strict=True)):
        if g is None:
            if strict:
                raise RuntimeError(_MISSING[stage].format(i))
            g = _zeros(t)
        elif strict and create_graph and not g.requires_grad:
            which = "hessian" if stage.startswith("double") else "jacobian"
            raise RuntimeError(
                f"The {which} of the user-provided function is independent of input {i}. This is "
                "not allowed in strict mode when create_graph=True."
            )
        result.append(g)
    return result


def _zeros_of(shape: Sequence[int], like: Tensor) -> Tensor:
    return wrap(np.zeros(tuple(shape), like._data.dtype))


def _zeros(like: Tensor, requires_grad: bool = False) -> Tensor:
    return wrap(np.zeros(like._data.shape, like._data.dtype), requires_grad)


def _grads(
    outputs: MaybeTensors, inputs: Tensors, v: Sequence[Any] | None = None,
    create_graph: bool = False, retain_graph: bool | None = None, batched: bool = False,
) -> MaybeTensors:  # fmt: skip
    """`autograd.grad` of those outputs that have a gradient; None where there is none."""
    cotangents = [None] * len(outputs) if v is None else v
    pairs = [(o, g) for o, g in zip(outputs, cotangents, strict=True)
             if o is not None and o.requires_grad]  # fmt: skip
    if not pairs:
        return (None,) * len(inputs)
    return grad(
        [o for o, _ in pairs], inputs, [g for _, g in pairs], retain_graph, create_graph,
        allow_unused=True, is_grads_batched=batched,
    )  # fmt: skip


def _recording(create_graph: bool) -> Any:
    return set_grad_enabled(create_graph or thread.modes.grad)


def _scalar_gradient(
    func: Func, inputs: Tensors, name: str, strict: bool
) -> tuple[Tensors, MaybeTensors]:
    """The output of a scalar function, and its gradient with the graph of it."""
    was_tuple, outputs = _as_tuple(
        func(*inputs), "outputs of the user-provided function", name
    )  # fmt: skip
    _check_depends(outputs, "outputs", strict)
    if was_tuple:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {name} should contain a single element"
        )
    gradient = _grads(outputs, inputs, create_graph=True)
    _check_depends(gradient, "jacobian", strict)
    return outputs, gradient


# -- products with a vector -----------------------------------------------------------------------


def vjp(
    func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``func(*inputs)`` and ``v @ J``, the product of a vector with the Jacobian.

    Args:
        v: of the outputs' structure and shapes; may be None if the output is one number.

    Returns:
        (outputs, product), the latter of the structure of `inputs`.

    Raises:
        TypeError: something is neither a tensor nor a tuple of tensors.
        RuntimeError: `v` does not fit; see also the module on `strict`.

    >>> import numbagrad as ng
    >>> ng.autograd.functional.vjp(lambda x: x * x, ng.tensor([1.0, 2.0]), ng.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        tuple_in, xs = _as_tuple(inputs, "inputs", "vjp")
        xs = _own(xs, create_graph, True)
        tuple_out, outputs = _as_tuple(
            func(*xs), "outputs of the user-provided function", "vjp"
        )  # fmt: skip
        _check_depends(outputs, "outputs", strict)
        cotangents = None
        if v is None:
            _need_no_direction(outputs, "the user-provided function returns")
        else:
            cotangents = _direction(v, outputs, tuple_out, create_graph, "vjp")
    with _recording(create_graph):
        found = _grads(outputs, xs, cotangents, create_graph)
        product = _filled(found, xs, strict, create_graph, "back")
    return (
        _untuple(_results(outputs, create_graph), tuple_out),
        _untuple(_results(product, create_graph), tuple_in),
    )


def jvp(
    func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``func(*inputs)`` and ``J @ v``, the derivative in a direction.

    Args:
        v: of the structure and shapes of `inputs`; may be None if the input is one number.

    Returns:
        (outputs, product), both of the outputs' structure. Errors as in :func:`vjp`.

    >>> import numbagrad as ng
    >>> ng.autograd.functional.jvp(lambda x: x * x, ng.tensor([1.0, 2.0]), ng.tensor([1.0, 0.0]))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    with enable_grad():
        tuple_in, xs = _as_tuple(inputs, "inputs", "jvp")
        xs = _own(xs, create_graph, True)
        direction = None
        if v is None:
            _need_no_direction(xs, "the input to the user-provided function is")
        else:
            direction = _direction(v, xs, tuple_in, create_graph, "jvp")
        tuple_out, outputs = _as_tuple(
            func(*xs), "outputs of the user-provided function", "jvp"
        )  # fmt: skip
        _check_depends(outputs, "outputs", strict)
        # Any cotangent would do: the backward pass is linear in it.
        cotangents = tuple(_zeros(o, True) for o in outputs)
        pulled = _grads(outputs, xs, cotangents, create_graph=True)
        _check_depends(pulled, "grad_inputs", strict)
    with _recording(create_graph):
        found = _grads(pulled, cotangents, direction, create_graph)
        product = _filled(found, outputs, strict, create_graph, "trick")
    return (
        _untuple(_results(outputs, create_graph), tuple_out),
        _untuple(_results(product, create_graph), tuple_out),
    )


def vhp(
    func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``func(*inputs)``, one number, and ``v @ H``, the product of a vector with the Hessian.

    Args:
        v: of the structure and shapes of `inputs`; may be None if the input is one number.

    Returns:
        (output, product), the latter of the structure of `inputs`. Errors as in :func:`vjp`.

    >>> import numbagrad as ng
    >>> ng.autograd.functional.vhp(lambda x: (x**3).sum(), ng.tensor([1.0, 2.0]), ng.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        tuple_in, xs = _as_tuple(inputs, "inputs", "vhp")
        xs = _own(xs, create_graph, True)
        direction = None
        if v is None:
            _need_no_direction(xs, "the input to the user-provided function is")
        else:
            direction = _direction(v, xs, tuple_in, create_graph, "vhp")
        outputs, gradient = _scalar_gradient(func, xs, "vhp", strict)
    with _recording(create_graph):
        found = _grads(gradient, xs, direction, create_graph)
        product = _filled(found, xs, strict, create_graph, "double")
    return (
        _results(outputs, create_graph)[0],
        _untuple(_results(product, create_graph), tuple_in),
    )


def hvp(
    func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``func(*inputs)``, one number, and ``H @ v``; :func:`vhp` is the same where it is faster.

    >>> import numbagrad as ng
    >>> ng.autograd.functional.hvp(lambda x: (x**3).sum(), ng.tensor([1.0, 2.0]), ng.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        tuple_in, xs = _as_tuple(inputs, "inputs", "hvp")
        xs = _own(xs, create_graph, True)
        direction = None
        if v is None:
            _need_no_direction(xs, "the input to the user-provided function is")
        else:
            direction = _direction(v, xs, tuple_in, create_graph, "hvp")
        outputs, gradient = _scalar_gradient(func, xs, "hvp", strict)
        cotangents = tuple(_zeros(x, True) for x in xs)
        pulled = _grads(gradient, xs, cotangents, create_graph=True)
    with _recording(create_graph):
        found = _grads(pulled, cotangents, direction, create_graph)
        product = _filled(found, xs, strict, create_graph, "double trick")
    return (
        _results(outputs, create_graph)[0],
        _untuple(_results(product, create_graph), tuple_in),
    )


# -- whole matrices -------------------------------------------------------------------------------


def _check_mapped(vectorize: bool, strict: bool, strategy: str) -> None:
    if strict and vectorize:
        raise RuntimeError(
            "numbagrad.autograd.functional.jacobian: `strict=True` is not supported together with "
            "`vectorize=True` or the forward-mode strategy. Please set one of them only."
        )
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only "
            "implemented for `vectorize=True`."
        )


def jacobian(
    func: Func, inputs: Any, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The derivatives of all outputs with respect to all inputs.

    Args:
        vectorize: compute all rows at once, by `func.vmap`.
        strategy: "reverse-mode", or "forward-mode" for few inputs and many outputs, which needs
            `vectorize`.

    Returns:
        A tensor of shape ``output.shape + input.shape``; a tuple over the inputs if `inputs` is
        one, of which there is a tuple over the outputs if `func` returns one.

    Raises:
        TypeError: something is neither a tensor nor a tuple of tensors.
        RuntimeError: an option cannot go with `strict`; see also the module on `strict`.
        NotImplementedError: "forward-mode" without `vectorize`, or with `create_graph`.

    >>> import numbagrad as ng
    >>> ng.autograd.functional.jacobian(lambda x: x * x, ng.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Both compute the '
            "same numbers."
        )
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError(
            "numbagrad.autograd.functional.jacobian: `create_graph=True` and "
            '`strategy="forward-mode"` are not supported together. Please either set '
            '`create_graph=False` or `strategy="reverse-mode"`.'
        )
    with enable_grad():
        tuple_in, xs = _as_tuple(inputs, "inputs", "jacobian")
        if strategy == "forward-mode":
            _check_mapped(vectorize, strict, strategy)
            return _by_columns(func, xs, tuple_in)
        xs = _own(xs, create_graph, True)
        tuple_out, outputs = _as_tuple(
            func(*xs), "outputs of the user-provided function", "jacobian"
        )  # fmt: skip
        _check_mapped(vectorize, strict, strategy)
        _check_depends(outputs, "outputs", strict)
        if vectorize:
            rows = _all_rows(outputs, xs, create_graph)
        else:
            rows = [_jacobian_of(i, o, xs, create_graph, strict) for i, o in enumerate(outputs)]
    found = [_untuple(_results(row, create_graph), tuple_in) for row in rows]
    return _untuple(tuple(found), tuple_out)


def _by_columns(func: Func, xs: Tensors, tuple_in: bool) -> Any:
    """The Jacobian by forward mode, one column for each element of the inputs."""
    checked: list[bool] = [False]

    def outputs(*args: Tensor) -> Tensors:
        checked[0], values = _as_tuple(
            func(*args), "outputs of the user-provided function", "jacobian"
        )  # fmt: skip
        return values

    xs = tuple(x.detach() for x in xs)
    found, _, _ = columns_of(outputs, xs, tuple(range(len(xs))), False, "error")
    return _untuple(tuple(_untuple(_results(row, False), tuple_in) for row in found), checked[0])


def _all_rows(outputs: Tensors, xs: Tensors, create_graph: bool) -> list[list[Tensor]]:
    """For each output the Jacobian with respect to each input, from one mapped backward pass."""
    basis = basis_rows(outputs, 0, sum(o.numel() for o in outputs))
    found = _grads(outputs, xs, basis, create_graph, batched=True)
    columns = [
        [_zeros_of((*o.shape, *x.shape), x) for o in outputs] if g is None
        else rows_by_leaf(g, outputs)
        for g, x in zip(found, xs, strict=True)
    ]  # fmt: skip
    return [list(row) for row in zip(*columns, strict=True)]


def _jacobian_of(
    i: int, out: Tensor, xs: Tensors, create_graph: bool, strict: bool
) -> list[Tensor]:
    """The Jacobian of one output with respect to each input."""
    rows: list[list[Tensor]] = [[] for _ in xs]
    flat = reshape(out, (-1,))
    for j in range(out.numel()):
        found = _grads((flat[j],), xs, create_graph=create_graph, retain_graph=True)
        for k, (row, g, x) in enumerate(zip(rows, found, xs, strict=True)):
            if g is None:
                if strict:
                    raise RuntimeError(
                        f"Output {i} of the user-provided function is independent of input {k}. "
                        "This is not allowed in strict mode."
                    )
                g = _zeros(x)
            elif strict and create_graph and not g.requires_grad:
                raise RuntimeError(
                    "The jacobian of the user-provided function is independent of input "
                    f"{k}. This is not allowed in strict mode when create_graph=True."
                )
            row.append(g)
    shapes = [(*out.shape, *x.shape) for x in xs]
    return [
        reshape(stack(row), shape) if row else _zeros_of(shape, x)
        for row, shape, x in zip(rows, shapes, xs, strict=True)
    ]


def hessian(
    func: Func, inputs: Any, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The second derivatives of a function that returns one number.

    Args:
        vectorize, outer_jacobian_strategy: as `vectorize` and `strategy` of :func:`jacobian`, for
            the derivative of the gradient.

    Returns:
        A tensor of shape ``input.shape + input.shape``; a tuple of tuples of them if `inputs` is a
        tuple. Errors as in :func:`jacobian`.

    >>> import numbagrad as ng
    >>> ng.autograd.functional.hessian(lambda x: (x**3).sum(), ng.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    tuple_in, xs = _as_tuple(inputs, "inputs", "hessian")

    def scalar(*args: Tensor) -> Tensor:
        was_tuple, outputs = _as_tuple(
            func(*args), "outputs of the user-provided function", "hessian"
        )  # fmt: skip
        _check_depends(outputs, "outputs", strict)
        if was_tuple:
            raise RuntimeError("The function given to hessian should return a single Tensor")
        if math.prod(outputs[0].shape) != 1:
            raise RuntimeError(
                "The Tensor returned by the function given to hessian should contain a single "
                "element"
            )
        return reshape(outputs[0], ())

    def gradient(*args: Tensor) -> Tensors:
        if outer_jacobian_strategy == "forward-mode":
            args = tuple(t.requires_grad_() for t in args)  # told apart without losing tangents
        found = jacobian(scalar, args, create_graph=True)
        _check_depends(found, "jacobian", strict)
        return found

    found = jacobian(gradient, xs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return _untuple(tuple(_untuple(row, tuple_in) for row in found), tuple_in)
