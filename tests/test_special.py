"""Special functions: values computed with 30 digits, and derivatives that nothing else checks."""

from __future__ import annotations

import math

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import special


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("bessel_j0", (0.9384698072408129, -0.26005195490193345, 0.1468840547004211)),
        ("bessel_j1", (0.2422684576748739, 0.3390589585259365, -0.16548380461475973)),
        ("bessel_y0", (-0.44451873350670656, 0.3768500100127904, -0.1712143068446693)),
        ("bessel_y1", (-1.471472392670243, 0.3246744247918, -0.1538382565375012)),
        ("modified_bessel_k0", (0.9244190712276659, 0.03473950438627925, 1.3084036967769775e-06)),
        ("modified_bessel_k1", (1.656441120003301, 0.040156431128194184, 1.3597678438215176e-06)),
    ],
)
def test_bessel_functions(name, values):
    x = ng.tensor([0.5, 3.0, 12.5], dtype=ng.float64)
    found = getattr(special, name)(x)
    np.testing.assert_allclose(found.numpy(), values, rtol=2e-14)
    if name.startswith("modified"):
        scaled = getattr(special, f"scaled_{name}")(x)
        np.testing.assert_allclose((scaled * (-x).exp()).numpy(), values, rtol=2e-14)


def test_bessel_functions_at_the_ends():
    ends = ng.tensor([0.0, math.inf, -1.0])
    assert special.bessel_j0(ends[:2]).tolist() == [1.0, 0.0]
    assert special.spherical_bessel_j0(ends[:2]).tolist() == [1.0, 0.0]
    assert special.bessel_y1(ends).tolist()[:2] == [-math.inf, 0.0]
    assert special.modified_bessel_k0(ends).tolist()[:2] == [math.inf, 0.0]
    assert special.modified_bessel_k1(ends)[2].isnan()


@pytest.mark.parametrize(
    ("a", "x", "lower", "upper", "slope"),
    [
        (0.5, 0.2, 0.4729107431344619, 0.5270892568655381, -0.8201614064863388),
        (3.0, 9.0, 0.9937678048936227, 0.006232195106377317, -0.008695466419742526),
        (50.0, 60.0, 0.9155933189063081, 0.08440668109369183, -0.02128499278634949),
        (2e5, 200400.0, 0.8144933296327814, 0.18550667036721857, -0.0005976883627609199),
    ],
)
def test_incomplete_gamma_functions(a, x, lower, upper, slope):
    a, x = (ng.tensor(v, dtype=ng.float64, requires_grad=True) for v in (a, x))
    p = ng.igamma(a, x)
    np.testing.assert_allclose(p.item(), lower, rtol=1e-12)
    np.testing.assert_allclose(special.gammaincc(a, x).item(), upper, rtol=1e-11)
    da, dx = ng.autograd.grad(p, (a, x))
    np.testing.assert_allclose(da.item(), slope, rtol=1e-9)
    density = ((a - 1) * x.log() - x - a.lgamma()).exp()
    np.testing.assert_allclose(dx.item(), density.item(), rtol=1e-9)
    tangent = ng.func.jvp(lambda a: ng.igammac(a, x.detach()), (a.detach(),), (a.detach(),))[1]
    np.testing.assert_allclose(tangent.item(), -slope * a.item(), rtol=1e-9)


def test_incomplete_gamma_functions_at_the_ends():
    a = ng.tensor([0.0, 1.0, 1.0, math.inf, 0.0, -1.0, 1.0])
    x = ng.tensor([1.0, 0.0, math.inf, 1.0, 0.0, 1.0, -1.0])
    assert ng.igamma(a, x).tolist()[:4] == [1.0, 0.0, 1.0, 0.0]
    assert ng.igammac(a, x).tolist()[:4] == [0.0, 1.0, 0.0, 1.0]
    assert ng.igamma(a, x)[4:].isnan().all()


def test_a_second_derivative_that_there_is_not():
    a = ng.tensor(2.0, requires_grad=True)
    (slope,) = ng.autograd.grad(ng.igamma(a, ng.tensor(1.0)), a, create_graph=True)
    with pytest.raises(NotImplementedError, match="first argument"):
        slope.backward()


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("chebyshev_polynomial_t", np.polynomial.chebyshev.Chebyshev),
        ("hermite_polynomial_h", np.polynomial.hermite.Hermite),
        ("hermite_polynomial_he", np.polynomial.hermite_e.HermiteE),
        ("laguerre_polynomial_l", np.polynomial.laguerre.Laguerre),
        ("legendre_polynomial_p", np.polynomial.legendre.Legendre),
    ],
)
def test_orthogonal_polynomials(name, reference):
    fn = getattr(special, name)
    x = ng.tensor([-0.7, 0.0, 0.4, 1.0], dtype=ng.float64, requires_grad=True)
    for n in range(5):
        p = reference.basis(n)
        y = fn(x, n)
        np.testing.assert_allclose(y.detach().numpy(), p(x.detach().numpy()), rtol=1e-13)
        if n:
            (dy,) = ng.autograd.grad(y.sum(), x, create_graph=True)
            expected = p.deriv()(x.detach().numpy())
            np.testing.assert_allclose(dy.detach().numpy(), expected, rtol=1e-12, atol=1e-13)
    degrees = ng.tensor([[-1], [0], [3]])
    rows = ng.vmap(lambda row: fn(row, degrees[:, 0]), in_dims=0)(x.detach()[:, None].expand(4, 3))
    assert rows.t().tolist() == fn(x.detach(), degrees).tolist()
    assert not rows[:, 0].any() and (rows[:, 1] == 1).all()


def test_other_chebyshev_polynomials():
    angle = ng.tensor([0.3, 1.1, 2.5], dtype=ng.float64)
    x, n = angle.cos(), 4
    half = angle / 2
    for kind, expected in {
        "u": ((n + 1) * angle).sin() / angle.sin(),
        "v": ((n + 0.5) * angle).cos() / half.cos(),
        "w": ((n + 0.5) * angle).sin() / half.sin(),
    }.items():
        found = getattr(special, f"chebyshev_polynomial_{kind}")(x, n)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
        moved = getattr(special, f"shifted_chebyshev_polynomial_{kind}")((x + 1) / 2, n)
        np.testing.assert_allclose(moved.numpy(), expected.numpy(), rtol=1e-12)


def test_a_degree_that_is_traced_is_refused():
    fn = ng.compile(lambda n: special.legendre_polynomial_p(ng.ones(2), n))
    with pytest.raises(RuntimeError, match="degree cannot be traced"):
        fn(ng.tensor([1, 2]))


def test_gradients_through_gamma_samples():
    """The derivative of the mean of z and of log z over a: 1 and polygamma(1, a)."""
    ng.manual_seed(0)
    a = ng.tensor(2.5, dtype=ng.float64, requires_grad=True)
    z = ng.distributions.Gamma(a, ng.ones((), dtype=ng.float64)).rsample((20_000,))
    (mean,) = ng.autograd.grad(z.mean(), a, retain_graph=True)
    (log_mean,) = ng.autograd.grad(z.log().mean(), a)
    assert abs(mean.item() - 1) < 0.02
    assert abs(log_mean.item() - ng.polygamma(1, a).item()) < 0.01
    b = ng.distributions.Beta(a, ng.tensor(1.5, dtype=ng.float64)).rsample((20_000,))
    (slope,) = ng.autograd.grad(b.mean(), a)  # of a / (a + 1.5)
    assert abs(slope.item() - 1.5 / 16) < 0.005
    assert not ng.distributions.Gamma(a, 1.0).sample().requires_grad
