"""Distributions: what they know, what they refuse, gradients: programs for both libraries."""

from __future__ import annotations

from . import outcome, program


def continuous(d, t):
    """Over real numbers, two of each."""
    a, b = t([0.0, 1.0]), t([1.0, 2.0])
    return [
        d.Normal(a, b), d.LogNormal(a, t([1.0, 0.5])), d.HalfNormal(b), d.Uniform(a, b),
        d.Exponential(b), d.Laplace(a, b), d.Cauchy(a, b), d.Gumbel(a, b),
        d.Gamma(t([0.5, 2.0]), t([1.0, 3.0])), d.Beta(t([0.5, 2.0]), t([1.0, 3.0])),
    ]  # fmt: skip


def discrete(d, t):
    """Over whole numbers, two of each, with values."""
    p = t([0.2, 0.9])
    return [
        (d.Bernoulli(p), t([1.0, 0.0])), (d.Bernoulli(logits=t([-1.0, 3.0])), t([1.0, 0.0])),
        (d.Geometric(p), t([0.0, 3.0])), (d.Binomial(t([3.0, 5.0]), p), t([1.0, 4.0])),
        (d.Poisson(t([0.5, 7.0])), t([0.0, 5.0])),
        (d.Categorical(t([[0.2, 0.8], [3.0, 1.0]])), t([0, 1])),
        (d.Categorical(logits=t([[0.0, 1.0], [3.0, 1.0]])), t([0, 1])),
        (d.OneHotCategorical(t([[0.2, 0.8], [3.0, 1.0]])), t([[0.0, 1.0], [1.0, 0.0]])),
    ]  # fmt: skip


def vectors(lib):
    """Over vectors, with values."""
    d, t = lib.distributions, lib.tensor
    m = t([[2.0, 0.5], [0.5, 1.0]])
    normal = d.MultivariateNormal
    weights = d.Categorical(t([0.3, 0.7]))
    parts = d.Normal(t([[-1.0, 2.0], [0.0, 1.0]]), lib.ones(2, 2))
    return [
        (normal(t([[0.0, 1.0], [1.0, 2.0]]), m), t([0.5, 1.5])),
        (normal(t([0.0, 1.0]), precision_matrix=m), t([0.5, 1.5])),
        (normal(t([0.0, 1.0]), scale_tril=m.tril()), t([0.5, 1.5])),
        (d.Dirichlet(t([[0.5, 2.0], [1.0, 3.0]])), t([[0.2, 0.8], [0.5, 0.5]])),
        (d.Independent(d.Normal(lib.zeros(2, 3), lib.ones(2, 3)), 1), lib.ones(2, 3)),
        (d.MixtureSameFamily(weights, d.Normal(t([-1.0, 2.0]), t([1.0, 0.5]))), t([0.5, 1.5])),
        (d.MixtureSameFamily(weights, d.Independent(parts, 1)), t([0.5, 1.5])),
    ]


def known(d, value):
    """What a distribution knows; None for what it does not."""
    found = []
    for ask in (
        lambda: d.mean, lambda: d.mode, lambda: d.variance, lambda: d.stddev, d.entropy,
        lambda: d.log_prob(value), lambda: d.enumerate_support(),
    ):  # fmt: skip
        try:
            found.append(ask())
        except NotImplementedError:
            found.append(None)
    shapes = [d.batch_shape, d.event_shape, d.sample().shape, d.sample((2, 3)).shape]
    return found, [list(s) for s in shapes], str(d.sample().dtype).rpartition(".")[2]


@program
def distributions_of_real_numbers(lib):
    d, t = lib.distributions, lib.tensor
    found = [known(x, t([0.5, 1.0])) for x in continuous(d, t) if type(x).__name__ != "Uniform"]
    low, high = t([0.25, 0.75]), t([0.4, 0.9])
    functions = [[x.cdf(high), x.icdf(low)] for x in continuous(d, t)[:3] + continuous(d, t)[4:8]]
    return found, functions, known(d.Uniform(t([0.0, 1.0]), 3.0), t([0.5, 1.5]))


@program
def distributions_of_whole_numbers(lib):
    return [known(x, value) for x, value in discrete(lib.distributions, lib.tensor)]


@program
def distributions_of_vectors(lib):
    return [known(x, value) for x, value in vectors(lib)]


@program
def distributions_sample_what_they_say(lib):
    lib.manual_seed(0)
    found = []
    d, t = lib.distributions, lib.tensor
    several = [d.Poisson(t([200.0])), d.Gamma(t([4.0]), 2.0), d.Binomial(10, t([0.3]))]
    for x in [*continuous(d, t), *several, *(x for x, _ in (*discrete(d, t), *vectors(lib)))]:
        if type(x).__name__ in ("Cauchy", "Categorical"):
            continue
        sample, mean, variance = x.sample((20000,)), x.mean, x.variance
        close = (sample.mean(0) - mean).abs() < 0.06 * (1 + variance.sqrt())
        spread = (sample.var(0) - variance).abs() < 0.3 * variance + 0.02
        found.append([bool(close.all()), bool(spread.all())])
    drawn = d.Categorical(t([0.25, 0.75])).sample((20000,)).float().mean().item()
    return [*found, abs(drawn - 0.75) < 0.02]


@program
def distributions_expanded_and_printed(lib):
    d, t = lib.distributions, lib.tensor
    two = [*discrete(d, t), *((x, t([0.5, 1.0])) for x in continuous(d, t)[4:])]
    shapes = [
        [list(x.expand((3, 2)).log_prob(value).shape), list(x.expand((3, 2)).mean.shape)]
        for x, value in two
    ]
    printed = [
        str(d.Normal(0.0, 1.0)),
        str(d.Bernoulli(0.5)),
        str(d.Uniform(0.0, 5.0)),
        str(d.Exponential(2)),
        str(d.Normal(0, 1)),
    ]
    return shapes, printed


@program
def distributions_refuse(lib):
    d, t = lib.distributions, lib.tensor
    d.Distribution.set_default_validate_args(True)  # PyTorch's compiler turns it off
    normal = d.Normal(lib.zeros(2), 1.0)
    calls = [
        lambda: d.Normal(0.0, -1.0), lambda: d.Normal(t([0.0, float("nan")]), 1.0),
        lambda: d.Bernoulli(1.5), d.Bernoulli, lambda: d.Bernoulli(0.5, 0.5),
        lambda: d.Categorical(t(1.0)), lambda: d.Categorical(t([-1.0, 2.0])),
        lambda: d.Uniform(1.0, 0.0), lambda: d.Normal("a", 1.0), lambda: d.Dirichlet(t(1.0)),
        lambda: d.Normal(lib.zeros(2), lib.ones(3)), lambda: normal.log_prob(1.0),
        lambda: normal.log_prob(lib.zeros(3)), lambda: d.Exponential(1.0).log_prob(t(-1.0)),
        lambda: d.Bernoulli(0.5).log_prob(t(0.5)), lambda: d.Uniform(0.0, 1.0).log_prob(t(2.0)),
        lambda: d.Categorical(lib.ones(3)).log_prob(t(3)),
        lambda: d.MultivariateNormal(lib.zeros(2)), lambda: d.Bernoulli(0.5).rsample(),
        lambda: d.MultivariateNormal(lib.zeros(2), -lib.eye(2)),
        lambda: d.MultivariateNormal(lib.zeros(2), lib.eye(2), lib.eye(2)),
        lambda: d.Independent(d.Normal(0.0, 1.0), 1),
        lambda: d.kl_divergence(normal, d.Bernoulli(0.5)),
        lambda: d.Normal(0.0, -1.0, validate_args=False),
    ]  # fmt: skip
    unchecked = d.Uniform(0.0, 1.0, validate_args=False).log_prob(t(2.0))
    return [[outcome(lambda call=call: str(call())[:6]) for call in calls], unchecked]


@program
def divergences(lib):
    d, t = lib.distributions, lib.tensor
    a, b, p, q = t([1.0, 2.0]), t([2.0, 0.5]), t([0.2, 0.7]), t([0.4, 0.6])
    found = [
        d.kl_divergence(kind(a, b), kind(b, a))
        for kind in (d.Normal, d.LogNormal, d.Laplace, d.Cauchy, d.Gamma, d.Beta)
    ]
    found += [
        d.kl_divergence(kind(a), kind(b))
        for kind in (d.HalfNormal, d.Exponential, d.Dirichlet, d.Poisson)
    ]
    found += [
        d.kl_divergence(kind(p), kind(q))
        for kind in (d.Bernoulli, d.Geometric, d.Categorical, d.OneHotCategorical)
    ]
    sure, even = d.Categorical(t([0.0, 1.0])), d.Categorical(t([0.5, 0.5]))
    small, large = d.Uniform(0.0, 1.0), d.Uniform(-1.0, 2.0)
    wide = d.MultivariateNormal(b, 2 * lib.eye(2) + 0.5)
    pairs = [
        (sure, even), (even, sure), (small, large), (large, small),
        (d.Binomial(3, p), d.Binomial(3, q)), (d.MultivariateNormal(a, lib.eye(2)), wide),
        (d.Independent(d.Normal(a, b), 1), d.Independent(d.Normal(b, a), 1)),
    ]  # fmt: skip
    return found + [d.kl_divergence(*pair) for pair in pairs]


@program
def gradients_through_distributions(lib):
    d, t = lib.distributions, lib.tensor
    mu, scale = t([0.5], requires_grad=True), t([1.5], requires_grad=True)
    logits = lib.zeros(2, 3, requires_grad=True)
    factor = lib.eye(2, requires_grad=True)
    grad = lib.autograd.grad
    normal = d.Normal(mu, scale)
    x = normal.rsample((5,))
    policy = d.Categorical(logits=logits)
    loss = -policy.log_prob(t([0, 2])) * t([1.0, 2.0])
    return [
        grad(normal.log_prob(t([2.0])).sum(), (mu, scale)),
        grad(d.kl_divergence(normal, d.Normal(0.0, 1.0)).sum(), (mu, scale)),
        grad(x.sum(), mu), x.requires_grad, normal.sample().requires_grad,
        grad(loss.sum(), logits, retain_graph=True), grad(policy.entropy().sum(), logits),
        grad(d.Bernoulli(logits=logits).log_prob(lib.ones(2, 3)).sum(), logits),
        grad(d.MultivariateNormal(lib.zeros(2), scale_tril=factor).log_prob(lib.ones(2)), factor),
    ]  # fmt: skip
