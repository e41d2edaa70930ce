"""`autograd.functional` with every option, on functions of every kind."""

from __future__ import annotations

from typing import Any

import pytest

import numbagrad as ng

from .test_func_programs import made, outcome, same, torch

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


def one(x):
    return x.sin() * x


def cube(x):
    return (x**3).sum()


def two(x, y):
    return x * y.sum(), (x**2).sum()


def scalar(x, y):
    return (x**2 * y).sum() + (y**3).sum()


FORWARD = {"vectorize": True, "strategy": "forward-mode"}
OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {"create_graph": True}, {"strict": True}, {"strict": True, "create_graph": True},
    {"vectorize": True}, {"vectorize": True, "create_graph": True},
    {"vectorize": True, "strict": True}, {"strategy": "forward-mode"}, FORWARD,
    {**FORWARD, "create_graph": True}, {"strategy": "sideways"},
)  # fmt: skip

JACOBIANS = {
    "tensor": lambda L: (one, made(L, 3)),
    "requires grad": lambda L: (one, made(L, 3).requires_grad_()),
    "tuples": lambda L: (two, (made(L, 3), made(L, 2))),
    "tuple of one": lambda L: (lambda x: (one(x),), (made(L, 3),)),
    "unused input": lambda L: (lambda x, y: x * 2, (made(L, 3), made(L, 2))),
    "constant": lambda L: (lambda x: L.ones(2), made(L, 3)),
    "linear": lambda L: (lambda x: x * 2, made(L, 3)),
    "matrix": lambda L: (lambda x: x @ x.T, made(L, 2, 3)),
    "complex output": lambda L: (lambda x: x * 1j, made(L, 2)),
    "integer output": lambda L: (lambda x: x.long(), made(L, 2)),
    "integer input": lambda L: (lambda x: x * 2, L.tensor([1, 2])),
    "list": lambda L: (one, [made(L, 3)]),
    "list as output": lambda L: (lambda x: [x], made(L, 3)),
    "number as output": lambda L: (lambda x: 2.0, made(L, 3)),
    "scalar": lambda L: (one, made(L)),
    "two dtypes": lambda L: (lambda x, y: x * y, (made(L, 2), made(L, 2).float())),
    "detached": lambda L: (lambda x: x * x.detach(), made(L, 3)),
}
HESSIANS = {
    "tensor": lambda L: (cube, made(L, 2)),
    "requires grad": lambda L: (cube, made(L, 2).requires_grad_()),
    "tuple": lambda L: (scalar, (made(L, 2), made(L, 2, seed=1))),
    "tuple of one": lambda L: (cube, (made(L, 2),)),
    "linear": lambda L: (lambda x: x.sum(), made(L, 2)),
    "unused input": lambda L: (lambda x, y: cube(x), (made(L, 2), made(L, 3))),
    "constant": lambda L: (lambda x: L.ones(()), made(L, 2)),
    "vector as output": lambda L: (lambda x: x**3, made(L, 2)),
    "one element": lambda L: (lambda x: cube(x).reshape(1, 1), made(L, 2)),
    "tuple as output": lambda L: (lambda x: (cube(x),), made(L, 2)),
    "scalar": lambda L: (lambda x: x**3, made(L)),
}


def without_flags(x: Any) -> Any:
    """In forward mode PyTorch gives lists, and a graph in places (docs/differences.md)."""
    if isinstance(x, list):
        if x and isinstance(x[0], str) and x[0].startswith(("float", "complex")):
            return [*x[:2], *x[3:]]
        return [without_flags(v) for v in x if v not in ("tuple", "list")]
    return x


def check(program: Any, forward: bool = False) -> None:
    ours, theirs = (outcome(program, library) for library in (ng, torch))
    if forward:
        ours, theirs = without_flags(ours), without_flags(theirs)
    assert same(ours, theirs), f"\nnumbagrad: {ours}\n  PyTorch: {theirs}"


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", JACOBIANS)
def test_jacobian(name, options):
    check(
        lambda L: L.autograd.functional.jacobian(*JACOBIANS[name](L), **options),
        options == FORWARD,
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", HESSIANS)
def test_hessian(name, options):
    given = dict(options)
    if "strategy" in given:
        given["outer_jacobian_strategy"] = given.pop("strategy")
    check(lambda L: L.autograd.functional.hessian(*HESSIANS[name](L), **given), options == FORWARD)


def products(function: str, many: bool) -> dict[str, Any]:
    """Calls (func, inputs, v) of a product."""
    whole, pair = (cube, scalar) if many else (one, two)
    second = (lambda L: (made(L, 3), made(L))) if function == "vjp" else (
        lambda L: (made(L, 3), made(L, 3)))  # fmt: skip
    return {
        "tensor": lambda L: (whole, made(L, 3), made(L, 3, seed=1)),
        "requires grad": lambda L: (whole, made(L, 3).requires_grad_(), made(L, 3, seed=1)),
        "v requires grad": lambda L: (whole, made(L, 3), made(L, 3, seed=1).requires_grad_()),
        "tuples": lambda L: (pair, (made(L, 3), made(L, 3, seed=1)), second(L)),
        "no v": lambda L: (whole, made(L, 3)),
        "no v, one element": lambda L: (whole, made(L, 1)),
        "shape of v": lambda L: (whole, made(L, 3), made(L, 2)),
        "tuple as v": lambda L: (whole, made(L, 3), (made(L, 3), made(L, 3))),
        "list as v": lambda L: (whole, made(L, 3), [made(L, 3)]),
        "constant": lambda L: (lambda x: L.ones(()), made(L), made(L)),
        "linear": lambda L: (lambda x: x * 2, made(L), made(L)),
        "quadratic": lambda L: (lambda x: x * x, made(L), made(L)),
        "unused input": lambda L: (
            lambda x, y: x**3, (made(L), made(L)),
            made(L) if function == "vjp" else (made(L), made(L)),
        ),
        "integers": lambda L: (lambda x: x * 2, L.tensor(1), L.tensor(1)),
    }  # fmt: skip


PRODUCTS = [
    (function, name)
    for function in ("vjp", "jvp", "vhp", "hvp")
    for name in products(function, function in ("vhp", "hvp"))
]


@pytest.mark.parametrize("options", OPTIONS[:4], ids=str)
@pytest.mark.parametrize(("function", "name"), PRODUCTS)
def test_product(function, name, options):
    calls = products(function, function in ("vhp", "hvp"))
    check(lambda L: getattr(L.autograd.functional, function)(*calls[name](L), **options))


@pytest.mark.parametrize("function", ["jacobian", "hessian"])
def test_create_graph_by_position(function):
    fn = one if function == "jacobian" else cube
    check(lambda L: getattr(L.autograd.functional, function)(fn, made(L, 3), True))


@pytest.mark.parametrize("function", ["vjp", "jvp"])
def test_product_by_position(function):
    check(lambda L: getattr(L.autograd.functional, function)(one, made(L, 3), made(L, 3), True))
