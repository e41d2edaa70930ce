"""Comparing numbagrad with PyTorch: conversion of arguments, comparison of results."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import numbagrad as ng

torch = pytest.importorskip("torch")

DTYPES = {getattr(torch, d.name): d for d in ng.dtypes.ALL}
#: (relative, absolute) by precision; integers and bools are compared exactly.
TOLERANCE = {"float16": (2e-3, 2e-3), "float32": (2e-5, 2e-5), "complex64": (2e-5, 2e-5),
             "float64": (1e-9, 1e-9), "complex128": (1e-9, 1e-9)}  # fmt: skip


class Unsupported(Exception):
    """An argument that numbagrad has no counterpart for (sparse, bfloat16, a generator, ...)."""


def to_ng(x: Any) -> Any:
    """The numbagrad counterpart of a PyTorch argument; tensors share memory and strides."""
    if isinstance(x, torch.Tensor):
        if x.layout is not torch.strided or x.dtype not in DTYPES or x.device.type != "cpu":
            raise Unsupported(f"{x.layout} {x.dtype} {x.device}")
        t = ng.from_numpy(x.detach().resolve_conj().resolve_neg().numpy())
        return t.requires_grad_(x.requires_grad)
    if isinstance(x, torch.dtype):
        if x not in DTYPES:
            raise Unsupported(str(x))
        return DTYPES[x]
    if isinstance(x, torch.Size):
        return tuple(x)
    if isinstance(x, torch.device):
        return str(x)
    if isinstance(x, torch.Generator | torch.layout | torch.nn.Module):
        raise Unsupported(repr(x))
    if isinstance(x, torch.memory_format):
        return getattr(ng, str(x).rpartition(".")[2])
    if isinstance(x, list):
        return [to_ng(i) for i in x]
    if isinstance(x, tuple):
        return tuple(to_ng(i) for i in x)
    if isinstance(x, dict):
        return {k: to_ng(v) for k, v in x.items()}
    return x


def tensors(x: Any) -> Iterator[Any]:
    """All tensors of either library in a nested result."""
    if isinstance(x, torch.Tensor | ng.Tensor):
        yield x
    elif isinstance(x, dict):
        for v in x.values():
            yield from tensors(v)
    elif isinstance(x, list | tuple):
        for v in x:
            yield from tensors(v)


def array(x: Any) -> np.ndarray[Any, Any]:
    if isinstance(x, torch.Tensor):
        return x.numpy(force=True)
    return x.detach().numpy()


def check_array(ours: Any, theirs: Any, what: str, tolerance: float = 1.0) -> None:
    """Same dtype, shape and values."""
    assert ours.dtype is DTYPES[theirs.dtype], f"{what}: dtype {ours.dtype} != {theirs.dtype}"
    assert tuple(ours.shape) == tuple(theirs.shape), (
        f"{what}: shape {tuple(ours.shape)} != {tuple(theirs.shape)}"
    )
    rtol, atol = TOLERANCE.get(ours.dtype.name, (0, 0))
    np.testing.assert_allclose(
        array(ours), array(theirs), rtol * tolerance, atol * tolerance, equal_nan=True,
        err_msg=what,
    )  # fmt: skip


def check(ours: Any, theirs: Any, what: str = "result", tolerance: float = 1.0) -> None:
    """Recursively the same result: tensors, tuples of them, numbers."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, ng.Tensor), f"{what}: {type(ours)} is no Tensor"
        check_array(ours, theirs, what, tolerance)
        assert ours.requires_grad == theirs.requires_grad, f"{what}: requires_grad"
        assert (ours.grad_fn is None) == (theirs.grad_fn is None), f"{what}: grad_fn"
    elif isinstance(theirs, torch.Size):
        assert tuple(ours) == tuple(theirs), what
    elif isinstance(theirs, list | tuple):
        assert isinstance(ours, list | tuple), f"{what}: {type(ours)} is no sequence"
        assert len(ours) == len(theirs), f"{what}: {len(ours)} results, not {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            check(a, b, f"{what}[{i}]", tolerance)
    elif isinstance(theirs, torch.dtype):
        assert ours is DTYPES[theirs], f"{what}: {ours} != {theirs}"
    elif isinstance(theirs, float):
        assert isinstance(ours, float), f"{what}: {type(ours)} is no float"
        np.testing.assert_allclose(ours, theirs, 1e-6 * tolerance, equal_nan=True, err_msg=what)
    else:
        assert type(ours) is type(theirs), f"{what}: {type(ours)} is no {type(theirs)}"
        assert ours == theirs, f"{what}: {ours} != {theirs}"


def cotangents(outs: list[Any], seed: int) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    result = []
    for o in outs:
        a = array(o)
        c = rng.standard_normal(a.shape)
        if a.dtype.kind == "c":
            c = c + 1j * rng.standard_normal(a.shape)
        result.append(np.asarray(c).astype(a.dtype))
    return result


def check_gradients(
    ours: Any, our_inputs: list[Any], theirs: Any, their_inputs: list[Any], *, order: int,
    tolerance: float = 1.0, what: str = "gradient",
) -> None:  # fmt: skip
    """The same gradients, and gradients of these, for random cotangents."""
    pairs = [(a, b) for a, b in zip(tensors(ours), tensors(theirs), strict=True) if b.requires_grad]
    if not pairs or not their_inputs:
        return
    cots = cotangents([b for _, b in pairs], order)
    deeper = order > 1
    try:
        g_theirs = torch.autograd.grad(
            [b for _, b in pairs], their_inputs, [torch.from_numpy(c) for c in cots],
            allow_unused=True, create_graph=deeper,
        )  # fmt: skip
    except (RuntimeError, NotImplementedError):
        if what == "gradient":
            raise
        return  # PyTorch has no second derivative there
    if not any(a.requires_grad for a, _ in pairs):
        # A gradient that depends on nothing: PyTorch may call its derivative a tensor of zeros.
        assert not any(g is not None and array(g).any() for g in g_theirs), f"{what} is missing"
        return
    # What depends on nothing in ours must add nothing to PyTorch's gradients either.
    ours_only = [(a, c) for (a, _), c in zip(pairs, cots, strict=True) if a.requires_grad]
    g_ours = ng.autograd.grad(
        [a for a, _ in ours_only], our_inputs, [ng.from_numpy(c) for _, c in ours_only],
        allow_unused=True, create_graph=deeper,
    )  # fmt: skip
    found = []
    for i, (a, b, x) in enumerate(zip(g_ours, g_theirs, their_inputs, strict=True)):
        # No gradient and a gradient of zeros mean the same.
        if a is None or b is None:
            known = a if b is None else b
            assert known is None or not array(known).any(), f"{what} of input {i}: {a} / {b}"
            continue
        check_array(a, b, f"{what} of input {i} {tuple(x.shape)}", 10 * tolerance)
        found.append((a, b))
    if deeper:
        check_gradients(
            [a for a, b in found], our_inputs, [b for a, b in found], their_inputs,
            order=order - 1, tolerance=10 * tolerance, what=f"gradient of {what}",
        )  # fmt: skip


def resolve(name: str) -> Callable[..., Any] | None:
    """numbagrad's function of a dotted name, None if it has none."""
    return functools.reduce(lambda o, part: getattr(o, part, None), name.split("."), ng)  # type: ignore[arg-type, return-value]
