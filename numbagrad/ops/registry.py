"""The op registry: one record holds every fact about an operation.

Methods, in-place forms, eager evaluation, backward kernels, forward-mode rules, the test matrix
and the documentation are read off these records; nothing else lists ops by name.
"""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..dispatch import bind
from ..eager import LARGE, PROMOTE, DtypeRule, Hot, broadcast_shapes, constant, pointwise
from ..ir.graph import Graph
from ..ir.pointwise import vjp_kernel
from ..ir.trace import trace
from ..modes import thread
from ..tape import NOTHING, OpNode
from ..tensor import Tensor, wrap

_ndarray = np.ndarray
_asarray = np.asarray
Rule = Callable[..., Any]
Aval = tuple[tuple[int, ...], np.dtype[Any]]
REGISTRY: dict[str, Op] = {}


@dataclass(eq=False, slots=True)
class Op:
    """Everything there is to know about one operation.

    Calling the record applies the op: ``op(*tensors_and_numbers, **params)``.
    """

    name: str
    #: Names of the tensor inputs; a variadic op has the one name ``"*xs"``.
    inputs: tuple[str, ...]
    #: ``evaluate(*arrays, **params)``: the NumPy reference with PyTorch's dtype rules.
    evaluate: Callable[..., Any]
    #: ``abstract(*avals, **params)``: (shape, dtype) of the result, or a list of them, from
    #: inputs that have `shape`, `ndim` and `dtype` (or are Python numbers).
    abstract: Callable[..., Any]
    #: The gradient: one rule per input (None: no gradient there), or a single rule that returns
    #: a tuple; None if the op has no gradient. A rule names what it wants: ``g`` (the cotangent,
    #: a tuple of them for several outputs), an input, ``out``, a parameter, ``<input>_shape``,
    #: ``needs`` (which inputs want a gradient). Only what it names is saved.
    rules: tuple[Rule | None, ...] | Rule | None
    doc: str
    #: Scalar expression over the inputs and its NumPy form, for elementwise ops.
    expr: str | None = None
    reference: Callable[..., Any] | None = None
    dtype_rule: DtypeRule | None = None
    #: The same for kernels alone, of an op that takes parameters: it is computed in the dtype of
    #: its input and cast to that of its result.
    pointwise: str | None = None
    #: The result lies in memory as the inputs do (NumPy's order K). Elementwise ops have it of
    #: themselves.
    keeps_layout: bool = False
    #: The result shares the storage of the first input.
    view: bool = False
    #: ``lower(*tensors, **params)``: the op in terms of others that have kernels, for `compile`.
    lower: Callable[..., Any] | None = None
    #: The native kernel of an op that has no `expr`: a name in `codegen.kernels.KERNELS`, and what
    #: that is told about the op.
    native: tuple[str, Any] | None = None
    #: Per input the number that makes the result equal to the other input, bit for bit. The sign of
    #: a zero counts.
    unit: tuple[float | None, ...] = ()
    #: ``same(**params)``: whether a result of the shape and dtype of x is x, bit for bit.
    same: Callable[..., bool] | None = None
    #: Number of the input to which every element of the result is equal.
    uniform: int | None = None
    #: Linear in all its tensor inputs together: its forward derivative is the op itself.
    linear: bool = False
    #: The rules consist of calls of ops and of operators, and the op has one output, so they run on
    #: plain arrays too: a backward pass that records nothing then skips the tensors between them.
    #: Elementwise ops have it of themselves.
    array_rules: bool = False
    #: Where the op is smooth enough for numerical checks: (low, high) per input.
    domain: tuple[tuple[float, float], ...] = ()
    #: ``samples(make)`` yields calls for the test matrix (see :func:`call`): ``make(*shape)`` is a
    #: tensor of the dtype and layout under test, ``make.index(*shape, below=n)`` one of indices.
    #: Elementwise ops need none: theirs follow from `inputs`, `domain` and `kinds`.
    samples: Callable[..., Iterable[tuple[tuple[Any, ...], dict[str, Any]]]] | None = None
    #: ``jvp(primals, tangents, out, **params)``: the forward derivative, given a tangent or None
    #: per input. Only where none follows from `expr`, `linear` or `multilinear` and the transpose
    #: of the transpose of `rules` would be slow.
    jvp: Callable[..., Any] | None = None
    #: Linear in each of its differentiable inputs by itself, as products are.
    multilinear: bool = False
    #: The op on a whole batch, see `ops.batching`. Elementwise ops need none; without one `vmap`
    #: loops over the batch.
    batch: Callable[..., Any] | None = None
    #: ``flops(*inputs, **params)``: the arithmetic operations of a call, for profiles. Elementwise
    #: ops need none: theirs is one for each element of the result.
    flops: Callable[..., int] | None = None
    #: Dtype kinds that the op takes, in NumPy's letters.
    kinds: str = "biufc"
    #: What it raises for others.
    refusal: type[RuntimeError] = NotImplementedError
    #: Names under which rules read the outputs.
    outputs: tuple[str, ...] = ("out",)
    #: The rules take None, not zeros, for one of several outputs that no gradient reached.
    partial: bool = False
    #: A function of the inputs that checks by differences look at in place of the op, where that is
    #: defined on a subset only (Hermitian matrices) or up to a choice (the phase of a vector).
    checked: Callable[..., Any] | None = None
    #: Names under which users find it (function, method, in-place form) and Python's operators.
    public: tuple[str, ...] = ()
    operators: tuple[str, str, str] | None = None
    node_class: type[OpNode] = field(init=False)
    #: Bit i is set where input i has a gradient; None for a variadic op: all have.
    differentiable_mask: int | None = field(init=False)
    _wants: tuple[tuple[str, ...], ...] = field(init=False)
    _residuals: dict[int, tuple[tuple[bool, int], ...]] = field(init=False, default_factory=dict)
    _pointwise_vjps: dict[Any, dict[Any, Hot]] = field(
        init=False, default_factory=lambda: defaultdict(dict)
    )

    def __post_init__(self) -> None:
        camel = "".join(w[:1].upper() + w[1:] for w in self.name.split("_"))
        self.node_class = type(f"{camel}Backward0", (OpNode,), {"__slots__": (), "op": self})
        rules = self.rules
        if callable(rules):
            self._wants = (tuple(inspect.signature(rules).parameters),)
            self.differentiable_mask = None
        else:
            self._wants = tuple(
                () if r is None else tuple(inspect.signature(r).parameters) for r in rules or ()
            )
            self.differentiable_mask = sum(1 << i for i, r in enumerate(rules or ()) if r)
        self.array_rules = self.array_rules or self.expr is not None
        self.pointwise = self.pointwise or self.expr
        self.keeps_layout = self.keeps_layout or self.expr is not None

    def __call__(self, *args: Any, **params: Any) -> Any:
        if args[0].__class__ is _ndarray:  # in a rule that runs on arrays
            return self.evaluate(*args, **params)
        return bind(self, args, params)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def count_flops(self, inputs: Sequence[Any], params: dict[str, Any]) -> int:
        """The arithmetic operations of a call: 0 where the record does not say."""
        if self.flops is not None:
            return self.flops(*inputs, **params)
        if self.expr is None:
            return 0
        return math.prod(broadcast_shapes(*(x.shape for x in inputs if hasattr(x, "shape"))))

    # -- backward ---------------------------------------------------------------------------

    def wanted(self, mask: int) -> set[str]:
        """The names that the rules of the inputs in `mask` read."""
        if callable(self.rules):
            return set(self._wants[0])
        return {n for i, w in enumerate(self._wants) if mask >> i & 1 for n in w}

    def residuals(self, mask: int) -> tuple[tuple[bool, int], ...]:
        """What a node saves: (is an output, position) for each value the rules read."""
        found = self._residuals.get(mask)
        if found is None:
            wanted = self.wanted(mask)
            found = tuple((False, i) for i, n in enumerate(self.inputs) if n in wanted)
            found += tuple((True, i) for i, n in enumerate(self.outputs) if n in wanted)
            self._residuals[mask] = found
        return found

    def backward(
        self, node: OpNode, grads: list[Tensor | None], mask: int
    ) -> tuple[Tensor | None, ...]:
        """Apply the gradient rules of a recorded call for the inputs in `mask`."""
        modes = thread.modes
        if self.array_rules and not modes.grad:
            g0 = grads[0]
            assert g0 is not None
            fast = self.array_backward(node, g0._data, mask, modes.quietly)
            if fast is not None:
                return tuple(None if r is None else wrap(r) for r in fast)
        values = node.saved_tensors()
        if len(grads) == 1:
            g: Any = grads[0]
        else:
            assert node.out_metas is not None
            g = tuple(
                wrap(np.zeros(*meta)) if t is None and not self.partial else t
                for t, meta in zip(grads, node.out_metas, strict=True)
            )
        named: dict[str, Any] = {"g": g, **node.params}
        for (is_output, i), value in zip(self.residuals(node.mask), values, strict=True):
            named[(self.outputs if is_output else self.inputs)[i]] = value
        return tuple(self._apply_rules(node, mask, named))

    def array_backward(self, node: OpNode, data: Any, mask: int, quietly: Any) -> Any:
        """The rules applied to plain arrays, or None if something is not plain."""
        if self.expr is not None:
            return self.pointwise_backward(node, data, mask, quietly)
        if data.__class__ is not _ndarray or thread.modes.trace is not None:
            return None
        named: dict[str, Any] = {"g": data, **node.params}
        for (is_output, i), value in zip(self.residuals(node.mask), node.saved_data()):
            if value.__class__ is not _ndarray and value.__class__ not in (float, int, complex):
                return None
            named[(self.outputs if is_output else self.inputs)[i]] = value
        results = quietly(self._apply_rules, node, mask, named)
        return [r if r is None or r.__class__ is _ndarray else _asarray(r) for r in results]

    def _apply_rules(self, node: OpNode, mask: int, named: dict[str, Any]) -> Any:
        if callable(self.rules):
            named["needs"] = tuple(bool(mask >> i & 1) for i in range(len(node.edges)))
            return self.rules(*[self._argument(node, n, named) for n in self._wants[0]])
        result: list[Any] = []
        for i, rule in enumerate(self.rules or ()):
            if rule is None or not mask >> i & 1:
                result.append(None)
            else:
                wants = self._wants[i]
                result.append(
                    rule(
                        *[named[n] if n in named else self._argument(node, n, named) for n in wants]
                    )
                )
        return result

    def _argument(self, node: OpNode, name: str, named: dict[str, Any]) -> Any:
        if name in named:
            return named[name]
        metas = node.metas
        if metas is None:  # all inputs are like the output, and so like its cotangent
            g = named["g"]
            g = g if g.__class__ is _ndarray else g._data
            metas = [(g.shape, g.dtype)] * len(node.edges)
        if name == "shapes":
            return tuple(m and m[0] for m in metas)
        base, _, fact = name.rpartition("_")
        meta = metas[self.inputs.index(base)]
        assert meta is not None
        return meta[0] if fact == "shape" else meta[1]

    def pointwise_backward(self, node: OpNode, data: Any, mask: int, quietly: Any) -> Any:
        """All rules in one pass, from arrays to arrays; None if something is not plain."""
        if data.__class__ is not _ndarray:
            return None
        d = data.dtype
        arrays = [data]
        if node.saved is not NOTHING:
            for a in node.saved_data():
                if a.__class__ is _ndarray:
                    if a.dtype is not d and a.dtype.kind != "b":
                        return None
                    arrays.append(a)
                elif a.__class__ is float or a.__class__ is int:
                    arrays.append(constant(a, d))
                else:
                    return None
        which = mask if mask == node.mask else (node.mask, mask)
        kernel = self._pointwise_vjps[d].get(which)
        if kernel is None:
            kernel = vjp_kernel(self, node.mask, mask, arrays)
            self._pointwise_vjps[d][which] = kernel
        if kernel.identity:
            results: Any = (data,) * mask.bit_count()
        else:
            results = quietly(kernel.reference if data.size < LARGE else kernel, *arrays)
        if not data.shape:  # NumPy gives scalars for 0-d arrays
            results = [_asarray(r) for r in results]
        n = len(node.edges)
        if len(results) == n:
            return results
        found = iter(results)
        return [next(found) if mask >> i & 1 else None for i in range(n)]


def registered(op: Op) -> Op:
    """Add an op to the registry.

    Raises:
        ValueError: there is one of that name.
    """
    if op.name in REGISTRY:
        raise ValueError(f"op {op.name!r} is declared twice; give the new one another name")
    REGISTRY[op.name] = op
    return op


def call(*args: Any, **params: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One sample of an op: ``call(make(2, 3), dim=(0,))``."""
    return args, params


def elementwise(
    name: str,
    expr: str,
    reference: Callable[..., Any],
    *,
    inputs: tuple[str, ...] = ("x",),
    dtype: DtypeRule = PROMOTE,
    grad: tuple[Rule | None, ...] | Rule | None = None,
    doc: str,
    **facts: Any,
) -> Op:
    """Declare an op that computes each element of its result from one element of each input."""

    dtype = dtype.limited(
        name, facts.get("kinds", dtype.kinds), facts.get("refusal", NotImplementedError)
    )

    def abstract(*avals: Any) -> Aval:
        shapes = [a.shape for a in avals if hasattr(a, "shape")]
        shape = shapes[0] if len(shapes) == 1 else broadcast_shapes(*shapes)
        return shape, dtype.resolve(avals)[1]

    def graph(operands: list[np.dtype[Any]]) -> Graph:
        return trace(op, [((), d) for d in operands])

    op = Op(
        name=name,
        inputs=inputs,
        evaluate=pointwise(reference, dtype, len(inputs), Hot(reference, graph)),
        abstract=abstract,
        rules=(grad,) if callable(grad) else grad,
        doc=doc,
        expr=expr,
        reference=reference,
        dtype_rule=dtype,
        **facts,
    )
    return registered(op)


def primitive(
    name: str,
    evaluate: Callable[..., Any],
    abstract: Callable[..., Any],
    *,
    inputs: tuple[str, ...] = ("x",),
    grad: tuple[Rule | None, ...] | Rule | None = None,
    doc: str,
    **facts: Any,
) -> Op:
    """Declare an op that is not elementwise."""
    if callable(grad) and len(inputs) == 1 and not inputs[0].startswith("*"):
        grad = (grad,)
    return registered(Op(name, inputs, evaluate, abstract, grad, doc, **facts))
