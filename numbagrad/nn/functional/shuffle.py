"""Rearrangements of channels and pixels."""

from __future__ import annotations

from ...ops.export import check_tensor, public
from ...tensor import Tensor


def _check_image(name: str, input: Tensor) -> Tensor:
    if check_tensor(name, input).ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} "
            "dimension(s)"
        )
    return input


@public(method=False)
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels become pixels: (..., c·r², h, w) → (..., c, h·r, w·r) for the factor r.

    Raises:
        RuntimeError: less than three dimensions, a factor that is not positive, or channels that
            are not divisible by its square.

    >>> import numbagrad as ng
    >>> ng.pixel_shuffle(ng.arange(4.0).reshape(4, 1, 1), 2).tolist()
    [[[0.0, 1.0], [2.0, 3.0]]]
    """
    x, r = _check_image("pixel_shuffle", input), upscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = x.shape
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    n = len(lead)
    split = x.reshape(*lead, c // (r * r), r, r, h, w)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return split.permute(*order).reshape(*lead, c // (r * r), h * r, w * r)


@public(method=False)
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels become channels, the inverse of :func:`pixel_shuffle`.

    Raises:
        RuntimeError: less than three dimensions, a factor that is not positive, or a height or
            width that is not divisible by it.
    """
    x, r = _check_image("pixel_unshuffle", input), downscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = x.shape
    for name, extent in (("height", h), ("width", w)):
        if extent % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but {extent} "
                f"is not divisible by {r}"
            )
    n = len(lead)
    split = x.reshape(*lead, c, h // r, r, w // r, r)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return split.permute(*order).reshape(*lead, c * r * r, h // r, w // r)


@public(method=False, aliases=("native_channel_shuffle",))
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels (dimension 1) dealt out like cards among `groups`.

    Raises:
        RuntimeError: less than three dimensions, or channels not divisible by `groups`.

    >>> import numbagrad as ng
    >>> ng.channel_shuffle(ng.arange(4.0).reshape(1, 4, 1), 2).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    if check_tensor("channel_shuffle", input).ndim < 3:
        raise RuntimeError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    n, c, *space = input.shape
    if groups <= 0 or c % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups."
        )
    return input.reshape(n, groups, c // groups, *space).transpose(1, 2).reshape(n, c, *space)
