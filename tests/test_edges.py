"""Edge values, gradcheck and assert_close: programs whose outcomes are PyTorch's."""

from __future__ import annotations

import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same

MODULES = "edges", "checks", "comparisons", "types_and_devices", "distributions"


@pytest.mark.parametrize("name", programs(*MODULES))
def test_program(name):
    assert same(run(name, ng), expected()[name])


D = ng.distributions
CONSTANT = {
    "Normal": lambda: D.Normal(0.0, 1.0).log_prob(ng.ones(2)),
    "Uniform": lambda: D.Uniform(0.0, 1.0).log_prob(ng.full((2,), 0.5)),
    "Geometric": lambda: D.Geometric(0.5).log_prob(ng.ones(2)),
    "MultivariateNormal": lambda: D.MultivariateNormal(ng.zeros(2), ng.eye(2)).log_prob(ng.ones(2)),
    "kl_divergence": lambda: D.kl_divergence(D.Beta(1.0, 2.0), D.Beta(2.0, 1.0)),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_compiled_distributions_of_numbers(name):
    f = CONSTANT[name]
    assert ng.allclose(ng.compile(f)(), f())


def test_bounds_that_are_no_bounds():
    with pytest.raises(ValueError, match="low >= high"):
        D.Uniform(1.0, 1.0)
    with pytest.raises(ValueError, match="must be positive"):
        D.Geometric(ng.tensor([0.5, 0.0]))
