"""Small programs of `torch.func`, with the same outcome under both libraries.

An outcome is the result with its structure, dtypes, values and ``requires_grad``, or the type of
the error.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import numbagrad as ng

torch = pytest.importorskip("torch")
# PyTorch loads its decompositions at the first jvp, and warns about what it cannot map.
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


def made(L, *shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return L.tensor(values.tolist(), dtype=L.float64)


def plain(x: Any) -> Any:
    if isinstance(x, ng.Tensor | torch.Tensor):
        return [str(x.dtype).split(".")[1], list(x.shape), x.requires_grad, x.detach().tolist()]
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, tuple | list):
        kind = "tuple" if isinstance(x, tuple) else "list"
        return [kind, *map(plain, x)]
    return x


def outcome(program: Any, library: Any) -> Any:
    try:
        return plain(program(library))
    except Exception as error:
        return next(c for c in type(error).__mro__ if c.__module__ == "builtins").__name__


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if type(a) is not type(b):
        return False
    if isinstance(a, float | complex):
        return bool(np.isclose(a, b, 1e-6, 1e-9, equal_nan=True))
    return a == b


def without_recording(L, f):
    with L.no_grad():
        return f()


def in_inference_mode(L, f):
    with L.inference_mode():
        return f()


def network(L):
    m = L.nn.Sequential(L.nn.Linear(3, 4), L.nn.Tanh(), L.nn.Linear(4, 2)).double()
    with L.no_grad():
        for i, p in enumerate(m.parameters()):
            p.copy_(made(L, *p.shape, seed=i))
    return m


PROGRAMS = {
    "batch norms replaced": lambda L: (
        lambda m: (L.func.vmap(m)(made(L, 5, 4, 3)), m[0].num_batches_tracked)
    )(L.func.replace_all_batch_norm_modules_(L.nn.Sequential(L.nn.BatchNorm1d(3).double()))),
    # Gradients, Jacobians and the arguments of transforms.
    "vjp nontensor out": lambda L: L.func.vjp(lambda x: (x, None), made(L, 2)),
    "vjp out none": lambda L: L.func.vjp(lambda x: None, made(L, 2)),
    "vjp empty": lambda L: L.func.vjp(lambda x: (), made(L, 2)),
    "vjp noprimals": lambda L: L.func.vjp(lambda: made(L, 2))[0],
    "grad noargs": lambda L: L.func.grad(lambda: made(L))(),
    "grad kw": lambda L: L.func.grad(lambda x, y=None: (x * y).sum())(
        made(L, 2), y=made(L, 2, seed=1)
    ),
    "grad argnums list": lambda L: L.func.grad(lambda x, y: (x * y).sum(), argnums=[0, 1])(
        made(L, 2), made(L, 2)
    ),
    "grad argnums str": lambda L: L.func.grad(lambda x, y: (x * y).sum(), argnums="a")(
        made(L, 2), made(L, 2)
    ),
    "grad argnums nested": lambda L: L.func.grad(lambda x, y: (x * y).sum(), argnums=((0,), 1))(
        made(L, 2), made(L, 2)
    ),
    "grad dict": lambda L: L.func.grad(lambda d: (d["a"] * d["b"]).sum())(
        {"a": made(L, 2), "b": made(L, 2, seed=1)}
    ),
    "grad dict w number": lambda L: L.func.grad(lambda d: (d["a"] * d["b"]).sum())(
        {"a": made(L, 2), "b": 2.0}
    ),
    "grad list": lambda L: L.func.grad(lambda d: (d[0] * d[1]).sum())(
        [made(L, 2), made(L, 2, seed=1)]
    ),
    "grad none arg": lambda L: L.func.grad(lambda x, y: x.sum(), argnums=(0, 1))(made(L, 2), None),
    "grad 1-element": lambda L: L.func.grad(lambda x: x)(made(L, 1)),
    "grad returns tuple": lambda L: L.func.grad(lambda x: (x.sum(),))(made(L, 2)),
    "grad constant": lambda L: L.func.grad(lambda x: L.ones(()))(made(L, 2)),
    "grad int out": lambda L: L.func.grad(lambda x: x.sum().long())(made(L, 2)),
    "grad bool": lambda L: L.func.grad(lambda x: (x > 0).any())(made(L, 2)),
    "grad complex out": lambda L: L.func.grad(lambda x: (x * 1j).sum())(made(L, 2)),
    "grad complex in": lambda L: L.func.grad(lambda x: (x * x.conj()).real.sum())(made(L, 2) + 1j),
    "grad complex abs": lambda L: L.func.grad(lambda x: x.abs().sum())(made(L, 2) + 1j),
    "grad_and_value": lambda L: L.func.grad_and_value(lambda x, y: (x * y).sum(), argnums=(0, 1))(
        made(L, 2), made(L, 2)
    ),
    "vjp complex": lambda L: L.func.vjp(lambda x: x * (2 + 1j), made(L, 2) + 1j)[1](
        made(L, 2) + 0j
    ),
    "jvp complex": lambda L: L.func.jvp(
        lambda x: x * x.conj(), (made(L, 2) + 1j,), (made(L, 2) + 0j,)
    ),
    "jvp int primal": lambda L: L.func.jvp(
        lambda x: x * 2, (L.tensor([1, 2]),), (L.tensor([1, 2]),)
    ),
    "jvp mixed dtype": lambda L: L.func.jvp(lambda x: x * 2, (made(L, 2),), (made(L, 2).float(),)),
    "jvp list primals": lambda L: L.func.jvp(lambda x: x * 2, [made(L, 2)], [made(L, 2)]),
    "jvp tangents list": lambda L: L.func.jvp(lambda x: x * 2, (made(L, 2),), [made(L, 2)]),
    "jvp num": lambda L: L.func.jvp(lambda x: x * 2, (1.0,), (1.0,)),
    "jvp out num": lambda L: L.func.jvp(lambda x: 2.0, (made(L, 2),), (made(L, 2),)),
    "jvp empty": lambda L: L.func.jvp(lambda: made(L, 2), (), ()),
    "jvp bool out": lambda L: L.func.jvp(lambda x: (x > 0, x), (made(L, 2),), (made(L, 2),)),
    "jvp int out": lambda L: L.func.jvp(lambda x: x.argmax(), (made(L, 2),), (made(L, 2),)),
    "jvp max": lambda L: L.func.jvp(
        lambda x: tuple(x.max(0)), (made(L, 4, 2),), (made(L, 4, 2, seed=1),)
    ),
    "jvp strict ok": lambda L: L.func.jvp(
        lambda x: x * 2, (made(L, 2),), (made(L, 2),), strict=True
    ),
    "jvp strict partial": lambda L: L.func.jvp(
        lambda x: (x * 2, L.ones(1)), (made(L, 2),), (made(L, 2),), strict=True
    ),
    "jvp dict": lambda L: L.func.jvp(
        lambda d: {"o": d["a"] * d["b"]},
        ({"a": made(L, 2), "b": made(L, 2, seed=1)},),
        ({"a": made(L, 2, seed=2), "b": made(L, 2, seed=3)},),
    ),
    "linearize mism": lambda L: L.func.linearize(lambda x: x * 2, made(L, 2))[1](made(L, 3)),
    "linearize struct": lambda L: L.func.linearize(lambda x: x * 2, made(L, 2))[1](
        (made(L, 2), made(L, 2))
    ),
    "linearize multi": lambda L: L.func.linearize(
        lambda x, y: {"a": x * y}, made(L, 2), made(L, 2, seed=1)
    )[1](made(L, 2), made(L, 2)),
    "linearize const": lambda L: L.func.linearize(lambda x: (x * 2, L.ones(2)), made(L, 2))[1](
        made(L, 2)
    ),
    "linearize int": lambda L: L.func.linearize(lambda x: x * 2, L.tensor([1, 2])),
    "linearize vmap": lambda L: L.func.vmap(L.func.linearize(lambda x: x.sin(), made(L, 2))[1])(
        made(L, 3, 2)
    ),
    "jacrev int": lambda L: L.func.jacrev(lambda x: x * 2)(L.tensor([1, 2])),
    "jacrev int out": lambda L: L.func.jacrev(lambda x: x.argmax())(made(L, 2)),
    "jacrev num out": lambda L: L.func.jacrev(lambda x: 2.0)(made(L, 2)),
    "jacrev const": lambda L: L.func.jacrev(lambda x: L.ones(2))(made(L, 2)),
    "jacfwd const": lambda L: L.func.jacfwd(lambda x: L.ones(2))(made(L, 2)),
    "jacfwd int": lambda L: L.func.jacfwd(lambda x: x * 2)(L.tensor([1, 2])),
    "jacfwd int out": lambda L: L.func.jacfwd(lambda x: x.argmax())(made(L, 2)),
    "jacfwd num out": lambda L: L.func.jacfwd(lambda x: 2.0)(made(L, 2)),
    "jacrev args": lambda L: L.func.jacrev(lambda x, y: x * y, argnums=1)(made(L, 2), made(L, 2)),
    "jacrev argnums bad": lambda L: L.func.jacrev(lambda x, y: x * y, argnums=2)(
        made(L, 2), made(L, 2)
    ),
    "jacfwd argnums bad": lambda L: L.func.jacfwd(lambda x, y: x * y, argnums=2)(
        made(L, 2), made(L, 2)
    ),
    "jacfwd argnums empty": lambda L: L.func.jacfwd(lambda x, y: x * y, argnums=())(
        made(L, 2), made(L, 2)
    ),
    "jacrev tuple1": lambda L: L.func.jacrev(lambda x: (x,), argnums=(0,))(made(L, 2)),
    "jacfwd tuple1": lambda L: L.func.jacfwd(lambda x: (x,), argnums=(0,))(made(L, 2)),
    "jacrev scalar": lambda L: L.func.jacrev(lambda x: x.sum())(made(L, 2, 3)),
    "jacrev 0d in": lambda L: L.func.jacrev(lambda x: x * L.ones(3))(made(L)),
    "jacfwd 0d in": lambda L: L.func.jacfwd(lambda x: x * L.ones(3))(made(L)),
    "jacrev empty in": lambda L: L.func.jacrev(lambda x: x.sum())(made(L, 0)),
    "jacrev empty out": lambda L: L.func.jacrev(lambda x: x[:0])(made(L, 2)),
    "jacfwd empty in": lambda L: L.func.jacfwd(lambda x: x.sum())(made(L, 0)),
    "jacfwd empty out": lambda L: L.func.jacfwd(lambda x: x[:0])(made(L, 2)),
    "jacrev chunk neg": lambda L: L.func.jacrev(lambda x: x, chunk_size=-1)(made(L, 2)),
    "jacrev chunk big": lambda L: L.func.jacrev(lambda x: x * x, chunk_size=100)(made(L, 2)),
    "jacrev complex out": lambda L: L.func.jacrev(lambda x: x * 1j)(made(L, 2)),
    "jacfwd complex": lambda L: L.func.jacfwd(lambda x: x * 1j)(made(L, 2)),
    "jacfwd complex in": lambda L: L.func.jacfwd(lambda x: x)(made(L, 2) + 1j),
    "jacfwd aux bad": lambda L: L.func.jacfwd(lambda x: x * x, has_aux=True)(made(L, 2)),
    "jacrev aux bad": lambda L: L.func.jacrev(lambda x: x * x, has_aux=True)(made(L, 2)),
    "jacrev unused": lambda L: L.func.jacrev(lambda x, y: x * 2, argnums=(0, 1))(
        made(L, 2), made(L, 3)
    ),
    "jacfwd unused": lambda L: L.func.jacfwd(lambda x, y: x * 2, argnums=(0, 1))(
        made(L, 2), made(L, 3)
    ),
    "jacfwd mixed dtypes": lambda L: L.func.jacfwd(lambda x, y: x * y, argnums=(0, 1))(
        made(L, 2), made(L, 2).float()
    ),
    "jacrev mixed dtypes": lambda L: L.func.jacrev(lambda x, y: x * y, argnums=(0, 1))(
        made(L, 2), made(L, 2).float()
    ),
    "jacfwd random": lambda L: L.func.jacfwd(lambda x: x * L.rand(2))(made(L, 2)),
    "hessian vec": lambda L: L.func.hessian(lambda x: x**3)(made(L, 2)),
    "hessian linear": lambda L: L.func.hessian(lambda x: x.sum())(made(L, 2)),
    "hessian const": lambda L: L.func.hessian(lambda x: L.ones(()))(made(L, 2)),
    "hessian dict": lambda L: L.func.hessian(lambda d: (d["a"] ** 2 * d["b"]).sum())(
        {"a": made(L, 2), "b": made(L, 2)}
    ),
    "hessian tuple out": lambda L: L.func.hessian(lambda x: ((x**2).sum(), (x**3).sum()))(
        made(L, 2)
    ),
    "hessian requires": lambda L: L.func.hessian(lambda x: (x**3).sum())(
        made(L, 2).requires_grad_()
    ),
    "jacrev requires": lambda L: L.func.jacrev(lambda x: x**3)(made(L, 2).requires_grad_()),
    "jacfwd requires": lambda L: L.func.jacfwd(lambda x: x**3)(made(L, 2).requires_grad_()),
    "jvp requires": lambda L: L.func.jvp(
        lambda x: x**3, (made(L, 2).requires_grad_(),), (made(L, 2),)
    ),
    "jvp requires t": lambda L: L.func.jvp(
        lambda x: x**3, (made(L, 2),), (made(L, 2).requires_grad_(),)
    ),
    "vjp requires": lambda L: L.func.vjp(lambda x: x**3, made(L, 2).requires_grad_())[0],
    "vjp requires2": lambda L: L.func.vjp(lambda x: x**3, made(L, 2).requires_grad_())[1](
        made(L, 2)
    ),
    "vjp ct requires": lambda L: L.func.vjp(lambda x: x**3, made(L, 2))[1](
        made(L, 2).requires_grad_()
    ),
    "vmap requires": lambda L: L.func.vmap(lambda x: x**3)(made(L, 2).requires_grad_()),
    "grad in no_grad": lambda L: without_recording(
        L, lambda: L.func.grad(lambda x: (x**3).sum())(made(L, 2).requires_grad_())
    ),
    "vjp in no_grad": lambda L: without_recording(
        L, lambda: L.func.vjp(lambda x: (x**3).sum(), made(L, 2).requires_grad_())[0]
    ),
    "hess in no_grad": lambda L: without_recording(
        L, lambda: L.func.hessian(lambda x: (x**3).sum())(made(L, 2))
    ),
    "grad in inference": lambda L: in_inference_mode(
        L, lambda: L.func.grad(lambda x: (x**3).sum())(made(L, 2))
    ),
    "jvp in inference": lambda L: in_inference_mode(
        L, lambda: L.func.jvp(lambda x: (x**3).sum(), (made(L, 2),), (made(L, 2),))
    ),
    "vmap in inference": lambda L: in_inference_mode(
        L, lambda: L.func.vmap(lambda x: (x**3).sum())(made(L, 2, 2))
    ),
    "hess in inference": lambda L: in_inference_mode(
        L, lambda: L.func.hessian(lambda x: (x**3).sum())(made(L, 2))
    ),
    "backward inside grad": lambda L: L.func.grad(
        lambda x: (lambda y: (y.backward(), y)[1])((x**2).sum())
    )(made(L, 2)),
    "autograd.grad inside grad": lambda L: L.func.grad(
        lambda x: L.autograd.grad((x**3).sum(), x, create_graph=True)[0].sum()
    )(made(L, 2)),
    "autograd.grad inside vmap": lambda L: L.func.vmap(
        lambda x: L.autograd.grad((x**3).sum(), x)[0]
    )(made(L, 2).requires_grad_()),
    "requires_grad inside": lambda L: L.func.grad(
        lambda x: (x * (1.0 if x.requires_grad else 2.0)).sum()
    )(made(L, 2)),
    "detach inside": lambda L: L.func.grad(lambda x: (x * x.detach()).sum())(made(L, 2)),
    "data inside": lambda L: L.func.grad(lambda x: (x * x.data).sum())(made(L, 2)),
    "inplace on input": lambda L: L.func.grad(lambda x: x.mul_(2).sum())(made(L, 2)),
    "inplace on clone": lambda L: L.func.grad(lambda x: x.clone().mul_(2).sin_().sum())(made(L, 2)),
    "item inside grad": lambda L: L.func.grad(lambda x: x.sum() * x[0].item())(made(L, 2)),
    "float inside grad": lambda L: L.func.grad(lambda x: x.sum() * float(x[0]))(made(L, 2)),
    "tolist inside grad": lambda L: L.func.grad(lambda x: x.sum() * x.tolist()[0])(made(L, 2)),
    "numpy inside grad": lambda L: L.func.grad(lambda x: x.sum() * float(x.numpy()[0]))(made(L, 2)),
    "numpy inside vmap": lambda L: L.func.vmap(lambda x: x * float(x.numpy()))(made(L, 2)),
    "tolist inside vmap": lambda L: L.func.vmap(lambda x: x * x.tolist())(made(L, 2)),
    "len inside vmap": lambda L: L.func.vmap(lambda x: x * len(x))(made(L, 2, 3)),
    "iter inside vmap": lambda L: L.func.vmap(lambda x: sum(r * i for i, r in enumerate(x)))(
        made(L, 2, 3)
    ),
    "unbind": lambda L: L.func.vmap(lambda x: x.unbind(0))(made(L, 2, 3)),
    "split": lambda L: L.func.vmap(lambda x: x.split(2, 0))(made(L, 2, 3)),
    "chunk": lambda L: L.func.vmap(lambda x: x.chunk(2, -1))(made(L, 2, 3)),
    "return list": lambda L: L.func.vmap(lambda x: [x, x * 2])(made(L, 2, 3)),
    "return dict": lambda L: L.func.vmap(lambda x: {"a": x, "b": (x, [x])})(made(L, 2, 3)),
    "return none": lambda L: L.func.vmap(lambda x: None)(made(L, 2, 3)),
    "return none outdims": lambda L: L.func.vmap(lambda x: (x, None), out_dims=(0, None))(
        made(L, 2, 3)
    ),
    "return unbatched": lambda L: L.func.vmap(lambda x: L.ones(2))(made(L, 3)),
    "return closed": lambda L: (lambda c: L.func.vmap(lambda x: c)(made(L, 3)))(made(L, 2)),
    "out dims 1 on 0d": lambda L: L.func.vmap(lambda x: x, out_dims=1)(made(L, 3)),
    "out dims -1": lambda L: L.func.vmap(lambda x: x, out_dims=-1)(made(L, 3, 2)),
    "out dims dict": lambda L: L.func.vmap(lambda x: {"a": x, "b": x}, out_dims={"a": 0, "b": 1})(
        made(L, 3, 2)
    ),
    "out dims tuple nested": lambda L: L.func.vmap(lambda x: (x, (x, x)), out_dims=(0, (1, 0)))(
        made(L, 3, 2)
    ),
    "out dims partial": lambda L: L.func.vmap(lambda x: (x, (x, x)), out_dims=(0, 1))(
        made(L, 3, 2)
    ),
    "out dims list": lambda L: L.func.vmap(lambda x: [x, x], out_dims=[0, 1])(made(L, 3, 2)),
    "out dims single tuple": lambda L: L.func.vmap(lambda x: x, out_dims=(1,))(made(L, 3, 2)),
    "out dims float": lambda L: L.func.vmap(lambda x: x, out_dims=1.0)(made(L, 3, 2)),
    "out dims str": lambda L: L.func.vmap(lambda x: x, out_dims="a")(made(L, 3, 2)),
    "in dims dict": lambda L: L.func.vmap(
        lambda d: d["a"] + d["b"], in_dims=({"a": 0, "b": None},)
    )({"a": made(L, 3, 2), "b": made(L, 2)}),
    "in dims list in tuple": lambda L: L.func.vmap(lambda d: d[0] + d[1], in_dims=([0, None],))(
        [made(L, 3, 2), made(L, 2)]
    ),
    "in dims tuple for list": lambda L: L.func.vmap(lambda d: d[0] + d[1], in_dims=((0, None),))(
        [made(L, 3, 2), made(L, 2)]
    ),
    "in dims neg": lambda L: L.func.vmap(lambda x: x.sum(), in_dims=-2)(made(L, 3, 2)),
    "in dims neg bad": lambda L: L.func.vmap(lambda x: x.sum(), in_dims=-3)(made(L, 3, 2)),
    "in dims 0d": lambda L: L.func.vmap(lambda x: x)(made(L)),
    "in dims float": lambda L: L.func.vmap(lambda x: x, in_dims=0.0)(made(L, 2)),
    "in dims none int": lambda L: L.func.vmap(lambda x: x, in_dims=None)(made(L, 2, 2)),
    "vmap kwargs": lambda L: L.func.vmap(lambda x, y: x * y)(made(L, 2), y=made(L, 2)),
    "vmap only kwargs": lambda L: L.func.vmap(lambda x: x)(x=made(L, 2)),
    "vmap size 0 sum": lambda L: L.func.vmap(lambda x: x.sum())(made(L, 0, 3)),
    "vmap nontensor arg": lambda L: L.func.vmap(
        lambda x, s: x.sum() if s == "a" else x, in_dims=(0, None)
    )(made(L, 2, 3), "a"),
    "vmap nested mismatched": lambda L: L.func.vmap(L.func.vmap(lambda x, y: x * y))(
        made(L, 2, 3), made(L, 2, 3)
    ),
    "vmap nested in1": lambda L: L.func.vmap(
        L.func.vmap(lambda x, y: x @ y, in_dims=(1, None)), in_dims=(0, 1)
    )(made(L, 2, 3, 4), made(L, 3, 2)),
    "chunk 2": lambda L: L.func.vmap(lambda x: x * 2, chunk_size=2)(made(L, 5, 2)),
    "chunk outdims": lambda L: L.func.vmap(
        lambda x: (x * 2, x.sum()), chunk_size=2, out_dims=(1, 0)
    )(made(L, 5, 2)),
    "chunk size float": lambda L: L.func.vmap(lambda x: x, chunk_size=1.5)(made(L, 5, 2)),
    "chunk size -1": lambda L: L.func.vmap(lambda x: x, chunk_size=-1),
    "randomness bad": lambda L: L.func.vmap(lambda x: x, randomness="x"),
    # Operations and modules under vmap.
    "shape": lambda L: L.func.vmap(lambda x: x * x.shape[0] * x.dim() * x.numel() * x.size(0))(
        made(L, 2, 3)
    ),
    "zeros shape": lambda L: L.func.vmap(lambda x: L.zeros(x.shape, dtype=x.dtype) + x)(
        made(L, 2, 3)
    ),
    "inplace on zeros": lambda L: L.func.vmap(lambda x: L.zeros(3, dtype=x.dtype).add_(x))(
        made(L, 2, 3)
    ),
    "inplace on zeros_like": lambda L: L.func.vmap(lambda x: L.zeros_like(x).add_(x))(
        made(L, 2, 3)
    ),
    "inplace new_zeros": lambda L: L.func.vmap(lambda x: x.new_zeros(3).add_(x))(made(L, 2, 3)),
    "inplace on captured": lambda L: (
        lambda c: (L.func.vmap(lambda x: c.add_(1) * x)(made(L, 2, 3)), c)
    )(made(L, 3)),
    "inplace batched by unb": lambda L: (
        lambda c: L.func.vmap(lambda x: x.clone().add_(c))(made(L, 2, 3))
    )(made(L, 3)),
    "inplace input": lambda L: (lambda c: (L.func.vmap(lambda x: x.add_(1))(c), c))(made(L, 2, 3)),
    "inplace input in_dims1": lambda L: (
        lambda c: (L.func.vmap(lambda x: x.mul_(2), in_dims=1)(c), c)
    )(made(L, 2, 3)),
    "inplace unbatched input": lambda L: (
        lambda c: (L.func.vmap(lambda x, y: y.add_(1) * x, in_dims=(0, None))(made(L, 2, 3), c), c)
    )(made(L, 3)),
    "inplace unbatched input by batched": lambda L: (
        lambda c: (L.func.vmap(lambda x, y: y.add_(x), in_dims=(0, None))(made(L, 2, 3), c), c)
    )(made(L, 3)),
    "setitem batched idx": lambda L: L.func.vmap(
        lambda x, i: (lambda y: (y.__setitem__(i, 0.0), y)[1])(x.clone())
    )(made(L, 2, 3), L.tensor([0, 2])),
    "setitem slice": lambda L: L.func.vmap(
        lambda x: (lambda y: (y.__setitem__(slice(1, None), x[:2]), y)[1])(x.clone())
    )(made(L, 2, 3)),
    "setitem unb": lambda L: L.func.vmap(
        lambda x: (lambda y: (y.__setitem__(0, x[0]), y)[1])(L.zeros(3, dtype=L.float64))
    )(made(L, 2, 3)),
    "fill_ batched": lambda L: L.func.vmap(lambda x, v: x.clone().fill_(v))(
        made(L, 2, 3), made(L, 2)
    ),
    "fill_ unb": lambda L: L.func.vmap(lambda v: L.zeros(3, dtype=L.float64).fill_(v))(made(L, 2)),
    "copy_ unb": lambda L: L.func.vmap(lambda v: L.zeros(3, dtype=L.float64).copy_(v))(
        made(L, 2, 3)
    ),
    "zero_": lambda L: L.func.vmap(lambda x: x.clone().zero_())(made(L, 2, 3)),
    "masked_fill_": lambda L: L.func.vmap(lambda x: x.clone().masked_fill_(x > 0, 1.0))(
        made(L, 2, 3)
    ),
    "index_add_": lambda L: L.func.vmap(lambda x, i: x.clone().index_add_(0, i, x[:2]))(
        made(L, 2, 3), L.tensor([[0, 1], [1, 2]])
    ),
    "scatter_": lambda L: L.func.vmap(lambda x, i: x.clone().scatter_(0, i, 5.0))(
        made(L, 2, 3), L.tensor([[0, 1], [1, 2]])
    ),
    "index_put_": lambda L: L.func.vmap(lambda x, i: x.clone().index_put_((i,), x[:2]))(
        made(L, 2, 3), L.tensor([[0, 1], [1, 2]])
    ),
    "index batched": lambda L: L.func.vmap(lambda x, i: x[i])(made(L, 2, 3), L.tensor([0, 2])),
    "index unb by b": lambda L: (lambda c: L.func.vmap(lambda i: c[i])(L.tensor([0, 2])))(
        made(L, 3, 2)
    ),
    "index 2": lambda L: L.func.vmap(lambda x, i: x[:, i])(
        made(L, 2, 3, 4), L.tensor([[0, 2], [1, 1]])
    ),
    "index mask unb": lambda L: (lambda m: L.func.vmap(lambda x: x[m])(made(L, 2, 3)))(
        L.tensor([True, False, True])
    ),
    "index mask batched": lambda L: L.func.vmap(lambda x: x[x > 0])(made(L, 2, 3)),
    "index none": lambda L: L.func.vmap(lambda x: x[None, ..., 1:])(made(L, 2, 3)),
    "take": lambda L: L.func.vmap(lambda x, i: x.take(i))(
        made(L, 2, 3), L.tensor([[0, 1], [1, 2]])
    ),
    "take_along": lambda L: L.func.vmap(lambda x, i: L.take_along_dim(x, i, 0))(
        made(L, 2, 3), L.tensor([[0, 1], [1, 2]])
    ),
    "embedding": lambda L: L.func.vmap(
        lambda i, w: L.nn.functional.embedding(i, w), in_dims=(0, None)
    )(L.tensor([[0, 1], [1, 2]]), made(L, 3, 4)),
    "embedding w": lambda L: L.func.vmap(lambda i, w: L.nn.functional.embedding(i, w))(
        L.tensor([[0, 1], [1, 2]]), made(L, 2, 3, 4)
    ),
    "one_hot": lambda L: L.func.vmap(lambda i: L.nn.functional.one_hot(i, 4))(
        L.tensor([[0, 1], [1, 2]])
    ),
    "one_hot noclasses": lambda L: L.func.vmap(lambda i: L.nn.functional.one_hot(i))(
        L.tensor([[0, 1], [1, 2]])
    ),
    "ce": lambda L: L.func.vmap(L.nn.functional.cross_entropy)(
        made(L, 2, 3, 4), L.tensor([[0, 1, 2], [1, 2, 3]])
    ),
    "ce 1d": lambda L: L.func.vmap(L.nn.functional.cross_entropy)(made(L, 2, 4), L.tensor([0, 1])),
    "nll": lambda L: L.func.vmap(L.nn.functional.nll_loss)(
        made(L, 2, 3, 4), L.tensor([[0, 1, 2], [1, 2, 3]])
    ),
    "mse": lambda L: L.func.vmap(L.nn.functional.mse_loss)(made(L, 2, 3), made(L, 2, 3, seed=1)),
    "layer_norm": lambda L: L.func.vmap(lambda x: L.nn.functional.layer_norm(x, (4,)))(
        made(L, 2, 3, 4)
    ),
    "group_norm": lambda L: L.func.vmap(lambda x: L.nn.functional.group_norm(x, 2))(
        made(L, 2, 3, 4)
    ),
    "batch_norm running": lambda L: (
        lambda m, v: L.func.vmap(lambda x: L.nn.functional.batch_norm(x, m, v, training=True))(
            made(L, 2, 3, 4)
        )
    )(L.zeros(4, dtype=L.float64), L.ones(4, dtype=L.float64)),
    "batch_norm eval": lambda L: (
        lambda m, v: L.func.vmap(lambda x: L.nn.functional.batch_norm(x, m, v))(made(L, 2, 3, 4))
    )(L.zeros(4, dtype=L.float64), L.ones(4, dtype=L.float64)),
    "linear w b": lambda L: L.func.vmap(L.nn.functional.linear)(
        made(L, 2, 3), made(L, 2, 4, 3), made(L, 2, 4)
    ),
    "bilinear": lambda L: L.func.vmap(L.nn.functional.bilinear, in_dims=(0, 0, None))(
        made(L, 2, 5, 3), made(L, 2, 5, 4), made(L, 6, 3, 4)
    ),
    "conv1d": lambda L: L.func.vmap(L.nn.functional.conv1d, in_dims=(0, None))(
        made(L, 2, 3, 2, 5), made(L, 4, 2, 3)
    ),
    "conv1d both": lambda L: L.func.vmap(L.nn.functional.conv1d)(
        made(L, 2, 3, 2, 5), made(L, 2, 4, 2, 3)
    ),
    "conv2d unb input": lambda L: L.func.vmap(L.nn.functional.conv2d, in_dims=(None, 0, 0))(
        made(L, 3, 2, 5, 5), made(L, 2, 4, 2, 3, 3), made(L, 2, 4)
    ),
    "conv2d groups": lambda L: L.func.vmap(
        lambda x, w: L.nn.functional.conv2d(x, w, groups=2, stride=2, padding=1)
    )(made(L, 2, 3, 4, 5, 5), made(L, 2, 4, 2, 3, 3)),
    "conv_transpose": lambda L: L.func.vmap(
        lambda x, w: L.nn.functional.conv_transpose2d(x, w, stride=2)
    )(made(L, 2, 3, 4, 5, 5), made(L, 2, 4, 2, 3, 3)),
    "maxpool": lambda L: L.func.vmap(lambda x: L.nn.functional.max_pool2d(x, 2))(
        made(L, 2, 3, 4, 4)
    ),
    "avgpool": lambda L: L.func.vmap(lambda x: L.nn.functional.avg_pool2d(x, 2))(
        made(L, 2, 3, 4, 4)
    ),
    "adaptive": lambda L: L.func.vmap(lambda x: L.nn.functional.adaptive_avg_pool2d(x, 2))(
        made(L, 2, 3, 4, 4)
    ),
    "pad": lambda L: L.func.vmap(lambda x: L.nn.functional.pad(x, (1, 2)))(made(L, 2, 3)),
    "sdpa": lambda L: L.func.vmap(L.nn.functional.scaled_dot_product_attention)(
        made(L, 2, 3, 4, 5), made(L, 2, 3, 4, 5, seed=1), made(L, 2, 3, 4, 5, seed=2)
    ),
    "einsum": lambda L: L.func.vmap(lambda a, b: L.einsum("ij,jk->ik", a, b), in_dims=(0, None))(
        made(L, 2, 3, 4), made(L, 4, 5)
    ),
    "tensordot": lambda L: L.func.vmap(lambda a, b: L.tensordot(a, b, dims=1), in_dims=(0, None))(
        made(L, 2, 3, 4), made(L, 4, 5)
    ),
    "outer": lambda L: L.func.vmap(L.outer)(made(L, 2, 3), made(L, 2, 4)),
    "mv": lambda L: L.func.vmap(L.mv, in_dims=(None, 0))(made(L, 3, 4), made(L, 2, 4)),
    "mm": lambda L: L.func.vmap(L.mm, in_dims=(0, 0))(made(L, 2, 3, 4), made(L, 2, 4, 3)),
    "bmm": lambda L: L.func.vmap(L.bmm)(made(L, 2, 5, 3, 4), made(L, 2, 5, 4, 3)),
    "addmm": lambda L: L.func.vmap(L.addmm)(made(L, 2, 3), made(L, 2, 5, 4), made(L, 2, 4, 3)),
    "cat mix": lambda L: (lambda c: L.func.vmap(lambda x: L.cat([x, c]))(made(L, 2, 3)))(
        made(L, 2)
    ),
    "stack mix": lambda L: (lambda c: L.func.vmap(lambda x: L.stack([x, c], 1))(made(L, 2, 3)))(
        made(L, 3)
    ),
    "where mix": lambda L: L.func.vmap(lambda x: L.where(x > 0, x, L.zeros((), dtype=x.dtype)))(
        made(L, 2, 3)
    ),
    "clamp t": lambda L: L.func.vmap(lambda x, a: x.clamp(min=a))(made(L, 2, 3), made(L, 2)),
    "roll": lambda L: L.func.vmap(lambda x: x.roll(1, 0))(made(L, 2, 3)),
    "repeat": lambda L: L.func.vmap(lambda x: x.repeat(2, 3))(made(L, 2, 3)),
    "tile": lambda L: L.func.vmap(lambda x: x.tile(2))(made(L, 2, 3)),
    "repeat_interleave": lambda L: L.func.vmap(lambda x: x.repeat_interleave(2, 0))(made(L, 2, 3)),
    "flip": lambda L: L.func.vmap(lambda x: x.flip(0))(made(L, 2, 3)),
    "tril": lambda L: L.func.vmap(lambda x: x.tril())(made(L, 2, 3, 3)),
    "diag": lambda L: L.func.vmap(lambda x: (L.diag(x), L.diag(L.diag(x))))(made(L, 2, 3)),
    "diag_embed": lambda L: L.func.vmap(lambda x: L.diag_embed(x))(made(L, 2, 3)),
    "trace": lambda L: L.func.vmap(L.trace)(made(L, 2, 3, 3)),
    "T": lambda L: L.func.vmap(lambda x: (x.T, x.mT, x.t()))(made(L, 2, 3, 4)),
    "movedim": lambda L: L.func.vmap(lambda x: x.movedim(0, -1))(made(L, 2, 3, 4)),
    "squeeze": lambda L: L.func.vmap(lambda x: (x.squeeze(), x.squeeze(0), x.unsqueeze(1)))(
        made(L, 1, 1, 4)
    ),
    "flatten": lambda L: L.func.vmap(lambda x: (x.flatten(), x.reshape(-1), x.view(4, 3)))(
        made(L, 2, 3, 4)
    ),
    "unfold": lambda L: L.func.vmap(lambda x: x.unfold(0, 2, 1))(made(L, 2, 4)),
    "as_strided": lambda L: L.func.vmap(lambda x: x.as_strided((2, 2), (1, 1)))(made(L, 2, 4)),
    "cumsum": lambda L: L.func.vmap(lambda x: (x.cumsum(0), x.cumprod(-1), x.logcumsumexp(0)))(
        made(L, 2, 4)
    ),
    "argmax": lambda L: L.func.vmap(lambda x: (x.argmax(), x.argmin(0), x.argsort()))(
        made(L, 2, 4)
    ),
    "topk": lambda L: L.func.vmap(lambda x: tuple(x.topk(2)))(made(L, 2, 4)),
    "any all": lambda L: L.func.vmap(lambda x: ((x > 0).any(), (x > 0).all(0)))(made(L, 2, 4)),
    "norms": lambda L: L.func.vmap(
        lambda x: (x.norm(), x.norm(1), L.linalg.norm(x), L.linalg.vector_norm(x, 3))
    )(made(L, 2, 4)),
    "dist": lambda L: L.func.vmap(lambda x, y: (L.dist(x, y), L.cdist(x[None], y[None])))(
        made(L, 2, 4), made(L, 2, 4, seed=1)
    ),
    "var": lambda L: L.func.vmap(lambda x: (x.var(), x.std(0), x.mean(), L.var_mean(x)[0]))(
        made(L, 2, 4)
    ),
    "prod": lambda L: L.func.vmap(lambda x: (x.prod(), x.prod(0), x.amax(0), x.min()))(
        made(L, 2, 4)
    ),
    "promote": lambda L: L.func.vmap(lambda a: a * L.ones(3))(made(L, 2)),
    "promote2": lambda L: L.func.vmap(lambda a: a.float() + L.ones(3, dtype=L.float64))(made(L, 2)),
    "promote3": lambda L: L.func.vmap(lambda a: L.ones(3, dtype=L.int64) * a)(made(L, 2).float()),
    "int": lambda L: L.func.vmap(lambda a: a // 2)(L.tensor([1, 5])),
    "is_floating": lambda L: L.func.vmap(lambda a: a * (2 if a.is_floating_point() else 3))(
        made(L, 2)
    ),
    "bool": lambda L: L.func.vmap(lambda a: a if a.dtype == L.float64 else None)(made(L, 2)),
    "equal": lambda L: L.func.vmap(lambda a: L.equal(a, a))(made(L, 2, 2)),
    "allclose": lambda L: L.func.vmap(lambda a: L.allclose(a, a))(made(L, 2, 2)),
    "nonzero": lambda L: L.func.vmap(lambda a: a.nonzero())(made(L, 2, 2)),
    "unique": lambda L: L.func.vmap(lambda a: a.unique())(made(L, 2, 2)),
    "where1": lambda L: L.func.vmap(lambda a: L.where(a > 0))(made(L, 2, 2)),
    "masked_select": lambda L: L.func.vmap(lambda a: a.masked_select(a > 0))(made(L, 2, 2)),
    "int()": lambda L: L.func.vmap(lambda a: int(a.sum()))(made(L, 2, 2)),
    "range idx": lambda L: L.func.vmap(lambda a, i: L.arange(i))(made(L, 2, 2), L.tensor([1, 2])),
    "hash": lambda L: L.func.vmap(lambda a: a * (hash(a) is not None))(made(L, 2, 2)),
    "rand err": lambda L: L.func.vmap(lambda a: a + L.randn(2))(made(L, 2, 2)),
    "rand_like err": lambda L: L.func.vmap(lambda a: L.rand_like(a))(made(L, 2, 2)),
    "dropout err": lambda L: L.func.vmap(lambda a: L.nn.functional.dropout(a))(made(L, 2, 2)),
    "dropout eval": lambda L: L.func.vmap(lambda a: L.nn.functional.dropout(a, training=False))(
        made(L, 2, 2)
    ),
    "bernoulli_ same unb": lambda L: L.func.vmap(
        lambda a: a * L.zeros(2, dtype=L.float64).bernoulli_(1.0), randomness="same"
    )(made(L, 2, 2)),
    "bernoulli_ diff unb": lambda L: L.func.vmap(
        lambda a: a * L.zeros(2, dtype=L.float64).bernoulli_(1.0), randomness="different"
    )(made(L, 2, 2)),
    "randperm": lambda L: L.func.vmap(lambda a: a + L.randperm(2).sum(), randomness="different")(
        made(L, 2, 2)
    ),
    "randint": lambda L: L.func.vmap(lambda a: a + L.randint(1, 2, (2,)), randomness="different")(
        made(L, 2, 2)
    ),
    "multinomial": lambda L: L.func.vmap(
        lambda a: L.multinomial(a.abs() * 0 + L.tensor([0.0, 1.0], dtype=L.float64), 1),
        randomness="different",
    )(made(L, 2, 2)),
    "no_grad in vmap": lambda L: (
        lambda w: L.func.vmap(lambda a: without_recording(L, lambda: w * a))(made(L, 2))
    )(made(L, 3).requires_grad_()),
    "closure grad": lambda L: (
        lambda w: (L.func.vmap(lambda a: (w * a).sum())(made(L, 2, 3)).sum().backward(), w.grad)[1]
    )(made(L, 3).requires_grad_()),
    "fcall": lambda L: L.func.functional_call(
        network(L), {k: v * 2 for k, v in network(L).named_parameters()}, made(L, 5, 3)
    ),
    "fcall tuple args": lambda L: L.func.functional_call(
        network(L), dict(network(L).named_parameters()), (made(L, 5, 3),)
    ),
    "fcall partial": lambda L: L.func.functional_call(
        network(L), {"0.bias": made(L, 4)}, (made(L, 5, 3),)
    ),
    "fcall bad key": lambda L: L.func.functional_call(
        network(L), {"9.bias": made(L, 4)}, (made(L, 5, 3),)
    ),
    "fcall bad key strict": lambda L: L.func.functional_call(
        network(L), {"9.bias": made(L, 4)}, (made(L, 5, 3),), strict=True
    ),
    "fcall not dict": lambda L: L.func.functional_call(network(L), 3, (made(L, 5, 3),)),
    "fcall list of nondict": lambda L: L.func.functional_call(network(L), [3], (made(L, 5, 3),)),
    "fcall kwargs": lambda L: L.func.functional_call(network(L), {}, (), {"input": made(L, 5, 3)}),
    "fcall grad": lambda L: (
        lambda m: L.func.grad(lambda ps: L.func.functional_call(m, ps, (made(L, 5, 3),)).sum())(
            dict(m.named_parameters())
        )
    )(network(L)),
    "fcall grad detach": lambda L: (
        lambda m: L.func.grad(lambda ps: L.func.functional_call(m, ps, (made(L, 5, 3),)).sum())(
            {k: v.detach() for k, v in m.named_parameters()}
        )
    )(network(L)),
    "fcall jacrev": lambda L: (
        lambda m: L.func.jacrev(lambda ps: L.func.functional_call(m, ps, (made(L, 3),)))(
            {k: v.detach() for k, v in m.named_parameters()}
        )
    )(network(L)),
    "fcall wrong shape": lambda L: L.func.functional_call(
        network(L), {"0.bias": made(L, 7)}, (made(L, 5, 3),)
    ),
    "fcall nontensor": lambda L: L.func.functional_call(
        network(L), {"0.bias": 3.0}, (made(L, 5, 3),)
    ),
    "stack": lambda L: L.func.stack_module_state([network(L) for _ in range(2)]),
    "stack mixed": lambda L: L.func.stack_module_state([network(L), L.nn.Linear(1, 1)]),
    "stack modes": lambda L: L.func.stack_module_state([network(L), network(L).eval()]),
    "stack buffers": lambda L: L.func.stack_module_state([L.nn.BatchNorm1d(2) for _ in range(2)])[
        1
    ],
    "stack shapes differ": lambda L: L.func.stack_module_state(
        [L.nn.Linear(1, 1), L.nn.Linear(2, 1)]
    ),
    "ensemble grad": lambda L: (
        lambda ms: (
            lambda st: L.func.vmap(
                L.func.grad(lambda ps, b, x: L.func.functional_call(ms[0], (ps, b), (x,)).sum()),
                in_dims=(0, 0, None),
            )(*st, made(L, 5, 3))
        )(L.func.stack_module_state(ms))
    )([network(L) for _ in range(2)]),
    "module in grad": lambda L: (lambda m: L.func.grad(lambda x: m(x).sum())(made(L, 3)))(
        network(L)
    ),
    "module vmap": lambda L: (lambda m: L.func.vmap(m)(made(L, 5, 3)))(network(L)),
    "bn train vmap": lambda L: (lambda m: L.func.vmap(m)(made(L, 5, 4, 3)))(
        L.nn.BatchNorm1d(3).double()
    ),
    "bn eval vmap": lambda L: (lambda m: L.func.vmap(m)(made(L, 5, 4, 3)))(
        L.nn.BatchNorm1d(3).double().eval()
    ),
    "bn notrack vmap": lambda L: (lambda m: L.func.vmap(m)(made(L, 5, 4, 3)))(
        L.nn.BatchNorm1d(3, track_running_stats=False).double()
    ),
    "L.vmap": lambda L: L.vmap(lambda x: x * 2)(made(L, 2)),
    "vmap name": lambda L: L.func.vmap(plain).__name__,
    "grad name": lambda L: L.func.grad(plain).__name__,
    "nested levels same": lambda L: L.func.grad(lambda x: L.func.grad(lambda y: x * y * y)(x))(
        made(L)
    ),
    "grad of vmapped sum": lambda L: L.func.grad(
        lambda w: L.func.vmap(lambda x: (w * x).sin().sum())(made(L, 4, 3)).mean()
    )(made(L, 3)),
    "hess of vmap": lambda L: L.func.hessian(
        lambda w: L.func.vmap(lambda x: (w * x).sin().sum())(made(L, 4, 3)).mean()
    )(made(L, 3)),
    "vjp of vmap": lambda L: L.func.vjp(L.func.vmap(lambda x: x.sin().sum()), made(L, 4, 3))[1](
        made(L, 4)
    ),
    "vmap over vjp_fn": lambda L: L.func.vmap(L.func.vjp(lambda x: x.sin(), made(L, 3))[1])(
        made(L, 4, 3)
    ),
    "jacrev of grad in vmap": lambda L: L.func.vmap(
        L.func.jacrev(L.func.grad(lambda x: (x**3).sum()))
    )(made(L, 4, 3)),
    "jacfwd chunk?": lambda L: L.func.jacfwd(lambda x: x**2, chunk_size=2)(made(L, 3)),
    "jacrev chunk jit": lambda L: L.func.jacrev(lambda x: x**2, chunk_size=1)(made(L, 3)),
    "jvp of jvp": lambda L: L.func.jvp(
        lambda x: L.func.jvp(lambda y: y**3, (x,), (L.ones_like(x),))[1],
        (made(L, 2),),
        (made(L, 2, seed=1),),
    ),
    "aux with vmap": lambda L: L.func.vmap(
        L.func.grad(lambda x: ((x**2).sum(), x * 2), has_aux=True)
    )(made(L, 4, 3)),
    "grad_and_value aux vmap": lambda L: L.func.vmap(
        L.func.grad_and_value(lambda x: ((x**2).sum(), x * 2), has_aux=True)
    )(made(L, 4, 3)),
    "escape vmap": lambda L: (
        lambda k: (L.func.vmap(lambda x: (k.append(x * 2), x.sum())[1])(made(L, 2, 2)), (k[0] + 1))
    )([])[1],
    # In-place operations on mapped tensors.
    "zero add": lambda L: L.func.vmap(lambda x: x.clone().zero_().add_(x))(made(L, 2, 3)),
    "fill mul": lambda L: L.func.vmap(lambda x: x.clone().fill_(2.0).mul_(x))(made(L, 2, 3)),
    "copy unb then b": lambda L: (
        lambda c: L.func.vmap(lambda x: x.clone().copy_(c).mul_(x))(made(L, 2, 3))
    )(made(L, 3)),
    "grad zero": lambda L: L.func.grad(lambda x: (lambda y: (y.zero_().add_(x * x)).sum())(x * 2))(
        made(L, 3)
    ),
    "grad copy": lambda L: (
        lambda w: L.func.grad(lambda x: (lambda y: (y.copy_(w) * x).sum())(x * 2))(made(L, 3))
    )(made(L, 3, seed=1)),
    "vmap grad copy": lambda L: (
        lambda w: L.func.vmap(L.func.grad(lambda x: (lambda y: (y.copy_(w) * x).sum())(x * 2)))(
            made(L, 2, 3)
        )
    )(made(L, 3, seed=1)),
    "jvp copy": lambda L: (
        lambda w: L.func.jvp(
            lambda x: (lambda y: (y.copy_(w) * x).sum())(x * 2), (made(L, 3),), (made(L, 3),)
        )
    )(made(L, 3, seed=1)),
    "w grad copy in vmap": lambda L: (
        lambda w: (
            L.func.vmap(lambda x: (lambda y: (y.copy_(w) * x).sum())(x * 2))(made(L, 2, 3))
            .sum()
            .backward(),
            w.grad,
        )[1]
    )(made(L, 3, seed=1).requires_grad_()),
    "setitem const": lambda L: L.func.vmap(
        lambda x: (lambda y: (y.__setitem__(0, 1.0), y.__setitem__(1, x[2]), y)[2])(x.clone())
    )(made(L, 2, 3)),
    "view zero": lambda L: L.func.vmap(
        lambda x: (lambda y: (y[1:].zero_(), y[1:].add_(x[0]), y)[2])(x.clone())
    )(made(L, 2, 3)),
    "nested": lambda L: L.func.vmap(L.func.vmap(lambda x: x.clone().zero_().add_(x)))(
        made(L, 2, 3)
    ),
    "nested mix": lambda L: L.func.vmap(
        lambda y: L.func.vmap(lambda x: x.clone().copy_(y[0]).add_(x))(y)
    )(made(L, 2, 3)),
    "hess zero": lambda L: L.func.hessian(
        lambda x: (lambda y: (y.zero_().add_(x**3)).sum())(x * 2)
    )(made(L, 3)),
    # Arguments of every kind, and more operations under vmap.
    "kwonly": lambda L: L.func.grad(lambda x, *, k: (x * k).sum())(made(L, 2), k=3.0),
    "kwonly tensor": lambda L: L.func.vmap(lambda x, *, k: (x * k).sum())(
        made(L, 2, 2), k=made(L, 2, 2)
    ),
    "jacrev kw": lambda L: L.func.jacrev(lambda x, y=2.0: x * y)(made(L, 2), y=3.0),
    "jacfwd kw": lambda L: L.func.jacfwd(lambda x, y=2.0: x * y)(made(L, 2), y=3.0),
    "hessian kw": lambda L: L.func.hessian(lambda x, y=2.0: (x**3 * y).sum())(made(L, 2), y=3.0),
    "vjp kw": lambda L: L.func.vjp(lambda x, y=2.0: x * y, made(L, 2), y=3.0),
    "vjp_fn twice": lambda L: (lambda o, f: (f(made(L, 2)), f(made(L, 2, seed=1))))(
        *L.func.vjp(lambda x: x**2, made(L, 2))
    ),
    "vjp multi out ct tuple": lambda L: L.func.vjp(lambda x: (x, x * 2), made(L, 2))[1](
        (made(L, 2), made(L, 2, seed=1))
    ),
    "vjp multi out ct list": lambda L: L.func.vjp(lambda x: (x, x * 2), made(L, 2))[1](
        [made(L, 2), made(L, 2, seed=1)]
    ),
    "vjp ct two args": lambda L: L.func.vjp(lambda x: (x, x * 2), made(L, 2))[1](
        made(L, 2), made(L, 2)
    ),
    "vjp ct dtype": lambda L: L.func.vjp(lambda x: x * 2, made(L, 2))[1](made(L, 2).float()),
    "vjp ct none": lambda L: L.func.vjp(lambda x: (x, x * 2), made(L, 2))[1]((made(L, 2), None)),
    "vjp ct num": lambda L: L.func.vjp(lambda x: x.sum(), made(L, 2))[1](1.0),
    "vjp dict primal": lambda L: L.func.vjp(lambda d: d["a"] * 2, {"a": made(L, 2)})[1](made(L, 2)),
    "vjp unused": lambda L: L.func.vjp(lambda x, y: x * 2, made(L, 2), made(L, 3))[1](made(L, 2)),
    "grad out 1,": lambda L: L.func.grad(lambda x: x.sum(0, keepdim=True))(made(L, 2)),
    "jvp out none": lambda L: L.func.jvp(lambda x: None, (made(L, 2),), (made(L, 2),)),
    "jvp tangent none": lambda L: L.func.jvp(
        lambda x, y: x * y, (made(L, 2), made(L, 2)), (made(L, 2), None)
    ),
    "jvp fewer tangents": lambda L: L.func.jvp(
        lambda x, y: x * y, (made(L, 2), made(L, 2)), (made(L, 2),)
    ),
    "jvp aux bad": lambda L: L.func.jvp(lambda x: x, (made(L, 2),), (made(L, 2),), has_aux=True),
    "jvp identity": lambda L: L.func.jvp(lambda x: x, (made(L, 2),), (made(L, 2, seed=1),)),
    "jvp view": lambda L: L.func.jvp(
        lambda x: x.view(2, 1).T, (made(L, 2),), (made(L, 2, seed=1),)
    ),
    "jvp detach": lambda L: L.func.jvp(
        lambda x: x.detach() * x, (made(L, 2),), (made(L, 2, seed=1),)
    ),
    "jvp no_grad": lambda L: L.func.jvp(
        lambda x: without_recording(L, lambda: x * x), (made(L, 2),), (made(L, 2, seed=1),)
    ),
    "grad no_grad": lambda L: L.func.grad(lambda x: without_recording(L, lambda: (x * x).sum()))(
        made(L, 2)
    ),
    "grad partial no_grad": lambda L: L.func.grad(
        lambda x: (x * without_recording(L, lambda: x * 2)).sum()
    )(made(L, 2)),
    "nested no_grad": lambda L: L.func.grad(
        lambda x: without_recording(L, lambda: L.func.grad(lambda y: (y**3).sum())(x)).sum()
    )(made(L, 2)),
    "vmap no_grad req": lambda L: without_recording(
        L, lambda: L.func.vmap(lambda x: x * 2)(made(L, 2, 2).requires_grad_())
    ),
    "vmap in list": lambda L: L.func.vmap(lambda xs: xs[0] + xs[1])([made(L, 2, 3), made(L, 2, 3)]),
    "vmap tuple arg in_dims tuple": lambda L: L.func.vmap(
        lambda xs, y: xs[0] + xs[1] + y, in_dims=((0, 1), None)
    )((made(L, 2, 3), made(L, 3, 2)), made(L, 3)),
    "vmap in_dims nested none": lambda L: L.func.vmap(
        lambda xs: xs[0] + xs[1], in_dims=((0, None),)
    )((made(L, 2, 3), made(L, 3))),
    "vmap star": lambda L: L.func.vmap(lambda *a: sum(a))(made(L, 2, 3), made(L, 2, 3)),
    "vmap zero outdims": lambda L: L.func.vmap(lambda x: (), out_dims=())(made(L, 2, 3)),
    "vmap dict out dims int": lambda L: L.func.vmap(lambda x: {"a": x}, out_dims=1)(made(L, 2, 3)),
    "vmap of method": lambda L: L.func.vmap(L.Tensor.sum)(made(L, 2, 3)),
    "vmap partial": lambda L: L.func.vmap(functools.partial(L.sum, dim=0))(made(L, 2, 3, 4)),
    "vmap module attr": lambda L: L.func.vmap(L.nn.ReLU())(made(L, 2, 3)),
    "vmap bool out": lambda L: L.func.vmap(lambda x: x > 0)(made(L, 2, 3)),
    "vmap python scalar out": lambda L: L.func.vmap(lambda x: 3.0)(made(L, 2, 3)),
    "vmap complex": lambda L: L.func.vmap(lambda x: (x * 1j).abs())(made(L, 2, 3)),
    "vmap float16": lambda L: L.func.vmap(lambda x: x.half() * 2)(made(L, 2, 3)),
    "vmap int sum": lambda L: L.func.vmap(lambda x: x.sum())(L.tensor([[1, 2], [3, 4]])),
    "vmap arange broadcast": lambda L: L.func.vmap(lambda n: L.arange(3) * n)(L.tensor([1, 2])),
    "vmap eye": lambda L: L.func.vmap(lambda x: x * L.eye(2, dtype=L.float64))(made(L, 3)),
    "vmap full": lambda L: L.func.vmap(lambda x: L.full((2,), 3.0, dtype=L.float64) * x)(
        made(L, 3)
    ),
    "vmap full_like": lambda L: L.func.vmap(lambda x: L.full_like(x, 3.0))(made(L, 3, 2)),
    "vmap ones_like int": lambda L: L.func.vmap(lambda x: L.ones_like(x, dtype=L.int64))(
        made(L, 3, 2)
    ),
    "vmap tensor()": lambda L: L.func.vmap(lambda x: x + L.tensor([1.0, 2.0], dtype=L.float64))(
        made(L, 3, 2)
    ),
    "vmap as_tensor": lambda L: L.func.vmap(lambda x: L.as_tensor(x))(made(L, 3, 2)),
    "vmap stack list": lambda L: L.func.vmap(lambda x: L.stack([x[0], x[1], x.sum()]))(
        made(L, 3, 2)
    ),
    "vmap tensor list of": lambda L: L.func.vmap(lambda x: L.tensor([x[0], x[1]]))(made(L, 3, 2)),
    "vmap lt chain": lambda L: L.func.vmap(lambda x: L.where((x > 0) & (x < 1), x, 0.0))(
        made(L, 3, 2)
    ),
    "vmap max tensor": lambda L: L.func.vmap(lambda x: L.maximum(x, L.zeros((), dtype=L.float64)))(
        made(L, 3, 2)
    ),
    "vmap max builtin": lambda L: L.func.vmap(lambda x: max(x[0], x[1]))(made(L, 3, 2)),
    "vmap abs builtin": lambda L: L.func.vmap(lambda x: abs(x) + round(2.5))(made(L, 3, 2)),
    "vmap divmod": lambda L: L.func.vmap(lambda x: x // 0.3 + x % 0.3)(made(L, 3, 2)),
    "vmap pow": lambda L: L.func.vmap(lambda x, y: x.abs() ** y)(made(L, 3, 2), made(L, 3)),
    "vmap rpow": lambda L: L.func.vmap(lambda x: 2**x)(made(L, 3)),
    "vmap matmul nd": lambda L: L.func.vmap(lambda x, y: x @ y, in_dims=(0, None))(
        made(L, 3, 2, 4, 5), made(L, 5, 2)
    ),
    "vmap chain_matmul": lambda L: L.func.vmap(lambda x: L.linalg.multi_dot([x, x.T, x]))(
        made(L, 3, 2, 2)
    ),
    "vmap linalg": lambda L: L.func.vmap(
        lambda x: (L.linalg.inv(x), L.linalg.det(x), L.linalg.solve(x, x[0]))
    )(made(L, 3, 2, 2)),
    "vmap eigvalsh": lambda L: L.func.vmap(lambda x: L.linalg.eigvalsh(x + x.T))(made(L, 3, 2, 2)),
    "vmap chol": lambda L: L.func.vmap(
        lambda x: L.linalg.cholesky(x @ x.T + L.eye(2, dtype=L.float64))
    )(made(L, 3, 2, 2)),
    "grad det": lambda L: L.func.vmap(L.func.grad(L.linalg.det))(made(L, 3, 2, 2)),
    "hess logdet": lambda L: L.func.hessian(
        lambda x: L.logdet(x @ x.T + L.eye(2, dtype=L.float64))
    )(made(L, 2, 2)),
    "fft": lambda L: L.func.vmap(lambda x: L.fft.rfft(x).abs())(made(L, 3, 8)),
    "special": lambda L: L.func.vmap(
        lambda x: (L.special.expit(x), L.special.erf(x), L.lgamma(x.abs()), L.digamma(x.abs() + 1))
    )(made(L, 3, 2)),
    "cross": lambda L: L.func.vmap(L.linalg.cross)(made(L, 4, 3), made(L, 4, 3, seed=1)),
    "kron": lambda L: L.func.vmap(L.kron)(made(L, 4, 2, 2), made(L, 4, 3, 1, seed=1)),
    "meshgrid": lambda L: L.func.vmap(lambda x: L.meshgrid(x, x, indexing="ij"))(made(L, 4, 2)),
    "cov": lambda L: L.func.vmap(L.cov)(made(L, 4, 2, 5)),
    "huber etc": lambda L: L.func.vmap(
        lambda x, y: (
            L.nn.functional.huber_loss(x, y),
            L.nn.functional.smooth_l1_loss(x, y),
            L.nn.functional.kl_div(x, y.abs(), reduction="sum"),
            L.nn.functional.cosine_similarity(x, y, 0),
        )
    )(made(L, 4, 3), made(L, 4, 3, seed=1)),
    "softmaxes": lambda L: L.func.vmap(
        lambda x: (x.log_softmax(0), x.softmax(0), L.nn.functional.softmin(x, 0))
    )(made(L, 4, 3)),
    "glu etc": lambda L: L.func.vmap(
        lambda x: (
            L.nn.functional.glu(x),
            L.nn.functional.silu(x),
            L.nn.functional.mish(x),
            L.nn.functional.elu(x),
            L.nn.functional.hardtanh(x),
            L.nn.functional.leaky_relu(x),
        )
    )(made(L, 4, 4)),
    "normalize": lambda L: L.func.vmap(lambda x: L.nn.functional.normalize(x, dim=0))(
        made(L, 4, 4)
    ),
    "grid": lambda L: L.func.vmap(lambda x: L.nn.functional.unfold(x, 2))(made(L, 2, 1, 3, 4, 4)),
    "pixel": lambda L: L.func.vmap(lambda x: L.nn.functional.pixel_shuffle(x, 2))(
        made(L, 2, 4, 3, 3)
    ),
    "pad reflect": lambda L: L.func.vmap(lambda x: L.nn.functional.pad(x, (1, 1), mode="reflect"))(
        made(L, 2, 1, 5)
    ),
    "emb module": lambda L: L.func.vmap(L.nn.Embedding(4, 2))(L.tensor([[0, 1], [2, 3]])).shape[2],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    ours, theirs = (outcome(PROGRAMS[name], library) for library in (ng, torch))
    assert same(ours, theirs), f"\nnumbagrad: {ours}\n  PyTorch: {theirs}"
