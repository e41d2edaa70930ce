"""gradcheck and gradgradcheck: right gradients pass, planted errors are found."""

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.autograd import Function, GradcheckError, gradcheck, gradgradcheck
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
        gradcheck(lambda x: x.detach() * 2, x)
    assert gradcheck(lambda x: x.detach() * 0, x)
    assert gradcheck(lambda x: (x * 1, x.detach() * 2), x)  # as in PyTorch


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


@pytest.mark.parametrize("fast_mode", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_forward_mode(fast_mode, dtype):
    x, y = double(2, 3, dtype=dtype), double(3, dtype=dtype, seed=1)
    options = {"check_forward_ad": True, "check_batched_forward_grad": True, "fast_mode": fast_mode}
    for fn in (lambda x, y: x * y, lambda x, y: (x / y, x.sum()), lambda x, y: (x @ y).abs()):
        assert gradcheck(fn, (x, y), **options)
        assert gradgradcheck(fn, (x, y), check_fwd_over_rev=True, fast_mode=fast_mode)


class Planted(Function):
    """x * x, with a fault in the rule that is named."""

    fault = ""

    @staticmethod
    def forward(x):
        return x * x, x * 3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)
        ctx.set_materialize_grads(Planted.fault not in ("undefined", "constant"))

    @staticmethod
    def backward(ctx, g, h):  # type: ignore[override]
        (x,) = ctx.saved_tensors
        if Planted.fault == "undefined":
            return g * 2 * x + h * 3
        if Planted.fault == "constant" and (g is None or h is None):
            return x
        total = 0 if g is None else g * 2 * x
        total = total if h is None else total + h * 3
        return total + 1 if Planted.fault == "offset" else total

    @staticmethod
    def jvp(ctx, t):
        (x,) = ctx.saved_tensors
        if Planted.fault == "jvp":
            return t * x, t * 3
        return t * 2 * x, (t * 3 + 1 if Planted.fault == "offset of jvp" else t * 3)


FAULTS = {
    "": "",
    "undefined": "handle undefined output grads",
    "constant": "undefined or zero",
    "offset": "undefined or zero",
    "jvp": "forward mode mismatch for output 0",
    "offset of jvp": "forward mode mismatch for output 1",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_errors_of_a_function(fault, monkeypatch):
    monkeypatch.setattr(Planted, "fault", fault)
    options = {"check_forward_ad": True}
    if not fault:
        assert gradcheck(Planted.apply, double(3), **options)
        return
    with pytest.raises(GradcheckError, match=FAULTS[fault]):
        gradcheck(Planted.apply, double(3), **options)
    assert not gradcheck(Planted.apply, double(3), raise_exception=False, **options)
    if "jvp" in fault:
        assert gradcheck(Planted.apply, double(3))
    elif fault == "offset":
        with pytest.raises(GradcheckError, match="Jacobian mismatch"):
            gradcheck(Planted.apply, double(3), check_undefined_grad=False)


def test_planted_error_under_vmap_is_found():
    class Rows(Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, g):  # type: ignore[override]
            return Twice.apply(g)

    class Twice(Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def vmap(info, in_dims, x):
            return x * 3, in_dims[0]

    assert gradcheck(Rows.apply, double(2))
    with pytest.raises(GradcheckError, match="batched gradients"):
        gradcheck(Rows.apply, double(2), check_batched_grad=True)


@pytest.mark.parametrize(
    "options",
    [
        {"check_backward_ad": False},
        {"check_backward_ad": False, "check_forward_ad": True, "check_batched_grad": True},
        {"check_batched_forward_grad": True},
    ],
)
def test_options_that_contradict(options):
    with pytest.raises(AssertionError, match="check_"):
        gradcheck(ng.sin, double(2), **options)


def test_bad_arguments():
    x = ng.ones(2, dtype=ng.float64)
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(ng.sin, x)
    with pytest.warns(UserWarning, match="not a double precision"):
        gradcheck(ng.sin, ng.ones(1).requires_grad_(), raise_exception=False)
    with pytest.raises(RuntimeError, match="stride 0"):
        gradcheck(ng.sin, ng.ones(1, dtype=ng.float64).expand(3).requires_grad_())
