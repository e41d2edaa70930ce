"""Clipping, scaling, optimizers and schedules: programs for both libraries (see `programs`)."""

from __future__ import annotations

import copy
import math
from typing import Any

from . import leaf, outcome, program


def with_grads(lib, *grads, dtype=None):
    """Parameters with these gradients."""
    params = []
    for g in grads:
        g = lib.tensor(g, dtype=dtype or lib.float32)
        p = lib.zeros_like(g).requires_grad_()
        p.grad = g
        params.append(p)
    return params


# -- clipping -------------------------------------------------------------------------------------


@program
def clip_grad_norm(lib):
    found = []
    for order in (2, 2.0, 1, 3, 0.5, 0, math.inf, "inf", -math.inf):
        params = with_grads(lib, [[3.0, -4.0]], [1.0, 2.0, -7.0], 2.0)
        total = lib.nn.utils.clip_grad_norm_(params, 1.5, order)
        found.append([total, [p.grad for p in params]])
    return found


@program
def clip_grad_norm_leaves_small_ones(lib):
    params = with_grads(lib, [0.3, 0.4])
    return lib.nn.utils.clip_grad_norm_(params, 2.0), params[0].grad, params[0].grad._version


@program
def clip_grad_norm_of_one_tensor_none_and_nothing(lib):
    (p,) = with_grads(lib, [3.0, 4.0])
    q = leaf(lib, 1.0)
    clip = lib.nn.utils.clip_grad_norm_
    return [
        clip(p, 1.0), p.grad, clip([p, q], 1.0), clip([q], 1.0), clip([], 1.0),
        clip((x for x in [p]), 0.5), p.grad,
    ]  # fmt: skip


@program
def clip_grad_norm_not_finite(lib):
    found = []
    for bad in (math.inf, -math.inf, math.nan):
        for order in (2.0, math.inf, 1.0):
            params = with_grads(lib, [bad, 1.0], [2.0])
            clip = lambda raises: lib.nn.utils.clip_grad_norm_(  # noqa: E731
                params, 1.0, order, error_if_nonfinite=raises  # noqa: B023
            )  # fmt: skip
            found.append(outcome(lambda: clip(True)))  # noqa: B023
            found.append([p.grad.isfinite() for p in params])
            found.append([clip(False), [p.grad for p in params]])
    return found


@program
def clip_grad_norm_of_mixed_dtypes_and_layouts(lib):
    params = with_grads(lib, [3.0, 4.0]) + with_grads(lib, [1.0, 2.0], dtype=lib.float64)
    t = lib.zeros(2, 3).requires_grad_()
    t.grad = lib.arange(6.0).reshape(3, 2).t()
    e = lib.zeros(0).requires_grad_()
    e.grad = lib.zeros(0)
    params += [t, e]
    total = lib.nn.utils.clip_grad_norm_(params, 1.0)
    return total, [p.grad for p in params]


@program
def clip_grad_norm_of_halves_and_complex(lib):
    params = with_grads(lib, [3.0, 4.0], dtype=lib.float16)
    total = lib.nn.utils.clip_grad_norm_(params, 1.0)
    z = lib.tensor([1 + 1j], requires_grad=True)
    z.grad = lib.tensor([3 + 4j])
    return total, params[0].grad.float(), lib.nn.utils.clip_grad_norm_([z], 1.0), z.grad


@program
def total_norm_then_clip(lib):
    params = with_grads(lib, [3.0], [4.0])
    total = lib.nn.utils.get_total_norm([p.grad for p in params])
    lib.nn.utils.clip_grads_with_norm_(params, 1.0, total)
    return [
        total,
        [p.grad for p in params],
        lib.nn.utils.get_total_norm([]),
        lib.nn.utils.get_total_norm(lib.tensor([1.0, 2.0, 2.0])),
        outcome(lambda: lib.nn.utils.get_total_norm([lib.tensor([math.nan])], 2.0, True)),
    ]


@program
def clip_grad_value(lib):
    params = with_grads(lib, [3.0, -4.0, 0.2, math.nan, math.inf], [[-0.1]])
    q = leaf(lib, 1.0)
    result = lib.nn.utils.clip_grad_value_([*params, q], 0.5)
    lib.nn.utils.clip_grad_value_(params[0], 0.25)
    return result, [p.grad for p in params], params[0].grad._version > 0


@program
def parameters_and_vectors(lib):
    a, b = leaf(lib, 1.0, 2.0), lib.tensor([[3.0], [4.0]], requires_grad=True)
    vector = lib.nn.utils.parameters_to_vector([a, b])
    vector.pow(2).sum().backward()
    to = lib.nn.utils.vector_to_parameters
    to(lib.arange(4.0) * 10, [a, b])
    return [
        vector, a, b, a.grad, b.grad,
        outcome(lambda: to([1.0], [a])),
        outcome(lambda: to(lib.zeros(1), [a])),
        outcome(lambda: lib.nn.utils.parameters_to_vector([])),
    ]  # fmt: skip


# -- scaling --------------------------------------------------------------------------------------


def scaler(lib, **options):
    return lib.amp.GradScaler("cpu", **options)


def step(lib, s, w, opt, loss):
    opt.zero_grad()
    s.scale(loss).backward()
    s.step(opt)
    s.update()


@program
def scaler_in_a_loop(lib):
    w = leaf(lib, 1.0, 2.0)
    opt = lib.optim.SGD([w], lr=0.1)
    s = scaler(lib, init_scale=4.0, growth_interval=2)
    found = []
    for factor in (1.0, 1.0, math.inf, 1.0, math.nan, 1.0, 1.0, 1.0):
        step(lib, s, w, opt, (w * w).sum() * factor)
        found.append([w.detach().clone(), s.get_scale(), s.state_dict()["_growth_tracker"]])
    return found


@program
def scaler_unscales_for_clipping(lib):
    w = leaf(lib, 3.0, 4.0)
    opt = lib.optim.SGD([w], lr=1.0)
    s = scaler(lib)
    s.scale((w * w / 2).sum()).backward()
    scaled = w.grad.clone()
    s.unscale_(opt)
    total = lib.nn.utils.clip_grad_norm_([w], 1.0)
    s.step(opt)
    s.update()
    return scaled, total, w


@program
def scaler_of_several_outputs(lib):
    w = leaf(lib, 1.0)
    s = scaler(lib, init_scale=8.0)
    a, b = s.scale([w * 2, (w * 3).detach()])
    (c,) = s.scale((w,))
    return [
        a, b, c,
        [type(s.scale(x)).__name__ for x in ([w], (w,))],
        list(s.scale(x for x in [w])),
        s.scale([[w], w]),
        outcome(lambda: s.scale(3.0)),
    ]  # fmt: skip


@program
def scaler_with_two_optimizers(lib):
    v, w = leaf(lib, 1.0), leaf(lib, 2.0)
    first, second = lib.optim.SGD([v], lr=1.0), lib.optim.SGD([w], lr=1.0)
    s = scaler(lib, init_scale=4.0)
    s.scale(v.sum() + (w * math.inf).sum()).backward()
    s.step(first)
    s.step(second)
    s.update()
    return v, w, s.get_scale()


@program
def scaler_used_wrongly(lib):
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=1.0)
    s = scaler(lib)
    found = [outcome(lambda: s.step(opt)), outcome(s.update), outcome(lambda: s.unscale_(opt))]
    s.scale(w.sum()).backward()
    found.append(outcome(s.update))
    s.unscale_(opt)
    found.append(outcome(lambda: s.unscale_(opt)))
    s.step(opt)
    found.append(outcome(lambda: s.step(opt)))
    found.append(outcome(lambda: s.unscale_(opt)))
    found.append(outcome(lambda: s.step(opt, closure=lambda: 1.0)))
    s.update()
    found.append(outcome(lambda: scaler(lib, growth_factor=1.0)))
    found.append(outcome(lambda: scaler(lib, backoff_factor=1.0)))
    half = lib.tensor([1.0], dtype=lib.float16, requires_grad=True)
    opt = lib.optim.SGD([half], lr=1.0)
    s.scale(half.sum()).backward()
    found.append(outcome(lambda: s.step(opt)))
    return found


@program
def scaler_state(lib):
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=1.0)
    s = scaler(lib, init_scale=4.0, growth_interval=3)
    before = sorted(s.state_dict().items())
    step(lib, s, w, opt, w.sum())
    other = scaler(lib)
    other.load_state_dict(s.state_dict())
    step(lib, other, w, opt, w.sum())
    step(lib, other, w, opt, w.sum())
    off = scaler(lib, enabled=False)
    return [
        [list(x) for x in before],
        [list(x) for x in sorted(other.state_dict().items())],
        sorted(off.state_dict()), off.get_scale(), off.is_enabled(), off.load_state_dict({}),
        outcome(lambda: s.load_state_dict({})),
        [s.get_growth_factor(), s.get_backoff_factor(), s.get_growth_interval()],
    ]  # fmt: skip


@program
def scaler_set_by_hand(lib):
    w = leaf(lib, 1.0)
    s = scaler(lib, init_scale=4.0)
    s.scale(w)
    found = []
    for new in (16.0, lib.tensor(2.0)):
        s.update(new)
        found.append(s.get_scale())
    found.append(outcome(lambda: s.update(lib.tensor([1.0, 2.0]))))
    found.append(outcome(lambda: s.update(leaf(lib, 1.0))))
    s.set_growth_factor(3.0)
    s.set_backoff_factor(0.1)
    s.set_growth_interval(7)
    return found, [list(x) for x in sorted(s.state_dict().items())]


@program
def scaler_switched_off(lib):
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=1.0)
    s = scaler(lib, enabled=False)
    s.scale((w * 2).sum()).backward()
    s.unscale_(opt)
    value = s.step(opt, lambda: 5.0)
    s.update()
    return w, value


@program
def scaler_does_not_grow_to_infinity(lib):
    w = leaf(lib, 0.0)
    opt = lib.optim.SGD([w], lr=1.0)
    s = scaler(lib, init_scale=2.0**127, growth_interval=1)
    step(lib, s, w, opt, w.sum() * 1e-20)
    return s.get_scale()


# -- optimizers -----------------------------------------------------------------------------------


@program
def optimizer_state_round_trip(lib):
    def make():
        w = leaf(lib, 1.0, 2.0)
        return w, lib.optim.Adam([{"params": [w], "lr": 0.1}], betas=(0.8, 0.9))

    def run(w, opt, n):
        for _ in range(n):
            opt.zero_grad()
            (w**2).sum().backward()
            opt.step()

    w, opt = make()
    run(w, opt, 3)
    v, other = make()
    with lib.no_grad():
        v.copy_(w)
    other.load_state_dict(copy.deepcopy(opt.state_dict()))
    run(w, opt, 2)
    run(v, other, 2)
    state = opt.state_dict()
    return [
        w, v, sorted(state), sorted(state["state"][0]), state["param_groups"][0]["lr"],
        state["param_groups"][0]["params"], len(opt.state),
        outcome(lambda: lib.optim.SGD([leaf(lib, 1.0)], lr=1.0).load_state_dict(
            lib.optim.SGD([leaf(lib, 1.0), leaf(lib, 1.0)], lr=1.0).state_dict())),
    ]  # fmt: skip


@program
def optimizer_hooks(lib):
    log = []
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=0.5)
    pre = opt.register_step_pre_hook(lambda o, args, kwargs: log.append(["pre", o is opt]))
    post = opt.register_step_post_hook(
        lambda o, args, kwargs: log.append(["post", len(args), sorted(kwargs)])
    )
    w.sum().backward()
    opt.step()
    opt.step(lambda: 1.0)
    pre.remove()
    opt.step(closure=lambda: 2.0)
    post.remove()
    opt.step()
    return log, w


@program
def optimizer_pre_hook_changes_arguments(lib):
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=0.5)
    opt.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7.0), {}))
    bad = lib.optim.SGD([w], lr=0.5)
    bad.register_step_pre_hook(lambda o, args, kwargs: 3)
    return opt.step(lambda: 1.0), outcome(bad.step)


@program
def optimizer_state_dict_hooks(lib):
    log = []
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=0.5, momentum=0.9)
    opt.register_state_dict_pre_hook(lambda o: log.append("pre"))
    opt.register_state_dict_post_hook(lambda o, d: {**d, "mine": 1})
    opt.register_load_state_dict_pre_hook(lambda o, d: log.append(["load", sorted(d)]))
    opt.register_load_state_dict_post_hook(lambda o: log.append("loaded"))
    state = opt.state_dict()
    opt.load_state_dict(state)
    return log, sorted(state)


@program
def optimizer_copied(lib):
    log = []
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=0.5, momentum=0.9)
    opt.register_step_post_hook(lambda *_: log.append("step"))
    w.sum().backward()
    opt.step()
    other = copy.deepcopy(opt)
    other.register_step_pre_hook(lambda *_: log.append("other"))
    (v,) = other.param_groups[0]["params"]
    v.grad = lib.ones(1)
    other.step()
    return log, w, v, v is w, len(other.state)


@program
def optimizer_zero_grad(lib):
    w = leaf(lib, 1.0, 2.0)
    opt = lib.optim.SGD([w], lr=0.5)
    (w * w).sum().backward()
    before = w.grad
    opt.zero_grad(set_to_none=False)
    found = [w.grad is before, w.grad.clone()]
    (w * w).sum().backward()
    opt.zero_grad()
    return found, w.grad


@program
def optimizer_groups(lib):
    v, w = leaf(lib, 1.0), leaf(lib, 2.0)
    opt = lib.optim.SGD([{"params": [v], "lr": 1.0}, {"params": w}], lr=0.1)
    u = leaf(lib, 3.0)
    opt.add_param_group({"params": [u], "lr": 0.01})
    (v + w + u).sum().backward()
    opt.step()
    for group in opt.param_groups:
        group["lr"] *= 0.5
    opt.step()
    return [
        v, w, u, [g["lr"] for g in opt.param_groups],
        outcome(lambda: opt.add_param_group({"params": [v]})),
        outcome(lambda: lib.optim.SGD([v * 2], lr=0.1)),
        outcome(lambda: lib.optim.SGD([], lr=0.1)),
        outcome(lambda: lib.optim.SGD(v, lr=0.1)),
        outcome(lambda: lib.optim.SGD([v], lr=-0.1)),
        outcome(lambda: lib.optim.SGD([1.0], lr=0.1)),
    ]  # fmt: skip


@program
def optimizer_with_closure(lib):
    w = leaf(lib, 2.0)
    opt = lib.optim.SGD([w], lr=0.1)
    log = []

    def closure():
        opt.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        log.append(lib.is_grad_enabled())
        return loss

    with lib.no_grad():
        loss = opt.step(closure)
    return loss, w, log


@program
def optimizer_defaults_and_repr(lib):
    w = leaf(lib, 1.0)
    found = []
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad"):
        opt = getattr(lib.optim, name)([w], lr=0.25)
        found.append([name, opt.param_groups[0]["lr"], opt.defaults["weight_decay"]])
    return found


@program
def optimizer_with_named_parameters(lib):
    lib.manual_seed(0)
    model = lib.nn.Linear(2, 1)
    opt = lib.optim.SGD(model.named_parameters(), lr=0.1)
    return opt.param_groups[0]["param_names"], opt.state_dict()["param_groups"][0]["param_names"]


# -- schedules ------------------------------------------------------------------------------------


def rates(lib, make, n=8, lr=1.0):
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=lr)
    schedule = make(opt)
    found = [opt.param_groups[0]["lr"]]
    for _ in range(n):
        opt.step()
        schedule.step()
        found.append(opt.param_groups[0]["lr"])
    return found, [float(x) for x in schedule.get_last_lr()]


@program
def schedules(lib):
    s = lib.optim.lr_scheduler
    makers = [
        lambda o: s.StepLR(o, 3, 0.1),
        lambda o: s.MultiStepLR(o, [2, 5], 0.5),
        lambda o: s.ExponentialLR(o, 0.9),
        lambda o: s.CosineAnnealingLR(o, 6, 0.1),
        lambda o: s.LambdaLR(o, lambda n: 1 / (n + 1)),
        lambda o: s.LinearLR(o, 0.25, 1.0, 4),
        lambda o: s.ConstantLR(o, 0.5, 3),
        lambda o: s.OneCycleLR(o, 1.0, total_steps=10),
        lambda o: s.CosineAnnealingWarmRestarts(o, 3),
        lambda o: s.PolynomialLR(o, 5, 2.0),
        lambda o: s.MultiplicativeLR(o, lambda n: 0.9),
        lambda o: s.CyclicLR(o, 0.1, 1.0, 3, cycle_momentum=False),
    ]
    return [rates(lib, m) for m in makers]


@program
def schedules_with_momentum_and_modes(lib):
    s = lib.optim.lr_scheduler
    found = []
    makers = [
        lambda o: s.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=5, anneal_strategy="linear"),
        lambda o: s.OneCycleLR(o, [1.0], 12, three_phase=True, pct_start=0.25),
        lambda o: s.OneCycleLR(o, 1.0, 10, cycle_momentum=False, div_factor=5.0),
        lambda o: s.CyclicLR(o, 0.1, 1.0, 2, 3),
        lambda o: s.CyclicLR(o, 0.1, 1.0, 2, mode="triangular2"),
        lambda o: s.CyclicLR(o, 0.1, 1.0, 2, mode="exp_range", gamma=0.9),
        lambda o: s.CyclicLR(o, 0.1, 1.0, 2, scale_fn=lambda n: 1 / n, max_momentum=[0.8]),
        lambda o: s.CosineAnnealingWarmRestarts(o, 2, 2, 0.1),
    ]
    for maker in makers:
        for kind in (lambda p: lib.optim.SGD(p, lr=1.0, momentum=0.5), lib.optim.Adam):
            opt = kind([leaf(lib, 1.0)])
            schedule = maker(opt)
            for _ in range(9):
                group = opt.param_groups[0]
                found.append([group["lr"], group.get("momentum"), list(group.get("betas", ()))])
                opt.step()
                schedule.step()
    return found


@program
def schedules_made_wrongly(lib):
    s = lib.optim.lr_scheduler
    w = leaf(lib, 1.0)
    o = lib.optim.SGD([w], lr=1.0)
    other = lib.optim.SGD([w], lr=1.0)
    plateau = s.ReduceLROnPlateau(o)
    done = s.OneCycleLR(o, 1.0, 2)
    for _ in range(2):
        o.step()
        done.step()
    calls = [
        lambda: s.OneCycleLR(o, 1.0),
        lambda: s.OneCycleLR(o, 1.0, 0),
        lambda: s.OneCycleLR(o, 1.0, epochs=1, steps_per_epoch=0),
        lambda: s.OneCycleLR(o, 1.0, 5, pct_start=2.0),
        lambda: s.OneCycleLR(o, 1.0, 5, anneal_strategy="other"),
        lambda: s.OneCycleLR(lib.optim.Adagrad([w]), 1.0, 5),
        lambda: s.CyclicLR(o, [0.1, 0.2], 1.0),
        lambda: s.CyclicLR(o, 0.1, 1.0, mode="other"),
        lambda: s.CyclicLR(lib.optim.Adagrad([w]), 0.1, 1.0),
        lambda: s.CosineAnnealingWarmRestarts(o, 0),
        lambda: s.CosineAnnealingWarmRestarts(o, 2, 0),
        lambda: s.CosineAnnealingWarmRestarts(o, 2).step(-1),
        lambda: s.SequentialLR(o, [], []),
        lambda: s.SequentialLR(o, [s.StepLR(o, 1)], [1]),
        lambda: s.SequentialLR(o, [s.StepLR(o, 1), plateau], [1]),
        lambda: s.SequentialLR(o, [s.StepLR(o, 1), s.StepLR(other, 1)], [1]),
        lambda: s.ChainedScheduler([]),
        lambda: s.ChainedScheduler([plateau]),
        lambda: s.StepLR(w, 1),
        done.step,
    ]
    return [outcome(call) for call in calls]


@program
def schedules_of_schedules_keep_their_state(lib):
    s = lib.optim.lr_scheduler

    def make():
        o = lib.optim.SGD([leaf(lib, 1.0)], lr=1.0)
        inner = [s.LinearLR(o, 0.5, total_iters=3), s.CosineAnnealingLR(o, 4)]
        return o, s.SequentialLR(o, inner, [3])

    def run(o, schedule, n):
        found = []
        for _ in range(n):
            o.step()
            schedule.step()
            found.append(o.param_groups[0]["lr"])
        return found

    o, schedule = make()
    run(o, schedule, 4)
    other, again = make()
    other.load_state_dict(o.state_dict())
    again.load_state_dict(schedule.state_dict())
    return run(o, schedule, 3), run(other, again, 3), again.last_epoch


@program
def schedules_go_to_an_epoch(lib):
    s = lib.optim.lr_scheduler
    found = []
    for maker in (
        lambda o: s.StepLR(o, 3), lambda o: s.LinearLR(o), lambda o: s.ConstantLR(o),
        lambda o: s.PolynomialLR(o, 5), lambda o: s.CosineAnnealingLR(o, 4),
        lambda o: s.CosineAnnealingWarmRestarts(o, 2),
        lambda o: s.CosineAnnealingWarmRestarts(o, 2, 2),
    ):  # fmt: skip
        o = lib.optim.SGD([leaf(lib, 1.0)], lr=1.0)
        schedule = maker(o)
        o.step()
        for epoch in (4, 1, 7):
            schedule.step(epoch)
            found.append(o.param_groups[0]["lr"])
    return found


@program
def schedules_in_a_row_and_together(lib):
    s = lib.optim.lr_scheduler
    return [
        rates(lib, lambda o: s.SequentialLR(
            o, [s.LinearLR(o, 0.5, total_iters=2), s.ExponentialLR(o, 0.5)], [3])),
        rates(lib, lambda o: s.ChainedScheduler(
            [s.ConstantLR(o, 0.5, 2), s.ExponentialLR(o, 0.9)])),
    ]  # fmt: skip


@program
def schedule_on_a_plateau(lib):
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=1.0)
    schedule = lib.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.1, patience=1)
    found = []
    for loss in (1.0, 0.9, 0.95, 0.95, 0.95, 0.5, 0.6, 0.6, 0.6):
        schedule.step(loss)
        found.append(opt.param_groups[0]["lr"])
    return found


@program
def schedule_state(lib):
    w = leaf(lib, 1.0)
    opt = lib.optim.SGD([w], lr=1.0)
    schedule = lib.optim.lr_scheduler.StepLR(opt, 2, 0.5)
    for _ in range(3):
        opt.step()
        schedule.step()
    state = schedule.state_dict()
    other = lib.optim.SGD([w], lr=1.0)
    again = lib.optim.lr_scheduler.StepLR(other, 2, 0.5)
    again.load_state_dict(state)
    other.step()
    again.step()
    return [
        state["last_epoch"], state["step_size"], state["gamma"], again.last_epoch,
        other.param_groups[0]["lr"], [float(x) for x in again.get_last_lr()],
    ]  # fmt: skip


# -- L-BFGS ---------------------------------------------------------------------------------------


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def minimise(lib, f, start, n=3, **options):
    p = lib.tensor(start, dtype=lib.float64, requires_grad=True)
    opt = lib.optim.LBFGS([p], **options)
    calls = [0]

    def closure():
        calls[0] += 1
        opt.zero_grad()
        loss = f(p)
        loss.backward()
        return loss

    found = []
    for _ in range(n):
        loss = opt.step(closure)
        state = opt.state[p]
        found.append([loss, p.detach().clone(), calls[0], state["n_iter"], state["func_evals"]])
    return found


@program
def lbfgs(lib):
    quadratic = lambda p: (p * p * lib.tensor([1.0, 10.0], dtype=lib.float64)).sum()  # noqa: E731
    bumpy = lambda p: (p * p).sum() + (3 * p).sin().sum()  # noqa: E731
    return [
        minimise(lib, quadratic, [3.0, -4.0], max_iter=4),
        minimise(lib, quadratic, [3.0, -4.0], lr=0.5, max_iter=3, history_size=2),
        minimise(lib, bumpy, [2.0, -1.5], max_iter=5),
        minimise(lib, quadratic, [0.0, 0.0]),
        minimise(lib, quadratic, [3.0, -4.0], max_iter=4, max_eval=3),
    ]


@program
def lbfgs_with_line_search(lib):
    bumpy = lambda p: (p * p).sum() + (3 * p).sin().sum()  # noqa: E731
    steep = lambda p: ((p * 5).exp() + (-p).exp()).sum()  # noqa: E731
    search: Any = {"line_search_fn": "strong_wolfe"}
    return [
        minimise(lib, rosenbrock, [-1.2, 1.0], n=4, max_iter=7, **search),
        minimise(lib, rosenbrock, [2.0, 2.0], n=4, history_size=3, **search),
        minimise(lib, bumpy, [2.0, -1.5], **search),
        minimise(lib, bumpy, [5.0, 0.1], lr=0.1, **search),
        minimise(lib, steep, [2.0, -3.0], **search),
        minimise(lib, steep, [0.1, 3.0], max_eval=6, **search),
    ]


@program
def lbfgs_used_wrongly(lib):
    a, b = leaf(lib, 1.0), leaf(lib, 2.0)
    one = lib.optim.LBFGS([a], line_search_fn="other")

    def closure():
        loss = (a * a).sum()
        loss.backward()
        return loss

    return [
        outcome(lambda: lib.optim.LBFGS([{"params": [a]}, {"params": [b]}])),
        outcome(lambda: lib.optim.LBFGS([a], lr=-1.0)),
        outcome(lambda: one.step(closure)),
        outcome(lambda: lib.optim.LBFGS([a]).step()),
    ]


@program
def lbfgs_of_several_parameters(lib):
    w, b = lib.tensor([[1.0, -2.0]], requires_grad=True), leaf(lib, 0.5)
    idle = leaf(lib, 9.0)
    x = lib.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    y = lib.tensor([[1.0], [0.0], [2.0]])
    opt = lib.optim.LBFGS([w, b, idle], max_iter=3)

    def closure():
        opt.zero_grad()
        loss = (x @ w.t() + b - y).pow(2).mean()
        loss.backward()
        return loss

    losses = [opt.step(closure).detach() for _ in range(3)]
    return losses, w, b, idle, opt.state_dict()["state"][0]["n_iter"]


# -- sequences ------------------------------------------------------------------------------------


@program
def padded_sequences(lib):
    rnn = lib.nn.utils.rnn
    a, b, c = leaf(lib, 1.0, 2.0, 3.0), leaf(lib, 4.0), lib.zeros(0)
    m, n = lib.ones(2, 3), lib.ones(1, 3) * 2
    padded = rnn.pad_sequence([a, b, c])
    (padded * padded).sum().backward()
    back = rnn.unpad_sequence(padded.detach(), lib.tensor([3, 1, 0]))
    return [
        padded, a.grad, b.grad, back,
        rnn.pad_sequence([b, a], batch_first=True, padding_value=-1.0),
        rnn.pad_sequence([b, a], True, 7.0, "left"),
        rnn.pad_sequence([m, n]), rnn.pad_sequence([n, m], batch_first=True),
        rnn.pad_sequence([lib.tensor([1, 2]), lib.tensor([3])], padding_value=9),
        outcome(lambda: rnn.pad_sequence([])),
        outcome(lambda: rnn.pad_sequence([m, lib.ones(2, 2)])),
        outcome(lambda: rnn.pad_sequence([a], padding_side="top")),
        rnn.unpad_sequence(rnn.pad_sequence([m, n], batch_first=True), lib.tensor([2, 1]), True),
    ]  # fmt: skip


@program
def settings_before_training(lib):
    before = (
        lib.backends.cudnn.deterministic, lib.backends.cudnn.benchmark,
        lib.are_deterministic_algorithms_enabled(), lib.get_float32_matmul_precision(),
    )  # fmt: skip
    lib.backends.cuda.matmul.allow_tf32 = False
    lib.use_deterministic_algorithms(True, warn_only=True)
    lib.set_float32_matmul_precision("high")
    after = (
        lib.are_deterministic_algorithms_enabled(),
        lib.get_float32_matmul_precision(), lib.backends.mps.is_available(),
        lib.cuda.is_available(), lib.cuda.device_count(),
    )  # fmt: skip
    lib.use_deterministic_algorithms(before[2])
    lib.set_float32_matmul_precision(before[3])
    kinds = [type(value).__name__ for value in before]
    return kinds, after, outcome(lambda: lib.use_deterministic_algorithms(1))


@program
def a_parameter_named_twice_in_a_group(lib):
    p = leaf(lib, 1.0, 2.0)
    p.grad = lib.ones(2)
    lib.optim.SGD([p, p], lr=0.1).step()
    q = leaf(lib, 1.0)
    return p, outcome(lambda: str(lib.optim.SGD([{"params": [q]}, {"params": [q]}], lr=0.1)))
