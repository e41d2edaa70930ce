"""Gradients checked against finite differences: `gradcheck` and `gradgradcheck`.

Everything is compared in real numbers: a complex element counts as its real and its imaginary
part. The gradient g of an input and the cotangent v of an output then satisfy
``Re(conj(g) dx) == Re(conj(v) df)`` for every small change dx, which is PyTorch's convention.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ..dtypes import real_of
from ..tensor import Tensor, wrap
from .api import grad

Array = np.ndarray[Any, Any]


class GradcheckError(RuntimeError):
    """A gradient differs from the finite difference, or a backward pass from itself."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the gradients of `func` with central differences.

    Args:
        func: takes tensors, returns a tensor or a tuple of them.
        inputs: its arguments; those that require grad should be float64 or complex128.
        eps: the step of the differences.
        atol, rtol: ``|analytical - numerical| <= atol + rtol * |numerical|`` must hold.
        raise_exception: raise if it does not, rather than return False.
        nondet_tol: how much two runs of the same backward pass may differ.
        check_undefined_grad: also differentiate each output alone, with a cotangent of zeros: the
            other outputs of a custom function then have none, and the gradients must be zeros.
        check_grad_dtypes: gradients must have the dtype of their inputs.
        check_batched_grad: also check ``autograd.grad(is_grads_batched=True)``.
        check_backward_ad, check_forward_ad: which modes are compared.
        check_batched_forward_grad: also check forward mode under `vmap`.
        fast_mode: compare one random projection of the Jacobian in place of each element.
        masked: for the signature's sake: sparse tensors do not exist here.

    Returns:
        True if all gradients agree.

    Raises:
        GradcheckError: they do not.
        ValueError: no input requires grad, or nothing differentiable is returned.
        AssertionError: the options contradict each other.

    >>> import numbagrad as ng
    >>> x = ng.tensor([0.5, 2.0], dtype=ng.float64, requires_grad=True)
    >>> ng.autograd.gradcheck(lambda x: x.exp() * x, x)
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected either check_forward_ad=True or check_backward_ad=True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )
    args = _tuple(inputs)
    check = _Check(func, args, eps, atol, rtol)
    try:
        if check_backward_ad:
            check.outputs_without_grad()
            if check_undefined_grad:
                check.undefined()
            check.projection() if fast_mode else check.jacobians()
            check.repeatable(nondet_tol)
            check.zeros()
            if check_grad_dtypes:
                check.dtypes()
            if check_batched_grad:
                check.batched()
        if check_forward_ad:  # loaded when first used: it stands on the transforms
            forward = import_module(f"{__package__}.gradcheck_forward")
            forward.forward(check, fast_mode)
            if check_undefined_grad:
                forward.zeros(check)
            if check_batched_forward_grad:
                forward.batched(check)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Compare the gradients of the gradients of `func` with central differences.

    `grad_outputs` are the cotangents of the first gradient, random by default. The other arguments
    are those of :func:`gradcheck`.
    """
    args = _tuple(inputs)
    if grad_outputs is None:
        outputs = [o for o in _tuple(func(*args)) if _differentiable(o)]
        rng = np.random.default_rng(0)
        cotangents = tuple(
            wrap(random_like(rng, o._data, gen_non_contig_grad_outputs), True) for o in outputs
        )
    else:
        cotangents = _tuple(grad_outputs)
    n = len(cotangents)

    def first(*all_args: Any) -> Any:
        own = all_args[: len(all_args) - n]
        outs = [o for o in _tuple(func(*own)) if _differentiable(o)]
        wanted = [x for x in own if _differentiable(x)]
        grads = grad(outs, wanted, all_args[len(all_args) - n :], create_graph=True,
                     allow_unused=True)  # fmt: skip
        return tuple(g for g in grads if g is not None)

    return gradcheck(
        first, (*args, *cotangents), eps=eps, atol=atol, rtol=rtol,
        raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad, check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev, fast_mode=fast_mode, masked=masked,
    )  # fmt: skip


class _Check:
    """One function at one point."""

    def __init__(
        self, func: Callable[..., Any], args: tuple[Any, ...], eps: float, atol: float, rtol: float
    ) -> None:
        self.func, self.args = func, args
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.positions = [i for i, x in enumerate(args) if _differentiable(x)]
        self.inputs = [args[i] for i in self.positions]
        if not self.inputs:
            raise ValueError(
                "gradcheck expects at least one input tensor to require gradient, but none of the "
                "them have requires_grad=True."
            )
        for i, x in zip(self.positions, self.inputs, strict=True):
            if x._data.dtype not in (np.float64, np.complex128):
                warnings.warn(
                    f"Input #{i} requires gradient and is not a double precision floating point "
                    "or complex. This check will likely fail if all the inputs are not of double "
                    "precision floating point or complex.",
                    stacklevel=4,
                )
            data = x._data
            if data.size and any(s == 0 and n > 1 for s, n in zip(data.strides, data.shape)):
                raise RuntimeError(
                    f"The {i}th input has a dimension with stride 0. gradcheck only supports "
                    "inputs that are non-overlapping to be able to compute the numerical gradients "
                    "correctly. You should call .contiguous on the input before passing it to "
                    "gradcheck."
                )
        self.outputs = self.call()
        if not self.outputs:
            raise ValueError("gradcheck expects func to return tensors, it returned none")

    @staticmethod
    def tuple_of(x: Any) -> tuple[Any, ...]:
        return _tuple(x)

    def call(self) -> tuple[Any, ...]:
        return tuple(o for o in _tuple(self.func(*self.args)) if isinstance(o, Tensor))

    def vjp(self, which: int, cotangent: Array) -> list[Array]:
        """The gradients of one output; zeros where it does not depend on an input."""
        found = grad(
            [self.outputs[which]], self.inputs, [wrap(cotangent)], retain_graph=True,
            allow_unused=True,
        )  # fmt: skip
        return [
            np.zeros_like(x._data) if g is None else g._data
            for g, x in zip(found, self.inputs, strict=True)
        ]

    def moved(self, data: Array, index: Any, step: Any) -> list[Array]:
        """What the outputs are when one element of an input (or all) is moved."""
        kept = data[index].copy()
        try:
            data[index] = kept + step
            return [np.array(o._data) for o in self.call()]
        finally:
            data[index] = kept

    def differences(self, data: Array, index: Any, direction: Any) -> list[Array]:
        """The derivatives of the outputs when part of an input moves in a direction."""
        up = self.moved(data, index, direction * self.eps)
        down = self.moved(data, index, direction * -self.eps)
        return [
            np.subtract(a, b, dtype=np.result_type(a, np.float64)) / (2 * self.eps)
            for a, b in zip(up, down, strict=True)
        ]

    def close(self, ours: Array, numerical: Array) -> bool:
        return np.allclose(ours, numerical, self.rtol, self.atol, equal_nan=True)

    # -- the checks -------------------------------------------------------------------------

    def numerical(self, x: Tensor) -> list[Array]:
        """For each output a real matrix: a row for each part of an input element."""
        rows: list[list[Array]] = [[] for _ in self.outputs]
        directions = (1.0, 1j) if x._data.dtype.kind == "c" else (1.0,)
        for index in np.ndindex(x._data.shape):
            for direction in directions:
                for row, d in zip(rows, self.differences(x._data, (*index, ...), direction)):
                    row.append(parts(d))
        sizes = [parts(o._data).size for o in self.outputs]
        return [np.array(r).reshape(len(r), n) for r, n in zip(rows, sizes, strict=True)]

    def outputs_without_grad(self) -> None:
        """If no output requires grad, none may depend on the inputs."""
        if self.differentiable():
            return
        for k, o in enumerate(self.outputs):
            if o._data.dtype.kind not in "fc" or _differentiable(o):
                continue
            for i, x in zip(self.positions, self.inputs, strict=True):
                if not self.close(np.zeros(()), self.numerical(x)[k]):
                    raise GradcheckError(
                        f"Numerical gradient for function expected to be zero: output {k} does "
                        f"not require grad, but depends on input {i}"
                    )

    def jacobians(self) -> None:
        analytical = {k: self.analytical(k) for k in self.differentiable()}
        for n, (i, x) in enumerate(zip(self.positions, self.inputs, strict=True)):
            numerical = self.numerical(x)
            for k, found in analytical.items():
                if not self.close(found[n], numerical[k]):
                    raise GradcheckError(
                        f"Jacobian mismatch for output {k} with respect to input {i},\n"
                        f"numerical:{numerical[k]}\nanalytical:{found[n]}\n"
                    )

    def differentiable(self) -> list[int]:
        return [k for k, o in enumerate(self.outputs) if _differentiable(o)]

    def analytical(self, k: int) -> list[Array]:
        """For each input a real matrix: a column for each part of an element of output k."""
        out = self.outputs[k]._data
        columns: list[list[Array]] = [[] for _ in self.inputs]
        for index in np.ndindex(out.shape):
            for part in (1.0, 1j) if out.dtype.kind == "c" else (1.0,):
                cotangent = np.zeros_like(out)
                cotangent[index] = part
                for column, g in zip(columns, self.vjp(k, cotangent), strict=True):
                    column.append(parts(g))
        sizes = [parts(x._data).size for x in self.inputs]
        return [np.array(c).reshape(len(c), n).T for c, n in zip(columns, sizes, strict=True)]

    def projection(self) -> None:
        rng = np.random.default_rng(0)
        for n, (i, x) in enumerate(zip(self.positions, self.inputs, strict=True)):
            direction = random_like(rng, x._data)
            numerical = self.differences(x._data, ..., direction)
            for k in self.differentiable():
                cotangent = random_like(rng, self.outputs[k]._data)
                g = self.vjp(k, cotangent)[n]
                ours = np.dot(parts(g), parts(direction))
                expected = np.dot(parts(cotangent), parts(numerical[k]))
                if not self.close(ours, expected):
                    raise GradcheckError(
                        f"Jacobian mismatch for output {k} with respect to input {i}, in fast "
                        f"mode,\nnumerical:{expected}\nanalytical:{ours}\nfast_mode=False shows "
                        "which element differs."
                    )

    def repeatable(self, tolerance: float) -> None:
        for k in self.differentiable():
            cotangent = np.ones_like(self.outputs[k]._data)
            for a, b in zip(self.vjp(k, cotangent), self.vjp(k, cotangent), strict=True):
                if not np.allclose(a, b, 0, tolerance, equal_nan=True):
                    raise GradcheckError(
                        "Backward is not reentrant, i.e., running backward with same input and "
                        "grad_output multiple times gives different values, although analytical "
                        "gradient matches numerical gradient. The tolerance for nondeterminism "
                        f"was {tolerance}."
                    )

    def zeros(self) -> None:
        for k in self.differentiable():
            for i, g in zip(self.positions, self.vjp(k, np.zeros_like(self.outputs[k]._data))):
                if np.any(g != 0) and np.isfinite(g).all():
                    raise GradcheckError(f"backward not multiplied by grad_output: input {i}")

    def undefined(self) -> None:
        """A custom function gets None for outputs that no gradient reaches."""
        outs = [self.outputs[k] for k in self.differentiable()]
        for o in outs if len(outs) > 1 else ():
            zeros = [wrap(np.zeros_like(o._data))]
            try:
                found = grad([o], self.inputs, zeros, retain_graph=True, allow_unused=True)
            except (RuntimeError, TypeError) as error:
                raise GradcheckError(
                    "Expected backward function to handle undefined output grads: with "
                    f"set_materialize_grads(False) it gets None for some of them ({error})"
                ) from error
            if any(g is not None and np.any(g._data) for g in found):
                raise GradcheckError(
                    "Expected all input grads to be undefined or zero when all output grads are "
                    "undefined or zero"
                )

    def dtypes(self) -> None:
        for k in self.differentiable():
            for i, x, g in zip(
                self.positions, self.inputs, self.vjp(k, np.ones_like(self.outputs[k]._data))
            ):
                if g.dtype != x._data.dtype:
                    raise GradcheckError(
                        f"grad is not of the dtype of input {i}: {g.dtype}, not {x._data.dtype}"
                    )

    def batched(self) -> None:
        rng = np.random.default_rng(0)
        for k in self.differentiable():
            rows = np.stack([random_like(rng, self.outputs[k]._data) for _ in range(2)])
            found = grad(
                [self.outputs[k]], self.inputs, [wrap(rows)], retain_graph=True, allow_unused=True,
                is_grads_batched=True,
            )  # fmt: skip
            single = [self.vjp(k, np.asarray(row)) for row in rows]
            for i, g, parts in zip(self.positions, found, zip(*single, strict=True), strict=True):
                if g is not None and not self.close(g._data, np.stack(parts)):
                    raise GradcheckError(
                        f"batched gradients of output {k} with respect to input {i} differ from "
                        "those of one cotangent at a time"
                    )


def _tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, Sequence) and not isinstance(x, Tensor) else (x,)


def _differentiable(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def parts(x: Array) -> Array:
    """All elements as one real vector, complex ones as two."""
    flat = np.ascontiguousarray(x).reshape(-1)
    return flat.view(real_of(x.dtype)) if x.dtype.kind == "c" else flat


def random_like(rng: np.random.Generator, like: Array, strided: bool = False) -> Array:
    """Normal numbers in the shape and dtype of `like`; not contiguous if `strided`."""
    shape = (*like.shape, 2) if strided else like.shape
    values = rng.standard_normal(shape)
    if like.dtype.kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return np.asarray(values[..., 0] if strided else values).astype(like.dtype, copy=not strided)
