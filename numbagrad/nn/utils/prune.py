"""Pruning: parameters multiplied by masks, with the names of ``torch.nn.utils.prune``."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from ...creation import ones_like, zeros_like
from ...ops.joining import cat
from ...ops.norms import vector_norm
from ...ops.sorting import topk
from ...sampling import rand_like
from ...tensor import Tensor
from ..module import Module


def _checked_amount(amount: Any) -> None:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if amount < 0 or (not isinstance(amount, numbers.Integral) and float(amount) > 1):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative "
            "integer"
        )


def _count(amount: Any, size: int) -> int:
    """How many of `size` things are pruned.

    Raises:
        ValueError: more than there are.
    """
    if isinstance(amount, numbers.Integral):
        if int(amount) > size:
            raise ValueError(
                f"amount={amount} should be smaller than the number of parameters to prune={size}"
            )
        return int(amount)
    return round(amount * size)


class BasePruningMethod(ABC):
    """How parameters are pruned: subclasses define :meth:`compute_mask`.

    It is the forward pre-hook that multiplies the original parameter by its mask.
    """

    #: "unstructured" (single elements), "structured" (slices along `dim`) or "global".
    PRUNING_TYPE: ClassVar[str] = "unstructured"
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for `t`, where `default_mask` is the one that it has already."""

    def apply_mask(self, module: Module) -> Tensor:
        """The original parameter times the mask."""
        mask = getattr(module, self._tensor_name + "_mask")
        original = getattr(module, self._tensor_name + "_orig")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Prune parameter `name` by this method with these arguments, on top of what it has been.

        Raises:
            ValueError: `importance_scores` is of another shape than the parameter.
        """
        before = _hook(module, name)
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        original = getattr(module, name + "_orig" if before else name)
        scores = getattr(module, name) if importance_scores is None else importance_scores
        if scores.shape != original.shape:
            raise ValueError(
                f"importance_scores should have the same shape as parameter {name} of {module}"
            )
        mask = getattr(module, name + "_mask") if before else ones_like(original)
        if before is not None:
            old = before[1]
            container = old if isinstance(old, PruningContainer) else PruningContainer(old)
            container.add_pruning_method(method)
            del module._forward_pre_hooks[before[0]]
            method = container
        mask = method.compute_mask(scores.detach(), mask.detach())
        if before is None:
            delattr(module, name)
            module.register_parameter(name + "_orig", original)
        module.register_buffer(name + "_mask", mask.to(original.dtype))
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """`t` with the mask applied that this method finds for it.

        Raises:
            ValueError: `importance_scores` is of another shape than `t`.
        """
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise ValueError("importance_scores should have the same shape as tensor t")
        mask = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, mask)

    def remove(self, module: Module) -> None:
        """Make the pruned parameter an ordinary one; it stays pruned.

        Raises:
            ValueError: it is not pruned.
        """
        name = self._tensor_name
        if _hook(module, name) is None:
            raise ValueError(f"Module {module} has to be pruned before pruning can be removed")
        original = module._parameters[name + "_orig"]
        assert original is not None
        original.data = self.apply_mask(module).detach()
        for part in (name, name + "_orig", name + "_mask"):
            delattr(module, part)
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Methods that were applied to one parameter, one after the other."""

    PRUNING_TYPE = "global"

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: list[BasePruningMethod] = []
        for method in args:
            self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method of the same parameter.

        Raises:
            TypeError: no pruning method.
            ValueError: it prunes another parameter.
        """
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}'"
                f" to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods.append(method)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the last method, among what is left by those before."""
        method = self._pruning_methods[-1]
        if method.PRUNING_TYPE == "unstructured":
            left = default_mask == 1
            part = method.compute_mask(t[left], default_mask[left])
            mask = default_mask.clone()
            mask[left] = part.to(mask.dtype)
            return mask
        if method.PRUNING_TYPE == "structured":
            dim = method.dim % t.ndim  # type: ignore[attr-defined]
            others = tuple(d for d in range(t.ndim) if d != dim)
            left = (default_mask != 0).sum(others) > 0
            at = (slice(None),) * dim + (left,)
            part = method.compute_mask(t[at], default_mask[at])
            mask = default_mask.clone()
            mask[at] = part.to(mask.dtype)
            return mask
        return method.compute_mask(t, default_mask)


class Identity(BasePruningMethod):
    """Prunes nothing: the mask is all ones."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class _ByAmount(BasePruningMethod):
    """Prunes a number (int) or a fraction (float) of elements or slices."""

    def __init__(self, amount: float) -> None:
        _checked_amount(amount)
        self.amount = amount

    def scores(self, t: Tensor) -> Tensor:
        """The elements with the smallest scores are pruned."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = _count(self.amount, t.numel())
        mask = default_mask.clone()
        if count:
            chosen = topk(self.scores(t).reshape(-1), count, largest=False)[1]
            mask = mask.reshape(-1).index_fill(0, chosen, 0).reshape(t.shape)
        return mask


class RandomUnstructured(_ByAmount):
    """Prunes elements at random."""

    def scores(self, t: Tensor) -> Tensor:
        return rand_like(t)


class L1Unstructured(_ByAmount):
    """Prunes the elements of smallest magnitude."""

    def scores(self, t: Tensor) -> Tensor:
        return t.abs()


class _Structured(_ByAmount):
    """Prunes whole slices along `dim`."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if t.ndim < 2:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor "
                f"of shape {t.shape} with {t.ndim} dimensions."
            )
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        if not count:
            return default_mask
        chosen = topk(self.scores(t), size - count, largest=True)[1]
        kept = zeros_like(t).index_fill(self.dim, chosen, 1)
        return kept.to(default_mask.dtype) * default_mask


class RandomStructured(_Structured):
    """Prunes slices at random."""

    def scores(self, t: Tensor) -> Tensor:
        return rand_like(t.movedim(self.dim, 0).reshape(t.shape[self.dim], -1)[:, 0])


class LnStructured(_Structured):
    """Prunes the slices of smallest norm of order `n`."""

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def scores(self, t: Tensor) -> Tensor:
        others = [d for d in range(t.ndim) if d != self.dim % t.ndim]
        order = {"fro": 2, "nuc": 1}.get(self.n, self.n)
        return vector_norm(t, order, others)


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: Module, name: str) -> Module:
    """Give parameter `name` a mask of ones: the form of a pruned parameter."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune a number (int) or fraction (float) of the elements at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> Module:
    """Prune a number (int) or fraction (float) of the elements: those of smallest magnitude.

    The parameter is kept as ``<name>_orig``, the mask is the buffer ``<name>_mask``, and
    ``<name>`` is their product.

    >>> import numbagrad as ng
    >>> layer = l1_unstructured(ng.nn.Linear(4, 2), "weight", amount=3)
    >>> (layer.weight == 0).sum()
    tensor(3)
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune slices along `dim` at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float,
    n: Any,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the slices along `dim` whose norm of order `n` is smallest."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune what `mask` says."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune parameters of several modules as if they were one.

    Raises:
        TypeError: `parameters` is no list of (module, name); the method prunes slices.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    chosen = list(parameters)
    given = importance_scores or {}
    if not isinstance(given, dict):
        raise TypeError("global_unstructured(): importance_scores is not of type dict")
    method: Any = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    scores: list[Any] = [given.get((m, n), getattr(m, n)) for m, n in chosen]
    masks = [getattr(m, n + "_mask", ones_like(getattr(m, n))) for m, n in chosen]
    container = PruningContainer()
    container._tensor_name = method._tensor_name = "temp"
    container.add_pruning_method(method)
    flat = cat([s.detach().reshape(-1) for s in scores])
    mask = container.compute_mask(flat, cat([m.reshape(-1) for m in masks]))
    sizes = [s.numel() for s in scores]
    for (module, name), part in zip(chosen, mask.split(sizes), strict=True):
        custom_from_mask(module, name, part.reshape(getattr(module, name).shape))


def _hook(module: Module, name: str) -> tuple[int, BasePruningMethod] | None:
    """The pruning hook of a parameter and its key among the module's hooks."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook.fn, BasePruningMethod) and hook.fn._tensor_name == name:
            return key, hook.fn
    return None


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter an ordinary one; it stays pruned.

    Raises:
        ValueError: it is not pruned.
    """
    found = _hook(module, name)
    if found is None:
        raise ValueError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    found[1].remove(module)
    del module._forward_pre_hooks[found[0]]
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned."""
    return any(
        isinstance(hook.fn, BasePruningMethod)
        for m in module.modules()
        for hook in m._forward_pre_hooks.values()
    )
