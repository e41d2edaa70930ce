"""Clipping, gradient scaling, accumulation: as in PyTorch, exact, inside `compile`."""

from __future__ import annotations

import math

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import nn
from tests.programs import expected, programs, run, same

EXPECTED = expected()


@pytest.mark.parametrize("name", programs("training"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


def parameters(*shapes):
    ng.manual_seed(0)
    params = [ng.zeros(*s, requires_grad=True) for s in shapes]
    for p in params:
        p.grad = ng.randn(*p.shape)
    return params


def test_the_norm_of_many_elements_is_accurate():
    g = ng.ones(3, 1_234_567) * 0.1
    exact = math.sqrt(g.numel()) * float(np.float32(0.1))
    assert nn.utils.get_total_norm([g]).item() == pytest.approx(exact, rel=1e-6)
    assert nn.utils.get_total_norm([g.t(), g[:0]]).item() == pytest.approx(exact, rel=1e-6)


def test_the_norm_has_the_same_bits_with_any_number_of_threads():
    g, before = ng.randn(300_000), ng.get_num_threads()
    found = set()
    try:
        for n in (1, 2, 4):
            ng.set_num_threads(n)
            found.add(nn.utils.get_total_norm([g, g[:5000]]).item())
    finally:
        ng.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize("order", [2.0, math.inf, 1.0])
def test_clipping_in_a_compiled_function(order):
    eager, compiled = parameters((3, 4), (4,)), parameters((3, 4), (4,))
    total = nn.utils.clip_grad_norm_(eager, 0.5, order)
    assert ng.allclose(ng.compile(lambda: nn.utils.clip_grad_norm_(compiled, 0.5, order))(), total)
    for p, q in zip(eager, compiled, strict=True):
        assert p.grad is not None and q.grad is not None and ng.allclose(p.grad, q.grad)
    nn.utils.clip_grad_value_(eager, 0.01)
    ng.compile(lambda: nn.utils.clip_grad_value_(compiled, 0.01))()
    for p, q in zip(eager, compiled, strict=True):
        assert p.grad is not None and q.grad is not None and ng.allclose(p.grad, q.grad)


def test_an_empty_generator_of_parameters_warns():
    with pytest.warns(UserWarning, match="empty generator"):
        assert nn.utils.clip_grad_norm_((p for p in ()), 1.0).item() == 0


def test_nothing_changes_when_clipping_raises():
    (p,) = parameters((3,))
    p.grad = ng.tensor([1.0, math.nan, 2.0])
    with pytest.raises(RuntimeError, match=r"norm of order 2\.0 .* non-finite"):
        nn.utils.clip_grad_norm_(p, 0.1, error_if_nonfinite=True)
    assert p.grad.tolist()[::2] == [1, 2] and p.grad._version == 0


def test_gradients_that_float16_loses_are_kept():
    w = ng.tensor([1.0], requires_grad=True)

    def loss():
        return (w.half() * 2.0**-14).float().sum() * 2.0**-12

    loss().backward()
    assert w.grad is not None and w.grad.item() == 0
    w.grad = None  # type: ignore[method-assign]
    optimizer = ng.optim.SGD([w], lr=2.0**20)
    scaler = ng.amp.GradScaler(init_scale=2.0**20)
    scaler.scale(loss()).backward()
    scaler.step(optimizer)
    assert w.item() == 1 - 2.0**-6


def test_a_compiled_backward_pass_sees_the_scale_change():
    w = ng.ones(2, requires_grad=True)
    optimizer = ng.optim.SGD([w], lr=0.25)
    scaler = ng.amp.GradScaler(init_scale=8.0, growth_interval=1)
    loss = ng.compile(lambda: scaler.scale((w * w).sum()))
    for scale, left in ((8.0, 0.5), (16.0, 0.25), (32.0, 0.125)):
        optimizer.zero_grad()
        scaled = loss()
        assert scaled.item() == scale * 2 * (2 * left) ** 2
        scaled.backward()
        scaler.step(optimizer)
        scaler.update()
        assert w.tolist() == [left, left]


OPTIMIZERS = {
    "SGD": lambda p: ng.optim.SGD(p, lr=0.25),
    "momentum": lambda p: ng.optim.SGD(p, lr=0.25, momentum=0.5, weight_decay=0.1),
    "Adam": lambda p: ng.optim.Adam(p, lr=0.1, amsgrad=True),
    "Rprop": lambda p: ng.optim.Rprop(p, lr=0.1),
}


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_compiled_step_skips_bad_gradients_and_adapts_the_scale(name, clip):
    def train(compiled):
        w, idle = ng.ones(2, requires_grad=True), ng.ones(1, requires_grad=True)
        optimizer = OPTIMIZERS[name]([w, idle])
        scaler = ng.amp.GradScaler(init_scale=8.0, growth_interval=2)

        def step(x):
            optimizer.zero_grad()
            scaler.scale((w * w * x).sum()).backward()
            if clip:
                scaler.unscale_(optimizer)
                ng.nn.utils.clip_grad_norm_([w], 1.0)
            scaler.step(optimizer)
            scaler.update()

        run = ng.compile(step) if compiled else step
        seen = []
        for x in (math.inf, 1.0, 2.0, 3.0, math.nan, 1.0, 2.0, math.inf, 1.0, 2.0, 2.0):
            run(ng.tensor([x, 1.0]))
            seen.append([*w.tolist(), scaler.get_scale(), scaler.state_dict()["_growth_tracker"]])
        return seen

    assert np.allclose(train(True), train(False), rtol=1e-6)


def test_a_compiled_step_follows_the_options_of_the_scaler():
    w = ng.ones(2, requires_grad=True)
    optimizer = ng.optim.SGD([w], lr=0.25)
    scaler = ng.amp.GradScaler(init_scale=8.0, growth_interval=1)

    @ng.compile
    def step():
        optimizer.zero_grad()
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    step()
    scaler.set_growth_factor(4.0)
    step()
    assert scaler.get_scale() == 64


def test_a_compiled_function_takes_a_whole_round_of_scaling():
    w = ng.ones(2, requires_grad=True)
    optimizer = ng.optim.SGD([w], lr=0.25)
    scaler = ng.amp.GradScaler(init_scale=8.0)
    step = ng.compile(lambda: scaler.step(optimizer))
    scaler.scale(w.sum()).backward()
    step()
    assert w.tolist() == [0.75, 0.75]
    with pytest.raises(AssertionError, match="a compiled function does so, update"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="was called before a compiled function"):
        step()


@pytest.mark.parametrize("use_buffers", [False, True])
def test_compiled_averages_of_weights(use_buffers):
    def train(compiled):
        ng.manual_seed(0)
        model = ng.nn.Sequential(ng.nn.Linear(2, 3), ng.nn.BatchNorm1d(3))
        averages = ng.optim.swa_utils.AveragedModel(model, use_buffers=use_buffers)

        def step(x):
            loss = model(x).square().sum()
            for p, g in zip(model.parameters(), ng.autograd.grad(loss, [*model.parameters()])):
                p.data -= 0.1 * g
            averages.update_parameters(model)

        run = ng.compile(step) if compiled else step
        for _ in range(4):
            run(ng.arange(8.0).reshape(4, 2))
        return [t.tolist() for t in averages.state_dict().values()]

    for a, b in zip(train(True), train(False), strict=True):
        assert np.allclose(a, b, rtol=1e-5)


def test_a_scaler_for_another_device_is_off():
    with pytest.warns(UserWarning, match="runs on the CPU only. Disabling"):
        assert not ng.amp.GradScaler("cuda").is_enabled()


def test_a_huge_gradient_is_finite_though_the_sum_is_not():
    w = ng.zeros(2, requires_grad=True)
    optimizer = ng.optim.SGD([w], lr=1e-30)
    scaler = ng.amp.GradScaler(init_scale=1.0)
    scaler.scale((w * 3e38).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 1 and w.tolist() == pytest.approx([-3e8, -3e8])


def test_accumulation_adds_in_one_pass_and_leaves_others_alone():
    v, w, idle = (ng.zeros(2, requires_grad=True) for _ in range(3))
    batches = ng.autograd.GradientAccumulator([v, w, idle])
    for x in (1.0, 2.0, 6.0):
        (v * x).sum().backward()
        if x > 1:
            (w * x).sum().backward()
        batches.accumulate()
        assert v.grad is None
    batches.average()
    assert v.grad is not None and v.grad.tolist() == [3, 3]
    assert w.grad is not None and w.grad.tolist() == pytest.approx([8 / 3] * 2)
    assert idle.grad is None and batches.count == 3
    batches.reset()
    with pytest.raises(RuntimeError, match="nothing to average"):
        batches.average()
    assert v.grad.tolist() == [3, 3]


def test_accumulation_around_a_compiled_backward_pass():
    w = ng.ones(2, requires_grad=True)
    batches = ng.autograd.GradientAccumulator([w])
    backward = ng.compile(lambda x: (w * w * x).sum().backward())
    for x in (1.0, 2.0, 6.0):
        backward(ng.tensor(x))
        batches.accumulate()
    batches.average()
    assert w.grad is not None and w.grad.tolist() == [6, 6] and batches.count == 3
    with pytest.raises(RuntimeError, match="call it after the compiled function"):
        ng.compile(batches.accumulate)()
    assert batches.count == 3
