"""Bad input: PyTorch's exception type, a message that says what, where and how; nothing changes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import numbagrad as ng


def raises(error: type[Exception], *words: str):
    """The exception, with all of the words in its message."""
    return pytest.raises(error, match="(?s)" + "".join(f"(?=.*{w})" for w in words))


def snapshot(*tensors: ng.Tensor) -> list[tuple[object, ...]]:
    return [
        (t.detach().numpy().tobytes(), tuple(t.shape), t.dtype, t.requires_grad, t._version,
         t.is_leaf, t._grad)
        for t in tensors
    ]  # fmt: skip


# -- shapes ---------------------------------------------------------------------------------------

A, B = (lambda: ng.ones(2, 3)), (lambda: ng.ones(4))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: A() + B(), (r"\(2, 3\)", r"\(4,\)", "dimension 1")),
        (lambda: ng.where(A() > 0, A(), B()), (r"\(2, 3\)", r"\(4,\)")),
        (lambda: A() @ A(), ("2x3", "cannot be multiplied")),
        (lambda: ng.mm(A(), B()), ("matrix",)),
        (lambda: A() @ ng.ones(3, dtype=ng.float64), ("dtype", "float32", "float64", r"\.to\(")),
        (lambda: ng.cat([A(), ng.ones(2, 4)]), ("Sizes of tensors must match", "dimension 0")),
        (lambda: ng.stack([A(), B()]), ("equal size", r"\[2, 3\]", "entry 1")),
        (lambda: A().reshape(4), (r"\[4\]", "invalid for input of size 6")),
        (lambda: A().t().view(6), ("reshape",)),
        (lambda: A().expand(5, 3), ("5", "2", "non-singleton")),
        (lambda: A().permute(0), ("dims", "number of dimensions")),
        (lambda: ng.broadcast_shapes((2,), (3,)), (r"\(2,\)", r"\(3,\)")),
        (lambda: A().masked_fill(A() > 0, B()), ("0-dimensional",)),
        (lambda: ng.einsum("ij,jk", A(), A()), ("size 2", "size 3", "subscript j")),
        (lambda: A().gather(0, ng.tensor([[7, 0, 0]])), ("7", "out of bounds", "size 2")),
    ],
)
def test_shape_errors(call, words):
    with raises(RuntimeError, *words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: A().sum(2), ("2", r"\[-2, 1\]")),
        (lambda: A().transpose(0, 5), ("5", r"\[-2, 1\]")),
        (lambda: A()[5], ("5", "dimension 0", "size 2")),
        (lambda: A()[:, 7], ("7", "dimension 1", "size 3")),
        (lambda: A()[0, 0, 0], ("too many indices", "dimension 2")),
        (lambda: A()[[0, 9]], ("9", "size 2")),
        (lambda: A()[ng.tensor([True, False, True])], ("mask", r"\[3\]", r"\[2, 3\]")),
        (lambda: A()[ng.ones(2)], ("long", "float32")),
        (lambda: A()[1.0], ("integers", "float")),
        (lambda: ng.zeros(0).argmax(), ("numel",)),
        (lambda: ng.zeros(0, 2).max(0), ("dim 0", "non-zero size")),
    ],
)
def test_index_errors(call, words):
    with raises(IndexError, *words):
        call()


# -- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ng.ones(2) & ng.ones(2), ("bitwise_and", "float32", "integer")),
        (lambda: ng.tensor([1]).mean(), ("int64", "dtype=")),
        (lambda: ng.tensor([True]) - True, ("logical_not",)),
        (lambda: -ng.tensor([True]), ("logical_not",)),
        (lambda: ng.tensor([1j]) < 1, ("lt", "complex64")),
        (lambda: ng.tensor([1]) ** -1, ("negative integer powers",)),
        (lambda: ng.tensor([1]) // 0, ("ZeroDivisionError",)),
        (lambda: ng.where(ng.ones(2), 1, 0), ("condition", "boolean", "float32")),
        (lambda: ng.tensor([1, 2]).var(), ("floating point", "int64")),
        (lambda: ng.ones(2).imag, ("imag", "non-complex")),
        (lambda: ng.tensor([1, 2], requires_grad=True), ("int64", "require gradients", "float")),
        (lambda: ng.tensor([1, 2]).requires_grad_(), ("int64", "floating point", r"\.float\(\)")),
    ],
)
def test_dtype_errors(call, words):
    with raises(RuntimeError, *words):
        call()


F = ng.nn.functional
#: Calls by the class that refuses a dtype, the dtypes refused first and then some that are taken.
REFUSALS = [
    (NotImplementedError, "bool int32 complex64", "float32", lambda x: F.gelu(x)),
    (NotImplementedError, "bool int32", "float32 complex64", lambda x: F.silu(x)),
    (NotImplementedError, "bool complex64", "float32 int32 uint8", lambda x: F.threshold(x, 0, 0)),
    (RuntimeError, "bool uint8", "float32 int32", lambda x: F.hardtanh(x)),
    (NotImplementedError, "bool int32 complex64", "float32", lambda x: F.mse_loss(x, x)),
    (RuntimeError, "bool int32 complex64", "float32", lambda x: F.kl_div(x, x, reduction="sum")),
    (RuntimeError, "int32", "float32", lambda x: F.binary_cross_entropy_with_logits(x + 0.0, x)),
    (RuntimeError, "int32", "float32", lambda x: F.binary_cross_entropy(x * 0.0, x)),
    (RuntimeError, "int32", "float32", lambda x: F.gaussian_nll_loss(x * 1.0, x * 1.0, x)),
    (RuntimeError, "int32", "float32", lambda x: F.hinge_embedding_loss(x, x)),
    (NotImplementedError, "bool complex64", "float32 int64", lambda x: F.max_pool2d(x, 2)),
    (NotImplementedError, "bool complex64", "float32 int64", lambda x: F.avg_pool2d(x, 2)),
    (NotImplementedError, "int64 bool", "float32", lambda x: F.adaptive_avg_pool2d(x, 1)),
    (NotImplementedError, "bool", "float32 uint8", lambda x: F.pad(x[0], (1, 1), mode="reflect")),
    (NotImplementedError, "bool int64 complex64", "uint8 float32", lambda x: F.interpolate(x, 3)),
    (NotImplementedError, "bool", "int64 float32", lambda x: F.conv2d(x, x)),
    (NotImplementedError, "int64 complex64", "float32", lambda x: F.layer_norm(x, (2,))),
    (NotImplementedError, "bool int64 complex64", "float32", lambda x: ng.softmax(x, 0)),
    (NotImplementedError, "bool", "int64 float32", lambda x: x @ x),
    (NotImplementedError, "bool", "int64 float32", lambda x: ng.einsum("abij,abjk->ik", x, x)),
    (RuntimeError, "complex64", "bool float32", lambda x: x.sort()),
    (RuntimeError, "bool complex64", "int64 float32", lambda x: x.argmax()),
    (RuntimeError, "complex64", "bool float32", lambda x: ng.maximum(x, x)),
    (NotImplementedError, "bool int64 complex64", "float32", lambda x: ng.histogram(x, 2)),
    (NotImplementedError, "int64 bool", "float32 complex64", lambda x: ng.lerp(x, x, 0.5)),
    (RuntimeError, "int64 bool", "float32 complex64", lambda x: ng.addcdiv(x, x, x)),
    (NotImplementedError, "int64", "float32 complex64", lambda x: ng.cholesky(x[0, 0] + x.mT[0])),
    (RuntimeError, "int64", "float32", lambda x: ng.linalg.inv(x)),
    (TypeError, "float32 bool", "int64", lambda x: ng.unravel_index(x, (2, 2))),
]  # fmt: skip


@pytest.mark.parametrize(("error", "refused", "taken", "call"), REFUSALS)
def test_refused_dtypes(error, refused, taken, call):
    # Its matrices are regular, and positive definite when summed as above.
    x = ng.tensor([[[[2, 1], [1, 1]]]])
    for name in taken.split():
        call(x.to(getattr(ng, name)))
    for name in refused.split():
        with pytest.raises(error) as caught:
            call(x.to(getattr(ng, name)))
        assert caught.type is error, name


def test_a_refusal_says_what_is_taken():
    x = ng.ones(2, dtype=ng.complex64)
    with raises(NotImplementedError, '"clamp"', "complex64", "bool, integer and floating-point"):
        x.clamp(0, 1)
    with raises(NotImplementedError, '"gelu"', "complex64", "takes floating-point", r"\.to\(dtype"):
        F.gelu(x)


def test_the_bits_of_a_float_cannot_be_inverted():
    with raises(TypeError, "~", "integer", "float32"):
        _ = ~ng.ones(2)


@pytest.mark.parametrize("bad", ["a", [1.0, 2.0], None, np.ones(2), object()])
def test_operands_of_other_types(bad):
    x = ng.ones(2)
    for call in (ng.sin, ng.relu, lambda v: ng.add(x, v), lambda v: ng.matmul(x, v)):
        with raises(TypeError, "Tensor"):
            call(bad)
    if not isinstance(bad, np.ndarray):
        with raises(TypeError, "unsupported operand"):
            _ = x + bad


def test_numbers_a_dtype_cannot_hold():
    ints, floats = ng.tensor([1, 2]), ng.ones(2)
    before = snapshot(ints, floats)
    nan = float("nan")
    for call in (
        lambda: ints.fill_(nan), lambda: ints.masked_fill_(ints > 0, nan),
        lambda: ints.__setitem__(0, nan), lambda: ng.full((2,), nan, dtype=ng.int64),
        lambda: ints.index_fill_(0, ng.tensor([0]), float("inf")), lambda: floats.fill_(1j),
        lambda: ng.full((2,), 300, dtype=ng.uint8), lambda: floats.__setitem__(0, 1e300),
    ):  # fmt: skip
        with raises(RuntimeError, "cannot be converted to type", "without overflow"):
            call()
    assert snapshot(ints, floats) == before


# -- in place -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "change", "words"),
    [
        (lambda: ng.tensor([1, 2]), lambda x: x.add_(1.5), ("Float", "can't be cast", "Int64")),
        (lambda: ng.tensor([1, 2]), lambda x: x.div_(2), ("can't be cast",)),
        (lambda: ng.tensor([True]), lambda x: x.__iadd__(1), ("can't be cast", "Bool")),
        (lambda: ng.ones(2), lambda x: x.add_(1j), ("can't be cast", "Complex")),
        (lambda: ng.ones(2), lambda x: x.add_(ng.ones(3, 2)), (r"\[2\]", r"\[3, 2\]", "add_")),
        (lambda: ng.ones(2), lambda x: x.add_(ng.ones(3)), (r"\(2,\)", r"\(3,\)")),
        (lambda: ng.ones(2), lambda x: x.copy_(ng.ones(3)), ("3", "2")),
        (lambda: ng.ones(2, 3), lambda x: x.__setitem__(0, ng.ones(2)), (r"\[2\]", r"\[3\]")),
        (lambda: ng.ones(3).expand(2, 3), lambda x: x.add_(1), ("single memory location", "clone")),
        (lambda: ng.ones(2, requires_grad=True), lambda x: x.add_(1), ("leaf", "add_", "no_grad")),
        (
            lambda: ng.ones(2, requires_grad=True),
            lambda x: x[0].zero_(),
            ("view of a leaf", "clone"),
        ),
        (lambda: ng.ones(2, requires_grad=True), lambda x: x.__setitem__(0, 1.0), ("leaf",)),
        (lambda: ng.ones(2, requires_grad=True), lambda x: x.fill_(1), ("leaf", "fill_")),
    ],
)
def test_in_place_errors_change_nothing(make, change, words):
    x = make()
    before = snapshot(x)
    with raises(RuntimeError, *words):
        change(x)
    assert snapshot(x) == before


def test_out_errors():
    x, out = ng.ones(2), ng.zeros(2, dtype=ng.int64)
    with raises(RuntimeError, "can't be cast"):
        ng.sin(x, out=out)
    with raises(TypeError, "out", "Tensor", "int"):
        ng.sin(x, out=1)
    with raises(RuntimeError, "out=", "automatic differentiation"):
        ng.sin(ng.ones(2, requires_grad=True), out=ng.zeros(2))
    assert out.tolist() == [0, 0]
    with pytest.warns(UserWarning, match="resized"):
        assert ng.sin(x, out=(wrong := ng.zeros(3))) is wrong
    assert tuple(wrong.shape) == (2,)


def test_setitem_refuses_other_types():
    x = ng.ones(2)
    for bad in ("a", [1.0, 2.0], None):
        with raises(TypeError, "can't assign", "float32"):
            x[0] = bad
    assert x.tolist() == [1, 1]


def test_in_place_on_inference_tensor():
    with ng.inference_mode():
        x = ng.ones(2) * 2
    with raises(RuntimeError, "[Ii]nference", "clone"):
        x.add_(1)
    assert x.tolist() == [2, 2]


# -- backward -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: (x * 2).backward(), ("scalar outputs", r"\(2, 3\)", "sum")),
        (lambda x: (x * 2).backward(ng.ones(3)), (r"\(3,\)", r"\(2, 3\)", "shape")),
        (lambda x: ng.ones(2).sum().backward(), ("does not require grad", "grad_fn")),
        (lambda x: ng.autograd.grad(x.sum(), ng.ones(2)), ("does not require grad",)),
        (lambda x: ng.autograd.grad(x.sum(), ng.ones(2, requires_grad=True)),
         ("not to have been used|not have been used", "allow_unused")),
        (lambda x: x.exp().sum().backward(inputs=[]), ("cannot be empty",)),
        (lambda x: x.detach().retain_grad(), ("requires_grad=False",)),
        (lambda x: (x * 1).sum().requires_grad_(False), ("detach",)),
    ],
)  # fmt: skip
def test_backward_errors(call, words):
    x = ng.ones(2, 3, requires_grad=True)
    with raises(RuntimeError, *words):
        call(x)
    assert x.grad is None


def test_backward_twice():
    x = ng.ones(2, requires_grad=True)
    y = x.exp().sum()
    y.backward()
    before = x.grad.tolist()
    with raises(RuntimeError, "second time", "retain_graph=True", "ExpBackward0"):
        y.backward()
    assert x.grad.tolist() == before


def test_saved_value_changed_in_place():
    x = ng.ones(2, requires_grad=True)
    y = x.exp()
    z = y.sin()
    y.mul_(2)
    with raises(RuntimeError, "inplace operation", r"\[2\]", "version 1", "SinBackward0"):
        z.sum().backward()
    assert x.grad is None


def test_grad_of_wrong_shape_is_refused():
    x = ng.ones(2, requires_grad=True)
    with raises(RuntimeError, "size", r"\(3,\)", r"\(2,\)"):
        x.grad = ng.ones(3)
    with raises(TypeError, "Tensor", "float"):
        x.grad = 1.0
    assert x.grad is None


def test_numpy_of_a_tensor_that_requires_grad():
    with raises(RuntimeError, "detach"):
        ng.ones(2, requires_grad=True).numpy()


# -- creation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ng.from_numpy(np.array([object()])), TypeError, ("dtype", "float32", "astype")),
        (lambda: ng.tensor(np.array([object()])), TypeError, ("dtype",)),
        (lambda: ng.tensor([object()]), RuntimeError, ("infer dtype", "object")),
        (lambda: ng.from_numpy(np.array(["a"])), TypeError, ("dtype",)),
        (lambda: ng.tensor("a"), TypeError, ("str",)),
        (lambda: ng.from_numpy(np.arange(3, dtype=np.uint16)), TypeError, ("uint16",)),
        (lambda: ng.from_numpy(np.arange(3)[::-1]), ValueError, ("stride", "negative", "copy")),
        (lambda: ng.from_numpy(np.arange(3).astype(">i8")), ValueError, ("byte order", "astype")),
        (lambda: ng.from_numpy(np.zeros(3, "i2,i8")["f1"]), ValueError, ("strides", "multiple")),
        (lambda: ng.from_numpy([1]), TypeError, ("ndarray", "list")),
        (lambda: ng.tensor([[1, 2], [3]]), ValueError, ("length",)),
        (lambda: ng.tensor(2**63), ValueError, ("int64",)),
        (lambda: ng.tensor([1.0], dtype="float33"), TypeError, ("float33", "float32")),
        (lambda: ng.tensor(1 + 1j, dtype=ng.float32), TypeError, ("real",)),
        (lambda: ng.zeros(2, -1), RuntimeError, ("negative dimension", "-1")),
        (lambda: ng.zeros(2.5), TypeError, ("size", "float")),
        (lambda: ng.arange(0, 5, 0), RuntimeError, ("step", "nonzero")),
        (lambda: ng.arange(5, 0), RuntimeError, ("bound", "sign")),
        (lambda: ng.ones(2, device="cuda"), RuntimeError, ("CPU", "cuda")),
        (lambda: ng.ones(2).to("cuda"), RuntimeError, ("CPU", "cuda")),
        (lambda: ng.set_default_dtype(ng.int64), TypeError, ("floating-point", "int64")),
        (lambda: ng.ones(2).item(), RuntimeError, ("2 elements", "Scalar")),
        (lambda: bool(ng.ones(2)), RuntimeError, ("ambiguous", "any")),
        (lambda: len(ng.tensor(1)), TypeError, ("0-d",)),
        (lambda: ng.finfo(ng.int8), TypeError, ("floating point", "iinfo")),
    ],
)
def test_creation_errors(call, error, words):
    with raises(error, *words):
        call()


def test_read_only_arrays_warn():
    a = np.ones(2)
    a.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        ng.from_numpy(a)


def test_no_floating_point_warnings_reach_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = ng.tensor([0.0, -1.0, float("inf")], requires_grad=True)
        y = ng.log(x) / x + x.sqrt() + x**-1
        y.sum().backward()
        assert ng.tensor([1e30]).to(ng.int32).dtype is ng.int32
        assert ng.tensor([1, 2]).to(ng.bool).tolist() == [True, True]
