"""Parametrizations of weights: by norm and direction, of norm one, orthogonal."""

from __future__ import annotations

import numpy as np

from ...creation import eye, from_numpy
from ...dtypes import finfo
from ...linalg import householder_product, matrix_exp, qr, solve
from ...modes import no_grad
from ...ops.diagonals import diag_embed
from ...ops.elementwise import where
from ...ops.joining import cat
from ...ops.norms import vector_norm
from ...sampling import randn
from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from .parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def norm_except_dim(v: Tensor, dim: int | None) -> Tensor:
    """The 2-norm over all dimensions but one, which are kept; over all for None or -1."""
    if dim is None or dim == -1:
        return vector_norm(v)
    others = [d for d in range(v.ndim) if d != dim % v.ndim]
    return vector_norm(v, dim=others, keepdim=True)


def _chosen(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


class _WeightNorm(Module):
    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn the norms of a weight apart from its direction (Salimans & Kingma, 2016).

    The originals are the norms over all dimensions but `dim` (the norm of everything for None)
    and the weight whose direction counts.

    Raises:
        ValueError: there is no tensor of this name.

    >>> import numbagrad as ng
    >>> layer = weight_norm(ng.nn.Linear(3, 2))
    >>> layer.parametrizations.weight.original0.shape
    numbagrad.Size([2, 1])
    """
    _chosen(module, name)
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class PowerIteration(Module):
    """The largest singular value of a weight, seen as a matrix, by power iteration.

    `dim` are the rows. Its vectors approach the singular vectors with each step; no gradient
    flows through them.
    """

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        if not -weight.ndim <= dim < max(weight.ndim, 1):
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{weight.ndim}, {weight.ndim - 1}] but got {dim})"
            )
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        if weight.ndim > 1:
            matrix = self.matrix(weight.detach())
            h, w = matrix.shape
            u = F.normalize(randn(h, dtype=weight.dtype), dim=0, eps=eps)
            v = F.normalize(randn(w, dtype=weight.dtype), dim=0, eps=eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            self.iterate(matrix, 15)

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight with `dim` first and all others behind as one."""
        return weight.movedim(self.dim, 0).flatten(1)

    def iterate(self, matrix: Tensor, steps: int) -> None:
        """Bring the vectors closer to the singular vectors of `matrix`."""
        with no_grad():
            for _ in range(steps):
                self._u.copy_(F.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.t().mv(self._u), dim=0, eps=self.eps))

    def normalised(self, weight: Tensor, training: bool) -> Tensor:
        """The weight divided by its largest singular value, after more steps if in training."""
        matrix = self.matrix(weight)
        if training:
            self.iterate(matrix.detach(), self.n_power_iterations)
        # Copies, since the next call changes the vectors before this one's gradient is taken.
        u, v = self._u.clone(), self._v.clone()
        return weight / u.dot(matrix.mv(v))


class _SpectralNorm(PowerIteration):
    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:  # a vector: its own norm, exactly
            return F.normalize(weight, dim=0, eps=self.eps)
        return self.normalised(weight, self.training)

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def output_dim(module: Module) -> int:
    """The dimension of a module's weight that its outputs lie along."""
    return 1 if type(module).__name__.startswith("ConvTranspose") else 0


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value (Miyato et al., 2018).

    Args:
        name: of the parameter.
        n_power_iterations: steps of power iteration each time the weight is read in training.
        eps: least norm that is divided by.
        dim: the outputs: 0, but 1 for transposed convolutions.

    Raises:
        ValueError: there is no tensor of this name; no step of power iteration.
    """
    weight = _chosen(module, name)
    dim = output_dim(module) if dim is None else dim
    norm = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return register_parametrization(module, name, norm)


_MAPS = ("matrix_exp", "cayley", "householder")


def _orthogonalized(a: Tensor) -> Tensor:
    """Q of QR, with the signs for which an orthogonal matrix is its own Q."""
    q, r = qr(a)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def _is_orthogonal(q: Tensor) -> bool:
    n = q.shape[-1]
    defect = (q.adjoint() @ q - eye(n, dtype=q.dtype)).abs()
    return bool((defect < 10 * n * finfo(q.dtype).eps).all())


def _reflections(q: Tensor) -> Tensor:
    """What the map by Householder reflections takes to the orthogonal matrices `q`."""
    raw, tau = np.linalg.qr(q.detach().numpy(), mode="raw")
    found = from_numpy(np.ascontiguousarray(np.swapaxes(raw, -1, -2))).to(q.dtype)
    signs = found.diagonal(dim1=-2, dim2=-1).sgn()
    # LAPACK leaves a reflection out where tau is 0; the map has one with the factor 2.
    signs = where(from_numpy(tau) == 0, -signs, signs)
    below = found.shape[-2] - found.shape[-1]
    return found.tril(-1) + F.pad(diag_embed(signs), (0, 0, 0, below))


class _Orthogonal(Module):
    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        wide = X.shape[-2] < X.shape[-1]
        tall = X.transpose(-2, -1) if wide else X
        q = self._reflected(tall) if self.orthogonal_map == "householder" else self._turned(tall)
        if self.use_trivialization:
            q = self.base @ q
        return q.transpose(-2, -1) if wide else q

    def _reflected(self, X: Tensor) -> Tensor:
        vectors = X.tril(-1)
        factors = 2.0 / (1.0 + vectors.square().sum(dim=-2))
        # The signs of the columns are in the diagonal; they are not learned.
        signs = X.detach().diagonal(dim1=-2, dim2=-1).trunc().unsqueeze(-2)
        return householder_product(vectors, factors) * signs

    def _turned(self, X: Tensor) -> Tensor:
        n, k = X.shape[-2:]
        square = F.pad(X.tril(), (0, n - k))
        skew = square - square.adjoint()
        if self.orthogonal_map == "matrix_exp":
            q = matrix_exp(skew)
        else:
            one = eye(n, dtype=skew.dtype)
            q = solve(one - skew / 2, one + skew / 2)
        return q[..., :k]

    def right_inverse(self, Q: Tensor) -> Tensor:
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {Q.shape}."
            )
        wide = Q.shape[-2] < Q.shape[-1]
        tall = Q.transpose(-2, -1) if wide else Q
        n, k = tall.shape[-2:]
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley "
                    "parametrizations when use_trivialization=False."
                )
            found = _reflections(tall)
            return found.transpose(-2, -1) if wide else found
        if n != k:  # completed to a basis of the whole space
            rest = randn(*tall.shape[:-2], n, n - k, dtype=Q.dtype)
            self.base = _orthogonalized(cat([tall, rest], -1))
        else:
            self.base = tall.clone() if _is_orthogonal(tall) else _orthogonalized(tall)
        # Every map takes this to the identity.
        return -eye(*Q.shape[-2:], dtype=Q.dtype).expand(Q.shape).clone()


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep the columns (or rows, if they are fewer) of a weight orthonormal.

    Args:
        name: of the parameter, of two dimensions or more.
        orthogonal_map: "matrix_exp", "cayley" or "householder"; "matrix_exp" for square or complex
            matrices, "householder" otherwise.
        use_trivialization: turn a fixed orthogonal matrix, so that values can be assigned to the
            weight whatever the map (Lezcano-Casado, 2019).

    Raises:
        ValueError: there is no matrix of this name; no such map; a complex one for "householder".

    >>> import numbagrad as ng
    >>> w = orthogonal(ng.nn.Linear(2, 3)).weight
    >>> ng.allclose(w.T @ w, ng.eye(2), atol=1e-5)
    True
    """
    weight = _chosen(module, name)
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    if weight.is_complex() and orthogonal_map == "householder":
        raise ValueError("The householder parametrization does not support complex tensors.")
    made = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
