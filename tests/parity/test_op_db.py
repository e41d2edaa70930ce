"""PyTorch's own samples of its operators (OpInfo), run by both libraries.

Values, dtypes, shapes, first and second derivatives, and the types of errors are compared for every
entry of ``op_db`` whose name numbagrad has, as a function, a method and an in-place method.
"""

from __future__ import annotations

import importlib
import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import numbagrad as ng

from .oracle import Unsupported, check, check_gradients, resolve, tensors, to_ng, torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    op_db: Any = importlib.import_module("torch.testing._internal.common_methods_invocations").op_db

pytestmark = [
    pytest.mark.parity,
    # PyTorch warns about its own samples (resized outputs, named tensors, ...).
    pytest.mark.filterwarnings("ignore"),
]

DTYPES = (torch.float32, torch.float64, torch.complex128, torch.int64, torch.uint8, torch.bool)
#: Enough to see every code path; some ops have hundreds.
MAX_SAMPLES = 40

#: Their values are random or not initialised: tested elsewhere, by their distribution.
RANDOM = {
    "bernoulli", "cauchy", "empty", "empty_like", "empty_permuted", "empty_strided", "exponential",
    "geometric", "log_normal", "multinomial", "new_empty", "new_empty_strided", "normal", "rand",
    "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm", "uniform", "nn.functional.alpha_dropout",
    "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d",
    "nn.functional.feature_alpha_dropout", "nn.functional.rrelu",
    "nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d",
    "pca_lowrank", "svd_lowrank",
}  # fmt: skip

#: The order of equal elements is not specified: only the values are compared where there are ties.
UNORDERED = {"kthvalue", "median", "mode", "nanmedian", "sort", "topk"}

#: The samples of these call a lambda that orders the arguments in its own way.
ADAPTED: dict[str, Callable[..., Any]] = {
    "where": lambda x, condition, other: ng.where(condition, x, other),
    "einsum": lambda xs, equation: ng.einsum(equation, xs),
    "polygamma": lambda x, n: ng.polygamma(n, x),
    "special.polygamma": lambda x, n: ng.special.polygamma(n, x),
    "nn.functional.embedding": lambda weight, index, **options: ng.nn.functional.embedding(
        index, weight, **options
    ),
    "nn.functional.embedding_bag": lambda weight, index, **options: ng.nn.functional.embedding_bag(
        index, weight, **options
    ),
    "zero_": lambda x: ng.clone(x).zero_(),
    "linalg.pinv.singular": lambda a, b: ng.linalg.pinv(a @ b.mT),
    "linalg.lstsq.grad_oriented": lambda a, b, driver: ng.linalg.lstsq(a, b, driver=driver)[:2],
}


@dataclass(frozen=True)
class Gap:
    """Samples that are known to differ. One that no longer differs must be taken off the list."""

    op: str
    reason: str
    kind: str = "*"
    when: Callable[[Any, Any], bool] = lambda dtype, sample: True


def _format(sample: Any) -> bool:
    return sample.kwargs.get("memory_format") in (torch.channels_last, torch.channels_last_3d)


GAPS = (
    # In-place forms that PyTorch refuses to differentiate or to run; ours work.
    Gap("abs", "in-place abs of complex stores the real result", "inplace"),
    Gap("acosh", "PyTorch has no derivative of the in-place form", "inplace"),
    Gap("asinh", "PyTorch has no derivative of the in-place form", "inplace"),
    Gap("atanh", "PyTorch has no derivative of the in-place form", "inplace"),
    Gap("float_power", "PyTorch refuses float32 in place", "inplace"),
    Gap("addbmm", "PyTorch resizes an input that is too small", "inplace"),
    # Deliberate.
    Gap(
        "polygamma",
        "PyTorch's trigamma in single precision is off by 1e-4",
        when=lambda d, s: d is torch.float32,
    ),
    Gap("logcumsumexp", "complex: another branch of the logarithm", when=lambda d, s: d.is_complex),
    Gap(
        "to", "all copies are contiguous, memory_format has no effect", when=lambda d, s: _format(s)
    ),
    Gap("double", "memory_format has no effect", when=lambda d, s: _format(s)),
    Gap("cdouble", "memory_format has no effect", when=lambda d, s: _format(s)),
    Gap(
        "argsort",
        "the order of equal elements: ours is stable",
        when=lambda d, s: not d.is_floating_point,
    ),
    Gap("logspace", "rounded once, from float64", when=lambda d, s: d is torch.uint8),
    Gap(
        "linalg.norm",
        "the second derivative at 0 is 0, not NaN",
        when=lambda d, s: not s.input.any(),
    ),
    Gap(
        "nn.functional.scaled_dot_product_attention",
        "random: another generator",
        when=lambda d, s: s.kwargs.get("dropout_p", 0) > 0,
    ),
    Gap(
        "nn.functional.multi_head_attention_forward",
        "random: another generator",
        when=lambda d, s: s.kwargs.get("training", True) and s.args[9] > 0,
    ),
    Gap(
        "nn.functional.conv3d",
        "sums of many numbers of float32, rounded in another order",
        when=lambda d, s: d is torch.float32,
    ),
    Gap(
        "nn.functional.rms_norm",
        "a difference of large numbers",
        when=lambda d, s: d.is_complex and s.args[0] == (1,),
    ),
    *(
        Gap(
            name,
            "no sparse gradients, none scaled by frequency",
            when=lambda d, s: bool({"sparse", "scale_grad_by_freq"} & s.kwargs.keys()),
        )
        for name in ("nn.functional.embedding", "nn.functional.embedding_bag")
    ),
    Gap("as_strided_scatter", "PyTorch's gradient goes to what was overwritten"),
    Gap(
        "as_strided",
        "a converted sample has no storage beyond its elements",
        when=lambda d, s: s.input.untyped_storage().nbytes() > s.input.numel() * s.input.itemsize,
    ),
    Gap(
        "istft",
        "the window has a gradient, which PyTorch drops",
        when=lambda d, s: s.kwargs.get("window") is not None,
    ),
    *(
        Gap(name, "pixels are rounded once, from float32", when=lambda d, s: d is torch.uint8)
        for name in ("nn.functional.interpolate", "nn.functional.upsample_bilinear")
    ),
    *(
        Gap(
            f"special.bessel_{name}",
            "PyTorch's is off by 2e-7 beyond 5",
            when=lambda d, s: d is torch.float64,
        )
        for name in ("j0", "j1", "y0", "y1")
    ),
    Gap(
        "masked.prod",
        "PyTorch gives a 0-d tensor itself",
        when=lambda d, s: s.input.ndim == 0 and s.kwargs["mask"] is None,
    ),
    Gap(
        "masked.logaddexp",
        "the second derivative is 0, not NaN, where one number is masked out",
        when=lambda d, s: d is torch.float64 and s.kwargs["input_mask"] is not None,
    ),
    Gap(
        "histogramdd",
        "edges that decrease are refused",
        when=lambda d, s: any(
            isinstance(b, torch.Tensor) and b.diff().lt(0).any() for b in s.args[0]
        ),
    ),
)


def _variants(op: Any) -> Iterator[tuple[str, Any, Any]]:
    """(kind, PyTorch's callable, ours) for each form in which numbagrad has the op."""
    method = getattr(ng.Tensor, op.name, None)
    variant = f"{op.name}.{op.variant_test_name}"
    function = ADAPTED.get(variant) or ADAPTED.get(op.name) or resolve(op.name)
    if isinstance(function, ng.dtype):  # ng.bool is a dtype, PyTorch's sample means x.bool()
        function = method
    if function is not None:
        yield "function", op.op, function
    if op.method_variant is not None and method is not None:
        yield "method", op.method_variant, method
    in_place = getattr(ng.Tensor, f"{op.name}_", None)
    if op.inplace_variant is not None and in_place is not None:
        yield "inplace", op.inplace_variant, in_place


def _covered() -> list[Any]:
    # nn.functional has tests of its own beside its modules.
    found = [
        op for op in op_db
        if op.name not in RANDOM and any(_variants(op))
    ]  # fmt: skip
    return [pytest.param(op, id=op.formatted_name) for op in found]


COVERED = _covered()
ENTRIES = Counter(p.values[0].name for p in COVERED)


def _compare(op: Any, kind: str, theirs: Any, ours: Any, sample: Any, dtype: Any) -> None:
    inp, args, kwargs = sample.input, sample.args, sample.kwargs
    our_inp, our_args, our_kwargs = to_ng(inp), to_ng(args), to_ng(kwargs)
    copy = kind == "inplace"
    start = (lambda x: x.clone()) if copy else (lambda x: x)
    try:
        expected = theirs(start(inp), *args, **kwargs)
    except Exception as error:
        with pytest.raises(type(error)):
            ours(start(our_inp), *our_args, **our_kwargs)
        return
    result = ours(start(our_inp), *our_args, **our_kwargs)
    ties = op.name == "mode" or not dtype.is_floating_point
    if op.name in UNORDERED and ties and isinstance(expected, tuple):
        result, expected = result[0], expected[0]
    # What is not determined, such as the sign of an eigenvector, is taken out of both.
    determined = sample.output_process_fn_grad
    result, expected = determined(result), determined(expected)
    check(result, expected)
    wanted = [x for x in tensors((inp, args, kwargs)) if x.requires_grad]
    if wanted:
        our_wanted = [x for x in tensors((our_inp, our_args, our_kwargs)) if x.requires_grad]
        double = all(x.dtype in (torch.float64, torch.complex128) for x in wanted)
        order = 2 if op.supports_gradgrad and kind == "function" and double else 1
        check_gradients(result, our_wanted, expected, wanted, order=order)


def _samples(op: Any, dtype: Any) -> list[Any]:
    differentiable = (
        op.supports_autograd
        and dtype in (torch.float64, torch.complex128)
        and dtype in op.supported_backward_dtypes("cpu")
    )
    # Not op.sample_inputs: it looks at the source of every frame of pytest's stack.
    samples = op.sample_inputs_func(op, "cpu", dtype, differentiable)
    return list(itertools.islice(samples, MAX_SAMPLES))


@pytest.mark.parametrize("op", COVERED)
def test_samples(op: Any) -> None:
    torch.manual_seed(0)
    failures = []
    gaps: Counter[Gap] = Counter({g: 0 for g in GAPS if g.op == op.name})
    run = 0
    for dtype in DTYPES:
        if dtype not in op.dtypes:
            continue
        for number, sample in enumerate(_samples(op, dtype)):
            for kind, theirs, ours in _variants(op):
                if kind != "function" and number > 10:
                    continue
                try:
                    _compare(op, kind, theirs, ours, sample, dtype)
                    run += 1
                except Unsupported:
                    continue
                except (Exception, pytest.fail.Exception) as error:
                    known = [g for g in gaps if g.kind in ("*", kind) and g.when(dtype, sample)]
                    gaps.update(known)
                    if not known:
                        given = f"{str(sample.args)[:200]} {sample.kwargs}"
                        what = f"{kind} {dtype} sample {number} {given}"
                        failures.append(f"{what}:\n{type(error).__name__}: {error}")
    assert not failures, f"{len(failures)} of {run} differ; the first:\n" + "\n\n".join(
        failures[:3]
    )
    if ENTRIES[op.name] == 1:  # with several entries, a gap may concern another one
        closed = [g.reason for g, count in gaps.items() if not count]
        assert not closed, f"these gaps are closed, remove them: {closed}"


#: Where numbagrad takes a dtype that PyTorch refuses, or says it by another class of errors.
NO_REFUSAL = {
    "stft": "RuntimeError for bools",
    "clamp": "takes bools",
    "masked_log_softmax": "NotImplementedError for complex numbers",
    "masked_logaddexp": "takes complex numbers",
    "masked_softmax": "NotImplementedError for complex numbers",
    "masked_softmin": "RuntimeError for bools, NotImplementedError for complex numbers",
    "tensordot": "bools are refused also where nothing is added up",
    "round_decimals_0": "takes integers as without decimals",
    "nn_functional_relu": "NotImplementedError for bools",
    "nn_functional_soft_margin_loss": "refuses complex numbers",
    "nn_functional_cross_entropy": "looks at the dtype of the input before that of the target",
}


def _cast(x: Any, dtype: Any) -> Any:
    """Tensors of float64 in another dtype."""
    if isinstance(x, torch.Tensor):
        return x.detach().to(dtype) if x.dtype is torch.float64 else x
    if isinstance(x, list | tuple):
        return type(x)(_cast(i, dtype) for i in x)
    return {k: _cast(v, dtype) for k, v in x.items()} if isinstance(x, dict) else x


def _outcome(fn: Any, inp: Any, args: Any, kwargs: Any) -> str:
    try:
        fn(inp, *args, **kwargs)
    except Exception as error:
        return type(error).__name__
    return "a result"


@pytest.mark.parametrize("op", COVERED)
def test_refusals(op: Any) -> None:
    """What PyTorch's own table says that an operator does not take."""
    torch.manual_seed(0)
    failures = []
    for dtype in (torch.complex128, torch.int64, torch.bool):
        if dtype in op.dtypes or torch.float64 not in op.dtypes:
            continue
        for s in itertools.islice(op.sample_inputs_func(op, "cpu", torch.float64, False), 4):
            given = [_cast(x, dtype) for x in (s.input, s.args, s.kwargs)]
            if any(t.numel() < 2 for t in tensors(given[0])):
                continue  # PyTorch often looks at the dtype only if there is something to compute
            try:
                ours = [to_ng(x) for x in given]
            except Unsupported:
                continue
            expected = _outcome(op.op, *given)
            found = _outcome(next(_variants(op))[2], *ours)
            if found != expected:
                failures.append(f"{dtype} {s.args} {s.kwargs}: {found}, in PyTorch {expected}")
    known = NO_REFUSAL.get(op.formatted_name)
    assert not failures or known, "\n".join(failures)
    assert failures or not known, f"it is as in PyTorch: not {known}"


#: Errors of PyTorch that numbagrad does not raise.
NO_ERROR = {
    # Writing to an `out` that overlaps an input: ours computes first and stores then.
    "cat",
    "gather",
    "index_select",
    "kthvalue",
    "masked_select",
    "take",
    # `out` of another floating dtype is converted.
    "aminmax",
    # IndexError, where PyTorch's narrow_copy fails an internal check.
    "narrow_copy",
    # `out` for functions that do not take it.
    "arange",
    "complex",
}


@pytest.mark.parametrize("op", [p for p in COVERED if p.values[0].error_inputs_func])
def test_errors(op: Any) -> None:
    ours = next(_variants(op))[2]
    for e in op.error_inputs_func(op, "cpu"):
        sample = e.sample_input
        try:
            args = to_ng(sample.input), to_ng(sample.args), to_ng(sample.kwargs)
        except (Unsupported, ValueError):  # ValueError: NumPy stops at 64 dimensions
            continue
        if e.error_type is Exception:  # samples for another subsystem; PyTorch's op takes them
            continue
        try:
            ours(args[0], *args[1], **args[2])
        except e.error_type:
            continue
        except Exception as other:
            assert op.name in NO_ERROR, f"{other!r} instead of {e.error_type}: {e.error_regex}"
        else:
            assert op.name in NO_ERROR, f"no error instead of {e.error_type}: {e.error_regex}"
