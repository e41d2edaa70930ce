"""Linear algebra: what the matrix of the registry and PyTorch's samples do not say."""

from __future__ import annotations

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import linalg
from numbagrad.autograd import gradcheck


def matrix(*shape, seed=0, grad=False):
    values = np.random.default_rng(seed).normal(size=shape)
    return ng.tensor(values, requires_grad=grad)


def close(a, b, tolerance=1e-9):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), tolerance, tolerance)


@pytest.mark.parametrize("n", [1, 5, 16, 17, 40])
def test_factors_multiply_to_the_matrix(n):
    a = matrix(2, n, n)
    p, low, up = linalg.lu(a)
    close(p @ low @ up, a)
    q, r = linalg.qr(a)
    close(q @ r, a)
    u, s, vh = linalg.svd(a)
    close(u @ ng.diag_embed(s) @ vh, a)
    values, vectors = linalg.eig(a)
    close(a.to(ng.complex128) @ vectors, vectors * values[:, None])
    factor = linalg.cholesky(a @ a.mT + ng.eye(n))
    close(factor @ factor.mT, a @ a.mT + ng.eye(n))
    x = linalg.solve_triangular(factor, a, upper=False)
    close(factor @ x, a)
    close(linalg.lu_solve(*linalg.lu_factor(a), a), ng.eye(n).expand(2, n, n), 1e-7)


@pytest.mark.parametrize(
    "fn",
    [
        lambda a: linalg.det(a),
        lambda a: linalg.slogdet(a)[1],
        lambda a: linalg.inv(a),
        lambda a: linalg.solve(a, a[0]),
        lambda a: linalg.svd(a)[1],
        lambda a: linalg.eigvalsh(a + a.mT),
        lambda a: linalg.cholesky(a @ a.mT + ng.eye(3)),
        lambda a: linalg.matrix_norm(a, "nuc"),
        lambda a: linalg.matrix_exp(a),
        lambda a: linalg.pinv(a),
        lambda a: linalg.lu_factor(a)[0],
    ],
)
def test_under_transforms(fn):
    def loss(a):
        return (fn(a) ** 2).sum()

    batch = matrix(2, 3, 3)
    hessian = ng.func.hessian(loss)
    rows = [hessian(batch[i]) for i in range(2)]
    close(ng.func.vmap(hessian)(batch), ng.stack(rows), 1e-7)
    close(ng.compile(hessian)(batch[0]), rows[0], 1e-7)
    assert gradcheck(loss, matrix(3, 3, grad=True), check_forward_ad=False)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradient_of_a_singular_determinant(rank):
    a = (matrix(3, rank) @ matrix(rank, 3, seed=1)).detach().requires_grad_()
    assert gradcheck(linalg.det, a)


def test_gradient_of_a_rank_deficient_pseudo_inverse():
    assert gradcheck(
        lambda a, b: linalg.pinv(a @ b, rtol=1e-6),
        (matrix(4, 2, grad=True), matrix(2, 3, seed=1, grad=True)),
    )


def test_unused_parts_need_no_distinct_values():
    a = ng.eye(3, dtype=ng.float64).requires_grad_()
    for values in (linalg.svd(a)[1], linalg.eigh(a)[0]):
        (gradient,) = ng.autograd.grad(values.sum(), a)
        assert gradient.tolist() == np.eye(3).tolist()


def test_exponential_of_large_and_special_matrices():
    a = ng.tensor([[0.0, 30.0], [-30.0, 0.0]], dtype=ng.float64)
    c, s = np.cos(30.0), np.sin(30.0)
    close(linalg.matrix_exp(a), ng.tensor([[c, s], [-s, c]], dtype=ng.float64))
    assert linalg.matrix_exp(ng.zeros(0, 0)).shape == (0, 0)
    both = linalg.matrix_exp(ng.stack([a, a * float("nan")]))
    assert both[1].isnan().all() and not both[0].isnan().any()


def test_singular_matrices():
    a = ng.tensor([[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(linalg.LinAlgError, match="singular"):
        linalg.inv(a)
    with pytest.raises(linalg.LinAlgError, match="singular"):
        ng.compile(linalg.solve)(a, ng.ones(2))
    inverse, info = linalg.inv_ex(ng.stack([a, ng.eye(2)]))
    assert info.tolist() == [2, 0] and inverse[1].tolist() == [[1, 0], [0, 1]]
    assert inverse[0].isnan().all()
    assert linalg.cond(a, 1).item() == float("inf")
    with pytest.raises(linalg.LinAlgError, match="positive-definite"):
        linalg.cholesky(-ng.eye(2))
    assert linalg.cholesky_ex(ng.diag(ng.tensor([1.0, 1.0, -1.0])))[1].item() == 3
    with pytest.raises(linalg.LinAlgError, match="non-finite"):
        linalg.svd(a * float("nan"))
    zeros = linalg.solve_triangular(ng.zeros(2, 2), ng.ones(2, 1), upper=True)
    assert not zeros.isfinite().any()


def test_phases_of_vectors_have_no_gradient():
    a = ng.tensor([[2.0, 1j], [-1j, 3.0]], requires_grad=True)
    with pytest.raises(RuntimeError, match="ill-defined"):
        linalg.eigh(a)[1].imag.sum().backward()
    linalg.eigh(a)[1].abs().sum().backward()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linalg.inv(ng.ones(2, 3)), "batches of square matrices, but they are 2 by 3"),
        (lambda: linalg.det(ng.ones(2)), "at least 2 dimensions"),
        (lambda: linalg.svd(ng.ones(2, 2, dtype=ng.int64)), "floating point or complex"),
        (lambda: linalg.inv(ng.ones(2, 2).half()), "Low precision"),
        (lambda: linalg.solve(ng.eye(2), ng.ones(2).double()), "same dtype"),
        (lambda: linalg.solve(ng.eye(2), ng.ones(3, 1)), "Incompatible shapes"),
        (lambda: linalg.qr(ng.eye(2), "full"), "unrecognized mode"),
        (lambda: linalg.matrix_norm(ng.eye(2), 3), "not supported"),
        (lambda: linalg.multi_dot([ng.eye(2)]), "at least 2 tensors"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_old_names_of_norms():
    x = ng.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert ng.nuclear_norm(x).item() == 7.0
    assert ng.nuclear_norm(x[None], dim=(1, 2), keepdim=True).shape == (1, 1, 1)
    assert ng.frobenius_norm(x, dim=(0, 1)).item() == 5.0
    assert ng.frobenius_norm(x, dim=1).tolist() == [3.0, 4.0]
    with pytest.raises(RuntimeError, match="at most 2"):
        ng.frobenius_norm(ng.ones(1, 1, 1), dim=(0, 1, 2))


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 3, 3)])
@pytest.mark.parametrize("dtype", [ng.float64, ng.complex128])
def test_reflectors_are_the_factors_of_qr(shape, dtype):
    ng.manual_seed(0)
    x = ng.randn(*shape, dtype=dtype)
    packed, tau = ng.geqrf(x)
    m = shape[-2]
    r = packed.triu()
    square = packed[..., :, :m]
    q = ng.ormqr(square, tau, ng.eye(m, dtype=dtype).expand(*shape[:-2], m, m))
    assert ng.allclose(q.mH @ q, ng.eye(m, dtype=dtype).expand(*shape[:-2], m, m))
    assert ng.allclose(q @ r, x)
    assert ng.allclose(ng.ormqr(square, tau, x, transpose=True), r)
    assert ng.allclose(ng.ormqr(square, tau, x.mT, left=False), x.mT @ q)
    assert ng.allclose(ng.ormqr(square, tau, x.mT, left=False, transpose=True), x.mT @ q.mH)
    if shape[-2] >= shape[-1]:
        assert ng.allclose(linalg.householder_product(packed, tau), q[..., : shape[-1]])


def test_derivatives_of_reflectors():
    ng.manual_seed(0)
    x, c = (ng.randn(*s, dtype=ng.float64, requires_grad=True) for s in ((3, 2), (3, 2)))
    assert gradcheck(lambda x: tuple(ng.geqrf(x)), (x,))
    assert gradcheck(lambda x, c: ng.ormqr(*ng.geqrf(x), c), (x, c), check_batched_grad=True)
    rows = ng.randn(4, 3, 2, dtype=ng.float64)
    assert ng.allclose(ng.vmap(lambda x: ng.geqrf(x).a)(rows), ng.geqrf(rows).a)


def test_a_column_that_needs_no_reflection():
    packed, tau = ng.geqrf(ng.eye(2))
    assert packed.tolist() == [[1.0, 0.0], [0.0, 1.0]] and tau.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("shape", [(12, 7), (7, 12), (2, 9, 9)])
def test_low_rank(shape):
    ng.manual_seed(0)
    left, right = ng.randn(*shape[:-1], 2), ng.randn(*shape[:-2], 2, shape[-1])
    x = left @ right
    u, s, v = ng.svd_lowrank(x, q=3)
    assert ng.allclose(u * s.unsqueeze(-2) @ v.mT, x, atol=1e-4)
    assert u.shape[-1] == s.shape[-1] == v.shape[-1] == 3
    assert ng.allclose(s[..., :2], linalg.svdvals(x)[..., :2], rtol=1e-4)
    shifted = x + 5
    _, centered, directions = ng.pca_lowrank(shifted, q=2)
    exact = linalg.svd(shifted - shifted.mean(-2, keepdim=True))
    assert ng.allclose(centered, exact.S[..., :2], rtol=1e-3, atol=1e-3)
    assert directions.shape == (*shape[:-2], shape[-1], 2)
    with pytest.raises(ValueError, match="q"):
        ng.pca_lowrank(x, q=99)
