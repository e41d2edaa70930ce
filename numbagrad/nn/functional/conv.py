"""Convolutions, and the rearrangement of windows into columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ops import conv as C, view as V
from ...ops.export import check_tensor, public
from ...tensor import Tensor

Ints = int | Sequence[int]


def spatial(name: str, argument: str, value: Ints, rank: int) -> tuple[int, ...]:
    """One int per spatial dimension.

    Raises:
        RuntimeError: a wrong number of them.
    """
    if isinstance(value, int):
        return (value,) * rank
    values = tuple(int(v) for v in value)
    if len(values) == 1:
        return values * rank
    if len(values) != rank:
        raise RuntimeError(
            f"{name}: expected {argument} to be a single integer value or a list of {rank} values "
            f"to match the convolution dimensions, but got {argument}={list(values)}"
        )
    return values


def _pads(
    name: str, padding: Any, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if padding != "same":
            raise ValueError(
                f"Invalid padding string {padding!r}, should be one of 'valid', 'same'"
            )
        if any(s != 1 for s in stride):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple((t // 2, t - t // 2) for t in totals)
    pads = spatial(name, "padding", padding, len(kernel))
    if min(pads) < 0:
        raise RuntimeError("negative padding is not supported")
    return tuple((p, p) for p in pads)


def _batched(name: str, input: Tensor, rank: int, kinds: str = "iufc") -> tuple[Tensor, bool]:
    x = check_tensor(name, input, kinds=kinds)
    if x.ndim == rank + 2:
        return x, True
    if x.ndim == rank + 1:
        return x.unsqueeze(0), False
    raise RuntimeError(
        f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got input "
        f"of size: {list(x.shape)}"
    )


def _check_positive(stride: tuple[int, ...], dilation: tuple[int, ...], groups: int) -> None:
    if min(stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(dilation) <= 0:
        raise RuntimeError("dilation should be greater than zero")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")


def _check_operands(
    name: str, x: Tensor, weight: Tensor, bias: Tensor | None, rank: int, out: int
) -> None:
    if check_tensor(name, weight, "weight", 2).ndim != rank + 2:
        raise RuntimeError(
            f"{name}: expected a weight of {rank + 2} dimensions, but got weight of size "
            f"{list(weight.shape)}"
        )
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        other = weight.dtype if x.dtype != weight.dtype else bias.dtype  # type: ignore[union-attr]
        raise RuntimeError(
            f"Input type ({x.dtype}) and weight or bias type ({other}) should be the same; convert "
            "one with .to(dtype)"
        )
    if bias is not None and bias.shape != (out,):
        raise RuntimeError(
            f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with "
            f"{out} elements, but got bias of size {list(bias.shape)} instead"
        )


def _with_bias(y: Tensor, bias: Tensor | None, rank: int, batched: bool) -> Tensor:
    if bias is not None:
        y = y + bias.reshape(-1, *(1,) * rank)
    return y if batched else y.squeeze(0)


def _conv(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Any,
    dilation: Ints,
    groups: int,
) -> Tensor:
    name = f"conv{rank}d"
    x, batched = _batched(name, input, rank)
    _check_operands(name, x, weight, bias, rank, weight.shape[0])
    strides = spatial(name, "stride", stride, rank)
    dilations = spatial(name, "dilation", dilation, rank)
    _check_positive(strides, dilations, groups)
    kernel = weight.shape[2:]
    if weight.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size {list(weight.shape)} instead"
        )
    if x.shape[1] != weight.shape[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected "
            f"input{list(x.shape)} to have {weight.shape[1] * groups} channels, but got "
            f"{x.shape[1]} channels instead"
        )
    pads = _pads(name, padding, kernel, strides, dilations)
    padded = tuple(n + lo + hi for n, (lo, hi) in zip(x.shape[2:], pads, strict=True))
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    if any(n < s for n, s in zip(padded, spans, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel "
            f"size: ({' x '.join(map(str, spans))}). Kernel size can't be greater than actual "
            "input size"
        )
    y = C.conv(x, weight, stride=strides, padding=pads, dilation=dilations, groups=groups)
    return _with_bias(y, bias, rank, batched)


@public(method=False)
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (in fact correlation) along one dimension; see :func:`conv2d`."""
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


@public(method=False)
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (in fact correlation) of images.

    Args:
        input: (batch, in_channels, height, width), or without the batch.
        weight: (out_channels, in_channels / groups, kernel height, kernel width).
        bias: (out_channels,).
        stride, dilation: one int or one per dimension.
        padding: zeros on both sides; "valid" for none, "same" for an output of the input's size.
        groups: the channels are split into groups that do not see each other.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
        ValueError: an unknown padding.

    >>> import numbagrad as ng
    >>> ng.nn.functional.conv2d(ng.ones(1, 1, 3, 3), ng.ones(1, 1, 2, 2)).tolist()
    [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


@public(method=False)
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution (in fact correlation) along three dimensions; see :func:`conv2d`."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
) -> Tensor:
    name = f"conv_transpose{rank}d"
    x, batched = _batched(name, input, rank)
    _check_operands(name, x, weight, bias, rank, weight.shape[1] * groups)
    strides = spatial(name, "stride", stride, rank)
    dilations = spatial(name, "dilation", dilation, rank)
    extra = spatial(name, "output_padding", output_padding, rank)
    pads = spatial(name, "padding", padding, rank)
    _check_positive(strides, dilations, groups)
    if x.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected "
            f"input{list(x.shape)} to have {weight.shape[0]} channels, but got {x.shape[1]} "
            "channels instead"
        )
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got "
            f"output_padding: {extra} stride: {strides} dilation: {dilations}"
        )
    # The output padding shows more of what padding cut off, and then zeros.
    both = tuple((p, max(0, p - e)) for p, e in zip(pads, extra, strict=True))
    beyond = tuple((0, max(0, e - p)) for p, e in zip(pads, extra, strict=True))
    space = tuple(
        (n - 1) * s - lo - hi + d * (k - 1) + 1
        for n, s, (lo, hi), d, k in zip(
            x.shape[2:], strides, both, dilations, weight.shape[2:], strict=True
        )
    )
    if min(space) <= 0:
        raise RuntimeError(
            f"Given input size per channel: {list(x.shape[2:])}. Calculated output size per "
            f"channel: {list(space)}. Output size is too small"
        )
    y = C.conv_input(
        x, weight, shape=(x.shape[0], weight.shape[1] * groups, *space), stride=strides,
        padding=both, dilation=dilations, groups=groups,
    )  # fmt: skip
    if any(map(any, beyond)):
        y = V.pad(y, widths=((0, 0), (0, 0), *beyond), value=0)
    return _with_bias(y, bias, rank, batched)


@public(method=False)
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The transpose of conv1d; see :func:`conv_transpose2d`."""
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@public(method=False)
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The transpose of conv2d: what its gradient with respect to the image computes.

    Args:
        input: (batch, in_channels, height, width), or without the batch.
        weight: (in_channels, out_channels / groups, kernel height, kernel width).
        bias: (out_channels,).
        output_padding: added to one side of the output, to choose among the sizes that conv2d
            maps to the input's.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
    """
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@public(method=False)
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The transpose of conv3d; see :func:`conv_transpose2d`."""
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def unfold(
    input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """All windows of images as columns: (batch, channels * kernel, windows).

    Raises:
        RuntimeError: not (batch, channels, height, width) or without the batch, or no window fits.
    """
    x, batched = _batched("unfold", input, 2, kinds="bfc")
    options = _column_options(kernel_size, dilation, padding, stride)
    out = C.out_space(x.shape[2:], **options)
    if min(out) <= 0:
        raise RuntimeError(
            f"Given input with spatial size {tuple(x.shape[2:])} and kernel_size "
            f"{options['kernel']}, the calculated shape of the array of sliding blocks is {out}, "
            "but its components must be at least one."
        )
    y = C.im2col(x, **options)
    return y if batched else y.squeeze(0)


def fold(
    input: Tensor,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """The sums of columns at the places that :func:`unfold` would take them from.

    Raises:
        RuntimeError: the columns do not fit `output_size` and `kernel_size`.
    """
    check_tensor("fold", input, kinds="bfc")
    x = input if input.ndim == 3 else input.unsqueeze(0)
    options = _column_options(kernel_size, dilation, padding, stride)
    space = spatial("fold", "output_size", output_size, 2)
    size = options["kernel"][0] * options["kernel"][1]
    out = C.out_space(space, **options)
    if x.shape[1] % size or x.shape[2] != out[0] * out[1]:
        raise RuntimeError(
            f"Given output_size={space} and kernel_size={options['kernel']}, expected input of "
            f"shape (batch, channels * {size}, {out[0] * out[1]}), but got {list(input.shape)}"
        )
    y = C.col2im(x, shape=(x.shape[0], x.shape[1] // size, *space), **options)
    return y if input.ndim == 3 else y.squeeze(0)


def _column_options(kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> dict[str, Any]:
    pads = spatial("unfold", "padding", padding, 2)
    return {
        "kernel": spatial("unfold", "kernel_size", kernel, 2),
        "stride": spatial("unfold", "stride", stride, 2),
        "padding": tuple((p, p) for p in pads),
        "dilation": spatial("unfold", "dilation", dilation, 2),
    }
