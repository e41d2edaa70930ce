"""L-BFGS: a quasi-Newton method for functions that are evaluated again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..modes import enable_grad, no_grad
from ..ops.joining import cat
from ..tensor import Tensor
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer, checked_number, learning_rate


class LBFGS(Optimizer):
    """L-BFGS (Liu and Nocedal, 1989): Newton's method with an approximate inverse Hessian.

    Args:
        params: real parameters, in one group.
        lr: the length of the steps, in those of the method.
        max_iter: how many steps one call of :meth:`step` makes.
        max_eval: how many times it may call the closure; default: ``max_iter * 5 // 4``.
        tolerance_grad: stop when no element of the gradient is larger.
        tolerance_change: stop when the loss or the parameters change less.
        history_size: from how many past steps the Hessian is approximated.
        line_search_fn: "strong_wolfe", or None for steps of length `lr`.

    Raises:
        ValueError: a negative rate, or several groups.
        RuntimeError: in `step`, another line search.

    >>> import numbagrad as ng
    >>> p = ng.tensor([-1.0, 2.0], requires_grad=True)
    >>> optimizer = ng.optim.LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():  # Rosenbrock's function
    ...     optimizer.zero_grad()
    ...     loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(5):
    ...     _ = optimizer.step(closure)
    >>> ng.allclose(p, ng.ones(2), atol=1e-3)
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        checked_number("learning rate", lr)
        options = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, options)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Tensor] = self.param_groups[0]["params"]

    def _gradient(self) -> Tensor:
        """All gradients in one vector, which nobody else holds."""
        return cat([
            p.new_zeros(p.numel()) if p.grad is None else p.grad.reshape(-1)
            for p in self._params
        ])  # fmt: skip

    def _move(self, t: float, direction: Tensor) -> None:
        start = 0
        for p in self._params:
            n = p.numel()
            p.add_(direction[start : start + n].view_as(p), alpha=t)
            start += n

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Make up to `max_iter` steps.

        Args:
            closure: clears the gradients, computes the loss with new ones, and returns it.

        Returns:
            The loss before the first step.
        """
        if closure is None:
            raise TypeError("LBFGS.step() needs a closure that computes the loss anew")
        group = self.param_groups[0]
        options = {**group, "lr": learning_rate(group)}
        if options["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        closure = enable_grad()(closure)
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = closure()
        state["func_evals"] += 1
        gradient = self._gradient()
        if gradient.abs().max().item() > options["tolerance_grad"]:
            self._steps(closure, state, options, float(first), gradient)
        return first

    def _steps(
        self, closure: Callable[[], Any], state: dict[str, Any], o: dict[str, Any], loss: float,
        gradient: Tensor,
    ) -> None:  # fmt: skip
        evaluations = 1
        for i in range(1, o["max_iter"] + 1):
            state["n_iter"] += 1
            direction = _direction(state, gradient, o["history_size"])
            before, state["prev_loss"] = loss, loss
            state["prev_flat_grad"] = gradient.clone()
            t = o["lr"]
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / gradient.abs().sum().item())
            slope = gradient.dot(direction).item()
            state["d"], state["t"] = direction, t
            if slope > -o["tolerance_change"]:
                return
            if o["line_search_fn"] is not None:
                start = Point(0.0, loss, gradient, slope)
                found, tried = self._search(
                    closure, start, t, direction, o["max_eval"] - evaluations
                )
                t, loss, gradient, _ = found
                state["t"] = t
                self._move(t, direction)
            else:
                self._move(t, direction)
                tried = 0
                if i != o["max_iter"]:
                    loss = float(closure())
                    gradient = self._gradient()
                    tried = 1
            evaluations += tried
            state["func_evals"] += tried
            if evaluations >= o["max_eval"]:
                return
            if gradient.abs().max().item() <= o["tolerance_grad"]:
                return
            if (direction * t).abs().max().item() <= o["tolerance_change"]:
                return
            if abs(loss - before) < o["tolerance_change"]:
                return

    def _search(
        self, closure: Callable[[], Any], start: Point, t: float, direction: Tensor, most: int
    ) -> tuple[Point, int]:
        kept = [p.clone() for p in self._params]

        def evaluate(t: float) -> Point:
            self._move(t, direction)
            loss = float(closure())
            gradient = self._gradient()
            for p, value in zip(self._params, kept, strict=True):
                p.copy_(value)
            return Point(t, loss, gradient, gradient.dot(direction).item())

        return strong_wolfe(evaluate, start, t, direction.abs().max().item(), most=most)


def _direction(state: dict[str, Any], gradient: Tensor, size: int) -> Tensor:
    """Minus the gradient times the inverse Hessian, as the last steps tell of it."""
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return -gradient
    changes, steps, inverse = state["old_dirs"], state["old_stps"], state["ro"]
    change = gradient - state["prev_flat_grad"]
    step = state["d"] * state["t"]
    curvature = change.dot(step)
    if curvature.item() > 1e-10:
        if len(changes) == size:
            for past in (changes, steps, inverse):
                past.pop(0)
        changes.append(change)
        steps.append(step)
        inverse.append(1.0 / curvature)
        state["H_diag"] = curvature / change.dot(change)
    # The two loops of Nocedal (1980).
    q = -gradient
    factors = []
    for y, s, rho in zip(reversed(changes), reversed(steps), reversed(inverse), strict=True):
        factors.append(s.dot(q) * rho)
        q -= y * factors[-1]
    r = q * state["H_diag"]
    for y, s, rho in zip(changes, steps, inverse, strict=True):
        r += s * (factors.pop() - y.dot(r) * rho)
    return r
