"""Recurrent networks: one step of each kind, and layers of them over a sequence."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ...ops import elementwise as E
from ...ops.export import public
from ...ops.joining import cat, stack
from ...tensor import Tensor
from .dropout import dropout
from .linear import linear

#: The state of a layer: (hidden,), or (hidden, cell).
State = tuple[Tensor, ...]
#: (what the input gives to the gates, state, hidden weight, hidden bias) → the next state.
Step = Callable[[Tensor, State, Tensor, Tensor | None], State]


def _tanh(gates: Tensor, state: State, w: Tensor, b: Tensor | None) -> State:
    return (E.tanh(gates + linear(state[0], w, b)),)


def _relu(gates: Tensor, state: State, w: Tensor, b: Tensor | None) -> State:
    return (E.relu(gates + linear(state[0], w, b)),)


def _lstm(gates: Tensor, state: State, w: Tensor, b: Tensor | None) -> State:
    hidden, cell = state
    i, f, g, o = (gates + linear(hidden, w, b)).chunk(4, -1)
    cell = E.sigmoid(f) * cell + E.sigmoid(i) * E.tanh(g)
    return E.sigmoid(o) * E.tanh(cell), cell


def _gru(gates: Tensor, state: State, w: Tensor, b: Tensor | None) -> State:
    (hidden,) = state
    size = hidden.shape[-1]
    own = linear(hidden, w, b)
    r, z = E.sigmoid(gates[..., : 2 * size] + own[..., : 2 * size]).chunk(2, -1)
    n = E.tanh(gates[..., 2 * size :] + r * own[..., 2 * size :])
    return ((hidden - n) * z + n,)


#: By PyTorch's names of the modes.
STEPS: dict[str, Step] = {"RNN_TANH": _tanh, "RNN_RELU": _relu, "LSTM": _lstm, "GRU": _gru}


def cell(
    mode: str, input: Tensor, state: State, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> State:  # fmt: skip
    """One step: the next state.

    Raises:
        RuntimeError: shapes that do not fit.
    """
    if input.shape[-1] != w_ih.shape[-1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {input.shape[-1]} expected {w_ih.shape[-1]}"
        )
    for i, h in enumerate(state):
        if h.shape[-1] != w_hh.shape[-1]:
            raise RuntimeError(
                f"hidden{i} has inconsistent hidden_size: got {h.shape[-1]}, expected "
                f"{w_hh.shape[-1]}"
            )
        if h.shape[0] != input.shape[0]:
            raise RuntimeError(
                f"Input batch size {input.shape[0]} doesn't match hidden{i} batch size {h.shape[0]}"
            )
    return STEPS[mode](linear(input, w_ih, b_ih), state, w_hh, b_hh)


# -- sequences ------------------------------------------------------------------------------------


def _forwards(step: Callable[..., State], parts: Sequence[Tensor], state: State) -> Any:
    outputs, ended = [], []
    for part in parts:
        n = len(part)
        if n < len(state[0]):  # some sequences have ended
            ended.append(tuple(s[n:] for s in state))
            state = tuple(s[:n] for s in state)
        state = step(part, state)
        outputs.append(state[0])
    if ended:
        state = tuple(cat(s) for s in zip(*[state, *ended[::-1]], strict=True))
    return outputs, state


def _backwards(step: Callable[..., State], parts: Sequence[Tensor], start: State) -> Any:
    outputs = []
    state = tuple(s[: len(parts[-1])] for s in start)
    for part in reversed(parts):
        n, before = len(part), len(state[0])
        if n > before:  # here others end
            more = (s[before:n] for s in start)
            state = tuple(cat(s) for s in zip(state, more, strict=True))
        state = step(part, state)
        outputs.append(state[0])
    return outputs[::-1], state


def _steps(x: Tensor, starts: Sequence[int]) -> list[Tensor]:
    """The parts of x between neighbouring starts.

    By halves of halves: the gradient of a part is a tensor as large as what it was taken from, so
    that n parts of one tensor would cost n times its size.
    """
    count = len(starts) - 1
    if count == 1:
        return [x]
    middle = count // 2
    at = starts[middle] - starts[0]
    return _steps(x[:at], starts[: middle + 1]) + _steps(x[at:], starts[middle:])


def _direction(
    mode: str, x: Tensor, sizes: Sequence[int] | None, state: State, weights: Sequence[Any],
    has_biases: bool, backwards: bool,
) -> tuple[Tensor, State]:  # fmt: skip
    w_ih, w_hh, *more = weights
    b_ih, b_hh = more[:2] if has_biases else (None, None)
    projection = more[-1] if len(more) % 2 else None
    # What the input gives to the gates: one product for all steps.
    gates = linear(x, w_ih, b_ih)
    if sizes is None:
        parts = [p.squeeze(0) for p in _steps(gates, range(len(gates) + 1))]
    else:
        parts = _steps(gates, [0, *itertools.accumulate(sizes)])

    def step(part: Tensor, state: State) -> State:
        hidden, *rest = STEPS[mode](part, state, w_hh, b_hh)
        return (hidden if projection is None else linear(hidden, projection), *rest)

    outputs, last = (_backwards if backwards else _forwards)(step, parts, state)
    return stack(outputs) if sizes is None else cat(outputs), last


def layers(
    mode: str, x: Tensor, sizes: Sequence[int] | None, states: State, weights: Sequence[Tensor],
    has_biases: bool, num_layers: int, p: float, train: bool, bidirectional: bool,
) -> tuple[Tensor, State]:  # fmt: skip
    """Layers of recurrent steps over a sequence.

    Args:
        x: (time, batch, features), or (elements, features) of packed sequences.
        sizes: how many packed sequences there are at each step.
        states: (layers * directions, batch, features) each.
        weights: those of each layer and direction, in PyTorch's order.
        p: the probability of dropout between layers.

    Returns:
        The outputs of the last layer, and the states after the last step.

    Raises:
        RuntimeError: a sequence of no steps.
    """
    if not len(x):
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    directions = 2 if bidirectional else 1
    each = len(weights) // (num_layers * directions)
    last: list[State] = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            i = layer * directions + direction
            y, state = _direction(
                mode, x, sizes, tuple(s[i] for s in states), weights[i * each : (i + 1) * each],
                has_biases, direction == 1,
            )  # fmt: skip
            outputs.append(y)
            last.append(state)
        x = outputs[0] if directions == 1 else cat(outputs, -1)
        if p and layer < num_layers - 1:
            x = dropout(x, p, train)
    return x, tuple(stack(s) for s in zip(*last, strict=True))


# -- at the package's top level -------------------------------------------------------------------


def _publish(mode: str, states: int) -> None:
    """``ng.lstm`` and the like, in PyTorch's two forms, and ``ng.lstm_cell``."""
    own = mode.lower()

    def sequence(input: Tensor, *args: Any) -> tuple[Tensor, ...]:
        sizes: list[int] | None = None
        batch_first = False
        if isinstance(args[0], Tensor) and (states == 2 or isinstance(args[1], Tensor)):
            sizes, args = args[0].tolist(), args[1:]  # packed sequences
        else:
            *others, batch_first = args
            args = tuple(others)
        state, *rest = args
        x = input.transpose(0, 1) if batch_first else input
        y, last = layers(mode, x, sizes, (state,) if states == 1 else tuple(state), *rest)
        return (y.transpose(0, 1) if batch_first else y, *last)

    def one(
        input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Any:  # fmt: skip
        state = (hx,) if states == 1 else tuple(hx)
        new = cell(mode, input, state, w_ih, w_hh, b_ih, b_hh)
        return new[0] if states == 1 else new

    sequence.__doc__ = f"The layers of a {mode}; see :func:`layers` and ``nn.{mode[:4]}``."
    one.__doc__ = f"One step of a {mode}: the next state."
    for name, fn in ((own, sequence), (f"{own}_cell", one)):
        fn.__name__ = fn.__qualname__ = name
        public(method=False)(fn)


for _mode in STEPS:
    _publish(_mode, 2 if _mode == "LSTM" else 1)
