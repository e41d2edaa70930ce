"""PyTorch's own samples of nn.functional (OpInfo) and of its modules (ModuleInfo), run by both.

Values, dtypes, shapes, first and second derivatives and the types of errors of the functions;
printed form, state dict, outputs and gradients of the modules.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import numbagrad as ng

from .oracle import Unsupported, check, check_gradients, resolve, tensors, to_ng, torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    op_db = pytest.importorskip("torch.testing._internal.common_methods_invocations").op_db
    module_db = pytest.importorskip("torch.testing._internal.common_modules").module_db

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

DTYPES = (torch.float32, torch.float64, torch.int64)
MAX_SAMPLES = 40

#: Their values are random: tested by their distribution in tests/test_nn_functional.py.
RANDOM = ("dropout", "rrelu", "gumbel_softmax", "fractional_max_pool")

#: The samples of these call a lambda that orders the arguments in its own way.
ADAPTED: dict[str, Callable[..., Any]] = {
    "nn.functional.embedding": lambda weight, index, **kwargs: ng.nn.functional.embedding(
        index, weight, **kwargs
    ),
    "nn.functional.embedding_bag": lambda weight, index, **kwargs: ng.nn.functional.embedding_bag(
        index, weight, **kwargs
    ),
    # The samples' distance is PyTorch's module.
    "nn.functional.triplet_margin_with_distance_loss": lambda *args, **kwargs: (
        ng.nn.functional.triplet_margin_with_distance_loss(
            *args, **{**kwargs, "distance_function": None}
        )
    ),
}


def _skipped(op: Any, sample: Any) -> bool:
    """Random results, and options that numbagrad refuses."""
    options = sample.kwargs
    if op.name == "nn.functional.multi_head_attention_forward":
        return bool(sample.args[9] and options["training"])  # dropout
    return bool(
        options.get("dropout_p") or options.get("scale_grad_by_freq") or options.get("sparse")
    )


def _functions() -> list[Any]:
    return [
        pytest.param(op, id=op.formatted_name)
        for op in op_db
        if op.name.startswith("nn.functional.")
        and not any(name in op.name for name in RANDOM)
        and resolve(op.name) is not None
    ]


FUNCTIONS = _functions()


def _compare(op: Any, ours: Callable[..., Any], sample: Any) -> None:
    inp, args, kwargs = sample.input, sample.args, sample.kwargs
    our_inp, our_args, our_kwargs = to_ng(inp), to_ng(args), to_ng(kwargs)
    try:
        expected = op.op(inp, *args, **kwargs)
    except Exception as error:
        with pytest.raises(type(error)):
            ours(our_inp, *our_args, **our_kwargs)
        return
    result = ours(our_inp, *our_args, **our_kwargs)
    # Sums of many products of numbers up to 9 cancel: their error is that of the largest.
    check(result, expected, tolerance=20 if "conv" in op.name else 1)
    wanted = [x for x in tensors((inp, args, kwargs)) if x.requires_grad]
    our_wanted = [x for x in tensors((our_inp, our_args, our_kwargs)) if x.requires_grad]
    order = 2 if op.supports_gradgrad else 1
    check_gradients(result, our_wanted, expected, wanted, order=order)


def _brief(x: Any) -> Any:
    """An argument with its tensors replaced by their shapes."""
    if isinstance(x, torch.Tensor):
        return f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}"
    if isinstance(x, dict):
        return {k: _brief(v) for k, v in x.items()}
    return type(x)(map(_brief, x)) if isinstance(x, list | tuple) else x


@pytest.mark.parametrize("op", FUNCTIONS)
def test_functions(op: Any) -> None:
    ours = ADAPTED.get(op.name) or resolve(op.name)
    assert ours is not None
    failures = []
    run = 0
    torch.manual_seed(0)  # the samples are drawn anew at each call
    for dtype in DTYPES:
        if dtype not in op.dtypes:
            continue
        differentiable = op.supports_autograd and dtype is torch.float64
        samples = op.sample_inputs_func(op, "cpu", dtype, differentiable)
        for number, sample in enumerate(itertools.islice(samples, MAX_SAMPLES)):
            if _skipped(op, sample):
                continue
            try:
                _compare(op, ours, sample)
                run += 1
            except Unsupported:
                continue
            except (Exception, pytest.fail.Exception) as error:
                called = _brief((sample.input, *sample.args)), _brief(sample.kwargs)
                what = f"{dtype} sample {number} {called}"
                failures.append(f"{what}:\n{type(error).__name__}: {error}")
    assert not failures, f"{len(failures)} of {run} differ; the first:\n" + "\n\n".join(
        failures[:3]
    )


@pytest.mark.parametrize("op", [p for p in FUNCTIONS if p.values[0].error_inputs_func])
def test_errors(op: Any) -> None:
    ours = ADAPTED.get(op.name) or resolve(op.name)
    assert ours is not None
    for e in op.error_inputs_func(op, "cpu"):
        sample = e.sample_input
        try:
            args = to_ng(sample.input), to_ng(sample.args), to_ng(sample.kwargs)
        except Unsupported:
            continue
        with pytest.raises(e.error_type):
            ours(args[0], *args[1], **args[2])


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("size", [(2, 3, 4), (4, 1, 2)])
def test_fractional_pools_of_given_samples(rank: int, size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *(7, 6, 8)[:rank], dtype=torch.float64, requires_grad=True)
    samples = torch.rand(2, 3, rank, dtype=torch.float64)
    name = f"fractional_max_pool{rank}d"
    options = {"output_size": size[:rank], "return_indices": True}
    expected = getattr(torch.nn.functional, name)(x, 2, _random_samples=samples, **options)
    y = to_ng(x)
    result = getattr(ng.nn.functional, name)(y, 2, _random_samples=to_ng(samples), **options)
    check(result, expected)
    check_gradients(result, [y], expected, [x], order=1)


# -- modules --------------------------------------------------------------------------------------

#: Their outputs are random, or they change shape with the values.
RANDOM_MODULES = {
    "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout",
    "RReLU",
}  # fmt: skip


def _modules() -> list[Any]:
    found = []
    for info in module_db:
        name = info.module_cls.__name__
        if hasattr(ng.nn, name) and info.module_cls.__module__.startswith("torch.nn.modules"):
            found.append(pytest.param(info, getattr(ng.nn, name), id=name))
    return found


def _construct(cls: Any, arguments: Any, convert: Any = lambda x: x) -> Any:
    return cls(*convert(arguments.args), **convert(arguments.kwargs))


def _ours(x: Any) -> Any:
    """An argument of a constructor: functions of PyTorch's nn become ours."""
    if isinstance(x, torch.nn.Module):
        raise Unsupported("a module made of a given module: see test_nn_sequences.py")
    if isinstance(x, dict):
        return {k: _ours(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(map(_ours, x))
    return getattr(ng.nn.functional, x.__name__) if callable(x) else to_ng(x)


def _leaves(x: Any) -> Any:
    """Copies of the tensors: some samples are computed from each other."""
    if isinstance(x, torch.Tensor):
        return x.detach().clone().requires_grad_(x.requires_grad)
    if isinstance(x, dict):
        return {k: _leaves(v) for k, v in x.items()}
    return type(x)(map(_leaves, x)) if isinstance(x, list | tuple) else x


def _module_case(info: Any, ours_cls: Any, training: bool, inputs: Any) -> None:
    theirs = _construct(info.module_cls, inputs.constructor_input).double().train(training)
    try:
        ours = _construct(ours_cls, inputs.constructor_input, _ours).double().train(training)
    except NotImplementedError as error:
        raise Unsupported(str(error)) from None
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
    if hasattr(theirs, "initialize_parameters"):  # a lazy module
        theirs.initialize_parameters(*inputs.forward_input.args)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({k: to_ng(v.clone()) for k, v in state.items()})
    if inputs.forward_input is None or info.module_cls.__name__ in RANDOM_MODULES:
        return
    args, kwargs = _leaves(inputs.forward_input.args), _leaves(inputs.forward_input.kwargs)
    our_args, our_kwargs = to_ng(args), to_ng(kwargs)
    expected = theirs(*args, **kwargs)
    result = ours(*our_args, **our_kwargs)
    check(result, expected, tolerance=10)
    wanted = [x for x in [*tensors((args, kwargs)), *theirs.parameters()] if x.requires_grad]
    our_wanted = [
        x for x in [*tensors((our_args, our_kwargs)), *ours.parameters()] if x.requires_grad
    ]
    check_gradients(result, our_wanted, expected, wanted, order=1)
    for (name, a), b in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        check(a, b, name)


@pytest.mark.parametrize(("info", "ours"), _modules())
def test_modules(info: Any, ours: Any) -> None:
    for training in (True, False):
        cases = info.module_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
        )
        for inputs in cases:
            if any(inputs.constructor_input.kwargs.get(k) for k in ("dropout", "sparse")):
                continue
            try:
                _module_case(info, ours, training, inputs)
            except Unsupported:
                continue


INITIALISED = {
    "Linear": (30, 20), "Bilinear": (7, 5, 60), "Conv1d": (8, 12, 5), "Conv2d": (4, 12, 3),
    "ConvTranspose2d": (12, 4, 3), "Embedding": (40, 30), "MultiheadAttention": (16, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", INITIALISED)
def test_initial_values(name: str) -> None:
    """The same distributions: ranges and standard deviations of every parameter agree."""
    torch.manual_seed(0)
    ng.manual_seed(0)
    arguments = INITIALISED[name]
    theirs = dict(getattr(torch.nn, name)(*arguments).named_parameters())
    ours = dict(getattr(ng.nn, name)(*arguments).named_parameters())
    assert list(ours) == list(theirs)
    for key, p in ours.items():
        expected = theirs[key].detach()
        assert tuple(p.shape) == tuple(expected.shape)
        assert p.detach().std().item() == pytest.approx(expected.std().item(), rel=0.35), key
        assert p.detach().abs().max().item() == pytest.approx(
            expected.abs().max().item(), rel=0.35
        ), key
