"""Modules that learn the size of their input when they are first called."""

from __future__ import annotations

from typing import Any

from ...creation import tensor
from ...dtypes import int64
from ...tensor import Tensor
from ..functional.conv import Ints
from ..module import Module
from ..parameter import UninitializedBuffer, UninitializedParameter, UninitializedTensor
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)


class _Lazy(Module):
    """A module whose parameters get their shapes from the first input.

    After the first call it is an ordinary module: its class is `_becomes`.
    """

    _becomes: Any

    def _wait(self) -> None:
        handle = self.register_forward_pre_hook(_on_first_call)
        self.__dict__["_first_call"] = handle

    def _add_later(self, weight: bool, bias: bool, **factory: Any) -> None:
        """A weight and a bias without shapes, either of them or none."""
        for name, wanted in (("weight", weight), ("bias", bias)):
            parameter = UninitializedParameter(**factory) if wanted else None
            self.register_parameter(name, parameter)

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or a buffer has no shape yet."""
        own = (*self._parameters.values(), *self._buffers.values())
        return any(isinstance(t, UninitializedTensor) for t in own)

    def initialize_parameters(self, input: Tensor) -> None:
        """Give parameters and buffers their shapes and initial values."""
        fresh = self.has_uninitialized_params()
        self._learn(input)
        if not fresh:
            return
        for name, shape in self._shapes().items():
            t = getattr(self, name)
            if isinstance(t, UninitializedTensor):
                t.materialize(shape)
        self.reset_parameters()

    def _learn(self, input: Tensor) -> None:
        """Take the missing size from the input."""
        raise NotImplementedError(f"{self._get_name()} does not say what it learns from its input")

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters and buffers, once the missing size is known."""
        raise NotImplementedError(f"{self._get_name()} does not say the shapes of its parameters")

    def reset_parameters(self) -> None:
        """Draw new initial values, if there is something to draw."""
        # Not from the constructors below, which have nothing to draw for either.
        if "_first_call" in self.__dict__ and not self.has_uninitialized_params():
            super().reset_parameters()  # type: ignore[misc]


def _on_first_call(module: Any, args: tuple[Any, ...]) -> None:
    module.initialize_parameters(*args)
    module._first_call.remove()
    del module.__dict__["_first_call"]
    module.__class__ = module._becomes


class LazyLinear(_Lazy, Linear):
    """A :class:`Linear` that takes `in_features` from its first input.

    >>> import numbagrad as ng
    >>> layer = ng.nn.LazyLinear(3)
    >>> layer(ng.ones(2, 5)).shape
    numbagrad.Size([2, 3])
    >>> layer
    Linear(in_features=5, out_features=3, bias=True)
    """

    _becomes = Linear

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        Module.__init__(self)
        self.in_features = 0
        self.out_features = out_features
        self._add_later(True, bias, device=device, dtype=dtype)
        self._wait()

    def _learn(self, input: Tensor) -> None:
        self.in_features = input.shape[-1]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "weight": (self.out_features, self.in_features), "bias": (self.out_features,),
        }  # fmt: skip


class _LazyConv(_Lazy):
    """A convolution that takes `in_channels` from its first input."""

    rank: int
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    groups: int
    _weight_shape: Any

    def _defer(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        self.out_channels = out_channels
        self._add_later(True, bias, device=device, dtype=dtype)
        self._wait()

    def _learn(self, input: Tensor) -> None:
        if input.ndim not in (self.rank + 1, self.rank + 2):
            raise RuntimeError(
                f"Expected {self.rank + 1}D (unbatched) or {self.rank + 2}D (batched) input to "
                f"{self._get_name()}, but got input of size: {input.shape}"
            )
        self.in_channels = input.shape[input.ndim - self.rank - 1]
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": self._weight_shape(), "bias": (self.out_channels,)}


class _LazyForwardConv(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._becomes.__init__(
            self, 0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode
        )
        self._defer(out_channels, bias, device, dtype)


class _LazyTransposedConv(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._becomes.__init__(
            self, 0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation,
            padding_mode,
        )  # fmt: skip
        self._defer(out_channels, bias, device, dtype)


class _LazyNorm(_Lazy):
    """A normalisation that takes `num_features` from its first input."""

    num_features: int
    affine: bool
    track_running_stats: bool

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        self._becomes.__init__(self, 0, eps, momentum, False, False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        factory = {"device": device, "dtype": dtype}
        self._add_later(affine, affine and bias, **factory)
        if track_running_stats:
            for name in ("running_mean", "running_var"):
                self.register_buffer(name, UninitializedBuffer(**factory))
            self.register_buffer("num_batches_tracked", tensor(0, dtype=int64))
        self._wait()

    def _learn(self, input: Tensor) -> None:
        self.num_features = input.shape[1]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        names = ("weight", "bias", "running_mean", "running_var")
        return dict.fromkeys(names, (self.num_features,))


class LazyConv1d(_LazyForwardConv, Conv1d):
    """A :class:`Conv1d` that takes `in_channels` from its first input."""

    _becomes = Conv1d


class LazyConv2d(_LazyForwardConv, Conv2d):
    """A :class:`Conv2d` that takes `in_channels` from its first input."""

    _becomes = Conv2d


class LazyConv3d(_LazyForwardConv, Conv3d):
    """A :class:`Conv3d` that takes `in_channels` from its first input."""

    _becomes = Conv3d


class LazyConvTranspose1d(_LazyTransposedConv, ConvTranspose1d):
    """A :class:`ConvTranspose1d` that takes `in_channels` from its first input."""

    _becomes = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposedConv, ConvTranspose2d):
    """A :class:`ConvTranspose2d` that takes `in_channels` from its first input."""

    _becomes = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposedConv, ConvTranspose3d):
    """A :class:`ConvTranspose3d` that takes `in_channels` from its first input."""

    _becomes = ConvTranspose3d


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A :class:`BatchNorm1d` that takes `num_features` from its first input."""

    _becomes = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A :class:`BatchNorm2d` that takes `num_features` from its first input."""

    _becomes = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A :class:`BatchNorm3d` that takes `num_features` from its first input."""

    _becomes = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An :class:`InstanceNorm1d` that takes `num_features` from its first input."""

    _becomes = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An :class:`InstanceNorm2d` that takes `num_features` from its first input."""

    _becomes = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An :class:`InstanceNorm3d` that takes `num_features` from its first input."""

    _becomes = InstanceNorm3d
