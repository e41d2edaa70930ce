"""Each pass on graphs small enough to see what it must do, and the verifier on broken ones."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import dtypes
from numbagrad.ir.graph import FUSED, Eqn, Graph, Var
from numbagrad.ir.trace import trace
from numbagrad.ir.verify import verify
from numbagrad.passes import PIPELINE
from numbagrad.passes.cse import cse
from numbagrad.passes.dce import dce
from numbagrad.passes.fuse import fuse
from numbagrad.passes.lower import lower
from numbagrad.passes.simplify import simplify

F32 = dtypes.F32


def graph_of(fn: Callable[..., Any], *shapes: tuple[int, ...], dtype: Any = F32) -> Graph:
    g = trace(fn, [(s, dtype) for s in shapes])
    verify(g)
    return g


def text(graph: Graph) -> str:
    verify(graph)
    return str(graph)


def is_graph(graph: Graph, expected: str) -> None:
    assert text(graph) == textwrap.dedent(expected).strip("\n")


# -- simplify -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fn",
    [lambda x: x * 1, lambda x: 1 * x, lambda x: x / 1, lambda x: x * 1.0,
     lambda x: x.reshape(2, 3) * 1, lambda x: x.permute(0, 1) * 1]
)  # fmt: skip
def test_simplify_drops_what_changes_nothing(fn):
    is_graph(dce(simplify(graph_of(fn, (2, 3)))), """
        graph(a: f32[2,3]) {
          return a
        }""")  # fmt: skip


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x + 0,  # -0.0 + 0 is 0.0
        lambda x: x - x,  # inf - inf is NaN
        lambda x: x * 0,  # NaN stays NaN
        lambda x: x * x / x,
        lambda x: 0 / x,
        lambda x: 1 / x,
        lambda x: x.sqrt() * x.sqrt(),
        lambda x: x.neg().neg() - 0.0,
    ],
)
def test_simplify_is_exact(fn):
    """No bit changes: neither for NaN and infinities nor for zeros of both signs."""
    special = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-45, 3e38], np.float32)
    ours = ng.compile(fn)(ng.from_numpy(special)).numpy()
    with np.errstate(all="ignore"):
        eager = fn(ng.from_numpy(special)).numpy()
    nan = np.isnan(eager)
    assert np.array_equal(np.isnan(ours), nan)
    assert ours[~nan].tobytes() == eager[~nan].tobytes()


def test_simplify_keeps_changes_of_dtype_and_shape():
    assert len(simplify(graph_of(lambda x: x * 1.0, (2,), dtype=dtypes.I64)).eqns) == 1
    assert len(simplify(graph_of(lambda x: x * ng.ones(3, 2), (2,))).eqns) == 1


def test_simplify_folds_constants():
    def f(x):
        table = (ng.arange(4).float() * 2 + 1).reshape(2, 2).t()
        return x * table, x + ng.zeros(2) * 3

    g = dce(simplify(graph_of(f, (2, 2))))
    verify(g)
    assert [e.op.name for e in g.eqns] == ["mul", "add"]
    (table,) = g.consts.values()
    assert table.tolist() == [[1, 5], [3, 7]]
    assert g.eqns[1].inputs[1] == 0


def test_folded_values_have_the_bits_of_eager():
    """0.1 in float32 is another number than in float64, and NumPy's exp may differ from ours."""

    def f(x):
        a = ng.tensor(0.1)
        return x * a, x + a.exp().sin() * ng.ones(3), ng.ones(3, dtype=ng.float64) * a / 3 + x

    for ours, eager in zip(ng.compile(f)(ng.ones(3)), f(ng.ones(3)), strict=True):
        assert ours.dtype == eager.dtype and ours.tolist() == eager.tolist()


def test_large_constants_are_not_kept():
    g = dce(simplify(graph_of(lambda x: x + (ng.arange(100_000) * 2), (100_000,))))
    assert [e.op.name for e in g.eqns] == ["mul", "add"]


def test_constant_results_can_be_changed_by_the_caller():
    f = ng.compile(lambda x: (ng.zeros(2) + 1, ng.zeros(2) + 1, x))
    for _ in range(2):
        a, b, _ = f(ng.ones(1))
        a += 1
        assert a.tolist() == [2, 2] and b.tolist() == [1, 1]


def test_uniform_results_reach_through_views_and_arithmetic():
    """The cotangent of a mean is one number: it is read as such by whoever multiplies with it."""

    @ng.compile
    def f(x):
        with ng.enable_grad():
            x = x.detach().requires_grad_()
            return ng.autograd.grad((x * x).mean(), x)[0]

    assert f(ng.ones(2, 4)).tolist() == [[0.25] * 4] * 2
    (traced,) = f._latest()
    (fused,) = traced.graph.eqns
    assert 0.125 in {a for e in fused.params["graph"].eqns for a in e.inputs}


@pytest.mark.parametrize("source", [ng.float32, ng.float64, ng.int64, ng.uint8, ng.bool])
@pytest.mark.parametrize("target", [ng.float32, ng.float64, ng.int64, ng.int32, ng.int8, ng.bool])
def test_casts_are_part_of_kernels(source, target):
    values = [0.0, -0.0, 1.5, -1.5, 300.7, -129.0, 3e9] if source.is_floating_point else [0, 1, 200]
    x = ng.tensor(values).to(source)
    f = ng.compile(lambda x: x.to(target, copy=True))
    assert f(x).dtype == target and f(x).tolist() == x.to(target).tolist()
    assert "NumPy" not in f.explain()


# -- cse ------------------------------------------------------------------------------------------


def test_cse():
    def f(x, y):
        return (x + y) * (x + y), x.sum(0) + x.sum(0)

    is_graph(cse(graph_of(f, (2, 3), (2, 3))), """
        graph(a: f32[2,3], b: f32[2,3]) {
          c: f32[2,3] = add a b
          d: f32[2,3] = mul c c
          e: f32[3] = sum[dim=(0,), keepdim=False] a
          f: f32[3] = add e e
          return d, f
        }""")  # fmt: skip


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: (x * 0.0, x * -0.0),
        lambda x: (x * 1, x * True),
        lambda x: (x.sum(0), x.sum(1)),
        lambda x: (x / 2, 2 / x),
        lambda x: (x[0:2], x[0:1]),
    ],
)
def test_cse_keeps_different_equations(fn):
    g = graph_of(fn, (2, 2))
    assert len(cse(g).eqns) == len(g.eqns)


# -- dce ------------------------------------------------------------------------------------------


def test_dce():
    def f(x):
        x.exp().sum()
        _ = ng.ones(2) + x
        return x.sin()

    is_graph(dce(graph_of(f, (2,))), """
        graph(a: f32[2]) {
          b: f32[2] = sin a
          return b
        }""")  # fmt: skip


# -- lower ----------------------------------------------------------------------------------------


def test_lower_leaves_only_ops_without_a_rule():
    g = lower(graph_of(lambda x: x.softmax(-1), (2, 3)))
    verify(g)
    assert all(e.op.lower is None for e in g.eqns)
    assert {e.op.name for e in g.eqns} >= {"exp", "sum", "amax"}


# -- fuse -----------------------------------------------------------------------------------------


def test_fuse_joins_pointwise_equations_of_one_shape():
    is_graph(fuse(graph_of(lambda x, y: (x * 2 + y).exp(), (2, 3), (3,))), """
        graph(a: f32[2,3], b: f32[3]) {
          c: f32[2,3] = fused a b {
            d: f32[2,3] = mul a 2
            e: f32[2,3] = add d b
            c: f32[2,3] = exp e
          }
          return c
        }""")  # fmt: skip


def groups(fn: Callable[..., Any], *shapes: tuple[int, ...]) -> list[list[str]]:
    g = dce(cse(simplify(lower(graph_of(fn, *shapes)))))
    fused = fuse(g)
    verify(fused)
    return [
        [ie.op.name for ie in e.params["graph"].eqns] if e.op is FUSED else [e.op.name]
        for e in fused.eqns
        if not e.op.view
    ]


def test_fuse_ends_groups_at_reductions():
    assert groups(lambda x: (x * 2).sum(1).exp(), (2, 3)) == [["mul"], ["sum"], ["exp"]]
    found = groups(lambda x: (x - x.sum(1, keepdim=True)).exp(), (2, 3))
    assert found == [["sum"], ["sub", "exp"]]


def test_fuse_never_makes_a_cycle():
    """exp(x) is read by the sum, and with the sum by the last group."""

    def f(x):
        e = x.exp()
        return e / e.sum(1, keepdim=True)

    for order in groups(f, (2, 3)):
        assert not {"exp", "div"} <= set(order) or order.count("exp") == 1
    verify(fuse(graph_of(f, (2, 3))))


def test_fuse_limits_the_operands():
    def f(*xs):
        return [x * 2 + xs[0] for x in xs]

    g = fuse(graph_of(f, *[(2,)] * 40))
    verify(g)
    assert len(g.eqns) > 1 and all(len(e.inputs) <= 24 for e in g.eqns)


def test_fuse_limits_the_equations():
    """LLVM's time for one kernel grows faster than its length."""

    def f(x):
        for _ in range(250):
            x = x.sin()
        return x

    g = fuse(graph_of(f, (2,)))
    verify(g)
    sizes = [len(e.params["graph"].eqns) for e in g.eqns]
    assert sum(sizes) == 250 and max(sizes) <= 96 and len(sizes) == 3


def test_pipeline_ends_fused():
    g = graph_of(lambda x, y: ng.where(x > y, x.tanh(), y * 2).sum(), (4, 5), (5,))
    for p in PIPELINE:
        g = p(g)
        verify(g)
    assert [e.op.name for e in g.eqns if not e.op.view] == ["fused", "fused", "sum"]


# -- the verifier ---------------------------------------------------------------------------------


def broken(change: str) -> Graph:
    g = fuse(graph_of(lambda x: (x.sum(0) + 1).exp(), (2, 3)))
    first, second = g.eqns
    stranger = Var((3,), F32)
    if change == "order":
        return dataclasses.replace(g, eqns=(second, first))
    if change == "twice":
        return dataclasses.replace(g, eqns=(first, first, second))
    if change == "result":
        return dataclasses.replace(g, outputs=(stranger,))
    if change == "type":
        wrong = dataclasses.replace(first, outputs=(Var((2,), F32),))
        return dataclasses.replace(g, eqns=(wrong,), outputs=wrong.outputs)
    if change == "const":
        return dataclasses.replace(g, consts={stranger: np.zeros(2, np.float32)})
    if change == "input":
        return dataclasses.replace(g, inputs=g.inputs * 2)
    inner = Graph(g.inputs, (first,), first.outputs)  # a reduction in a fused graph
    return Graph(g.inputs, (Eqn(FUSED, g.inputs, {"graph": inner}, first.outputs),), first.outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("order", "before it has a value"),
        ("twice", "assigns a variable that has a value"),
        ("result", "the graph's result reads f32"),
        ("type", r"equation 0 \(sum\) gives"),
        ("const", "a constant float32"),
        ("input", "listed twice"),
        ("fused", "reduces something of another shape"),
    ],
)
def test_verifier_finds(change, message):
    with pytest.raises(ValueError, match=message):
        verify(broken(change))
