"""Random functions of a vector, and random compositions of transforms of them, for any library.

A function maps a vector of `SIZE` numbers to one; so does what each transform makes of it, whence
they compose in any order. The library (numbagrad or PyTorch) is an argument throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

SIZE = 3
Fn = Callable[[Any], Any]


def constant(L: Any, seed: int, *shape: int) -> Any:
    values = np.random.default_rng(seed).uniform(0.3, 1.0, shape)
    return L.tensor(values.tolist(), dtype=L.float64)


def _changed_in_place(L: Any, x: Any) -> Any:
    y = L.zeros_like(x)
    y[1:] = x[:2] * x[1:]
    y.add_(x)
    return y


def _sliced_in_place(L: Any, x: Any) -> Any:
    y = x.clone()
    y[0].mul_(x[2])
    return y.mul_(0.5)


#: Smooth, and tame enough that third derivatives can be told from noise.
STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "sin": lambda L, x: x.sin(),
    "tanh": lambda L, x: (x * 0.7).tanh(),
    "exp": lambda L, x: (x * 0.3).exp(),
    "square": lambda L, x: x * x * 0.5,
    "cube": lambda L, x: x**3 * 0.2,
    "reciprocal": lambda L, x: 1 / (x * x + 1.5),
    "matmul": lambda L, x: constant(L, 1, SIZE, SIZE) @ x * 0.5,
    "matmul of two": lambda L, x: (x.unsqueeze(1) @ x.unsqueeze(0)).sum(0) * 0.3,
    "cumsum": lambda L, x: x.cumsum(0) * 0.5,
    "softmax": lambda L, x: x.softmax(0) + x * 0.1,
    "where": lambda L, x: L.where(L.tensor([True, False, True]), x.cos(), x * x * 0.4),
    "gather": lambda L, x: x[L.tensor([2, 0, 0])] * x * 0.5,
    "roll": lambda L, x: L.cat([x[1:], x[:1]]) * x.sin(),
    "prod": lambda L, x: (x * 0.5 + 1).prod() * x * 0.3,
    "norm": lambda L, x: x / (x.pow(2).sum() + 1).sqrt(),
    "logsumexp": lambda L, x: x.logsumexp(0) * constant(L, 2, SIZE) + x * 0.2,
    "changed in place": _changed_in_place,
    "sliced in place": _sliced_in_place,
    "own gradient": lambda L, x: L.func.grad(lambda y: (y * y * x).sum() * 0.3)(x),
    "own tangent": lambda L, x: L.func.jvp(lambda y: y.sin() * x, (x,), (x,))[1] * 0.5,
    "own map": lambda L, x: L.func.vmap(lambda e: (x * e).sum() * 0.3)(x),
}

functions = st.lists(st.sampled_from(list(STEPS)), min_size=1, max_size=3)


def function(L: Any, names: list[str]) -> Fn:
    def fn(x: Any) -> Any:
        for name in names:
            x = STEPS[name](L, x)
        return x

    return fn


def _dual(L: Any, f: Fn) -> Fn:
    def fn(x: Any) -> Any:
        ad = L.autograd.forward_ad
        with ad.dual_level():
            tangent = ad.unpack_dual(f(ad.make_dual(x, constant(L, 3, SIZE)))).tangent
        return L.zeros_like(x) if tangent is None else tangent

    return fn


#: Products with the Jacobian: the transform, on which side, and the seed of the vector.
DERIVATIVES: dict[str, tuple[Callable[[Any, Fn], Fn], str, int]] = {
    "jvp": (lambda L, f: lambda x: L.func.jvp(f, (x,), (constant(L, 3, SIZE),))[1], "right", 3),
    "linearize": (lambda L, f: lambda x: L.func.linearize(f, x)[1](constant(L, 3, SIZE)), "right",
                  3),
    "jacfwd": (lambda L, f: lambda x: L.func.jacfwd(f)(x) @ constant(L, 3, SIZE), "right", 3),
    "jacrev": (lambda L, f: lambda x: L.func.jacrev(f)(x) @ constant(L, 3, SIZE), "right", 3),
    "dual": (_dual, "right", 3),
    "vjp": (lambda L, f: lambda x: L.func.vjp(f, x)[1](constant(L, 4, SIZE))[0], "left", 4),
    "grad": (lambda L, f: L.func.grad(lambda x: (f(x) * constant(L, 4, SIZE)).sum()), "left", 4),
}  # fmt: skip


def _mapped(L: Any, f: Fn) -> Fn:
    return lambda x: L.func.vmap(f, in_dims=1)(L.stack([x, x * 0.5], 1)).sum(0)


def _own_vjp(L: Any, f: Fn) -> Fn:
    fn = L.func.custom_vjp(f)
    fn.defvjp(lambda x: (fn(x), x), lambda x, g: L.func.vjp(f, x)[1](g))
    return fn


def _own_jvp(L: Any, f: Fn) -> Fn:
    fn = L.func.custom_jvp(f)
    fn.defjvp(lambda primals, tangents: L.func.jvp(f, primals, tangents))
    return fn


def _looped(L: Any, f: Fn) -> Fn:
    return lambda x: f(x) + f(x * 0.5)


def _same(L: Any, f: Fn) -> Fn:
    return f


#: Transforms that do not differentiate, and what they mean.
WRAPPERS: dict[str, tuple[Callable[[Any, Fn], Fn], Callable[[Any, Fn], Fn]]] = {
    "vmap": (_mapped, _looped),
    "checkpoint": (lambda L, f: L.func.checkpoint(f), _same),
    "custom_vjp": (_own_vjp, _same),
    "custom_jvp": (_own_jvp, _same),
}
transforms = st.lists(st.sampled_from([*DERIVATIVES, *WRAPPERS]), min_size=1, max_size=3).filter(
    lambda words: words.count("dual") < 2
)  # dual levels do not nest


def composed(L: Any, names: list[str], words: list[str], own: bool = True) -> Fn:
    """The function under the transforms, the first one innermost.

    Args:
        own: False for a library that has no custom rules and no checkpoint as a transform.
    """
    f = function(L, names)
    for word in words:
        if word in DERIVATIVES:
            f = DERIVATIVES[word][0](L, f)
        elif own or word == "vmap":
            f = WRAPPERS[word][0](L, f)
    return f


def numerical(f: Fn, L: Any, side: str, seed: int, x: np.ndarray[Any, Any]) -> Any:
    """The product of the Jacobian of `f` with the vector, by central differences."""
    step = 1e-5
    vector = constant(L, seed, SIZE).numpy()

    def value(x: np.ndarray[Any, Any]) -> Any:
        return f(L.tensor(x.tolist(), dtype=L.float64)).detach().numpy()

    if side == "right":
        return (value(x + step * vector) - value(x - step * vector)) / (2 * step)
    rows = [(value(x + step * e) - value(x - step * e)) / (2 * step) for e in np.eye(SIZE)]
    return np.stack(rows) @ vector
