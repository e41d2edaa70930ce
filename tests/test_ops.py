"""Behaviour of single ops that the generated matrix does not see; no oracle needed."""

from __future__ import annotations

import math

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.codegen.pointwise import PointwiseKernel
from numbagrad.ir.trace import trace
from numbagrad.runtime import compiler


def leaf(*values: float) -> ng.Tensor:
    return ng.tensor(list(values), dtype=ng.float64, requires_grad=True)


@pytest.mark.parametrize("name", ["sin", "cos", "square", "log", "erf", "digamma", "sqrt"])
def test_in_place_op_reads_the_value_it_overwrote(name):
    x = leaf(0.5, 1.5)
    (expected,) = ng.autograd.grad(getattr(x, name)().sum(), x)
    y = x * 1
    getattr(y, f"{name}_")()
    (found,) = ng.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(found.numpy(), expected.numpy())


def test_in_place_op_through_a_view_of_itself():
    x = leaf(1.0, 2.0)
    y = x * 1
    y.mul_(y[:])
    (g,) = ng.autograd.grad(y.sum(), x)
    assert g.tolist() == [2, 4]


def test_op_before_an_in_place_op_still_sees_the_change():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y.sin()
    y.cos_()
    with pytest.raises(RuntimeError, match="inplace"):
        z.sum().backward()


@pytest.mark.parametrize(
    "copy",
    [
        lambda x: x.repeat(1, 1),
        lambda x: x.flip(()),
        lambda x: x.roll(0, 0),
        lambda x: x.roll(3, 0),
        lambda x: x.repeat_interleave(1, 0),
        lambda x: x.tile(1),
        lambda x: x.t_copy() if hasattr(x, "t_copy") else ng.t_copy(x),
    ],
)
def test_copies_share_nothing(copy):
    x = ng.arange(6.0).reshape(3, 2)
    copy(x).zero_()
    assert x.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_real_and_imag_are_views():
    z = ng.tensor([1 + 2j, 3 + 4j])
    ng.real(z).mul_(10)
    ng.imag(z).zero_()
    assert z.tolist() == [10, 30]
    w = ng.tensor([1 + 2j], requires_grad=True)
    v = w * 1
    ng.imag(v).mul_(3)
    (v * v.conj()).real.sum().backward()
    assert w.grad is not None and w.grad.tolist() == [2 + 36j]


def test_number_base_keeps_the_precision_of_the_gradient():
    x = leaf(0.3)
    y = 2.0**x
    (g,) = ng.autograd.grad(y, x, create_graph=True)
    (h,) = ng.autograd.grad(g, x)
    assert math.isclose(g.item(), 2**0.3 * math.log(2), rel_tol=1e-14)
    assert math.isclose(h.item(), 2**0.3 * math.log(2) ** 2, rel_tol=1e-14)


@pytest.mark.parametrize("x", [0.5, 0.9, 0.99, 0.9999, 1 - 1e-12])
def test_erfinv_near_one(x):
    y = ng.erfinv(ng.tensor([x, -x], dtype=ng.float64))
    assert math.isclose(math.erf(y[0].item()), x, rel_tol=1e-13)
    assert y[1].item() == -y[0].item()


@pytest.mark.parametrize(("x", "value"), [(1.0, math.pi**2 / 6), (0.5, math.pi**2 / 2)])
def test_trigamma(x, value):
    assert math.isclose(ng.polygamma(1, leaf(x)).item(), value, rel_tol=1e-13)


def test_results_have_names():
    r = ng.tensor([[3, 1, 2]]).sort(1)
    assert r.values.tolist() == [[1, 2, 3]] and r.indices.tolist() == [[1, 2, 0]]
    assert repr(ng.tensor([2, 1]).max(0)).startswith("numbagrad.return_types.max(\nvalues=")
    values, indices = ng.zeros(0), ng.zeros(0, dtype=ng.int64)
    r = ng.topk(ng.tensor([1.0, 3.0]), 1, out=(values, indices))
    assert r.values is values and values.tolist() == [3] and indices.tolist() == [1]


def test_empty_product_has_a_gradient():
    x = ng.zeros(2, 0, dtype=ng.float64, requires_grad=True)
    x.prod().backward()
    assert tuple(x.grad.shape) == (2, 0)


def test_variance_without_freedom_warns():
    with pytest.warns(UserWarning, match="degrees of freedom"):
        assert math.isnan(ng.tensor([1.0]).var().item())


@pytest.mark.parametrize("dtype", [ng.float32, ng.float64, ng.int64, ng.complex64])
def test_where_keeps_every_bit_of_large_arrays(dtype):
    n = (70, 80)
    x, y = (ng.randn(*n) * 9).to(dtype), (ng.randn(*n) * 9).to(dtype)
    if dtype.is_floating_point:
        x[3, 3], y[4, 4], x[5, 5] = float("nan"), -0.0, float("inf")
    zero = ng.zeros((), dtype=dtype)
    for c in (ng.randn(*n) > 0, ng.randn(*reversed(n)).t() > 0, ng.randn(80) > 0):
        for a, b in ((x, y), (x, zero), (zero, y), (x.flip((0,)), y), (x, y[0]), (zero, zero - 1)):
            expected = np.where(c.numpy(), a.numpy(), b.numpy())
            assert ng.where(c, a, b).numpy().tobytes() == expected.tobytes()


def test_a_kernel_that_is_not_at_hand_is_looked_for_once(monkeypatch):
    x = np.linspace(0, 1, 50_000, dtype=np.float32)
    kernel = PointwiseKernel(trace(lambda x: ng.sin(x) * 0.625, [((), x.dtype)]))
    looked: list[str] = []
    monkeypatch.setattr(compiler, "find_source", lambda source, **_: looked.append(source))
    assert kernel.run([x], may_compile=False) is None
    assert kernel.run([x], may_compile=False) is None
    assert len(looked) == 1
    found = kernel.run([x], may_compile=True)
    assert found is not None
    y = found[0]
    np.testing.assert_allclose(y, np.sin(x) * np.float32(0.625), 1e-6)


def test_second_derivative_of_sinc_at_zero():
    x = ng.tensor([0.0, 1e-9, 0.03], dtype=ng.float64, requires_grad=True)
    (first,) = ng.autograd.grad(ng.sinc(x).sum(), x, create_graph=True)
    (second,) = ng.autograd.grad(first.sum(), x)
    assert second.tolist()[:2] == pytest.approx([-(np.pi**2) / 3] * 2)
    assert ng.autograd.gradgradcheck(ng.sinc, x)


def test_copies_of_views_take_any_strides():
    columns = ng.arange(6).reshape(2, 3).t()
    flat = ng.view_copy(columns, (6,))
    assert flat.tolist() == [0, 3, 1, 4, 2, 5]
    whole = ng.alias_copy(columns)
    whole.zero_()
    assert columns.sum().item() == 15
    assert ng.unfold_copy(ng.arange(4), 0, 2, 1).tolist() == [[0, 1], [1, 2], [2, 3]]


def test_take_along_dim_checks_its_indices():
    x = ng.arange(6.0).reshape(2, 3)
    assert ng.take_along_dim(x, ng.tensor([[-1]]), 1).tolist() == [[2.0], [5.0]]
    with pytest.raises(RuntimeError, match="Long"):
        ng.take_along_dim(x, ng.zeros(2, 3, dtype=ng.int32), 1)
    with pytest.raises(RuntimeError, match="same number of dimensions"):
        ng.take_along_dim(x, ng.tensor([0]), 1)
    with pytest.raises(RuntimeError, match="out of bounds"):
        ng.take_along_dim(x, ng.tensor([6]))
    with pytest.raises(IndexError, match="no dimensions"):
        ng.take_along_dim(ng.tensor(1.0), ng.tensor(0), 0)


def test_nonzero_static_has_the_size_that_is_asked_for():
    x = ng.tensor([[0, 1], [2, 3]])
    assert ng.nonzero_static(x, size=2).tolist() == [[0, 1], [1, 0]]
    assert x.nonzero_static(size=4, fill_value=9).tolist()[2:] == [[1, 1], [9, 9]]
    with pytest.raises(RuntimeError, match="non-negative"):
        ng.nonzero_static(x, size=-1)


def test_range_includes_its_end():
    with pytest.warns(UserWarning, match="deprecated"):
        assert ng.range(1, 2, 0.5).tolist() == [1.0, 1.5, 2.0]


def test_memory_in_another_order():
    x = ng.empty_permuted((2, 3, 5), (1, 2, 0))
    assert x.shape == (2, 3, 5) and x.stride() == (1, 10, 2)
    assert ng.ones(2, dtype=ng.int8).new_empty_strided((2, 3), (1, 2)).dtype is ng.int8
    with pytest.raises(RuntimeError, match="once"):
        ng.empty_permuted((2, 3), (0, 0))


@pytest.mark.parametrize(
    "call",
    [
        lambda **out: ng.nn.functional.linear(ng.ones(1, 2), ng.ones(3, 2), ng.ones(3), **out),
        lambda **out: ng.nn.functional.gelu(ng.ones(3), **out),
        lambda **out: ng.nn.functional.softshrink(ng.ones(3), **out),
        lambda **out: ng.nn.functional.hardshrink(ng.ones(3), **out),
        lambda **out: ng.nn.functional.avg_pool2d(ng.ones(1, 4, 4), 2, **out),
        lambda **out: ng.nn.functional.normalize(ng.ones(2, 2), **out),
    ],
)
def test_out_is_resized_and_filled(call):
    out = ng.empty(0)
    assert call(out=out) is out
    assert out.tolist() == call().tolist()


def test_out_of_functions_with_several_results():
    a = ng.tensor([[2.0, 1.0], [1.0, 3.0]])
    lu, pivots = ng.empty(0), ng.empty(0, dtype=ng.int32)
    ng.lu(a, out=(lu, pivots))
    assert lu.tolist() == ng.lu(a)[0].tolist() and pivots.tolist() == [1, 2]


def test_histogram_of_points():
    points = ng.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [2.0, 2.0]])
    weight = ng.tensor([1.0, 2.0, 4.0, 8.0])
    found = ng.histogramdd(points, bins=[2, 2], range=[0.0, 1.0, 0.0, 1.0], weight=weight)
    assert found.hist.tolist() == [[0.0, 1.0], [2.0, 0.0]]
    assert [e.tolist() for e in found.bin_edges] == [[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]
    edges = [ng.tensor([0.0, 1.5, 3.0]), ng.tensor([0.0, 3.0])]
    assert ng.histogramdd(points, edges).hist.tolist() == [[2.0], [2.0]]
    density = ng.histogramdd(points, bins=2, density=True).hist
    assert density.sum().item() == 1.0
    with pytest.raises(RuntimeError, match="size of bins"):
        ng.histogramdd(points, bins=[2])
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        ng.histogramdd(points[0], bins=2)
    with pytest.raises(RuntimeError, match="decrease"):
        ng.histogramdd(points, [ng.tensor([1.0, 0.0])] * 2)
    with pytest.raises(RuntimeError, match="decrease"):
        ng.histogram(points, ng.tensor([1.0, 0.0]))


def test_gradient_of_logaddexp_at_infinity():
    x = ng.tensor([math.inf, -math.inf, 1.0], requires_grad=True)
    y = ng.tensor([0.0, 0.0, math.inf])
    (g,) = ng.autograd.grad(ng.logaddexp(x, y).sum(), x)
    assert g.tolist() == [1.0, 0.0, 0.0]


def test_logaddexp_keeps_the_branch_of_the_larger_number():
    a, b = (ng.tensor(v, dtype=ng.complex128, requires_grad=True) for v in (-2 + 9j, -3 - 7j))
    y = ng.logaddexp(a, b)
    assert abs(y.item().imag - 9) < math.pi
    assert ng.allclose(y.exp(), a.exp() + b.exp())
    lowest = ng.tensor(complex(-math.inf, 0.0))
    assert ng.logaddexp(lowest, lowest).real.item() == -math.inf
    assert ng.autograd.gradcheck(ng.logaddexp, (a, b))


X = ((1.0, 5.0, 3.0), (2.0, 4.0, 6.0))
LEFT = ((True, False, True), (False, False, False))


@pytest.mark.parametrize(
    ("name", "args", "expected", "of_none"),
    [
        ("sum", (1,), 4.0, 0.0),
        ("prod", (1,), 3.0, 1.0),
        ("mean", (1,), 2.0, math.nan),
        ("amax", (1,), 3.0, -math.inf),
        ("amin", (1,), 1.0, math.inf),
        ("argmax", (1,), 2.0, 0.0),
        ("median", (1,), 1.0, math.nan),
        ("var", (1,), 2.0, math.nan),
        ("std", (1,), math.sqrt(2), math.nan),
        ("norm", (2, 1), math.sqrt(10), 0.0),
        ("norm", (-math.inf, 1), 1.0, math.inf),
        ("logsumexp", (1,), math.log(math.e + math.e**3), -math.inf),
    ],
)
def test_masked_reductions(name, args, expected, of_none):
    x, mask = ng.tensor(X, dtype=ng.float64), ng.tensor(LEFT)
    found = getattr(ng.masked, name)(x, *args, mask=mask)
    np.testing.assert_allclose(found.tolist(), [expected, of_none])
    everything = getattr(ng.masked, name)(x, *args)
    whole = getattr(ng.masked, name)(x, *args, mask=ng.tensor(True))
    assert everything.tolist() == whole.tolist()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("softmax", (1,)),
        ("softmin", (1,)),
        ("normalize", (2.0, 1)),
        ("cumsum", (1,)),
        ("sum", (1,)),
    ],
)
def test_masked_out_elements_have_no_gradient(name, args):
    x, mask = ng.tensor(X, requires_grad=True), ng.tensor(LEFT)[0]
    y = getattr(ng.masked, name)(x, *args, mask=mask)
    (g,) = ng.autograd.grad((y * ng.arange(1.0, y.numel() + 1).square().reshape(y.shape)).sum(), x)
    assert g[:, 1].tolist() == [0.0, 0.0] and g[:, 0].all()


def test_masked_errors():
    x = ng.tensor(X)
    with pytest.raises(ValueError, match="bool"):
        ng.masked.sum(x, mask=x)
    with pytest.raises(IndexError, match="higher"):
        ng.masked.sum(x[0], mask=ng.tensor(LEFT))
    with pytest.raises(ValueError, match="floating point"):
        ng.masked.mean(x.long())
    with pytest.raises(ValueError, match="fully masked"):
        ng.masked.median(x.long(), 1, mask=ng.tensor(LEFT))
