"""The part of `gradcheck` that looks at forward mode."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor, wrap
from ..transforms.api import vmap
from .forward_ad import dual_level, make_dual, unpack_dual
from .gradcheck import Array, GradcheckError, parts, random_like


def _pushed(check: Any, position: int, tangent: Tensor) -> list[Tensor | None]:
    """The tangents of the outputs when one input moves."""
    with dual_level():
        args = list(check.args)
        args[position] = make_dual(args[position], tangent)
        outs = [o for o in check.tuple_of(check.func(*args)) if isinstance(o, Tensor)]
        return [unpack_dual(o).tangent for o in outs]


def _filled(check: Any, k: int, tangent: Tensor | None) -> Array:
    out = check.outputs[k]._data
    if tangent is None:
        return np.zeros_like(out)
    if tangent._data.shape != out.shape:
        raise GradcheckError(
            f"the forward derivative of output {k} has the shape {tuple(tangent.shape)}, not "
            f"{out.shape}"
        )
    return tangent.detach().numpy()


def forward(check: Any, fast_mode: bool) -> None:
    """Compare tangents with differences: for each direction, or one random direction per input."""
    rng = np.random.default_rng(0)
    for i, x in zip(check.positions, check.inputs, strict=True):
        data = x._data
        if fast_mode:
            direction = random_like(rng, data)
            _compare(check, i, direction, check.differences(data, ..., direction))
            continue
        numerical = check.numerical(x)
        row = 0
        for index in np.ndindex(data.shape):
            for part in (1.0, 1j) if data.dtype.kind == "c" else (1.0,):
                direction = np.zeros_like(data)
                direction[index] = part
                _compare(check, i, direction, [matrix[row] for matrix in numerical])
                row += 1


def _compare(check: Any, i: int, direction: Array, expected: list[Array]) -> None:
    tangents = _pushed(check, i, wrap(direction))
    for k, (t, numerical) in enumerate(zip(tangents, expected, strict=True)):
        if check.outputs[k]._data.dtype.kind not in "fc":
            continue
        ours = parts(_filled(check, k, t))
        if not check.close(ours, parts(numerical)):
            raise GradcheckError(
                f"Jacobian computed with forward mode mismatch for output {k} with respect to "
                f"input {i},\nnumerical:{numerical}\nanalytical:{ours}\n"
            )


def zeros(check: Any) -> None:
    """Tangents of zeros must give zeros."""
    for i, x in zip(check.positions, check.inputs, strict=True):
        for k, t in enumerate(_pushed(check, i, wrap(np.zeros_like(x._data)))):
            if t is not None and t.detach().numpy().any():
                raise GradcheckError(
                    f"Expected all tangents to be zero when those of the inputs are: output {k}, "
                    f"input {i}"
                )


def batched(check: Any) -> None:
    """Several tangents at once, by `vmap`, must give what each gives by itself."""
    rng = np.random.default_rng(0)
    for i, x in zip(check.positions, check.inputs, strict=True):
        rows = [random_like(rng, x._data) for _ in range(2)]

        def pushed(t: Tensor, i: int = i) -> tuple[Tensor, ...]:
            found = zip(_pushed(check, i, t), check.outputs, strict=True)
            return tuple(wrap(np.zeros_like(o._data)) if f is None else f for f, o in found)

        try:
            together = vmap(pushed)(wrap(np.stack(rows)))
        except RuntimeError as error:
            raise GradcheckError(
                f"While computing batched forward gradients, vmap failed: {error}"
            ) from error
        single = [[_filled(check, k, t) for k, t in enumerate(_pushed(check, i, wrap(r)))]
                  for r in rows]  # fmt: skip
        for k, (ours, expected) in enumerate(zip(together, zip(*single, strict=True))):
            if not check.close(ours.detach().numpy(), np.stack(expected)):
                raise GradcheckError(
                    f"batched forward gradients of output {k} with respect to input {i} differ "
                    "from those of one tangent at a time"
                )
