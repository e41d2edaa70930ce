"""Recurrent networks as modules."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ...creation import zeros
from ...tensor import Tensor
from .. import init
from ..functional.recurrent import State, cell, layers
from ..module import Module
from ..parameter import new_parameter
from ..utils.rnn import PackedSequence

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


def _reset(module: Module, hidden_size: int) -> None:
    bound = 1 / math.sqrt(hidden_size)
    for weight in module.parameters():
        init.uniform_(weight, -bound, bound)


def _check_sizes(input_size: Any, hidden_size: Any, num_layers: int, proj_size: int) -> None:
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(value, int):
            raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if num_layers <= 0:
        raise ValueError("num_layers must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


class RNNBase(Module):
    """What recurrent networks have in common: weights by layer and direction.

    Args:
        mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
        input_size, hidden_size: features of the input, and of the state.
        num_layers: each takes what the one before it gives.
        bias: add two biases, as PyTorch.
        batch_first: (batch, time, features) instead of (time, batch, features).
        dropout: the probability of dropping what a layer gives to the next, in training.
        bidirectional: run over the sequence in both directions and join what they give.
        proj_size: features that an LSTM's hidden state is projected to; 0 for none.

    Raises:
        ValueError, TypeError: sizes or options that do not fit.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(dropout, bool) or not (
            isinstance(dropout, int | float) and 0 <= dropout <= 1
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=3,
            )
        for name, flag in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
        _check_sizes(input_size, hidden_size, num_layers, proj_size)
        if mode not in _GATES:
            raise ValueError(f"Unrecognized RNN mode: {mode}")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        factory = {"device": device, "dtype": dtype}
        self._names = [
            self._add_weights(layer, suffix, **factory)
            for layer in range(num_layers)
            for suffix in (("", "_reverse") if bidirectional else ("",))
        ]
        self.reset_parameters()

    def _add_weights(self, layer: int, suffix: str, **factory: Any) -> list[str]:
        """The weights of one layer in one direction; returns their names."""
        gates = _GATES[self.mode] * self.hidden_size
        given = self._output_size * (2 if self.bidirectional else 1)
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (gates, given if layer else self.input_size),
            "weight_hh": (gates, self._output_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        names = []
        for kind, shape in shapes.items():
            names.append(f"{kind}_l{layer}{suffix}")
            self.register_parameter(names[-1], new_parameter(*shape, **factory))
        return names

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._names]

    def flatten_parameters(self) -> None:
        """Nothing to do: the weights need not lie in one piece of memory."""

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in ±1/√hidden_size."""
        _reset(self, self.hidden_size)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0,
            "bidirectional": False,
        }  # fmt: skip
        for name, default in defaults.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text

    def forward(self, input: Any, hx: Any = None) -> Any:
        """The outputs of the last layer at each step, and the states after the last.

        Args:
            input: (time, batch, features), or (time, features), or packed sequences.
            hx: states to start with, (layers * directions, batch, features); zeros by default.

        Raises:
            ValueError, RuntimeError: shapes or dtypes that do not fit.
        """
        packed = input if isinstance(input, PackedSequence) else None
        x: Any = input if packed is None else packed.data
        batched = packed is not None or x.ndim == 3
        if packed is None:
            if x.ndim not in (2, 3):
                name = self._get_name()
                raise ValueError(f"{name}: Expected input to be 2D or 3D, got {x.ndim}D instead")
            if not batched:
                x = x.unsqueeze(1)
            elif self.batch_first:
                x = x.transpose(0, 1)
        self._check_input(x)
        sizes = None if packed is None else packed.batch_sizes.tolist()
        batch = x.shape[1] if sizes is None else sizes[0]
        states = self._states(hx, batch, batched, x)
        if packed is not None and packed.sorted_indices is not None and hx is not None:
            states = tuple(s.index_select(1, packed.sorted_indices) for s in states)
        weights = [w for each in self.all_weights for w in each]
        y, last = layers(
            self.mode, x, sizes, states, weights, self.bias, self.num_layers, self.dropout,
            self.training, self.bidirectional,
        )  # fmt: skip
        if packed is not None:
            if packed.unsorted_indices is not None:
                last = tuple(s.index_select(1, packed.unsorted_indices) for s in last)
            result: Any = packed._replace(data=y)
        elif batched:
            result = y.transpose(0, 1) if self.batch_first else y
        else:
            result = y.squeeze(1)
            last = tuple(s.squeeze(1) for s in last)
        return result, last[0] if len(last) == 1 else last

    def _check_input(self, x: Tensor) -> None:
        weight = getattr(self, self._names[0][0])
        if x.dtype != weight.dtype:
            raise ValueError(
                f"RNN input dtype ({x.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: model.to({x.dtype})"
            )
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {x.shape[-1]}"
            )

    def _states(self, hx: Any, batch: int, batched: bool, like: Tensor) -> State:
        """The states to start with: the given ones, checked, or zeros."""
        lead = (self.num_layers * (2 if self.bidirectional else 1), batch)
        shapes = [(*lead, self._output_size)]
        if self.mode == "LSTM":
            shapes.append((*lead, self.hidden_size))
        if hx is None:
            return tuple(zeros(*s, dtype=like.dtype) for s in shapes)
        given = tuple(hx) if self.mode == "LSTM" else (hx,)
        rank = 3 if batched else 2
        if any(h.ndim != rank for h in given):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            found = ", ".join(f"{h.ndim}-D" for h in given)
            raise RuntimeError(
                f"For {kind} input, hx should also be {rank}-D but got ({found}) tensors"
            )
        states = given if batched else tuple(h.unsqueeze(1) for h in given)
        for i, (h, shape) in enumerate(zip(states, shapes, strict=True)):
            if tuple(h.shape) != shape:
                which = f"hidden[{i}]" if self.mode == "LSTM" else "hidden"
                raise RuntimeError(f"Expected {which} size {shape}, got {list(h.shape)}")
        return states


class RNN(RNNBase):
    """h = tanh(W x + b + U h + c) over a sequence; see :class:`RNNBase`.

    `nonlinearity` may be "relu".
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, device=device, dtype=dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """A long short-term memory (Hochreiter and Schmidhuber, 1997); see :class:`RNNBase`.

    Its state is a pair: hidden and cell.

    >>> import numbagrad as ng
    >>> y, (h, c) = ng.nn.LSTM(4, 3, batch_first=True)(ng.ones(2, 5, 4))
    >>> y.shape, h.shape
    (numbagrad.Size([2, 5, 3]), numbagrad.Size([1, 2, 3]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """A gated recurrent unit (Cho et al., 2014); see :class:`RNNBase`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip


# -- single steps ---------------------------------------------------------------------------------


class RNNCellBase(Module):
    """What single recurrent steps have in common."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        factory = {"device": device, "dtype": dtype}
        self.register_parameter("weight_ih", new_parameter(gates, input_size, **factory))
        self.register_parameter("weight_hh", new_parameter(gates, hidden_size, **factory))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, new_parameter(gates, wanted=bias, **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in ±1/√hidden_size."""
        _reset(self, self.hidden_size)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias={self.bias}"

    def _step(self, mode: str, input: Tensor, given: State | None, states: int) -> State:
        name = self._get_name()
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        for i, h in enumerate(given or ()):
            if h.ndim not in (1, 2):
                which = f"hx[{i}]" if states > 1 else "hidden"
                raise ValueError(f"{name}: Expected {which} to be 1D or 2D, got {h.ndim}D instead")
        batched = input.ndim == 2
        x = input if batched else input.unsqueeze(0)
        if given is None:
            state: State = (zeros(len(x), self.hidden_size, dtype=x.dtype),) * states
        else:
            state = given if batched else tuple(h.unsqueeze(0) for h in given)
        new = cell(mode, x, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return new if batched else tuple(h.squeeze(0) for h in new)


class RNNCell(RNNCellBase):
    """One step of an :class:`RNN`: (batch, input), (batch, hidden) → (batch, hidden)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        mode = f"RNN_{self.nonlinearity.upper()}"
        return self._step(mode, input, None if hx is None else (hx,), 1)[0]

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class LSTMCell(RNNCellBase):
    """One step of an :class:`LSTM`: the next (hidden, cell)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        hidden, cell_ = self._step("LSTM", input, hx, 2)
        return hidden, cell_


class GRUCell(RNNCellBase):
    """One step of a :class:`GRU`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step("GRU", input, None if hx is None else (hx,), 1)[0]
