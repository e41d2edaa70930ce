"""Recurrent networks, packed sequences, bags, alignments: closed forms, compilation, errors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from nn_samples import derivatives, make

import numbagrad as ng

F = ng.nn.functional
rnn = ng.nn.utils.rnn
KINDS = {"RNN": ng.nn.RNN, "GRU": ng.nn.GRU, "LSTM": ng.nn.LSTM}
CELLS = {"RNN": ng.nn.RNNCell, "GRU": ng.nn.GRUCell, "LSTM": ng.nn.LSTMCell}


@pytest.mark.parametrize("name", KINDS)
def test_a_layer_is_its_cell_step_by_step(name):
    ng.manual_seed(0)
    layer, cell = KINDS[name](3, 4), CELLS[name](3, 4)
    cell.load_state_dict({k[:-3]: v for k, v in layer.state_dict().items()})
    x = ng.randn(5, 2, 3)
    y, last = layer(x)
    state = None
    for t in range(5):
        state = cell(x[t], state)
        hidden = state[0] if isinstance(state, tuple) else state
        np.testing.assert_allclose(y[t].detach().numpy(), hidden.detach().numpy(), 1e-5)
    final = last[0] if isinstance(last, tuple) else last
    assert ng.equal(final[0], y[-1])


def test_lstm_by_the_book():
    layer = ng.nn.LSTM(1, 1).double()
    with ng.no_grad():
        for i, p in enumerate(layer.parameters()):
            p.copy_(ng.linspace(-1 + i / 4, 1, p.numel()).reshape(p.shape))
    w, u, b, c = (p.detach().numpy().reshape(-1) for p in layer.parameters())
    h, m = 0.0, 0.0
    for x in (0.5, -1.0):
        i, f, g, o = w * x + b + u * h + c
        m = m / (1 + math.exp(-f)) + math.tanh(g) / (1 + math.exp(-i))
        h = math.tanh(m) / (1 + math.exp(-o))
    _, (hidden, memory) = layer(ng.tensor([[0.5], [-1.0]], dtype=ng.float64))
    assert (hidden.item(), memory.item()) == pytest.approx((h, m))


@pytest.mark.parametrize("name", KINDS)
def test_backwards_is_forwards_on_the_reversed_sequence(name):
    ng.manual_seed(1)
    both, one = KINDS[name](3, 2, bidirectional=True), KINDS[name](3, 2)
    state = both.state_dict()
    one.load_state_dict({k: state[f"{k}_reverse"] for k in one.state_dict()})
    x = ng.randn(4, 2, 3)
    backward = both(x)[0][..., 2:]
    np.testing.assert_allclose(
        backward.detach().numpy(), one(x.flip(0))[0].flip(0).detach().numpy(), 1e-5
    )


@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_sequences_do_not_see_each_other_or_padding(bidirectional):
    ng.manual_seed(2)
    layer = ng.nn.GRU(3, 4, num_layers=2, bidirectional=bidirectional)
    parts = [ng.randn(n, 3) for n in (2, 4, 1)]
    y, last = layer(rnn.pack_sequence(parts, enforce_sorted=False))
    for i, (found, part) in enumerate(zip(rnn.unpack_sequence(y), parts, strict=True)):
        expected, state = layer(part)
        np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), 1e-4, 1e-6)
        np.testing.assert_allclose(last[:, i].detach().numpy(), state.detach().numpy(), 1e-4, 1e-6)


def test_recurrent_networks_compile():
    ng.manual_seed(3)
    layer = ng.nn.LSTM(3, 4)
    x = ng.randn(3, 2, 3)

    def loss(x):
        return layer(x)[0].square().sum()

    expected = ng.autograd.grad(loss(x), list(layer.parameters()))
    found = ng.autograd.grad(ng.compile(loss)(x), list(layer.parameters()))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-4, 1e-5)


def test_dropout_between_layers_in_training_only():
    ng.manual_seed(4)
    layer = ng.nn.RNN(2, 3, num_layers=2, dropout=1.0)
    x = ng.randn(3, 1, 2)
    assert ng.equal(layer(x)[0], layer(x * 0)[0])  # nothing reaches the second layer
    assert not ng.equal(layer.eval()(x * 9)[0], layer(x)[0])
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        ng.nn.RNN(2, 3, dropout=0.5)


# -- transformers ---------------------------------------------------------------------------------


def test_padding_and_the_future_are_not_seen():
    ng.manual_seed(5)
    layer = ng.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
    encoder = ng.nn.TransformerEncoder(layer, 2)
    x = ng.randn(1, 4, 4)
    changed = x.clone()
    changed[0, 3] += 1
    padding = ng.tensor([[False, False, False, True]])
    causal = ng.nn.Transformer.generate_square_subsequent_mask(4)
    for options in ({"src_key_padding_mask": padding}, {"mask": causal, "is_causal": True}):
        before, after = (encoder(t, **options)[0, :3].detach() for t in (x, changed))
        np.testing.assert_allclose(before.numpy(), after.numpy(), 1e-5, 1e-6)
    assert not np.allclose(
        encoder(x)[0, 0].detach().numpy(), encoder(changed)[0, 0].detach().numpy()
    )


def test_layers_of_a_stack_are_copies():
    layer = ng.nn.TransformerDecoderLayer(4, 2, 8)
    stack = ng.nn.TransformerDecoder(layer, 2)
    first, second = (m.linear1.weight for m in stack.layers)
    assert ng.equal(first, second)
    assert first is not second and first is not layer.linear1.weight


def test_a_training_step_of_a_transformer():
    ng.manual_seed(6)
    model = ng.nn.Transformer(4, 2, 1, 1, 8, batch_first=True, norm_first=True)
    source, target = ng.randn(2, 3, 4), ng.randn(2, 2, 4)
    optimizer = ng.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = F.mse_loss(model.eval()(source, target), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_attention_to_one_more_key():
    ng.manual_seed(7)
    x = ng.randn(3, 2, 4)
    plain = ng.nn.MultiheadAttention(4, 2)
    zero = ng.nn.MultiheadAttention(4, 2, add_zero_attn=True)
    biased = ng.nn.MultiheadAttention(4, 2, add_bias_kv=True)
    for other in (zero, biased):
        other.load_state_dict(plain.state_dict(), strict=False)
    assert biased.bias_k is not None and biased.bias_v is not None
    with ng.no_grad():  # a learned key and value of zeros
        biased.bias_k.zero_()
        biased.bias_v.zero_()
    mask = ng.nn.Transformer.generate_square_subsequent_mask(3)
    padding = ng.tensor([[False, False, True], [False, False, False]])
    (y, w), (z, v) = (m(x, x, x, padding, attn_mask=mask) for m in (zero, biased))
    assert w.shape == v.shape == (2, 3, 4)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), 1e-5, 1e-6)
    np.testing.assert_allclose(w.detach().numpy(), v.detach().numpy(), 1e-5, 1e-6)
    np.testing.assert_allclose(w.sum(-1).detach().numpy(), 1, 1e-5)
    # Among the other keys the shares are those without it.
    _, u = plain(x, x, x, padding, attn_mask=mask, average_attn_weights=False)
    _, w = zero(x, x, x, padding, attn_mask=mask, average_attn_weights=False)
    shares = (w[..., :3] / w[..., :3].sum(-1, keepdim=True)).detach().numpy()
    np.testing.assert_allclose(shares, u.detach().numpy(), 1e-4, 1e-6)


# -- alignments -----------------------------------------------------------------------------------


def collapsed(path, blank=0):
    return [k for k, _ in itertools.groupby(path) if k != blank]


@pytest.mark.parametrize("target", [[1], [1, 2], [2, 2], [1, 2, 1], []])
def test_ctc_sums_over_all_alignments(target):
    log_p = make(4, 1, 3).log_softmax(2).detach()
    p = log_p.exp().numpy()[:, 0]
    paths = [s for s in itertools.product(range(3), repeat=4) if collapsed(s) == target]
    total = sum(np.prod([p[t, c] for t, c in enumerate(s)]) for s in paths)
    labels = ng.tensor([target], dtype=ng.int64)
    loss = F.ctc_loss(log_p, labels, [4], [len(target)], reduction="sum")
    assert loss.item() == pytest.approx(-math.log(total))


def test_ctc_derivatives_of_logits():
    labels = ng.tensor([1, 2, 1])

    def loss(x):
        return F.ctc_loss(x.log_softmax(2), labels, [3, 4], [2, 1], reduction="none")

    assert ng.autograd.gradcheck(loss, (make(4, 2, 3),))


def test_ctc_of_what_cannot_be_aligned():
    log_p = make(1, 1, 3).log_softmax(2)
    labels = ng.tensor([[1, 2]])
    assert F.ctc_loss(log_p, labels, [1], [2]).item() == math.inf
    loss = F.ctc_loss(log_p, labels, [1], [2], zero_infinity=True)
    assert loss.item() == 0
    with pytest.raises(RuntimeError, match="blank must be in label range"):
        F.ctc_loss(log_p, labels, [1], [2], blank=3)
    with pytest.raises(RuntimeError, match="input_lengths to have value at most 1"):
        F.ctc_loss(log_p, labels, [2], [2])


# -- bags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 1])
def test_bags_are_what_their_rows_give(mode, padding):
    weight = make(5, 3)
    bags = [[0, 1, 4], [], [1], [2, 2, 1, 3]]
    index = ng.tensor([i for bag in bags for i in bag])
    offsets = ng.tensor([0, 3, 3, 4])
    result = F.embedding_bag(index, weight, offsets, mode=mode, padding_idx=padding)
    for row, bag in zip(result.detach().numpy(), bags, strict=True):
        rows = weight.detach().numpy()[[i for i in bag if i != padding]]
        expected = getattr(np, mode)(rows, 0) if len(rows) else np.zeros(3)
        np.testing.assert_allclose(row, expected)
    derivatives(
        lambda w: F.embedding_bag(index, w, offsets, mode=mode, padding_idx=padding), weight
    )


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 1])
@pytest.mark.parametrize("last", [False, True])
def test_compiled_bags_may_differ_from_call_to_call(mode, padding, last):
    def bags(index, weight, offsets):
        return F.embedding_bag(
            index, weight, offsets, mode=mode, padding_idx=padding, include_last_offset=last
        )

    compiled = ng.compile(bags)
    index, weight = ng.tensor([0, 1, 4, 1, 2]), make(5, 3)
    for offsets in ([0, 3, 3, 5], [0, 0, 1, 5]):
        given = index, weight, ng.tensor(offsets)
        assert ng.allclose(compiled(*given), bags(*given))
    assert len(compiled._traces.signatures) == 1


def test_weighted_bags():
    index, weights = ng.tensor([[0, 2], [1, 1]]), make(2, 2)
    derivatives(
        lambda w, s: F.embedding_bag(index, w, mode="sum", per_sample_weights=s),
        make(3, 2),
        weights,
    )


PADDED = ng.ones(3, 2, 1)
LAYER = ng.nn.TransformerEncoderLayer(4, 2, 8)
TABLE = ng.ones(4, 2)
INDEX = ng.tensor([0, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: KINDS["GRU"](3, 4)(ng.ones(3, 2, 5)), RuntimeError, "Expected 3, got 5"),
        (lambda: KINDS["GRU"](3, 4)(ng.ones(3)), ValueError, "2D or 3D, got 1D"),
        (lambda: KINDS["GRU"](3, 4)(ng.ones(0, 1, 3)), RuntimeError, "larger than 0"),
        (lambda: KINDS["GRU"](3, 4).double()(ng.ones(3, 3)), ValueError, "convert|Convert"),
        (lambda: KINDS["LSTM"](3, 4, proj_size=4), ValueError, "smaller than hidden_size"),
        (
            lambda: KINDS["LSTM"](3, 4)(ng.ones(3, 2, 3), (ng.ones(1, 2, 4), ng.ones(1, 1, 4))),
            RuntimeError,
            r"Expected hidden\[1\] size \(1, 2, 4\), got \[1, 1, 4\]",
        ),
        (lambda: LAYER(ng.ones(3, 4), ng.ones(3, 3).long()), AssertionError, "bool and floating"),
        (lambda: LAYER(ng.ones(3, 4), is_causal=True), RuntimeError, "Need attn_mask"),
        (
            lambda: ng.nn.TransformerEncoderLayer(4, 2, activation="tanh"),
            RuntimeError,
            "relu/gelu, not tanh",
        ),
        (lambda: CELLS["RNN"](3, 4)(ng.ones(2, 5)), RuntimeError, "got 5 expected 3"),
        (lambda: rnn.pack_padded_sequence(PADDED, [1, 3]), RuntimeError, "enforce_sorted=False"),
        (lambda: rnn.pack_padded_sequence(PADDED, [3, 0]), RuntimeError, "greater than 0"),
        (lambda: rnn.pack_padded_sequence(PADDED, [3]), RuntimeError, "batch_size=2"),
        (lambda: rnn.pad_sequence([]), RuntimeError, "empty list"),
        (lambda: F.embedding_bag(INDEX, TABLE), ValueError, "offsets has to be"),
        (
            lambda: F.embedding_bag(INDEX, TABLE, INDEX + 1),
            RuntimeError,
            r"offsets\[0\] has to be 0",
        ),
        (lambda: F.embedding_bag(INDEX, TABLE, INDEX, mode="min"), ValueError, "mode has to be"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
