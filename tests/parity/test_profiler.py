"""Profiles have the shape of PyTorch's: what scripts read off them is the same in both."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import pytest

import numbagrad as ng
import numbagrad.autograd.profiler as ours

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torch.autograd.profiler")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]
BOTH = [pytest.param(ng, id="numbagrad"), pytest.param(torch, id="torch")]


def profiled(library: Any, **options: Any) -> Any:
    class Triple(library.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    x = library.ones(4, 5, requires_grad=True)
    w = library.ones(5, 3, requires_grad=True)
    with library.profiler.profile(**options) as prof, library.profiler.record_function("part"):
        (Triple.apply(x) @ w).tanh().exp().backward(library.ones(4, 3))
    return prof


def test_names_shapes_and_parents() -> None:
    """Of what both have; PyTorch lists what its ops call in turn, and the engine's own part."""

    def facts(library: Any) -> set[Any]:
        events = profiled(library, record_shapes=True).events()
        return {
            (e.name, str(e.input_shapes), e.scope, e.count)
            for e in events
            if e.name.startswith(("aten::matmul", "aten::tanh", "aten::exp", "part", "Triple"))
            or (e.name.startswith("Exp") or e.name.startswith("Tanh"))
        }

    found, expected = facts(ng), facts(torch)
    # PyTorch has an op for the gradient of tanh, and lists `mm` under the product in the backward.
    expected = {f for f in expected if f[0] != "aten::tanh_backward"}
    found = {f for f in found if f[0] != "aten::matmul" or f[1] == "[[4, 5], [5, 3]]"}
    assert found == expected


@pytest.mark.parametrize("library", BOTH)
def test_forward_and_backward_share_numbers(library: Any) -> None:
    events = profiled(library).events()
    for forward, backward in (("aten::exp", "ExpBackward0"), ("Triple", "TripleBackward")):
        (f,) = [e for e in events if e.name == forward]
        (b,) = [e for e in events if e.name == backward]
        assert f.sequence_nr == b.sequence_nr >= 0


@pytest.mark.parametrize("library", BOTH)
@pytest.mark.parametrize(
    "options", [{}, {"profile_memory": True}, {"with_flops": True, "record_shapes": True}]
)
def test_the_head_of_the_table(library: Any, options: dict[str, Any]) -> None:
    prof = profiled(library, **options)
    table = prof.key_averages(group_by_input_shape="record_shapes" in options).table(
        sort_by="self_cpu_time_total", row_limit=4
    )
    lines = table.splitlines()
    assert len(lines) == 3 + 4 + 2 and lines[0] == lines[2] == lines[7]
    assert lines[-1].startswith("Self CPU time total: ") and lines[-1].endswith("s")
    expected = "Name Self CPU % Self CPU CPU total % CPU total CPU time avg"
    expected += " CPU Mem Self CPU Mem" * ("profile_memory" in options) + " # of Calls"
    expected += " Input Shapes Total FLOPs" * ("with_flops" in options)
    assert " ".join(lines[1].split()) == expected


@pytest.mark.parametrize("library", BOTH)
def test_averages(library: Any) -> None:
    averages = {a.key: a for a in profiled(library, profile_memory=True).key_averages()}
    exp = averages["aten::exp"]
    assert exp.count == 1 and exp.cpu_memory_usage == exp.self_cpu_memory_usage == 48
    assert exp.cpu_time == exp.cpu_time_total >= exp.self_cpu_time_total > 0
    assert exp.cpu_time_str.endswith("us") or exp.cpu_time_str.endswith("ms")
    assert averages["part"].is_user_annotation


SORTS = ["cpu_time", "cpu_time_total", "self_cpu_time_total", "count", "cpu_memory_usage",
         "self_cpu_memory_usage", "flops", "cuda_time_total", "self_cuda_time_total", "cuda_time",
         "self_device_time_total", "device_time_total", "self_cuda_memory_usage"]  # fmt: skip


@pytest.mark.parametrize("library", BOTH)
def test_what_tables_are_sorted_by(library: Any) -> None:
    averages = profiled(library, profile_memory=True, with_stack=True).key_averages(
        group_by_stack_n=5
    )
    for name in SORTS:
        assert averages.table(sort_by=name, row_limit=-1).count("aten::exp ") == 1


PLANS = [
    dict(zip(("wait", "warmup", "active", "repeat", "skip_first", "skip_first_wait"), values))
    for values in itertools.product((0, 2), (0, 1), (1, 3), (0, 2), (0, 3), (0, 1))
]


def test_schedules() -> None:
    for plan in PLANS:
        mine, other = ng.profiler.schedule(**plan), torch.profiler.schedule(**plan)
        steps = range(25)
        assert [mine(i).name for i in steps] == [other(i).name for i in steps], plan


@pytest.mark.parametrize("plan", [p for p in PLANS if p["repeat"] == 2])
def test_when_traces_are_ready(plan: dict[str, int]) -> None:
    def ready(library: Any) -> list[Any]:
        found = []

        def note(p: Any) -> None:
            steps = sorted({e.name for e in p.events() if e.name.startswith("ProfilerStep")})
            found.append((p.step_num, steps, sum(e.name == "aten::mul" for e in p.events())))

        with library.profiler.profile(
            schedule=library.profiler.schedule(**plan), on_trace_ready=note
        ) as prof:
            for _ in range(8):
                library.ones(2).mul(2)
                prof.step()
        return found

    assert ready(ng) == ready(torch)


@pytest.mark.parametrize(
    "use",
    [
        lambda lib: lib.profiler.schedule(wait=0, warmup=0, active=0),
        lambda lib: lib.profiler.schedule(wait=0, warmup=0, active=1)(-1),
        lambda lib: lib.profiler.profile(activities=[]),
        lambda lib: lib.profiler.profile().events(),
        lambda lib: lib.profiler.profile().key_averages(),
        lambda lib: lib.profiler.profile().stop(),
        lambda lib: lib.profiler.profile().export_chrome_trace("unused"),
        lambda lib: lib.profiler.record_function(1).__enter__(),
        lambda lib: profiled(lib).key_averages().table(sort_by="bogus"),
        lambda lib: profiled(lib).export_stacks("unused", "self_cpu_time_total"),
    ],
)
def test_errors(use: Any) -> None:
    with pytest.raises(Exception) as expected:
        use(torch)
    with pytest.raises(type(expected.value)):
        use(ng)


def test_signatures_name_what_pytorch_names() -> None:
    """Each option of ours is one of PyTorch's, at the same place if it may be positional."""
    pairs = [
        (ours.profile.__init__, theirs.profile.__init__),
        (ours.EventList.table, theirs.EventList.table),
        (ours.EventList.key_averages, theirs.EventList.key_averages),
        (ours.profile.key_averages, theirs.profile.key_averages),
        (ng.profiler.profile.__init__, torch.profiler.profile.__init__),
        (ng.profiler.profile.key_averages, torch.profiler.profile.key_averages),
        (ng.profiler.schedule, torch.profiler.schedule),
        (ng.profiler.tensorboard_trace_handler, torch.profiler.tensorboard_trace_handler),
    ]
    for mine, other in pairs:
        a, b = inspect.signature(mine).parameters, inspect.signature(other).parameters
        assert list(a) == [n for n in b if n in a]
        assert all(a[n].default == b[n].default for n in a if n != "use_kineto")
