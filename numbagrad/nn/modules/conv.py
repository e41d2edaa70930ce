"""Convolutions as modules."""

from __future__ import annotations

import math
from typing import Any

from ...tensor import Tensor
from .. import functional as F, init
from ..functional.conv import Ints
from ..module import Module
from ..parameter import new_parameter

_MODES = ("zeros", "reflect", "replicate", "circular")


def as_tuple(value: Ints, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


class _ConvBase(Module):
    """Sizes, weight and bias of a convolution; starts uniform in ±1/√(fan in)."""

    rank: int
    transposed = False
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints | str,
        dilation: Ints,
        output_padding: Ints,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(
                f"Invalid padding string {padding!r}, should be one of {{'same', 'valid'}}"
            )
        if padding_mode not in _MODES:
            raise ValueError(
                f"padding_mode must be one of {set(_MODES)}, but got padding_mode='{padding_mode}'"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = as_tuple(kernel_size, self.rank)
        self.stride = as_tuple(stride, self.rank)
        self.padding = padding if isinstance(padding, str) else as_tuple(padding, self.rank)
        self.dilation = as_tuple(dilation, self.rank)
        self.output_padding = as_tuple(output_padding, self.rank)
        self.groups = groups
        self.padding_mode = padding_mode
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
        factory = {"device": device, "dtype": dtype}
        self.register_parameter("weight", new_parameter(*self._weight_shape(), **factory))
        self.register_parameter("bias", new_parameter(out_channels, wanted=bias, **factory))
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        outer, inner = self.out_channels, self.in_channels
        if self.transposed:
            outer, inner = inner, outer
        return outer, inner // self.groups, *self.kernel_size

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,) * self.rank:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.rank:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self.rank:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text

    def _border(self) -> tuple[int, ...]:
        """The padding in the order of F.pad: from the last dimension to the first."""
        if self.padding == "valid":
            return (0, 0) * self.rank
        border: list[int] = []
        for i in reversed(range(self.rank)):
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                border += [total // 2, total - total // 2]
            else:
                border += [int(self.padding[i])] * 2
        return tuple(border)


class _Conv(_ConvBase):
    """A convolution; `padding_mode` says what is outside of the input."""

    def __init__(
        self,
        in_channels: int,
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
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._border(), mode=self.padding_mode)
            padding = 0
        function = (F.conv1d, F.conv2d, F.conv3d)[self.rank - 1]
        return function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_Conv):
    """Convolution along the last dimension: (batch, in, length) → (batch, out, length')."""

    rank = 1


class Conv2d(_Conv):
    """Convolution of images: (batch, in, height, width) → (batch, out, height', width').

    >>> import numbagrad as ng
    >>> ng.nn.Conv2d(1, 2, 3, padding=1)(ng.ones(5, 1, 8, 8)).shape
    numbagrad.Size([5, 2, 8, 8])
    """

    rank = 2


class Conv3d(_Conv):
    """Convolution along the last three dimensions."""

    rank = 3


class _ConvTranspose(_ConvBase):
    """The transpose of a convolution."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
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
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding,
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _extra(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output padding that leads to `output_size`."""
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)[-self.rank :]
        extra = []
        for i, n in enumerate(wanted):
            low = (
                (input.shape[input.ndim - self.rank + i] - 1) * self.stride[i]
                - 2 * int(self.padding[i])
                + self.dilation[i] * (self.kernel_size[i] - 1)
                + 1
            )
            if not low <= n < low + self.stride[i]:
                raise ValueError(
                    f"requested an output size of {list(wanted)}, but valid sizes range from "
                    f"{low} to {low + self.stride[i] - 1} in dimension {i} (for an input of "
                    f"{list(input.shape)})"
                )
            extra.append(n - low)
        return tuple(extra)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.rank - 1]
        padding: Any = self.padding
        return function(
            input, self.weight, self.bias, self.stride, padding, self._extra(input, output_size),
            self.groups, self.dilation,
        )  # fmt: skip


class ConvTranspose1d(_ConvTranspose):
    """The transpose of Conv1d."""

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """The transpose of Conv2d."""

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """The transpose of Conv3d."""

    rank = 3


class Unfold(Module):
    """All windows of images as columns."""

    _printed = ("kernel_size", "dilation", "padding", "stride")

    def __init__(
        self, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Module):
    """The sums of columns at the places that Unfold takes them from."""

    _printed = ("output_size", "kernel_size", "dilation", "padding", "stride")

    def __init__(
        self,
        output_size: Ints,
        kernel_size: Ints,
        dilation: Ints = 1,
        padding: Ints = 0,
        stride: Ints = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )
