"""Images: pooling, resizing, sampling and shuffling; derivatives, closed forms, errors."""

from __future__ import annotations

import numpy as np
import pytest
from nn_samples import derivatives, make

import numbagrad as ng

F = ng.nn.functional


@pytest.mark.parametrize("out", [1, 2, 3, 5])
def test_adaptive_pools_take_nearly_equal_parts(out):
    x = make(1, 2, 5)
    data = x.detach().numpy()
    parts = [data[..., i * 5 // out : -(-(i + 1) * 5 // out)] for i in range(out)]
    mean = F.adaptive_avg_pool1d(x, out).detach().numpy()
    np.testing.assert_allclose(mean, np.stack([p.mean(-1) for p in parts], -1))
    top, index = F.adaptive_max_pool1d(x, out, return_indices=True)
    assert np.array_equal(top.detach().numpy(), np.stack([p.max(-1) for p in parts], -1))
    assert np.array_equal(np.take_along_axis(data, index.numpy(), -1), top.detach().numpy())


def test_adaptive_mean_of_other_parts_does_not_see_infinity():
    x = ng.tensor([[1.0, 2.0, 3.0, 4.0, float("inf")]])
    assert F.adaptive_avg_pool1d(x, 3).tolist() == [[1.5, 3.0, float("inf")]]


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
        lambda x: F.adaptive_max_pool2d(x, (2, 3)),
        lambda x: F.lp_pool2d(x * x + 0.1, 3, 2),
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),  # type: ignore[call-arg]
        lambda x: F.local_response_norm(x, 2, alpha=0.5),
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
        lambda x: F.interpolate(x, (5, 3), mode="bicubic", align_corners=True),
        lambda x: F.interpolate(x, (2, 3), mode="bilinear", antialias=True),
        lambda x: F.interpolate(x, (2, 7), mode="nearest-exact"),
        lambda x: F.pixel_shuffle(F.pixel_unshuffle(x, 2) * x.sum(), 2),
    ],
)
def test_derivatives(fn):
    derivatives(fn, make(1, 2, 4, 4))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample_derivatives(mode, padding):
    grid = make(1, 1, 2, 2, seed=3, low=-1.4, high=1.4)
    derivatives(lambda x, g: F.grid_sample(x, g, mode, padding), make(1, 1, 2, 3), grid)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("align", [True, False])
def test_the_identity_grid_gives_the_image_back(rank, align):
    x = make(2, 3, *(4, 5, 2)[:rank]).detach()
    theta = ng.eye(rank, rank + 1, dtype=ng.float64).expand(2, rank, rank + 1)
    grid = F.affine_grid(theta, x.shape, align)
    np.testing.assert_allclose(F.grid_sample(x, grid, align_corners=align).numpy(), x.numpy())


def test_places_that_are_nan_are_outside():
    grid = ng.full((1, 1, 1, 2), float("nan"))
    assert F.grid_sample(ng.ones(1, 1, 2, 2), grid, "nearest", align_corners=True).item() == 0


def test_interpolation_of_a_line_is_exact():
    x = ng.arange(6.0, dtype=ng.float64).reshape(1, 1, 6)
    y = F.interpolate(x, 11, mode="linear", align_corners=True)
    np.testing.assert_allclose(y.flatten().numpy(), np.arange(11) / 2)
    cubic = F.interpolate(x[..., None, :], (1, 11), mode="bicubic", align_corners=True)
    np.testing.assert_allclose(cubic.flatten().numpy()[2:-2], np.arange(2, 9) / 2)
    assert F.interpolate(x, scale_factor=0.5).flatten().tolist() == [0, 2, 4]


def test_antialiasing_keeps_the_mean():
    x = make(1, 1, 8, 8).detach()
    small = F.interpolate(x, (1, 1), mode="bilinear", antialias=True).item()
    ramp = 1 - np.abs(np.arange(8) + 0.5 - 4) / 8
    weights = np.outer(ramp, ramp) / ramp.sum() ** 2
    assert small == pytest.approx((weights * x[0, 0].numpy()).sum())


def test_shuffles_are_permutations():
    x = ng.arange(48).reshape(1, 12, 2, 2)
    assert ng.equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x)
    assert ng.equal(F.channel_shuffle(F.channel_shuffle(x, 3), 4), x)
    assert F.channel_shuffle(x, 3)[0, :, 0, 0].tolist() == [0, 16, 32, 4, 20, 36, 8, 24, 40,
                                                            12, 28, 44]  # fmt: skip


def test_maxima_return_to_their_places():
    x = ng.tensor([[[1.0, 5.0, 2.0, 3.0]]])
    y, index = F.max_pool1d(x, 2, return_indices=True)
    assert F.max_unpool1d(y, index, 2).tolist() == [[[0, 5, 0, 3]]]
    assert F.max_unpool1d(y, index, 2, output_size=[5]).tolist() == [[[0, 5, 0, 3, 0]]]
    with pytest.raises(RuntimeError, match="invalid max index: 9"):
        F.max_unpool1d(y, index * 0 + 9, 2)
    with pytest.raises(ValueError, match="invalid output_size"):
        F.max_unpool1d(y, index, 2, output_size=[9])


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("max_pool1d", (2,)), ("max_pool2d", (2, 1)), ("max_pool3d", (2, 1, 1)),
        ("adaptive_max_pool1d", (2,)), ("adaptive_max_pool2d", (2,)), ("adaptive_max_pool3d", (2,)),
    ],
)  # fmt: skip
def test_pools_with_indices(name, args):
    x = make(1, 2, *(5,) * int(name[-2]))
    pool = getattr(ng.nn.functional, name)
    values, index = getattr(ng.nn.functional, f"{name}_with_indices")(x, *args)
    assert values.tolist() == pool(x, *args).tolist()
    assert index.tolist() == pool(x, *args, return_indices=True)[1].tolist()


def test_fractional_windows_are_inside_and_in_order():
    ng.manual_seed(0)
    x = ng.arange(49.0).reshape(1, 1, 7, 7).expand(3, 2, 7, 7)
    y, index = F.fractional_max_pool2d(x, 2, output_size=(4, 3), return_indices=True)
    assert ng.equal(y, index.to(y.dtype))  # the last element of each window
    rows, columns = index[..., 0] // 7, index[..., 0, :] % 7
    assert (rows.diff() >= 1).all() and (columns.diff() >= 1).all()
    assert (rows[..., -1] == 6).all() and (columns[..., -1] == 6).all()
    samples = make(1, 2, 2, low=0, high=1).detach()
    derivatives(
        lambda x: F.fractional_max_pool2d(x, 2, output_ratio=0.6, _random_samples=samples),
        make(1, 2, 5, 5),
    )
    with pytest.raises(RuntimeError, match="too large relative to the input size 7"):
        F.fractional_max_pool2d(x, 4, output_size=5)


def test_images_in_compiled_functions():
    x, grid = make(1, 2, 3, 3).detach(), make(1, 3, 3, 2, seed=1, low=-1, high=1).detach()

    def fn(x, grid):
        y = F.grid_sample(F.interpolate(x, (5, 5), mode="bilinear"), grid, align_corners=False)
        return F.adaptive_max_pool2d(F.pixel_shuffle(y.repeat(1, 2, 1, 1), 2), 4)

    np.testing.assert_allclose(ng.compile(fn)(x, grid).numpy(), fn(x, grid).numpy())


IMAGE = ng.ones(1, 2, 4, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.interpolate(IMAGE), ValueError, "either size or scale_factor"),
        (lambda: F.interpolate(IMAGE, 2, 2), ValueError, "only one of size or scale_factor"),
        (lambda: F.interpolate(IMAGE, (2, 2, 2)), ValueError, "spatial dimensions"),
        (lambda: F.interpolate(IMAGE, 2, mode="linear"), NotImplementedError, "got linear"),
        (lambda: F.interpolate(IMAGE, 2, align_corners=True), ValueError, "align_corners"),
        (lambda: F.interpolate(IMAGE, 2, antialias=True), ValueError, "Anti-alias"),
        (lambda: F.interpolate(IMAGE, 0), RuntimeError, "greater than 0"),
        (lambda: F.grid_sample(IMAGE, ng.ones(1, 2, 2, 3)), RuntimeError, "size 2 in last"),
        (lambda: F.grid_sample(IMAGE, ng.ones(1, 2, 2, 2), "cubic"), ValueError, "got: 'cubic'"),
        (lambda: F.affine_grid(ng.ones(1, 2, 2), (1, 1, 2, 2)), ValueError, "Nx2x3"),
        (lambda: F.pixel_shuffle(IMAGE, 2), RuntimeError, "not divisible by 4"),
        (lambda: F.pixel_unshuffle(IMAGE, 3), RuntimeError, "height to be divisible"),
        (lambda: F.channel_shuffle(IMAGE, 3), RuntimeError, "2 channels and 3 groups"),
        (lambda: F.adaptive_max_pool2d(IMAGE, (1, 2, 3)), RuntimeError, "must be 2 ints"),
        (lambda: F.local_response_norm(ng.ones(2, 2), 2), ValueError, "3D or higher"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
