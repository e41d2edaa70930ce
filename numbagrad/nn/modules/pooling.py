"""Pooling as modules."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from .. import functional as F
from ..functional.conv import Ints
from ..module import Module
from .conv import as_tuple


class _MaxPool(Module):
    rank: int
    _printed = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.rank - 1]
        return function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class MaxPool1d(_MaxPool):
    """The maximum of windows along the last dimension."""

    rank = 1


class MaxPool2d(_MaxPool):
    """The maximum of windows of images."""

    rank = 2


class MaxPool3d(_MaxPool):
    """The maximum of windows along the last three dimensions."""

    rank = 3


class AvgPool1d(Module):
    """The mean of windows along the last dimension."""

    _printed = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        self.kernel_size = (kernel_size,) if isinstance(kernel_size, int) else kernel_size
        self.stride = (stride,) if isinstance(stride, int) else stride
        self.padding = (padding,) if isinstance(padding, int) else padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip


class _AvgPool(Module):
    rank: int
    _printed = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        function = (F.avg_pool2d, F.avg_pool3d)[self.rank - 2]
        return function(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip


class AvgPool2d(_AvgPool):
    """The mean of windows of images."""

    rank = 2


class AvgPool3d(_AvgPool):
    """The mean of windows along the last three dimensions."""

    rank = 3


class _LPPool(Module):
    rank: int
    _printed = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(
        self,
        norm_type: float,
        kernel_size: Ints,
        stride: Ints | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        function = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self.rank - 1]
        return function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool1d(_LPPool):
    """The p-norm of windows along the last dimension."""

    rank = 1


class LPPool2d(_LPPool):
    """The p-norm of windows of images."""

    rank = 2


class LPPool3d(_LPPool):
    """The p-norm of windows along the last three dimensions."""

    rank = 3


class _MaxUnpool(Module):
    _printed = ("kernel_size", "stride", "padding")
    rank: int

    def __init__(self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0) -> None:
        super().__init__()
        self.kernel_size = as_tuple(kernel_size, self.rank)
        self.stride = self.kernel_size if stride is None else as_tuple(stride, self.rank)
        self.padding = as_tuple(padding, self.rank)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        function = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.rank - 1]
        return function(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(_MaxUnpool):
    """Maxima back at the places that MaxPool1d took them from."""

    rank = 1


class MaxUnpool2d(_MaxUnpool):
    """Maxima back at the places that MaxPool2d took them from."""

    rank = 2


class MaxUnpool3d(_MaxUnpool):
    """Maxima back at the places that MaxPool3d took them from."""

    rank = 3


class _AdaptivePool(Module):
    rank: int
    _printed = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size


class _AdaptiveAvgPool(_AdaptivePool):
    def forward(self, input: Tensor) -> Tensor:
        functions = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
        return functions[self.rank - 1](input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of nearly equal parts of the last dimension."""

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of nearly equal parts of images."""

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of nearly equal parts of the last three dimensions."""

    rank = 3


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        functions = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
        return functions[self.rank - 1](input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The maxima of nearly equal parts of the last dimension."""

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The maxima of nearly equal parts of images."""

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The maxima of nearly equal parts of the last three dimensions."""

    rank = 3


class _FractionalMaxPool(Module):
    rank: int

    def __init__(
        self,
        kernel_size: Ints,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name = self._get_name()
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError(f"only one of output_size and output_ratio may be specified in {name}")
        self.kernel_size = as_tuple(kernel_size, self.rank)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else as_tuple(output_size, self.rank)
        if isinstance(output_ratio, float):
            output_ratio = (output_ratio,) * self.rank
        self.output_ratio = output_ratio
        if output_ratio is not None and not all(0 < r < 1 for r in output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        function = (F.fractional_max_pool2d, F.fractional_max_pool3d)[self.rank - 2]
        return function(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
            self._random_samples,
        )  # fmt: skip


class FractionalMaxPool2d(_FractionalMaxPool):
    """The maxima of windows of images at random, nearly even distances."""

    rank = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """The same along the last three dimensions."""

    rank = 3
