"""Recurrent networks, packed sequences and transformers: the same weights, the same results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numbagrad as ng

from .oracle import check, check_gradients, to_ng, torch

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

CASES = [
    ("RNN", {"num_layers": 2, "nonlinearity": "relu"}),
    ("RNN", {"bidirectional": True, "bias": False}),
    ("GRU", {"num_layers": 2, "bidirectional": True}),
    ("GRU", {"batch_first": True}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("LSTM", {"bias": False, "proj_size": 1}),
]
LENGTHS = [2, 5, 1, 3]


def _pair(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(3, 4, **options).double()
    ours = getattr(ng.nn, name)(3, 4, **options).double()
    ours.load_state_dict({k: to_ng(v.clone()) for k, v in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return ours, theirs


def _compare(result: Any, expected: Any, ours: list[Any], theirs: list[Any]) -> None:
    check(result, expected)
    check_gradients(result, ours, expected, theirs, order=2)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("kind", ["batch", "single", "packed", "unsorted"])
def test_layers(name: str, options: dict[str, Any], with_state: bool, kind: str) -> None:
    ours, theirs = _pair(name, options)
    shape = (5, 3) if kind == "single" else (4, 5, 3) if options.get("batch_first") else (5, 4, 3)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    y = to_ng(x)
    inputs: list[Any] = [x, *theirs.parameters()]
    our_inputs: list[Any] = [y, *ours.parameters()]
    their_args, our_args = [x], [y]
    if kind in ("packed", "unsorted"):
        lengths = LENGTHS if kind == "unsorted" else sorted(LENGTHS, reverse=True)
        for args, library in ((their_args, torch), (our_args, ng)):
            args[0] = library.nn.utils.rnn.pack_padded_sequence(
                args[0], lengths, options.get("batch_first", False), kind == "packed"
            )
    if with_state:
        lead = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
        batch = () if kind == "single" else (4,)
        sizes = [options.get("proj_size", 4), 4][: 2 if name == "LSTM" else 1]
        state = [
            torch.randn(lead, *batch, n, dtype=torch.float64, requires_grad=True) for n in sizes
        ]
        our_state = [to_ng(s) for s in state]
        inputs += state
        our_inputs += our_state
        their_args.append(tuple(state) if len(state) > 1 else state[0])
        our_args.append(tuple(our_state) if len(state) > 1 else our_state[0])
    _compare(ours(*our_args), theirs(*their_args), our_inputs, inputs)


@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_padding_and_packing(padding_side: str, batch_first: bool) -> None:
    parts = [torch.randn(n, 2, dtype=torch.float64, requires_grad=True) for n in LENGTHS]
    ours = [to_ng(p) for p in parts]

    def run(library: Any, sequences: list[Any]) -> Any:
        rnn = library.nn.utils.rnn
        padded = rnn.pad_sequence(sequences, batch_first, 1.5, padding_side)
        packed = rnn.pack_padded_sequence(padded, LENGTHS, batch_first, enforce_sorted=False)
        again, lengths = rnn.pad_packed_sequence(packed, batch_first, -1.0, total_length=7)
        back = rnn.unpack_sequence(rnn.pack_sequence(sequences, enforce_sorted=False))
        return [padded, *packed, again, lengths, *back]

    _compare(run(ng, ours), run(torch, parts), ours, parts)


def test_functions_of_the_package() -> None:
    ours, theirs = _pair("LSTM", {"num_layers": 2})
    weights = [w for each in theirs.all_weights for w in each]
    our_weights = [w for each in ours.all_weights for w in each]
    x = torch.randn(5, 4, 3, dtype=torch.float64)
    state = [torch.randn(2, 4, 4, dtype=torch.float64) for _ in range(2)]
    rest = (True, 2, 0.0, False, False)
    check(
        ng.lstm(to_ng(x), [to_ng(s) for s in state], our_weights, *rest, False),
        torch.lstm(x, state, weights, *rest, False),
    )
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, [5, 3, 2, 1])
    check(
        ng.lstm(to_ng(packed.data), to_ng(packed.batch_sizes), [to_ng(s) for s in state],
                our_weights, *rest),
        torch.lstm(packed.data, packed.batch_sizes, state, weights, *rest),
    )  # fmt: skip
    for name in ("rnn_tanh", "gru"):
        gates = 3 if name == "gru" else 1
        shapes = ((4 * gates, 3), (4 * gates, 4), (4 * gates,), (4 * gates,))
        w = [torch.from_numpy(np.random.default_rng(0).standard_normal(s)) for s in shapes]
        args = (x[0], state[0][0], *w)
        check(getattr(ng, f"{name}_cell")(*to_ng(args)), getattr(torch, f"{name}_cell")(*args))
        check(
            getattr(ng, name)(to_ng(x), to_ng(state[0][:1]), to_ng(w), True, 1, 0.0, False, False,
                              False),
            getattr(torch, name)(x, state[0][:1], w, True, 1, 0.0, False, False, False),
        )  # fmt: skip


def _transformers(library: Any, norm_first: bool, batch_first: bool) -> Any:
    nn = library.nn
    options = {"norm_first": norm_first, "batch_first": batch_first, "dropout": 0.0}
    layer = nn.TransformerDecoderLayer(6, 2, 8, activation="gelu", **options)
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(6, 3, 8, **options), 2, nn.LayerNorm(6)
    )
    return nn.ModuleList(
        [encoder, nn.TransformerDecoder(layer, 2), nn.Transformer(6, 2, 1, 1, 8, **options)]
    )


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_transformers(norm_first: bool, batch_first: bool, training: bool) -> None:
    torch.manual_seed(0)
    theirs = _transformers(torch, norm_first, batch_first).double().train(training)
    ours = _transformers(ng, norm_first, batch_first).double().train(training)
    expected = repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
    assert repr(ours) == expected
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: to_ng(v.clone()) for k, v in theirs.state_dict().items()})
    shape = (2, 4, 6) if batch_first else (4, 2, 6)
    x, y = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(2))
    padding = torch.tensor([[False, False, False, True], [False, False, True, True]])
    causal = torch.nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)

    def run(modules: Any, x: Any, y: Any, padding: Any, causal: Any) -> Any:
        encoder, decoder, both = modules
        memory = encoder(x, src_key_padding_mask=padding)
        options = {"tgt_mask": causal, "tgt_is_causal": True}
        return [
            encoder(x, causal, is_causal=True),
            encoder(x[0]),
            decoder(y, memory, **options, memory_key_padding_mask=padding),
            both(x, y, **options, src_key_padding_mask=padding),
        ]

    # PyTorch's fast path, which writes zeros for padding, is not taken: parameters require grad.
    result = run(ours, *map(to_ng, (x, y, padding, causal)))
    expected = run(theirs, x, y, padding, causal)
    check(result, expected, tolerance=10)


def test_transformer_gradients() -> None:
    torch.manual_seed(0)
    theirs = _transformers(torch, False, True)[2].double()
    ours = _transformers(ng, False, True)[2].double()
    ours.load_state_dict({k: to_ng(v.clone()) for k, v in theirs.state_dict().items()})
    x, y = (torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    our_x, our_y = to_ng(x), to_ng(y)
    result, expected = ours(our_x, our_y), theirs(x, y)
    check_gradients(
        result, [our_x, our_y, *ours.parameters()], expected, [x, y, *theirs.parameters()],
        order=1, tolerance=10,
    )  # fmt: skip
