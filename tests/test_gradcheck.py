"""gradcheck and gradgradcheck: right gradients pass, planted errors are found."""

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.autograd import GradcheckError, gradcheck, gradgradcheck
from numbagrad.ops.registry import REGISTRY, elementwise


def double(*shape, dtype: type = np.float64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.5, 2, shape)
    if dtype is np.complex128:
        x = x + 1j * rng.uniform(0.5, 2, shape)
    return ng.from_numpy(np.asarray(x)).requires_grad_()


@pytest.fixture
def wrong():
    """An op whose gradient is 1 % too large."""
    op = elementwise("wrong_sin", "sin(x)", np.sin, grad=lambda g, x: g * ng.cos(x) * 1.01, doc="")
    yield op
    del REGISTRY["wrong_sin"]


def planted(fn):
    """`fn`, declared with the derivative of its double."""
    return lambda x: fn(x.detach()) + (fn(x) - fn(x).detach()) * 2


@pytest.mark.parametrize("fast_mode", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_right_gradients_pass(fast_mode, dtype):
    x, y = double(2, 3, dtype=dtype), double(3, dtype=dtype, seed=1)
    for fn in (lambda x, y: x * y, lambda x, y: (x / y, (x + y).sum()), lambda x, y: x @ y):
        assert gradcheck(fn, (x, y), fast_mode=fast_mode, check_batched_grad=True)
        assert gradgradcheck(fn, (x, y), fast_mode=fast_mode)


@pytest.mark.parametrize("fast_mode", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_planted_errors_are_found(fast_mode, dtype):
    x = double(3, dtype=dtype)
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to"):
        gradcheck(planted(ng.exp), x, fast_mode=fast_mode)
    assert not gradcheck(planted(ng.exp), x, fast_mode=fast_mode, raise_exception=False)


def test_planted_error_of_an_op_is_found(wrong):
    x = double(3)
    with pytest.raises(GradcheckError):
        gradcheck(wrong, x)


def test_planted_error_of_the_second_derivative_is_found(wrong):
    # The integral of the wrong op has the right first derivative and a wrong second one.
    op = elementwise("good_cos", "-cos(x)", lambda x: -np.cos(x), grad=lambda g, x: g * wrong(x),
                     doc="")  # fmt: skip
    try:
        assert gradcheck(op, double(3))
        with pytest.raises(GradcheckError):
            gradgradcheck(op, double(3))
    finally:
        del REGISTRY["good_cos"]


def test_conjugate_convention_is_checked():
    x = double(3, dtype=np.complex128)
    assert gradcheck(lambda x: x.conj() * x, x)
    assert gradcheck(lambda x: x.abs(), x)
    with pytest.raises(GradcheckError):  # the conjugate is missing
        gradcheck(lambda x: (x * x.detach().conj()) / x.detach(), x)


def test_dependence_that_the_tape_does_not_see_is_found():
    x = double(3)
    with pytest.raises(GradcheckError, match="expected to be zero"):
        gradcheck(lambda x: (x * 1, x.detach() * 2), x)


def test_nondeterministic_backward_is_found():
    calls = iter(range(1000))

    class Noise:
        def __call__(self, x):
            y = x * 2
            y.register_hook(lambda g: g * (1 + 1e-9 * next(calls)))
            return y

    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Noise(), double(2))
    assert gradcheck(Noise(), double(2), nondet_tol=1e-3)


def test_bad_arguments():
    x = ng.ones(2, dtype=ng.float64)
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(ng.sin, x)
    with pytest.warns(UserWarning, match="not a double precision"):
        gradcheck(ng.sin, ng.ones(1).requires_grad_(), raise_exception=False)
    with pytest.raises(RuntimeError, match="stride 0"):
        gradcheck(ng.sin, ng.ones(1, dtype=ng.float64).expand(3).requires_grad_())
