"""Anomaly mode: what it says and where it points. What it raises is in `tests.programs.hooks`."""

from __future__ import annotations

import warnings

import pytest

import numbagrad as ng
from numbagrad.modes import thread


def detect(fn, check_nan=True):
    """The error that `fn` raises under anomaly mode, and the text of the warning."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with pytest.raises(Exception) as error, ng.autograd.set_detect_anomaly(True, check_nan):
            fn()
    return error.value, "".join(str(w.message) for w in shown)


def test_names_the_op_the_shapes_and_the_users_line():
    def fn():
        x = ng.zeros(2, 3, requires_grad=True)
        y = x.sqrt()  # the culprit
        (y * 0).sum().backward()

    error, text = detect(fn)
    assert type(error) is RuntimeError
    message = str(error)
    assert "Function 'SqrtBackward0' returned nan values in its 0th output" in message
    assert "(2, 3)" in message and "the culprit" in message and "test_anomaly_mode.py" in message
    assert "Error detected in SqrtBackward0. Traceback of forward call" in text
    assert text.rstrip().endswith("y = x.sqrt()  # the culprit")


def test_names_the_shapes_that_a_custom_function_took():
    class Bad(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, n):
            return (x * y).sum()

        @staticmethod
        def backward(ctx, g):
            return ng.ones(3) / 0, ng.ones(2, 3), None

    x, y = ng.ones(3, requires_grad=True), ng.ones(2, 3, requires_grad=True)
    message = str(detect(lambda: Bad.apply(x, y, 2).backward())[0])
    assert "Function 'BadBackward' returned inf values in its 0th output" in message
    assert "inputs of the forward op (3,), (2, 3); gradients of its outputs ()" in message


def test_says_if_nan_came_in():
    def fn():
        x = ng.ones(2, requires_grad=True)
        (x * 2).backward(ng.tensor([1.0, float("nan")]))

    assert "holds NaN already" in str(detect(fn)[0])


def test_an_op_recorded_before_has_no_stack():
    y = ng.zeros(1, requires_grad=True).sqrt() * 0
    error, text = detect(y.backward)
    assert "returned nan" in str(error)
    assert "No forward pass information" in text


def test_explains_other_errors():
    def fn():
        x = ng.ones(2, requires_grad=True)
        a = x * 1
        y = a.exp()
        y.add_(1)
        y.sum().backward()

    error, text = detect(fn)
    assert "modified by an inplace operation" in str(error)
    assert "Error detected in ExpBackward0" in text and "y = a.exp()" in text


def test_without_the_check_nan_passes():
    x = ng.zeros(1, requires_grad=True)
    with ng.autograd.set_detect_anomaly(True, check_nan=False):
        (x.sqrt() * 0).backward()
    assert x.grad.isnan().all()


def test_second_order_shows_both_stacks():
    def fn():
        x = ng.zeros(1, requires_grad=True)
        y = x.pow(1.5)  # first
        (g,) = ng.autograd.grad(y, x, create_graph=True)  # second
        (g * 0).sum().backward()

    text = detect(fn)[1]
    assert "Previous calculation was induced by PowBackward" in text
    assert "# second" in text and "# first" in text


def test_a_warning_turned_into_an_error_does_not_hide_the_error():
    with (
        warnings.catch_warnings(),
        pytest.raises(RuntimeError, match="returned nan") as error,
        ng.autograd.set_detect_anomaly(True),
    ):
        warnings.simplefilter("error")
        (ng.zeros(1, requires_grad=True).sqrt() * 0).backward()
    assert "Traceback of forward call" in error.value.__notes__[0]


def test_in_an_error_of_a_hook():
    def fail(g):
        raise KeyError("from the hook")

    def fn():
        y = ng.ones(1, requires_grad=True).exp()
        y.register_hook(fail)
        y.backward()

    error, text = detect(fn)
    assert type(error) is KeyError
    assert "Error detected in ExpBackward0" in text


def test_nests_and_ends():
    assert not ng.autograd.is_anomaly_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outer = ng.autograd.detect_anomaly()
    with outer:
        with ng.autograd.set_detect_anomaly(False):
            assert not ng.autograd.is_anomaly_enabled()
        with outer:
            pass
        assert ng.autograd.is_anomaly_enabled()
    assert not ng.autograd.is_anomaly_enabled()
    ng.autograd.set_detect_anomaly(True)
    assert ng.autograd.is_anomaly_enabled()
    ng.autograd.set_detect_anomaly(False)
    assert thread.modes.on_record is None


def test_detect_anomaly_warns_that_it_is_slow():
    with pytest.warns(UserWarning, match="increase the runtime"):
        ng.autograd.detect_anomaly()


def test_finds_where_finite_gradients_become_infinite():
    def fn():
        x = ng.zeros(2, requires_grad=True)
        (x.sqrt() * 1).sum().backward()  # the overflow

    error, text = detect(fn)
    assert "Function 'SqrtBackward0' returned inf values in its 0th output" in str(error)
    assert "check_inf=False" in str(error) and "the overflow" in text


@pytest.mark.parametrize(("check_nan", "check_inf"), [(True, False), (False, None)])
def test_infinities_pass_if_they_are_not_checked(check_nan, check_inf):
    x = ng.zeros(1, requires_grad=True)
    with ng.autograd.set_detect_anomaly(True, check_nan, check_inf):
        x.sqrt().backward()
    assert x.grad.isinf().all()


def test_infinities_that_came_in_pass():
    x = ng.ones(2, requires_grad=True)
    with ng.autograd.set_detect_anomaly(True):
        (x * 2).backward(ng.tensor([1.0, float("inf")]))
    assert x.grad.isinf().any()


# -- compiled functions ---------------------------------------------------------------------------


def masked_root(x):
    y = x.sqrt()  # the culprit
    return (y * 0).sum()


def test_finds_the_op_in_a_compiled_function():
    f = ng.compile(masked_root)
    error, text = detect(lambda: f(ng.zeros(3, requires_grad=True)).backward())
    assert "Function 'SqrtBackward0' returned nan" in str(error)
    assert "(3,)" in str(error) and "y = x.sqrt()  # the culprit" in str(error)
    assert "Error detected in SqrtBackward0. Traceback of forward call" in text
    assert "Error detected in CompiledFunctionBackward. Traceback of forward call" in text


def test_a_compiled_function_without_dimensions():
    f = ng.compile(lambda x: (x * 2).permute(()))
    x = ng.tensor(3.0, requires_grad=True)
    with ng.autograd.set_detect_anomaly(True):
        f(x).backward()
    assert x.grad is not None and x.grad.item() == 2


def test_finds_it_if_only_the_backward_pass_is_watched():
    loss = ng.compile(masked_root)(ng.zeros(3, requires_grad=True))
    error, _ = detect(loss.backward)
    assert "'SqrtBackward0'" in str(error) and "the culprit" in str(error)


def test_a_gradient_that_is_masked_later_counts_in_a_compiled_function_too():
    x = ng.zeros(3, requires_grad=True)
    f = ng.compile(lambda x: ng.where(x > 0, (x + 1 - 1).sqrt() * 0, x).sum())
    assert "'SqrtBackward0'" in str(detect(lambda: f(x).backward())[0])


def test_a_compiled_training_step_that_fails_changes_nothing():
    p = ng.zeros(3, requires_grad=True)

    @ng.compile
    def step():
        loss = masked_root(p)
        loss.backward()
        with ng.no_grad():
            p.sub_(p.grad)
        p.grad = None
        return loss

    for _ in range(2):
        error, text = detect(step)
        assert "'SqrtBackward0'" in str(error) and text.count("Error detected") == 1
        assert p.tolist() == [0, 0, 0] and p.grad is None
    step()
    assert p.isnan().all()


def test_a_compiled_function_may_switch_it_on_itself():
    @ng.compile
    def gradient(x):
        x = x.detach().requires_grad_()
        with ng.autograd.set_detect_anomaly(True):
            masked_root(x).backward()
        return x.grad

    for _ in range(2):
        with pytest.warns(UserWarning, match="Error detected"), pytest.raises(RuntimeError) as e:
            gradient(ng.zeros(2))
        assert "'SqrtBackward0'" in str(e.value)
    assert not ng.autograd.is_anomaly_enabled()
    assert gradient(ng.ones(2)).tolist() == [0, 0]


def test_transforms_in_a_compiled_function_that_is_hot():
    f = ng.compile(ng.func.vmap(ng.func.grad(masked_root)))
    for _ in range(3):
        assert f(ng.zeros(2, 3)).isnan().all()
    assert "'SqrtBackward0'" in str(detect(lambda: f(ng.zeros(2, 3)))[0])


def test_the_gradient_of_a_compiled_gradient():
    f = ng.compile(lambda x: x.pow(1.5))  # first

    def fn():
        x = ng.zeros(1, requires_grad=True)
        (g,) = ng.autograd.grad(f(x), x, create_graph=True)  # second
        (g * 0).sum().backward()

    error, text = detect(fn)
    assert "'PowBackward0' returned nan" in str(error)
    assert "# first" in text and "# second" in text
