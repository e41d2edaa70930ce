"""nn.functional: derivatives by finite differences, closed forms, distributions, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from nn_samples import derivatives, make

import numbagrad as ng

F = ng.nn.functional


ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "relu": F.relu, "relu6": F.relu6, "hardtanh": F.hardtanh, "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish, "hardshrink": F.hardshrink, "softshrink": F.softshrink,
    "tanhshrink": F.tanhshrink, "leaky_relu": F.leaky_relu, "elu": F.elu, "selu": F.selu,
    "celu": lambda x: F.celu(x, 0.7), "gelu": F.gelu, "silu": F.silu, "mish": F.mish,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"), "softplus": F.softplus,
    "softplus 2": lambda x: F.softplus(x, 2.0, 1.5), "logsigmoid": F.logsigmoid,
    "softsign": F.softsign, "glu": lambda x: F.glu(x, 0), "tanh": F.tanh, "sigmoid": F.sigmoid,
    "softmax": lambda x: F.softmax(x, 1), "softmin": lambda x: F.softmin(x, 0),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "threshold": lambda x: F.threshold(x, 0.3, -1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_derivatives(name):
    derivatives(ACTIVATIONS[name], make(4, 3))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_finite_far_out(name):
    """Large inputs neither overflow nor give NaN, in value and slope."""
    x = ng.tensor([[-1e4, 1e4], [-300.0, 300.0]], requires_grad=True)
    y = ACTIVATIONS[name](x)
    assert bool(ng.isfinite(y).all())
    (g,) = ng.autograd.grad(y.sum(), x)
    assert bool(ng.isfinite(g).all())


@pytest.mark.parametrize("name", ["relu", "elu", "silu", "leaky_relu", "hardswish", "mish"])
def test_inplace_activation(name):
    x = make(5).detach()
    expected = getattr(F, name)(x)
    y = x.clone()
    assert getattr(F, name)(y, inplace=True) is y
    assert ng.equal(y, expected)


def test_softplus_and_logsigmoid_have_their_slope_at_zero():
    x = ng.zeros(1, requires_grad=True)
    for fn in (F.softplus, F.logsigmoid):
        (g,) = ng.autograd.grad(fn(x), x)
        assert g.item() == 0.5


# -- linear, embedding ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias):
    x, w, b = make(*shape), make(5, 4, seed=1), make(5, seed=2)
    inputs = (x, w, b) if bias else (x, w)
    expected = x.detach().numpy() @ w.detach().numpy().T
    if bias:
        expected = expected + b.detach().numpy()
    np.testing.assert_allclose(F.linear(*inputs).detach().numpy(), expected, 1e-12)
    if 0 not in shape:
        derivatives(F.linear, *inputs)


def test_linear_saves_only_what_is_needed():
    """A frozen weight keeps no reference to the input alive."""
    import weakref

    x, w = make(3, 4), make(5, 4).detach()
    hidden = x * 1.0
    y = F.linear(hidden, w)
    ref = weakref.ref(hidden)
    del hidden
    assert ref() is None
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), np.tile(w.numpy().sum(0), (3, 1)))


def test_bilinear():
    derivatives(F.bilinear, make(2, 3), make(2, 2, seed=1), make(2, 3, 2, seed=2), make(2, seed=3))


def test_embedding():
    index = ng.tensor([[0, 2], [2, 3]])
    w = make(5, 3)
    assert ng.equal(F.embedding(index, w), w[index])
    derivatives(lambda w: F.embedding(index, w), w)
    F.embedding(index, w, padding_idx=2).sum().backward()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy()[:, 0], [1, 0, 0, 1, 0])


def test_embedding_max_norm_changes_the_rows_that_are_used():
    w = ng.full((3, 4), 2.0)
    y = F.embedding(ng.tensor([1]), w, max_norm=1.0)
    assert y.norm().item() == pytest.approx(1, rel=1e-5)
    assert w.norm(dim=1).tolist() == pytest.approx([4, 1, 4], rel=1e-5)


def test_one_hot():
    assert F.one_hot(ng.tensor([[0, 2]])).tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert F.one_hot(ng.tensor([1]), 4).tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize("p", [1, 2, 3, math.inf])
def test_normalize(p):
    x = make(3, 4)
    norms = np.linalg.norm(x.detach().numpy(), p, 1, keepdims=True)
    np.testing.assert_allclose(F.normalize(x, p).detach().numpy(), x.detach().numpy() / norms)
    derivatives(lambda x: F.normalize(x, p), x)


def test_cosine_similarity():
    derivatives(F.cosine_similarity, make(3, 4), make(3, 4, seed=1))
    x = make(2, 3).detach()
    np.testing.assert_allclose(F.cosine_similarity(x, x * 3).numpy(), 1)


# -- losses ---------------------------------------------------------------------------------------

LOGITS, CLASSES = make(4, 3), ng.tensor([0, 2, 1, 2])


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [-100, 2])
def test_cross_entropy(reduction, smoothing, weighted, ignored):
    weight = ng.tensor([0.5, 1.0, 2.0], dtype=ng.float64) if weighted else None

    def loss(x):
        return F.cross_entropy(
            x, CLASSES, weight, ignore_index=ignored, reduction=reduction,
            label_smoothing=smoothing,
        )  # fmt: skip

    logs = F.log_softmax(LOGITS, 1).detach().numpy()
    w = np.ones(3) if weight is None else weight.numpy()
    t = CLASSES.numpy()
    valid = t != ignored
    picked = -logs[np.arange(4), t] * w[t] * (1 - smoothing)
    each = (picked - (logs * w).sum(1) * smoothing / 3) * valid
    total = {"none": each, "sum": each.sum(), "mean": each.sum() / (w[t] * valid).sum()}
    np.testing.assert_allclose(loss(LOGITS).detach().numpy(), total[reduction], 1e-10)
    derivatives(loss, LOGITS)


def test_cross_entropy_of_images_and_of_one_sample():
    x, t = make(2, 3, 4, 5), ng.from_numpy(np.random.default_rng(0).integers(0, 3, (2, 4, 5)))
    flat = F.cross_entropy(x.permute(0, 2, 3, 1).reshape(-1, 3), t.reshape(-1))
    assert F.cross_entropy(x, t).item() == pytest.approx(flat.item(), rel=1e-12)
    derivatives(lambda x: F.cross_entropy(x, t), x)
    one = F.cross_entropy(LOGITS[0], CLASSES[0])
    assert one.item() == pytest.approx(F.cross_entropy(LOGITS[:1], CLASSES[:1]).item())


def test_cross_entropy_with_probabilities():
    p = F.softmax(make(4, 3, seed=5), 1).detach()
    hard = F.one_hot(CLASSES, 3).double()
    assert F.cross_entropy(LOGITS, hard).item() == pytest.approx(
        F.cross_entropy(LOGITS, CLASSES).item()
    )
    derivatives(lambda x, p: F.cross_entropy(x, p, label_smoothing=0.1), LOGITS, p.requires_grad_())


def test_cross_entropy_ignoring_everything_is_nan():
    target = ng.full((4,), -100, dtype=ng.int64)
    assert math.isnan(F.cross_entropy(LOGITS, target).item())
    assert F.cross_entropy(LOGITS, target, reduction="sum").item() == 0


def test_cross_entropy_is_stable():
    x = ng.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = F.cross_entropy(x, ng.tensor([0, 0]), reduction="sum")
    assert loss.item() == 2e4
    loss.backward()
    assert x.grad is not None and x.grad.tolist() == [[0, 0], [-1, 1]]


PAIRS: dict[str, Callable[..., Any]] = {
    "mse": F.mse_loss, "l1": F.l1_loss, "huber": lambda a, b: F.huber_loss(a, b, delta=0.6),
    "smooth_l1": lambda a, b: F.smooth_l1_loss(a, b, beta=0.6),
    "kl_div": lambda a, b: F.kl_div(a, b.exp(), reduction="batchmean"),
    "kl_div log": lambda a, b: F.kl_div(a, b, reduction="sum", log_target=True),
    "bce_with_logits": lambda a, b: F.binary_cross_entropy_with_logits(a, b.sigmoid()),
    "bce": lambda a, b: F.binary_cross_entropy(a.sigmoid(), b.sigmoid()),
    "poisson": lambda a, b: F.poisson_nll_loss(a, b.exp(), full=True),
    "gaussian": lambda a, b: F.gaussian_nll_loss(a, b.sin(), b.exp(), full=True),
    "cosine_embedding": lambda a, b: F.cosine_embedding_loss(a, b, ng.tensor([1, -1, 1])),
    "margin_ranking": lambda a, b: F.margin_ranking_loss(a, b, a.detach().sign(), 0.3),
    "triplet": lambda a, b: F.triplet_margin_loss(a, b, a.flip(1), swap=True),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_loss_derivatives(name):
    derivatives(PAIRS[name], make(3, 4), make(3, 4, seed=1))


def test_multi_margin_and_hinge():
    target = ng.tensor([1, -1, 1])
    for p in (1, 2):
        derivatives(lambda x, p=p: F.multi_margin_loss(x, CLASSES, p=p), LOGITS)
    derivatives(lambda x: F.hinge_embedding_loss(x, target), make(3))
    derivatives(lambda x: F.soft_margin_loss(x, target.double()), make(3))


@pytest.mark.parametrize("weight", [None, ng.tensor([1.0, 2.0], dtype=ng.float64)])
def test_weighted_regression_losses(weight):
    a, b = ng.tensor([1.0, 2.0], dtype=ng.float64), ng.tensor([2.0, 4.0], dtype=ng.float64)
    w = np.ones(2) if weight is None else weight.numpy()
    expected = (w * [1, 4]).sum() / w.sum()
    assert F.mse_loss(a, b, weight=weight).item() == pytest.approx(expected)


def test_bce_at_the_ends():
    x = ng.tensor([0.0, 1.0, 0.0], requires_grad=True)
    loss = F.binary_cross_entropy(x, ng.tensor([0.0, 1.0, 1.0]), reduction="none")
    assert loss.tolist() == [0, 0, 100]
    loss.sum().backward()
    assert bool(ng.isfinite(x.grad).all())


# -- normalisation --------------------------------------------------------------------------------


def test_normalisation_derivatives():
    w, b = make(6, seed=1), make(6, seed=2)
    last = make(3, seed=3), make(3, seed=4)
    derivatives(lambda x, w, b: F.layer_norm(x, (3,), w, b), make(2, 2, 3), *last)
    derivatives(lambda x, w: F.rms_norm(x, (3,), w), make(2, 2, 3), last[0])
    derivatives(lambda x, w, b: F.group_norm(x, 2, w, b), make(2, 6, 2), w, b)
    derivatives(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), make(3, 6), w, b)
    derivatives(lambda x: F.instance_norm(x), make(2, 2, 3))


def test_layer_norm_values():
    x = make(5, 4, 3).detach()
    y = F.layer_norm(x, (4, 3), eps=0).numpy()
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((1, 2)), 1)


def test_batch_norm_follows_the_statistics():
    x = make(8, 2, 5).detach()
    mean, var = ng.zeros(2, dtype=ng.float64), ng.ones(2, dtype=ng.float64)
    F.batch_norm(x, mean, var, training=True, momentum=0.25)
    a = x.numpy()
    np.testing.assert_allclose(mean.numpy(), 0.25 * a.mean((0, 2)))
    np.testing.assert_allclose(var.numpy(), 0.75 + 0.25 * a.var((0, 2), ddof=1))
    before = mean.clone()
    y = F.batch_norm(x, mean, var, training=False)
    assert ng.equal(mean, before)
    expected = (a - mean.numpy()[:, None]) / np.sqrt(var.numpy()[:, None] + 1e-5)
    np.testing.assert_allclose(y.numpy(), expected)


# -- convolution and pooling ----------------------------------------------------------------------


def slow_conv(x, w, stride, padding, dilation, groups):
    """The definition, for any number of spatial dimensions."""
    rank = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    out = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, dilation, strict=True)
    ]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    per_in, per_out = w.shape[1], w.shape[0] // groups
    for o in range(w.shape[0]):
        channels = slice(o // per_out * per_in, (o // per_out + 1) * per_in)
        for at in np.ndindex(*out):
            window = tuple(
                slice(at[i] * stride[i], at[i] * stride[i] + dilation[i] * w.shape[2 + i],
                      dilation[i])
                for i in range(rank)
            )  # fmt: skip
            seen = x[(slice(None), channels, *window)]
            y[(slice(None), o, *at)] = (seen * w[o]).reshape(len(x), -1).sum(1)
    return y


CONVS = [
    ((2, 4, 5, 6), (6, 2, 3, 2), {"stride": (2, 1), "padding": (1, 2), "groups": 2}),
    ((1, 2, 6, 5), (3, 2, 2, 3), {"dilation": (2, 1)}),
    ((2, 3, 4, 4), (3, 1, 3, 3), {"groups": 3, "padding": (1, 1)}),
    ((2, 3, 4, 4), (5, 3, 1, 1), {"stride": (2, 2)}),
    ((2, 2, 7), (4, 2, 3), {"stride": (2,), "padding": (1,)}),
]


@pytest.mark.parametrize(("shape", "kernel", "options"), CONVS)
def test_conv(shape, kernel, options):
    rank = len(shape) - 2
    conv = (F.conv1d, F.conv2d)[rank - 1]
    x, w, b = make(*shape), make(*kernel, seed=1), make(kernel[0], seed=2)
    full = {
        "stride": (1,) * rank, "padding": (0,) * rank, "dilation": (1,) * rank, "groups": 1,
        **options,
    }  # fmt: skip
    expected = slow_conv(x.detach().numpy(), w.detach().numpy(), **full)
    expected += b.detach().numpy().reshape(-1, *(1,) * rank)
    y = conv(x, w, b, **options)
    assert y.is_contiguous()
    np.testing.assert_allclose(y.detach().numpy(), expected, 1e-10, 1e-12)


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((2, 2, 3, 3), (2, 1, 2, 2), {"stride": (2, 1), "padding": (1, 0), "groups": 2}),
        ((1, 2, 5), (2, 2, 2), {"dilation": (2,), "padding": (1,)}),
    ],
)
def test_conv_derivatives(shape, kernel, options):
    conv = (F.conv1d, F.conv2d)[len(shape) - 3]
    inputs = make(*shape), make(*kernel, seed=1), make(kernel[0], seed=2)
    derivatives(lambda x, w, b: conv(x, w, b, **options), *inputs)


def test_conv_in_parts_of_the_batch(monkeypatch):
    """A large batch is done in parts; the result does not depend on their size."""
    from numbagrad.ops import conv

    x, w = make(5, 2, 4, 4), make(3, 2, 3, 3, seed=1)
    whole = F.conv2d(x, w)
    gradients = ng.autograd.grad(whole.sum(), (x, w))
    monkeypatch.setattr(conv, "_COLUMNS", 100)
    parts = F.conv2d(x, w)
    np.testing.assert_allclose(parts.detach().numpy(), whole.detach().numpy(), 1e-12)
    for a, b in zip(ng.autograd.grad(parts.sum(), (x, w)), gradients, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-12)


def test_conv_padding_by_name():
    x, w = make(1, 1, 5, 6), make(1, 1, 4, 3, seed=1)
    assert F.conv2d(x, w, padding="same", dilation=2).shape == (1, 1, 5, 6)
    assert ng.equal(F.conv2d(x, w, padding="valid"), F.conv2d(x, w))


def test_conv_transpose_is_the_transpose():
    """<y, conv(x)> = <conv_transpose(y), x>."""
    x, w = make(2, 4, 7, 6), make(6, 2, 3, 2, seed=1)
    options: dict[str, Any] = {"stride": (2, 1), "padding": (1, 0), "groups": 2}
    y = F.conv2d(x, w, **options)
    cotangent = make(*y.shape, seed=3)
    back = F.conv_transpose2d(cotangent, w, **options)
    assert back.shape == x.shape
    assert (y * cotangent).sum().item() == pytest.approx((back * x).sum().item(), rel=1e-10)
    derivatives(
        lambda x, w: F.conv_transpose2d(x, w, stride=2, output_padding=1),
        make(1, 2, 2, 2), make(2, 1, 2, 2, seed=1),
    )  # fmt: skip


def test_unfold_and_fold():
    x = make(2, 3, 5, 4)
    columns = F.unfold(x, (2, 3), padding=(0, 1), stride=(1, 2))
    w = make(4, 3, 2, 3, seed=1)
    by_hand = w.reshape(4, -1) @ columns
    expected = F.conv2d(x, w, padding=(0, 1), stride=(1, 2))
    np.testing.assert_allclose(
        by_hand.detach().numpy(), expected.reshape(2, 4, -1).detach().numpy(), 1e-10
    )
    ones = F.fold(F.unfold(ng.ones(1, 1, 3, 3), 2), (3, 3), 2)
    assert ones.tolist() == [[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]


def test_max_pool():
    x = make(2, 3, 6, 5)
    y = F.max_pool2d(x, (2, 3), (2, 1), (1, 1))
    a = np.pad(x.detach().numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    for i, j in np.ndindex(*y.shape[2:]):
        window = a[:, :, 2 * i : 2 * i + 2, j : j + 3]
        np.testing.assert_array_equal(y[:, :, i, j].detach().numpy(), window.max((2, 3)))
    derivatives(lambda x: F.max_pool2d(x, 2, 1), make(1, 2, 3, 3))
    values, index = F.max_pool2d(x, 2, return_indices=True)
    assert ng.equal(x.flatten(2).gather(2, index.flatten(2)).reshape(values.shape), values)


def test_max_pool_gives_the_gradient_to_the_first_of_equal_maxima():
    x = ng.zeros(1, 1, 2, 2, requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[[1, 0], [0, 0]]]]
    low = ng.full((1, 1, 2, 2), -math.inf).requires_grad_()
    F.max_pool2d(low, 2, padding=1).sum().backward()
    assert low.grad.sum().item() == 4


def test_avg_pool():
    x = make(1, 2, 5, 5)
    derivatives(lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), x)
    ones = ng.ones(1, 5, 5)
    assert F.avg_pool2d(ones, 3, 2, 1)[0, 0, 0].item() == pytest.approx(4 / 9)
    assert bool((F.avg_pool2d(ones, 3, 2, 1, count_include_pad=False) == 1).all())
    assert bool((F.avg_pool2d(ones, 2, 2, ceil_mode=True) == 1).all())
    assert F.avg_pool2d(ones, 2, divisor_override=1)[0, 0, 0].item() == 4


@pytest.mark.parametrize("out", [1, 2, 3, (4, 2), (None, 1)])
def test_adaptive_avg_pool(out):
    x = make(2, 3, 6, 5)
    y = F.adaptive_avg_pool2d(x, out).detach().numpy()
    rows, columns = y.shape[2:]
    for i, j in np.ndindex(rows, columns):
        window = x.detach().numpy()[
            :, :, i * 6 // rows : -(-(i + 1) * 6 // rows),
            j * 5 // columns : -(-(j + 1) * 5 // columns),
        ]  # fmt: skip
        np.testing.assert_allclose(y[:, :, i, j], window.mean((2, 3)))


@pytest.mark.parametrize(
    ("mode", "numpy_mode"),
    [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")],
)
def test_pad(mode, numpy_mode):
    x = make(2, 4, 5)
    y = F.pad(x, (2, 1), mode)
    expected = np.pad(x.detach().numpy(), [(0, 0), (0, 0), (2, 1)], numpy_mode)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    derivatives(lambda x: F.pad(x, (1, 2), mode), make(1, 2, 3))


# -- attention and dropout ------------------------------------------------------------------------


def test_attention():
    q, k, v = make(2, 3, 4), make(2, 5, 4, seed=1), make(2, 5, 6, seed=2)
    scores = np.einsum("bif,bjf->bij", q.detach().numpy(), k.detach().numpy()) / 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(
        F.scaled_dot_product_attention(q, k, v).detach().numpy(), weights @ v.detach().numpy()
    )
    derivatives(F.scaled_dot_product_attention, make(1, 2, 2), make(1, 3, 2), make(1, 3, 2))


def test_attention_masks():
    x = make(1, 4, 3)
    causal = ng.tril(ng.ones(4, 4)) > 0
    by_mask = F.scaled_dot_product_attention(x, x, x, causal)
    np.testing.assert_allclose(
        F.scaled_dot_product_attention(x, x, x, is_causal=True).detach().numpy(),
        by_mask.detach().numpy(),
    )
    np.testing.assert_allclose(by_mask[:, 0].detach().numpy(), x[:, 0].detach().numpy())
    nothing = F.scaled_dot_product_attention(x, x, x, ng.zeros(4, 4, dtype=ng.bool))
    assert bool((nothing == 0).all())
    (g,) = ng.autograd.grad(nothing.sum(), x)
    assert bool(ng.isfinite(g).all())


def test_dropout():
    ng.manual_seed(0)
    x = ng.ones(200, 100, requires_grad=True)
    y = F.dropout(x, 0.3)
    kept = y != 0
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.01)
    np.testing.assert_allclose(y[kept].detach().numpy(), 1 / 0.7, 1e-6)
    y.sum().backward()
    assert ng.equal(x.grad, y.detach())
    assert F.dropout(x, 0.3, training=False) is x
    assert bool((F.dropout(x, 1.0) == 0).all())
    whole = F.dropout2d(ng.ones(4, 8, 3, 3), 0.5)
    assert bool((whole == whole[:, :, :1, :1]).all())


# -- errors ---------------------------------------------------------------------------------------

X = ng.ones(2, 3)
ERRORS: list[tuple[type[Exception], str, Callable[[], Any]]] = [
    (RuntimeError, "cannot be multiplied", lambda: F.linear(X, ng.ones(4, 2))),
    (RuntimeError, "same dtype", lambda: F.linear(X, ng.ones(4, 3, dtype=ng.float64))),
    (RuntimeError, "bias", lambda: F.linear(X, ng.ones(4, 3), ng.ones(3))),
    (TypeError, "must be Tensor", lambda: F.linear(np.ones((2, 3)), ng.ones(4, 3))),  # type: ignore[arg-type]
    (IndexError, "out of range", lambda: F.embedding(ng.tensor([3]), ng.ones(3, 2))),
    (RuntimeError, "Long, Int", lambda: F.embedding(ng.tensor([0.5]), ng.ones(3, 2))),
    (IndexError, "Target 3", lambda: F.cross_entropy(X, ng.tensor([0, 3]))),
    (IndexError, "Target -1", lambda: F.cross_entropy(X, ng.tensor([0, -1]))),
    (ValueError, "batch_size", lambda: F.cross_entropy(X, ng.tensor([0, 1, 2]))),
    (RuntimeError, "Long", lambda: F.nll_loss(X, ng.tensor([0, 1], dtype=ng.int32))),
    (RuntimeError, "weight tensor", lambda: F.nll_loss(X, ng.tensor([0, 1]), ng.ones(2))),
    (ValueError, "not a valid value", lambda: F.mse_loss(X, X, reduction="average")),
    (ValueError, "Target size", lambda: F.binary_cross_entropy_with_logits(X, ng.ones(2))),
    (RuntimeError, "between 0 and 1", lambda: F.binary_cross_entropy(X * 2, X)),
    (RuntimeError, "normalized_shape", lambda: F.layer_norm(X, (2,))),
    (RuntimeError, "divisible", lambda: F.group_norm(X, 2)),
    (ValueError, "more than 1 value", lambda: F.batch_norm(X[:1], None, None, training=True)),
    (RuntimeError, "channels", lambda: F.conv2d(ng.ones(1, 2, 4, 4), ng.ones(1, 3, 2, 2))),
    (RuntimeError, "Kernel size", lambda: F.conv2d(ng.ones(1, 1, 2, 2), ng.ones(1, 1, 3, 3))),
    (RuntimeError, "unbatched", lambda: F.conv2d(X, ng.ones(1, 1, 1, 1))),
    (RuntimeError, "half", lambda: F.max_pool2d(ng.ones(1, 4, 4), 2, padding=2)),
    (ValueError, "dropout probability", lambda: F.dropout(X, 1.5)),
    (RuntimeError, "attn_mask", lambda: F.scaled_dot_product_attention(X, X, X, X, is_causal=True)),
    (RuntimeError, "must be even", lambda: F.glu(X)),
    (RuntimeError, "approximate", lambda: F.gelu(X, approximate="fast")),
    (RuntimeError, "smaller than num_classes", lambda: F.one_hot(ng.tensor([3]), 3)),
    (IndexError, "Dimension out of range", lambda: F.softmax(X, 2)),
    (RuntimeError, "not implemented", lambda: F.softmax(ng.tensor([1, 2]), 0)),
    (NotImplementedError, "padding mode", lambda: F.pad(X, (1, 1), "mirror")),
]  # fmt: skip


@pytest.mark.parametrize(("error", "text", "call"), ERRORS, ids=[e[1] for e in ERRORS])
def test_errors(error, text, call):
    with pytest.raises(error, match=text):
        call()


def test_mse_loss_of_different_shapes_warns():
    with pytest.warns(UserWarning, match="target size"):
        F.mse_loss(ng.ones(2, 3), ng.ones(3))


@pytest.mark.parametrize("fn", [F.softmax, F.log_softmax])
def test_softmax_edges(fn):
    assert fn(ng.tensor(3.0), 0).shape == ()
    assert fn(ng.zeros(0, 3), 1).shape == (0, 3)
    assert fn(ng.zeros(2, 0), 1).shape == (2, 0)
    half = ng.tensor([60000.0, 60000.0], dtype=ng.float16)
    assert fn(half, 0).dtype is ng.float16
    assert bool(ng.isfinite(fn(half, 0)).all())
    assert bool(ng.isnan(fn(ng.full((2,), -math.inf), 0)).all())
    assert fn(ng.tensor([1.0, 2.0]), 0, dtype=ng.float64).dtype is ng.float64


def test_pixels_are_resized_with_rounding():
    pixels = ng.tensor([[[[0, 100], [200, 255]]]], dtype=ng.uint8)
    ours = F.interpolate(pixels, (4, 4), mode="bilinear")
    exact = F.interpolate(pixels.double(), (4, 4), mode="bilinear")
    assert ours.dtype is ng.uint8 and (ours.double() - exact).abs().max() <= 0.5
    with pytest.raises(NotImplementedError, match="int64"):
        F.interpolate(pixels.long(), (4, 4), mode="bilinear")
