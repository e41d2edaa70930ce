"""What most optimizers share: tensors of state for each parameter, and one step for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..creation import zeros
from ..inplace import modify
from ..tensor import Tensor
from .optimizer import Optimizer, learning_rate, with_gradients

Start = Callable[[Tensor], Tensor]


def no_steps(p: Tensor) -> Tensor:
    """The count of steps before the first one."""
    return zeros(())


class PerParameter(Optimizer):
    """The base class of optimizers that change each parameter by itself."""

    #: ``_change(p, *state, g, options)`` changes a parameter and its state in place.
    _change: Callable[..., None]

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        """How each entry of the state begins, in the order in which `_change` takes them."""
        raise NotImplementedError

    def _state_of(self, p: Tensor, starts: dict[str, Start]) -> dict[str, Any]:
        state = self.state[p]
        if not state:
            state.update({name: start(p) for name, start in starts.items()})
        return state

    def _update(self, group: dict[str, Any]) -> None:
        starts = self._starts(group)
        options = {**group, "lr": learning_rate(group)}
        for p, g in with_gradients(group):
            state = self._state_of(p, starts)
            # By name: a state that was loaded may hold them in any order.
            modify(self._change, (p, *[state[name] for name in starts]), (g,), options)


def decayed(p: Any, g: Any, o: dict[str, Any]) -> Any:
    """The gradient after `maximize` and weight decay."""
    if o["maximize"]:
        g = -g
    if o["weight_decay"]:
        if o.get("decoupled_weight_decay"):
            p *= 1 - o["lr"] * o["weight_decay"]
        else:
            g = g + p * o["weight_decay"]
    return g
