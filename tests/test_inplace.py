"""In-place changes, versions and views, as in PyTorch; and where we allow more."""

from __future__ import annotations

import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same

EXPECTED = expected()


@pytest.mark.parametrize("name", programs("inplace", "views", "mutated", "outs", "changes_in_use"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


def test_version_error_says_what_and_where():
    x = ng.ones(2, requires_grad=True)
    a = x * 2
    b = a.exp()
    loss = b.sum()
    b.add_(1)
    with pytest.raises(RuntimeError) as error:
        loss.backward()
    text = str(error.value)
    assert "modified by an inplace operation: [numbagrad.float32 [2]]" in text
    assert "output 0 of ExpBackward0" in text and "version 1; expected version 0" in text
    assert x.grad is None
    assert f"by add_ at {__file__}" in text and "b.add_(1)" in text


def test_version_error_shows_both_lines_in_anomaly_mode():
    x = ng.ones(2, requires_grad=True)
    with ng.autograd.set_detect_anomaly(True):
        a = x * 2
        loss = (a * a).sum()
        a[0] = 3.0
        with pytest.warns(UserWarning), pytest.raises(RuntimeError) as error:
            loss.backward()
    text = str(error.value)
    assert "saved by MulBackward0 at" in text and "loss = (a * a).sum()" in text
    assert "changed (last) by __setitem__ at" in text and "a[0] = 3.0" in text


@pytest.mark.parametrize("compiled", [False, True])
def test_version_error_names_the_optimizer_step(compiled):
    x, w = ng.ones(2, requires_grad=True), ng.ones(2, requires_grad=True)

    def product(x, w):
        return (x * w).sum()

    loss = (ng.compile(product) if compiled else product)(x, w)
    w.grad = ng.ones(2)
    ng.optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match=r"numbagrad.optim.sgd at .*\.step\(\)"):
        loss.backward()


def test_failed_change_changes_nothing():
    x = ng.ones(2, requires_grad=True)
    i = ng.zeros(2, dtype=ng.int64)
    for change in (lambda: x.add_(1), lambda: i.add_(0.5), lambda: i.add_(ng.ones(3))):
        with pytest.raises(RuntimeError):
            change()
    assert x.tolist() == [1.0, 1.0] and i.tolist() == [0, 0]
    assert x._version == i._version == 0


def test_parts_of_a_split_may_not_be_changed():
    a = ng.ones(4, requires_grad=True) * 1
    first, second = a.chunk(2)
    with pytest.raises(RuntimeError, match="several views"):
        first.mul_(3)
    a.mul_(2)
    assert second.tolist() == [2.0, 2.0] and "Invalid" in repr(second)
    with pytest.raises(RuntimeError, match="its base or another view"):
        second.sin()


def test_own_operand_may_be_changed():
    """PyTorch forbids ``a.mul_(a)``: here the op keeps the value that its rule reads."""
    x = ng.tensor([0.5, 0.7], requires_grad=True)
    a = x * 1
    a.mul_(a)
    (grad,) = ng.autograd.grad(a.sum(), x)
    assert grad.tolist() == pytest.approx([1.0, 1.4])


def test_second_derivative_through_in_place():
    x = ng.tensor([0.5, 0.7], dtype=ng.float64, requires_grad=True)
    a = x * 1
    a[0] = x[1] ** 2
    a.sin_()
    a.mul_(x)
    (g,) = ng.autograd.grad(a.sum(), x, create_graph=True)
    (h,) = ng.autograd.grad(g.sum(), x)
    y = x.detach().requires_grad_()
    b = ng.stack([(y[1] ** 2).sin() * y[0], y[1].sin() * y[1]])
    (g2,) = ng.autograd.grad(b.sum(), y, create_graph=True)
    (h2,) = ng.autograd.grad(g2.sum(), y)
    assert g.tolist() == pytest.approx(g2.tolist())
    assert h.tolist() == pytest.approx(h2.tolist())


def test_out_names_what_it_wants():
    x = ng.ones(2)
    cases = {
        "must be Tensor, not int": lambda: ng.exp(x, out=3),
        "must be a tuple of 2 Tensors": lambda: ng.max(x, 0, out=ng.empty(())),
        "one tensor for several results": lambda: ng.sort(x, out=(x, x)),
        "dtype numbagrad.int64": lambda: ng.sort(x, out=(ng.empty(2), ng.empty(2))),
    }
    for text, call in cases.items():
        with pytest.raises((TypeError, RuntimeError), match=text):
            call()
    with pytest.warns(UserWarning, match="was resized"):
        ng.exp(x, out=ng.empty(3))


def test_strides_within_a_tensor_have_gradients():
    x = ng.rand(3, 4, dtype=ng.float64, requires_grad=True)
    size, stride = (2, 3), (4, 2)
    assert ng.autograd.gradcheck(lambda t: ng.as_strided(t * 1, size, stride, 1), x)
    assert ng.autograd.gradgradcheck(lambda t: ng.as_strided(t * t, size, stride, 1), x)
    with pytest.raises(RuntimeError, match="out of bounds for storage of size 96"):
        x.as_strided((4, 4), (4, 1))
    transposed = ng.from_numpy(x.detach().numpy().T).requires_grad_()
    with pytest.raises(RuntimeError, match="not contiguous"):
        transposed.as_strided(size, stride)
    rows = ng.func.vmap(lambda t: ng.as_strided(t, (2, 2), (1, 2)))(x)
    assert rows.tolist() == [[[t[0], t[2]], [t[1], t[3]]] for t in x.tolist()]


def test_new_memory_leaves_views_alone():
    x = ng.arange(4.0)
    view = x[1:]
    x.resize_(100)
    assert x[:4].tolist() == [0.0, 1.0, 2.0, 3.0]
    x.zero_()
    assert view.tolist() == [1.0, 2.0, 3.0]


def test_result_of_a_composite_is_no_view():
    """What ends in a reshape of an intermediate value has no base that anybody could see."""
    w = ng.ones(2, requires_grad=True)
    with ng.no_grad():
        rows = ng.ones(2, 3).logsumexp(1)
        part = ng.ones(3)[:2]
        base = ng.ones(3)
        view = base[:2]
    rows.mul_(w).sum().backward()
    part.mul_(w)
    assert w.grad is not None and part.requires_grad
    with pytest.raises(RuntimeError, match="no_grad mode"):
        view.mul_(w)


def test_other_memory_cannot_be_compiled():
    @ng.compile
    def f(x):
        buffer = ng.zeros(2)
        buffer.resize_(3)
        return buffer + x

    with pytest.raises(RuntimeError, match=r"gives a tensor other memory(.|\n)*resize_\(3\)"):
        f(ng.ones(3))


def test_what_is_overwritten_gets_a_gradient_of_zeros():
    for change in (
        lambda a, w: a.copy_(w),
        lambda a, w: a.fill_(w.sum()),
        lambda a, w: a.__setitem__(slice(None), w * 2),
    ):
        x, w = ng.ones(2, requires_grad=True), ng.ones(2, requires_grad=True)
        a = x * 2
        change(a, w)
        gx, gw = ng.autograd.grad(a.sum(), (x, w))
        assert gx.tolist() == [0.0, 0.0] and all(g > 0 for g in gw.tolist())


def test_shape_changed_in_place_keeps_the_history_and_the_views():
    x = ng.arange(6.0, requires_grad=True)
    a = (x * 2).view(2, 3)
    row = a[1]
    with ng.no_grad():
        a.unsqueeze_(0)
    row.mul_(3)
    (g,) = ng.autograd.grad(a.sum(), x)
    assert g.tolist() == [2.0] * 3 + [6.0] * 3


def test_strides_changed_in_place():
    x = ng.arange(4.0, requires_grad=True)
    a = x * 2
    view = a[1:]
    a.as_strided_((2, 2), (1, 1))
    (g,) = ng.autograd.grad(a.sum(), x)
    assert g.tolist() == [2.0, 4.0, 2.0, 0.0]
    with pytest.raises(RuntimeError, match="changed by as_strided_"):
        view.sin()
