"""What people do with `torch.func`: whole uses, eager as PyTorch does them, and compiled."""

from __future__ import annotations

import pytest

import numbagrad as ng

from .test_func_programs import made, network, outcome, same, torch

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


class Images:
    """A small convolutional network of either library."""

    def __new__(cls, L):
        layers = [
            L.nn.Conv2d(1, 4, 3), L.nn.ReLU(), L.nn.Conv2d(4, 4, 3), L.nn.ReLU(), L.nn.Flatten(),
            L.nn.Linear(4 * 4 * 4, 3),
        ]  # fmt: skip
        m = L.nn.Sequential(*layers).double()
        with L.no_grad():
            for i, p in enumerate(m.parameters()):
                p.copy_(made(L, *p.shape, seed=i) * 0.3)
        return m


def detached(m):
    return {name: p.detach() for name, p in m.named_parameters()}


def neural_tangent_kernel(L, m, x1, x2):
    params = detached(m)
    f = lambda p, x: L.func.functional_call(m, p, (x.unsqueeze(0),)).squeeze(0)  # noqa: E731
    jacobians = [
        [j.flatten(2) for j in L.func.vmap(L.func.jacrev(f), (None, 0))(params, x).values()]
        for x in (x1, x2)
    ]
    contracted = sum(L.einsum("Naf,Mbf->NMab", a, b) for a, b in zip(*jacobians, strict=True))

    def products(a, b):
        _, pull = L.func.vjp(lambda p: f(p, a), params)
        push = lambda v: L.func.jvp(lambda p: f(p, b), (params,), pull(v))[1]  # noqa: E731
        return L.func.vmap(push)(L.eye(3, dtype=L.float64))

    return contracted, L.func.vmap(L.func.vmap(products, (None, 0)), (0, None))(x1, x2)


def per_sample_gradients(L, m, x):
    def loss(p, x, t):
        logits = L.func.functional_call(m, p, (x.unsqueeze(0),))
        return L.nn.functional.cross_entropy(logits, t.unsqueeze(0))

    return L.func.vmap(L.func.grad(loss), (None, 0, 0))(detached(m), x, L.tensor([0, 1, 2]))


def meta_learning(L, w, xs, ys, x2, y2):
    inner = lambda w, x, y: ((x @ w - y) ** 2).mean()  # noqa: E731

    def adapted(w, x, y, x2, y2):
        return inner(w - 0.1 * L.func.grad(inner)(w, x, y), x2, y2)

    def total(w):
        return L.func.vmap(adapted, (None, 0, 0, 0, 0))(w, xs, ys, x2, y2).mean()

    return L.func.grad(total)(w), L.func.hessian(total)(w)


def forces(L, positions):
    energy = lambda d: 0.1 * (L.linalg.norm(d) ** -12 - L.linalg.norm(d) ** -6)  # noqa: E731
    x = positions + 2
    return L.func.vmap(lambda d: -L.func.jacrev(energy)(d))(x), L.func.vmap(
        L.func.grad_and_value(energy)
    )(x)


def lagrangian_mechanics(L, q, v):
    lagrangian = lambda q, v: 0.5 * (v * v).sum() - (1 - q.cos()).sum()  # noqa: E731
    mass = L.func.hessian(lagrangian, 1)(q, v)
    coriolis = L.func.jacfwd(L.func.grad(lagrangian, 1), 0)(q, v) @ v
    return L.linalg.solve(mass, L.func.grad(lagrangian, 0)(q, v) - coriolis)


def partial_differential_equation(L, w1, b1, w2, points):
    def u(p, xt):
        return (w2 @ L.tanh(p @ xt + b1))[0]

    def residual(p, xt):
        g = L.func.grad(u, 1)(p, xt)
        h = L.func.hessian(u, 1)(p, xt)
        return g[1] - 0.1 * h[0, 0] + u(p, xt) * g[0]

    def loss(p):
        return (L.func.vmap(residual, (None, 0))(p, points) ** 2).mean()

    return L.func.grad_and_value(loss)(w1)


def divergence(L, points):
    field = lambda x: L.stack([x[0] * x[1], x[1] ** 2, x[2] * x[0].sin()])  # noqa: E731
    return L.func.vmap(lambda x: L.trace(L.func.jacrev(field)(x)))(points), L.func.vmap(
        lambda x: L.func.jacfwd(field)(x).diagonal().sum()
    )(points)


def hutchinson_trace(L, x, v):
    f = lambda x: (x**4).sum()  # noqa: E731
    push = lambda v: v @ L.func.jvp(L.func.grad(f), (x,), (v,))[1]  # noqa: E731
    return L.func.vmap(push)(v.sign()).mean()


def training_loop(L, m, x):
    params = detached(m)

    def loss(p):
        logits = L.func.functional_call(m, p, (x,))
        return L.nn.functional.cross_entropy(logits, L.tensor([0, 1, 2]))

    losses = []
    for _ in range(3):
        gradients, value = L.func.grad_and_value(loss)(params)
        params = {k: p - 0.1 * gradients[k] for k, p in params.items()}
        losses.append(value)
    return losses


def ensemble(L, m, x):
    params, buffers = L.func.stack_module_state([m, m, m])
    run = lambda p, b, x: L.func.functional_call(m, (p, b), (x,))  # noqa: E731
    return L.func.vmap(run, (0, 0, None))(params, buffers, x).detach()


def own_function(L, x):
    class Twice(L.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x.exp()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(output)
            ctx.save_for_forward(output)

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0] * 2

        @staticmethod
        def jvp(ctx, t):
            return t * ctx.saved_tensors[0] * 2

    total = lambda x: Twice.apply(x).sum()  # noqa: E731
    return Twice.apply(x), L.func.grad(total)(x), L.func.vmap(L.func.grad(Twice.apply))(x)


#: With the network that it takes first, and the shapes of its other arguments.
TUTORIALS = {
    neural_tangent_kernel: (Images, (3, 1, 8, 8), (2, 1, 8, 8)),
    per_sample_gradients: (Images, (3, 1, 8, 8)),
    training_loop: (Images, (3, 1, 8, 8)),
    ensemble: (network, (5, 3)),
    meta_learning: (None, (3,), (5, 4, 3), (5, 4), (5, 4, 3), (5, 4)),
    forces: (None, (4, 3)),
    lagrangian_mechanics: (None, (2,), (2,)),
    partial_differential_equation: (None, (8, 2), (8,), (1, 8), (6, 2)),
    divergence: (None, (4, 3)),
    hutchinson_trace: (None, (3,), (10, 3)),
    own_function: (None, (3,)),
}


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda f: f.__name__)
def test_tutorial(tutorial):
    make, *shapes = TUTORIALS[tutorial]

    def run(L, compiled=False):
        args = [made(L, *shape, seed=i) for i, shape in enumerate(shapes)]
        start = (L,) if make is None else (L, make(L))
        program = lambda *args: tutorial(*start, *args)  # noqa: E731
        return (L.compile(program) if compiled else program)(*args)

    theirs = outcome(run, torch)
    assert not isinstance(theirs, str), theirs
    for ours in (outcome(run, ng), outcome(lambda L: run(L, True), ng)):
        assert same(ours, theirs), f"\nnumbagrad: {ours}\n  PyTorch: {theirs}"
