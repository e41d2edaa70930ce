"""The same numbers for every library, and the small things that more than one theme needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 7


def normal(*shape: int, seed: int = SEED, scale: float = 1.0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return drawn * np.float32(scale)


def leaf(xp: Any, array: NDArray[Any]) -> Any:
    """A tensor of the PyTorch-like library `xp` that wants a gradient."""
    return xp.from_numpy(array.copy()).requires_grad_()
