"""`ng.func` and `torch.func` give the same results, structures and error types."""

from __future__ import annotations

import numpy as np
import pytest

import numbagrad as ng

torch = pytest.importorskip("torch")
# PyTorch loads its decompositions at the first jvp, with a deprecated function of its own.
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr:UserWarning"),
]

LIBRARIES = (ng, torch)


def made(library, *shape, seed=0):
    rng = np.random.default_rng(seed)
    return library.tensor(rng.normal(size=shape).tolist(), dtype=library.float64)


def same(ours, theirs):
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, ng.Tensor)
        a, b = ours.detach().numpy(), theirs.detach().numpy()
        assert a.shape == b.shape and a.dtype == b.dtype
        assert ours.requires_grad == theirs.requires_grad
        np.testing.assert_allclose(a, b, 1e-9, 1e-10)
    elif isinstance(theirs, dict):
        assert type(ours) is dict and list(ours) == list(theirs)
        for k in theirs:
            same(ours[k], theirs[k])
    elif isinstance(theirs, tuple | list):
        assert type(ours).__name__ == type(theirs).__name__ and len(ours) == len(theirs)
        for o, t in zip(ours, theirs, strict=True):
            same(o, t)
    else:
        assert ours == theirs


def scalar(L):
    return lambda x: (L.sin(x) * x.exp()).sum()


def tree(L):
    return lambda x, p: {"a": (x * p["w"], p["b"].sum()), "b": L.tanh(x).sum()}


def loss(L):
    def fn(p, x):
        return L.nn.functional.cross_entropy(
            (L.tanh(x @ p["w"]) @ p["v"]).unsqueeze(0), L.tensor([1])
        )

    return fn


def parameters(L):
    return {"w": made(L, 3, 4), "v": made(L, 4, 2, seed=1)}


def leaf(L, *shape):
    return made(L, *shape).requires_grad_()


PROGRAMS = {
    "grad": lambda L: L.func.grad(scalar(L))(made(L, 3)),
    "grad_argnums": lambda L: L.func.grad(lambda x, y: (x * y).sum(), argnums=(1, 0))(
        made(L, 3), made(L, 3, seed=1)
    ),
    "grad_negative_argnum": lambda L: L.func.grad(lambda x, y: (x * y).sum(), argnums=-1)(
        made(L, 3), made(L, 3, seed=1)
    ),
    "grad_unused": lambda L: L.func.grad(lambda x, y: x.sum(), argnums=(0, 1))(
        made(L, 2), made(L, 3)
    ),
    "grad_aux": lambda L: L.func.grad(lambda x: (x.sum(), {"y": x * 2}), has_aux=True)(made(L, 3)),
    "grad_and_value_aux": lambda L: L.func.grad_and_value(
        lambda x: (x.sin().sum(), x * 2), has_aux=True
    )(made(L, 3)),
    "grad_tree": lambda L: L.func.grad(loss(L))(parameters(L), made(L, 3)),
    "grad_outer": lambda L: L.func.grad(scalar(L))(leaf(L, 3)),
    "grad_of_captured": lambda L: (lambda w: L.func.grad(lambda x: (w * x).sum())(made(L, 3)))(
        leaf(L, 3)
    ),
    "third": lambda L: L.func.grad(L.func.grad(L.func.grad(lambda x: x.sin())))(made(L)),
    "vjp": lambda L: (lambda out, pull: (out, pull(out)))(
        *L.func.vjp(tree(L), made(L, 3), {"w": made(L, 3, seed=1), "b": made(L, 2)})
    ),
    "vjp_aux": lambda L: L.func.vjp(lambda x: (x.sin(), x), made(L, 2), has_aux=True)[::2],
    "jvp": lambda L: L.func.jvp(
        tree(L),
        (made(L, 3), {"w": made(L, 3, seed=1), "b": made(L, 2)}),
        (made(L, 3, seed=2), {"w": made(L, 3, seed=3), "b": made(L, 2, seed=4)}),
    ),
    "jvp_constant": lambda L: L.func.jvp(lambda x: L.ones(2), (made(L, 3),), (made(L, 3),)),
    "jvp_aux": lambda L: L.func.jvp(
        lambda x: (x.sin(), x * 3), (made(L, 2),), (made(L, 2),), has_aux=True
    ),
    "linearize": lambda L: (lambda out, push: (out, push(made(L, 3, seed=2))))(
        *L.func.linearize(lambda x: (x.sin(), x.cumsum(0)), made(L, 3))
    ),
    "jacrev_tree": lambda L: L.func.jacrev(tree(L), argnums=(0, 1))(
        made(L, 3), {"w": made(L, 3, seed=1), "b": made(L, 2)}
    ),
    "jacfwd_tree": lambda L: L.func.jacfwd(tree(L), argnums=(0, 1))(
        made(L, 3), {"w": made(L, 3, seed=1), "b": made(L, 2)}
    ),
    "jacrev_chunks": lambda L: L.func.jacrev(lambda x: x.cumprod(0), chunk_size=2)(made(L, 5)),
    "jacrev_chunk_of_one": lambda L: L.func.jacrev(lambda x: x.sin(), chunk_size=1)(made(L, 3)),
    "jacrev_aux": lambda L: L.func.jacrev(lambda x: (x.sin(), x), has_aux=True)(made(L, 3)),
    "jacfwd_aux": lambda L: L.func.jacfwd(lambda x: (x.sin(), x), has_aux=True)(made(L, 3)),
    "jacfwd_matrix": lambda L: L.func.jacfwd(lambda x: x @ x.T)(made(L, 2, 3)),
    "hessian": lambda L: L.func.hessian(scalar(L))(made(L, 3)),
    "hessian_argnums": lambda L: L.func.hessian(lambda x, y: (x * y * y).sum(), argnums=(0, 1))(
        made(L, 2), made(L, 2, seed=1)
    ),
    "hessian_tree": lambda L: L.func.hessian(loss(L))(parameters(L), made(L, 3)),
    "hessian_of_vector": lambda L: L.func.hessian(lambda x: L.stack([x.prod(), x.sin().sum()]))(
        made(L, 3)
    ),
    "per_sample": lambda L: L.func.vmap(L.func.grad(loss(L)), in_dims=(None, 0))(
        parameters(L), made(L, 5, 3)
    ),
    "chunked": lambda L: L.func.vmap(
        lambda x, y: {"s": (x * y, x.sum())}, in_dims=(0, 1), out_dims=-1, chunk_size=2
    )(made(L, 5, 3), made(L, 3, 5)),
    "nested": lambda L: L.func.vmap(L.func.vmap(L.dot, in_dims=(0, None)), in_dims=(None, 0))(
        made(L, 4, 3), made(L, 5, 3)
    ),
    "indexing": lambda L: L.func.vmap(
        lambda x, i: (x[i], x[:, 1], x.index_select(0, i), x.gather(0, i.unsqueeze(1)))
    )(made(L, 3, 4, 2), L.tensor([[0, 1], [3, 2], [1, 1]])),
    "shapes": lambda L: L.func.vmap(
        lambda x: (x.reshape(-1), x.T.reshape(2, 3), x.unsqueeze(-1), x.flip(0), x.expand(2, 3, 2))
    )(made(L, 4, 3, 2)),
    "reductions": lambda L: L.func.vmap(
        lambda x: (x.sum(), x.mean(-1), x.max(0), x.var(0), x.softmax(-1), x.logsumexp(0), x.norm())
    )(made(L, 4, 3, 2)),
    "in_place": lambda L: L.func.vmap(lambda x: L.zeros_like(x).copy_(x).mul_(x).add_(1))(
        made(L, 3, 2)
    ),
    "conv": lambda L: L.func.vmap(
        lambda x, w: L.nn.functional.conv2d(x, w, padding=1), in_dims=(0, 1)
    )(made(L, 2, 1, 3, 5, 5), made(L, 4, 2, 3, 3, 3, seed=1)),
    "batch_norm": lambda L: L.func.vmap(
        lambda x: L.nn.functional.batch_norm(x, None, None, training=True)
    )(made(L, 2, 5, 3)),
    "jvp_of_vmap": lambda L: L.func.jvp(
        L.func.vmap(lambda x: x.prod()), (made(L, 3, 2),), (made(L, 3, 2, seed=1),)
    ),
    "vmap_of_hessian": lambda L: L.func.vmap(L.func.hessian(scalar(L)))(made(L, 3, 2)),
}

ERRORS = {
    "vector": lambda L: L.func.grad(lambda x: x)(made(L, 2)),
    "number": lambda L: L.func.grad(lambda x: 1.0)(made(L, 2)),
    "integers": lambda L: L.func.grad(lambda x: x.sum())(L.tensor([1, 2])),
    "argnum": lambda L: L.func.grad(lambda x: x.sum(), argnums=2)(made(L, 2)),
    "argnums_empty": lambda L: L.func.grad(lambda x: x.sum(), argnums=())(made(L, 2)),
    "argnums_twice": lambda L: L.func.grad(lambda x: x.sum(), argnums=(0, 0))(made(L, 2)),
    "not_a_tensor": lambda L: L.func.vjp(lambda x: x, 2.0),
    "integer_output": lambda L: L.func.vjp(lambda x: x > 0, made(L, 2)),
    "cotangent_structure": lambda L: L.func.vjp(lambda x: x, made(L, 2))[1]((made(L, 2),) * 2),
    "cotangent_shape": lambda L: L.func.vjp(lambda x: x * 2, made(L, 2))[1](made(L, 3)),
    "primals": lambda L: L.func.jvp(lambda x: x, made(L, 2), made(L, 2)),
    "tangent_structure": lambda L: L.func.jvp(lambda x: x, (made(L, 2),), ()),
    "tangent_shape": lambda L: L.func.jvp(lambda x: x * 1, (made(L, 2),), (made(L, 3),)),
    "strict": lambda L: L.func.jvp(lambda x: L.ones(2), (made(L, 2),), (made(L, 2),), strict=True),
    "no_aux": lambda L: L.func.grad(lambda x: x.sum(), has_aux=True)(made(L, 2)),
    "complex": lambda L: L.func.jacrev(lambda x: x)(L.tensor([1j])),
    "chunk": lambda L: L.func.jacrev(lambda x: x, chunk_size=0),
    "vmap_chunk": lambda L: L.func.vmap(lambda x: x, chunk_size=0)(made(L, 2)),
    "sizes": lambda L: L.func.vmap(L.add)(made(L, 2), made(L, 3)),
    "in_dims": lambda L: L.func.vmap(L.sin, in_dims=(0, 0))(made(L, 2)),
    "in_dim_list": lambda L: L.func.vmap(L.sin, in_dims=[0])(made(L, 2)),
    "in_dim_range": lambda L: L.func.vmap(L.sin, in_dims=3)(made(L, 2)),
    "in_dim_number": lambda L: L.func.vmap(L.add)(made(L, 2), 1.0),
    "nothing_mapped": lambda L: L.func.vmap(L.sin, in_dims=(None,))(made(L, 2)),
    "no_inputs": lambda L: L.func.vmap(lambda: 1)(),
    "out_number": lambda L: L.func.vmap(lambda x: 1)(made(L, 2)),
    "out_none": lambda L: L.func.vmap(L.sin, out_dims=None)(made(L, 2)),
    "out_dims": lambda L: L.func.vmap(L.sin, out_dims=(0, 0))(made(L, 2)),
    "out_range": lambda L: L.func.vmap(L.sin, out_dims=4)(made(L, 2)),
    "control_flow": lambda L: L.func.vmap(lambda x: x if x > 0 else -x)(made(L, 2)),
    "item": lambda L: L.func.vmap(lambda x: x.item())(made(L, 2)),
    "random": lambda L: L.func.vmap(lambda x: x + L.rand(1))(made(L, 2)),
    "randomness": lambda L: L.func.vmap(L.sin, randomness="some")(made(L, 2)),
    "in_place": lambda L: L.func.vmap(lambda x: L.zeros(2).add_(x))(made(L, 3, 2)),
    "empty_stack": lambda L: L.func.stack_module_state([]),
    "tied_twice": lambda L: L.func.functional_call(L.nn.Linear(1, 1), [{"bias": 1}, {"bias": 1}]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    same(*(PROGRAMS[name](L) for L in LIBRARIES))


@pytest.mark.parametrize("name", ERRORS)
def test_error_type(name):
    with pytest.raises(Exception) as theirs:
        ERRORS[name](torch)
    with pytest.raises(theirs.type):
        ERRORS[name](ng)


def test_functional_call():
    def run(L):
        m = L.nn.BatchNorm1d(3, dtype=L.float64)
        state = {"running_mean": made(L, 3), "weight": made(L, 3, seed=1)}
        out = L.func.functional_call(m, state, made(L, 4, 3))
        return out.detach(), state["running_mean"], m.running_mean

    same(*map(run, LIBRARIES))
