"""Windows, short-time transforms, slopes of samples and special functions, without an oracle."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

import numbagrad as ng
from numbagrad.autograd import gradcheck


def signal(*shape, seed=0, grad=False):
    values = np.random.default_rng(seed).normal(size=shape)
    return ng.tensor(values, requires_grad=grad)


@pytest.mark.parametrize("kind", ["hann", "hamming", "blackman", "bartlett", "kaiser"])
def test_windows(kind):
    window = getattr(ng, f"{kind}_window")
    periodic, symmetric = window(8, dtype=ng.float64), window(9, False, dtype=ng.float64)
    assert periodic.tolist() == pytest.approx(symmetric.tolist()[:-1], abs=1e-15)
    assert symmetric.tolist() == pytest.approx(symmetric.tolist()[::-1], abs=1e-15)
    assert symmetric.max().item() == pytest.approx(1)
    expected = {"kaiser": lambda n: np.kaiser(n, 12.0), "hann": np.hanning}
    reference = expected.get(kind) or getattr(np, kind)
    assert symmetric.tolist() == pytest.approx(reference(9).tolist(), abs=1e-12)
    assert window(1).tolist() == [1.0] and window(0).shape == (0,)
    with pytest.raises(RuntimeError, match="non-negative window_length"):
        window(-1)


def test_windows_of_scipys_names():
    w = ng.signal.windows
    for name in w.__all__:
        options = {"a": [0.5, 0.5]} if name == "general_cosine" else {}
        whole = getattr(w, name)(9, **options).tolist()
        periodic = getattr(w, name)(8, sym=False, **options).tolist()
        assert whole == pytest.approx(whole[::-1], abs=1e-6), name
        assert periodic == pytest.approx(whole[:-1], abs=1e-6), name
        assert getattr(w, name)(1, **options).tolist() == [1.0]
    with pytest.raises(ValueError, match="non-negative"):
        w.hann(-1)
    with pytest.raises(ValueError, match="float32 or float64"):
        w.hann(3, dtype=ng.int64)
    with pytest.raises(TypeError, match="unexpected keyword"):
        w.hann(3, periodic=True)
    with pytest.raises(ValueError, match="symmetric"):
        w.exponential(3, center=1.0)


@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
def test_round_trip(onesided, normalized):
    x, window = signal(2, 40), ng.hann_window(12, dtype=ng.float64)
    options = {"hop_length": 3, "window": window, "win_length": 12, "normalized": normalized}
    y = x.stft(16, onesided=onesided, return_complex=True, **options)
    assert y.shape == (2, 9 if onesided else 16, 14)
    back = y.istft(16, onesided=onesided, length=40, **options)
    np.testing.assert_allclose(back.numpy()[:, :38], x.numpy()[:, :38], atol=1e-12)
    assert gradcheck(lambda x: x.stft(4, 2, return_complex=True).abs(), signal(10, grad=True))


def test_short_time_transform_refuses():
    x = signal(10)
    with pytest.raises(RuntimeError, match="return_complex"):
        x.stft(4)
    with pytest.raises(RuntimeError, match="n_fft"):
        x.stft(40, center=False, return_complex=True)
    with pytest.raises(RuntimeError, match="complex-valued"):
        x.reshape(5, 2).istft(8)
    with pytest.raises(RuntimeError, match="window overlap"):
        zeros = ng.zeros(4).double()
        x.stft(4, return_complex=True).istft(4, window=zeros)


def test_gradient_of_samples():
    t = ng.tensor([0.0, 1.0, 3.0, 4.5, 5.0], dtype=ng.float64)
    (exact,) = ng.gradient(t * t, spacing=[t], edge_order=2)
    np.testing.assert_allclose(exact.numpy(), 2 * t.numpy(), rtol=1e-12)
    x = signal(4, 5, grad=True)
    for ours, numpy in zip(ng.gradient(x), np.gradient(x.detach().numpy()), strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), numpy, rtol=1e-12)
    with pytest.raises(RuntimeError, match=r"edge_order\+1"):
        ng.gradient(ng.ones(2), edge_order=2)


def test_frexp():
    x = ng.tensor([0.0, 1.0, -3.0, 5e-324, 1.7e308, math.inf], dtype=ng.float64)
    mantissa, exponent = ng.frexp(x)
    expected = np.frexp(x.numpy())
    assert mantissa.tolist()[:-1] == expected[0].tolist()[:-1]
    assert exponent.tolist() == expected[1].tolist() and exponent.dtype is ng.int32


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("i0", lambda x: mpmath.besseli(0, x)),
        ("i1", lambda x: mpmath.besseli(1, x)),
        ("i0e", lambda x: mpmath.besseli(0, x) * mpmath.exp(-abs(x))),
        ("i1e", lambda x: mpmath.besseli(1, x) * mpmath.exp(-abs(x))),
        ("erfcx", lambda x: mpmath.erfc(x) * mpmath.exp(mpmath.mpf(x) ** 2)),
        ("log_ndtr", lambda x: mpmath.log(mpmath.ncdf(x))),
    ],
)
def test_special_functions_to_the_last_digits(name, exact):
    points = [-20.0, -9.0, -8.0, -3.3, -1.0, -1e-3, 0.0, 1e-8, 0.7, 2.0, 7.9, 8.1, 25.0, 100.0]
    ours = getattr(ng.special, name)(ng.tensor(points, dtype=ng.float64)).tolist()
    with mpmath.workdps(400):
        expected = [float(exact(p)) for p in points]
    assert ours == pytest.approx(expected, rel=2e-13, abs=1e-300)


def test_ndtri_in_the_tails():
    points = [1e-300, 1e-17, 1e-4, 0.02, 0.3, 0.5, 0.75, 0.999]
    ours = ng.special.ndtri(ng.tensor(points, dtype=ng.float64)).tolist()
    with mpmath.workdps(400):
        for p, x in zip(points, ours, strict=True):
            assert float(mpmath.ncdf(x)) == pytest.approx(p, rel=2e-12)
    ends = ng.special.ndtri(ng.tensor([0.0, 1.0, -0.1, 1.1, math.nan])).tolist()
    nan = math.nan
    assert ends == pytest.approx([-math.inf, math.inf, nan, nan, nan], nan_ok=True)


def test_special_functions_at_the_ends():
    ends = ng.tensor([math.inf, -math.inf, math.nan], dtype=ng.float64)
    inf, nan = math.inf, math.nan
    assert ng.i0(ends).tolist() == pytest.approx([inf, inf, nan], nan_ok=True)
    assert ng.special.i1e(ends).tolist() == pytest.approx([0, 0, nan], nan_ok=True)
    assert ng.special.erfcx(ends).tolist() == pytest.approx([0, inf, nan], nan_ok=True)
    assert ng.special.log_ndtr(ends).tolist() == pytest.approx([0, -inf, nan], nan_ok=True)
