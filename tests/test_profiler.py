"""The profiler: what it records, what it makes of it, and that it is gone when it is off."""

from __future__ import annotations

import gc
import gzip
import json
import multiprocessing
import os
import sys
import threading

import pytest

import numbagrad as ng
from numbagrad.autograd.profiler import profile, record_function
from numbagrad.dispatch import bind
from numbagrad.modes import Modes, thread
from numbagrad.tape import record


def names(prof):
    return [e.name for e in prof.function_events]


def by_name(prof, name):
    return [e for e in prof.function_events if e.name == name]


def state():
    """What a profiler changes in the modes of this thread."""
    return {slot: getattr(thread.modes, slot) for slot in Modes.__slots__}


def step(x, w):
    with record_function("step"):
        (x @ w).tanh().sum().backward()


@pytest.fixture
def data():
    return ng.ones(4, 5, requires_grad=True), ng.ones(5, 3, requires_grad=True)


# -- what is recorded -----------------------------------------------------------------------------


def test_ops_nodes_and_named_parts(data):
    with profile(record_shapes=True) as prof:
        step(*data)
    assert names(prof)[:4] == ["step", "aten::matmul", "aten::tanh", "aten::sum"]
    (whole,), (product,) = by_name(prof, "step"), by_name(prof, "aten::matmul")[:1]
    assert product.cpu_parent is whole and product in whole.cpu_children
    assert product.input_shapes == [[4, 5], [5, 3]]
    (node,) = by_name(prof, "MatmulBackward0")
    assert (
        node.input_shapes == [[4, 3]]
        and [c.name for c in node.cpu_children].count("aten::matmul") == 2
    )
    assert len(by_name(prof, "AccumulateGrad")) == 2


def test_times_nest(data):
    with profile() as prof:
        step(*data)
    for e in prof.function_events:
        assert e.cpu_time_total == e.time_range.elapsed_us() >= 0
        assert e.self_cpu_time_total >= 0
        for c in e.cpu_children:
            assert e.time_range.start <= c.time_range.start
            assert c.time_range.end <= e.time_range.end
    whole = prof.function_events[0].cpu_time_total
    assert prof.self_cpu_time_total == pytest.approx(whole)


def test_forward_and_backward_have_the_same_number(data):
    with profile() as prof:
        step(*data)
    for op, node in (("matmul", "Matmul"), ("tanh", "Tanh"), ("sum", "Sum")):
        forward, backward = by_name(prof, f"aten::{op}")[0], by_name(prof, f"{node}Backward0")[0]
        assert forward.sequence_nr == backward.sequence_nr >= 0
        assert backward.fwd_thread == forward.thread == threading.get_native_id()
        assert (forward.scope, backward.scope) == (0, 1)
    numbers = [e.sequence_nr for e in prof.function_events if e.sequence_nr >= 0 and e.scope == 0]
    assert len(numbers) == len(set(numbers)) == 3


def test_numbers_of_a_second_derivative():
    x = ng.ones(3, requires_grad=True)
    with profile() as prof:
        (g,) = ng.autograd.grad(x.sin().sum(), x, create_graph=True)
        g.sum().backward()
    (cos,) = by_name(prof, "aten::cos")
    assert cos.cpu_parent.name == "SinBackward0"
    assert cos.sequence_nr == by_name(prof, "CosBackward0")[0].sequence_nr


def test_only_nodes_that_run(data):
    x, w = data
    with profile() as prof:
        ng.autograd.grad((x.exp() + w.sum()).sum(), x)
    assert "ExpBackward0" in names(prof)
    assert names(prof).count("SumBackward0") == 1


def test_memory():
    x = ng.ones(1000)
    with profile(profile_memory=True) as prof:
        y = (x * 2).reshape(10, 100)
        z = y + 1
        with record_function("free"):
            del y
        del z
    product, view, plus = prof.function_events[:3]
    assert (product.cpu_memory_usage, plus.cpu_memory_usage) == (4000, 4000)
    assert view.name == "aten::view" and view.cpu_memory_usage == 0
    assert by_name(prof, "free")[0].cpu_memory_usage == -4000
    assert by_name(prof, "[memory]")[0].self_cpu_memory_usage == -4000
    assert "[memory]" in prof.key_averages().table()


def test_memory_that_another_thread_gives_back():
    kept = []
    with profile(profile_memory=True) as prof, record_function("part"):
        kept.append(ng.ones(1000) * 2)
        t = threading.Thread(target=kept.clear)
        t.start()
        t.join()
    (freed,) = by_name(prof, "[memory]")
    assert freed.self_cpu_memory_usage == -4000 and freed.cpu_parent is None
    assert freed.thread != prof.function_events[0].thread


def test_memory_counts_the_whole_of_a_part():
    x = ng.ones(1000)
    with profile(profile_memory=True) as prof, record_function("part"):
        y = x * 2 + 1
    part = prof.function_events[0]
    assert part.cpu_memory_usage == y.nbytes and part.self_cpu_memory_usage == -4000


def test_memory_is_not_asked_for():
    with profile() as prof:
        y = ng.ones(1000) * 2
        del y
    assert names(prof) == ["aten::mul"] and prof.function_events[0].cpu_memory_usage == 0
    assert "CPU Mem" not in str(prof)


def test_flops(data):
    x, w = data
    with profile(with_flops=True) as prof:
        (x @ w).mul(2)
        ng.nn.functional.conv1d(ng.ones(1, 2, 10), ng.ones(3, 2, 4))
    assert [e.flops for e in prof.function_events[:2]] == [2 * 4 * 5 * 3, 12]
    assert by_name(prof, "aten::conv")[0].flops == 2 * 3 * 7 * 2 * 4
    assert "FLOPs" in prof.key_averages().table()
    with profile() as prof:
        x.matmul(w)
    assert prof.function_events[0].flops == 0


def test_stacks(tmp_path, data):
    with profile(with_stack=True) as prof:
        step(*data)
    tanh = by_name(prof, "aten::tanh")[0]
    assert tanh.stack[0].startswith(__file__) and tanh.stack[0].endswith("): step")
    assert tanh.stack[1].endswith("): test_stacks")
    assert "test_profiler.py" in prof.key_averages(group_by_stack_n=1).table()
    path = tmp_path / "stacks"
    prof.export_stacks(str(path))
    frames, count = path.read_text().splitlines()[0].rsplit(" ", 1)
    assert int(count) > 0 and "test_profiler.py" in frames
    with pytest.raises(ValueError, match="self_cpu_time_total"):
        prof.export_stacks(str(path), "bogus")


def test_functions_and_optimizers_are_parts(data):
    class Double(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x, _ = data
    optimizer = ng.optim.SGD([x], lr=0.1)
    with profile(record_shapes=True) as prof:
        Double.apply(x).sum().backward()
        optimizer.step()
    assert by_name(prof, "aten::mul")[0].cpu_parent.name == "Double"
    forward, backward = by_name(prof, "Double")[0], by_name(prof, "DoubleBackward")[0]
    assert forward.sequence_nr == backward.sequence_nr >= 0
    assert forward.input_shapes == [[4, 5]]
    assert "Optimizer.step#SGD.step" in names(prof)


def test_what_runs_under_transforms():
    with profile() as prof:
        ng.func.vmap(ng.func.grad(lambda x: (x * x).sum()))(ng.ones(2, 3))
    assert "aten::mul" in names(prof)


# -- compiled functions ---------------------------------------------------------------------------


@ng.compile
def layer(x, w):
    return ng.tanh(x @ w).sum()


def test_compiled_functions_are_broken_down_by_kernel(data):
    expected = layer(*data)
    assert "mean of" not in layer.explain()
    with profile(with_flops=True, profile_memory=True) as prof:
        value = layer(*data)
        value.backward()
    assert value.item() == expected.item()
    region = prof.function_events[0]
    assert region.name == "Compiled Region: layer" and region.input_shapes == [[4, 5], [5, 3]]
    product, tanh, total = region.cpu_children
    assert product.name.startswith("matmul") and product.flops == 2 * 4 * 5 * 3
    assert product.bytes_moved == 4 * (4 * 5 + 5 * 3 + 4 * 3)
    assert "tanh" in tanh.name and tanh.flops == 12 and tanh.bytes_moved == 4 * 24
    assert total.name.startswith("sum") and total.flops == 12
    (node,) = by_name(prof, "CompiledFunctionBackward")
    assert node.sequence_nr == region.sequence_nr >= 0
    assert sum(c.name.startswith("matmul") for c in node.cpu_children) == 2
    assert region.self_cpu_memory_usage >= 4
    table = prof.key_averages().table()
    assert "Bytes moved" in table and product.name in table
    assert layer.explain().count("us (mean of 1)") == 6


def test_profiled_calls_give_the_same_bits():
    x = ng.linspace(-3, 3, 1000).reshape(10, 100)
    f = ng.compile(lambda x: ng.softmax(x * 2, dim=1).cumsum(dim=0).sum(dim=1))
    plain = f(x)
    with profile() as prof:
        profiled = f(x)
    assert (plain.numpy() == profiled.numpy()).all()
    assert "aten::cumsum" in names(prof)  # a NumPy step
    assert f.explain().count("us (mean of 1)") == sum(
        e.cpu_parent is not None for e in prof.function_events
    )


def test_a_hot_compiled_function_is_seen():
    f = ng.compile(lambda x: x * 2 + 1)
    x = ng.ones(3)
    for _ in range(3):
        f(x)
    with profile() as prof:
        f(x)
    assert len(names(prof)) == 2 and f(x).tolist() == [3, 3, 3]


def test_compilation_is_an_event():
    f = ng.compile(lambda x: x * 2 + 1)
    with profile() as prof:
        f(ng.ones(3))
    assert names(prof)[:2] == ["Compiled Region: <lambda>", "Compilation: <lambda>"]


# -- tables ---------------------------------------------------------------------------------------


def test_averages(data):
    with profile(record_shapes=True) as prof:
        for n in (1, 2, 2):
            ng.ones(n).mul(2)
        step(*data)
    averages = {a.key: a for a in prof.key_averages()}
    mul = averages["aten::mul"]
    assert mul.count == 3 and mul.cpu_time == pytest.approx(mul.cpu_time_total / 3)
    events = by_name(prof, "aten::mul")
    assert mul.cpu_time_total == pytest.approx(sum(e.cpu_time_total for e in events))
    grouped = prof.key_averages(group_by_input_shape=True)
    assert {str(a.input_shapes): a.count for a in grouped if a.key == "aten::mul"} == {
        "[[1], []]": 1,
        "[[2], []]": 2,
    }
    total = prof.total_average()
    assert total.key == "Total" and total.count == len(prof.function_events)
    assert total.self_cpu_time_total == pytest.approx(prof.self_cpu_time_total)


def test_table(data):
    with profile(record_shapes=True) as prof:
        for _ in range(2):
            step(*data)
    table = prof.key_averages().table(sort_by="count", row_limit=2, header="the steps")
    lines = table.splitlines()
    assert lines[1] == "the steps"
    assert lines[3].split("  ")[0].strip() == "" and "Name" in lines[3] and "# of Calls" in lines[3]
    assert len({len(line) for line in lines[:-1]} - {len("the steps")}) == 1
    rows = lines[5:-2]
    assert len(rows) == 2 and "aten::matmul" in rows[0] and rows[0].split()[-1] == "6"
    assert lines[-1].startswith("Self CPU time total: ")
    assert "Input Shapes" not in table
    assert "Input Shapes" in prof.key_averages(group_by_input_shape=True).table()
    top = prof.table(top_level_events_only=True, time_unit="s")
    assert top.count("step") == 2 and "aten::tanh" not in top and "us" not in top.split("Name")[1]
    with pytest.raises(AttributeError, match="bogus"):
        prof.table(sort_by="bogus")


def test_long_names_are_cut():
    with profile() as prof, record_function("x" * 100):
        ng.ones(1).mul(2)
    assert "x" * 52 + "..." in str(prof)
    assert "x" * 100 in prof.table(max_name_column_width=None)


# -- traces ---------------------------------------------------------------------------------------


def read_trace(path):
    with gzip.open(path, "rt") if str(path).endswith(".gz") else open(path) as file:
        return json.load(file)


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_trace(tmp_path, data, name):
    layer(*data)
    with profile(record_shapes=True, profile_memory=True, with_stack=True) as prof:
        step(*data)
        with record_function('a "name" with \\ and ü'):
            layer(*data).backward()
        unused = data[0] * 2
        del unused
    path = str(tmp_path / name)
    prof.export_chrome_trace(path)
    events = read_trace(path)["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    assert [e["name"] for e in spans] == [n for n in names(prof) if n != "[memory]"]
    for e in events:
        assert e["name"] and isinstance(e["pid"], int)
        if e["ph"] != "M":
            assert isinstance(e["ts"], float) and isinstance(e["tid"], int)
    open_spans: list = []  # spans of a thread either nest or are apart
    for e in spans:
        end = e["ts"] + e["dur"]
        while open_spans and open_spans[-1] <= e["ts"]:
            open_spans.pop()
        assert not open_spans or end <= open_spans[-1] + 0.0015
        open_spans.append(end)
    starts = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = {e["id"]: e for e in events if e["ph"] == "f"}
    assert starts.keys() == ends.keys() and len(starts) == 4
    for i, start in starts.items():
        assert start["ts"] < ends[i]["ts"] and ends[i]["bp"] == "e"
        sources = [e["name"] for e in spans if e["ts"] == start["ts"]]
        targets = [e["name"] for e in spans if e["ts"] == ends[i]["ts"]]
        assert len(sources) == len(targets) == 1 and "Backward" in targets[0]
    facts = next(e["args"] for e in spans if e["name"] == "aten::matmul")
    assert facts["Input Dims"] == [[4, 5], [5, 3]] and "test_profiler.py" in facts["Call stack"]
    assert any(e["ph"] == "i" and e["name"] == "[memory]" for e in events)


# -- sessions, threads, errors --------------------------------------------------------------------


def instructions(fn):
    """How many bytecode instructions a call runs."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    gc.collect()
    gc.disable()  # finalizers of others would be counted
    sys.settrace(trace)
    try:
        fn()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def test_no_instruction_is_run_for_a_profiler_that_is_off(data):
    x, w = data

    def eager():
        (x @ w).tanh().sum().backward()

    scale = ng.compile(lambda x: x * 2)
    for fn in (eager, lambda: scale(x.detach())):
        for _ in range(3):
            fn()
        before = instructions(fn)
        with profile(record_shapes=True, profile_memory=True):
            assert instructions(fn) > before
        fn()
        assert instructions(fn) == before
    # The one question that all who may watch share is asked without them, too.
    for hot in (bind, record):
        assert not {"profiler", "watches"} & set(hot.__code__.co_names)


def test_nothing_is_left_when_it_is_off():
    before = state()
    with profile(), pytest.raises(RuntimeError):
        assert state() != before
        ng.ones(2).add(ng.ones(3))
    assert state() == before
    with profile(enabled=False) as prof:
        assert state() == before
        ng.ones(2).add(1)
    assert list(prof.function_events) == [] and prof.key_averages().table() == ""


def test_profiler_and_anomaly_mode_together():
    with profile() as prof, ng.autograd.set_detect_anomaly(True):
        x = ng.zeros(1, requires_grad=True)
        y = x.sqrt() * 0
        with pytest.warns(UserWarning, match="Error detected"), pytest.raises(RuntimeError):
            y.backward()
        (x * 2).backward()
    assert names(prof).count("SqrtBackward0") == 1 and names(prof)[-1] == "AccumulateGrad"
    assert all(e.cpu_parent is None for e in by_name(prof, "MulBackward0"))


def test_an_op_that_fails_ends_its_event():
    with profile() as prof:
        with pytest.raises(RuntimeError), record_function("part"):
            ng.ones(2).add(ng.ones(3))
        ng.ones(2).mul(2)
    assert names(prof) == ["part", "aten::add", "aten::mul"]
    assert [e.cpu_parent and e.cpu_parent.name for e in prof.function_events] == [
        None, "part", None,
    ]  # fmt: skip


def test_profiles_nest():
    x = ng.ones(3)
    before = state()
    with profile() as outer:
        x.sin()
        with profile(record_shapes=True) as inner:
            x.cos()
        x.tan()
    assert names(outer) == ["aten::sin", "aten::cos", "aten::tan"]
    assert names(inner) == ["aten::cos"] and inner.function_events[0].input_shapes == [[3]]
    assert state() == before


def test_profiles_may_overlap():
    x = ng.ones(3)
    first, second = profile(), profile()
    with record_function("unseen"):
        first.__enter__()
        x.sin()
        second.__enter__()
        x.cos()
        first.__exit__()
        x.tan()
        second.__exit__()
    assert names(first) == ["aten::sin", "aten::cos"]
    assert names(second) == ["aten::cos", "aten::tan"]
    assert all(e.cpu_parent is None for e in second.function_events)


def test_a_profile_that_begins_or_ends_inside_of_a_part():
    outside, inside = record_function("outside"), record_function("inside")
    with outside:
        prof = profile().__enter__()
    inside.__enter__()
    ng.ones(1).mul(2)
    prof.__exit__()
    inside.__exit__()
    assert names(prof) == ["inside", "aten::mul"]
    assert prof.function_events[0].cpu_time_total > 0


def test_threads_profile_themselves():
    """As in PyTorch, a profile is of the thread that began it; here they run side by side."""
    started, found = threading.Barrier(3), {}

    def work(name):
        x = ng.ones(10, requires_grad=True)
        with profile() as prof:
            started.wait()
            for _ in range(20):
                getattr(x, name)().sum().backward()
        found[name] = prof

    threads = [threading.Thread(target=work, args=(name,)) for name in ("sin", "cos")]
    with profile() as prof:
        for t in threads:
            t.start()
        started.wait()
        for t in threads:
            t.join()
    assert names(prof) == []
    for name in ("sin", "cos"):
        events = found[name].function_events
        assert names(found[name]).count(f"aten::{name}") == 20
        assert names(found[name]).count(f"{name.title()}Backward0") == 20
        assert len({e.thread for e in events}) == 1
    assert found["sin"].function_events[0].thread != found["cos"].function_events[0].thread


def test_all_threads(tmp_path):
    """Those that ran before, those that begin later, and those that have ended."""
    go, done = threading.Event(), threading.Event()

    def early():
        ng.ones(1).tan()
        go.wait()
        ng.ones(1).sin()
        done.set()

    def late():
        with record_function("late"):
            ng.ones(3, requires_grad=True).cos().sum().backward()

    before = state()
    first = threading.Thread(target=early)
    first.start()
    config = ng.profiler._ExperimentalConfig(profile_all_threads=True)
    with ng.profiler.profile(experimental_config=config) as prof:
        go.set()
        done.wait()
        for _ in range(2):
            t = threading.Thread(target=late)
            t.start()
            t.join()
        ng.ones(1).exp()
    first.join()
    found = [e.name for e in prof.events()]
    assert [found.count(f"aten::{n}") for n in ("tan", "sin", "cos", "exp")] == [0, 1, 2, 1]
    assert found.count("CosBackward0") == 2
    assert {e.cpu_parent.name for e in prof.events() if e.name == "aten::cos"} == {"late"}
    assert len({e.thread for e in prof.events()}) >= 3
    starts = [e.time_range.start for e in prof.events()]
    assert starts == sorted(starts)
    assert state() == before
    after = []
    t = threading.Thread(target=lambda: after.append(thread.modes.profiler))
    t.start()
    t.join()
    assert after == [None]
    path = str(tmp_path / "trace.json")
    prof.export_chrome_trace(path)
    rows = {e["tid"] for e in read_trace(path)["traceEvents"] if e["name"] == "thread_name"}
    assert rows == {e.thread for e in prof.events()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_profiles_itself():
    def child(write):
        with profile() as prof:
            ng.ones(1).sin()
        threads = {e.thread for e in prof.function_events}
        write.send((names(prof), threads == {threading.get_native_id()}))

    read, write = multiprocessing.Pipe()
    with profile() as prof:
        process = multiprocessing.get_context("fork").Process(target=child, args=(write,))
        process.start()
        assert read.recv() == (["aten::sin"], True)
        process.join()
    assert names(prof) == []


def test_record_function_decorates():
    @record_function("f")
    def f(x):
        """Doc."""
        return f(x - 1) if x.item() > 0 else x

    with profile() as prof:
        f(ng.tensor(2))
    assert names(prof).count("f") == 3 and f.__doc__ == "Doc."
    with pytest.raises(RuntimeError, match="expected a string"):
        record_function(3).__enter__()  # type: ignore[arg-type]


def test_wrong_use():
    prof = profile()
    assert repr(prof) == "<unfinished numbagrad.autograd.profiler.profile>" == str(prof)
    with pytest.raises(RuntimeError, match="didn't finish"):
        prof.key_averages()
    with prof:
        pass
    with pytest.raises(RuntimeError, match="not reentrant"), prof:
        pass
    with pytest.raises(AssertionError, match="with_stack"):
        prof.export_stacks("unused")
    with pytest.warns(UserWarning, match="CUDA is not available"):
        profile(use_cuda=True)


# -- ng.profiler ----------------------------------------------------------------------------------


def test_schedule_and_trace_handler(tmp_path):
    ready = []
    handler = ng.profiler.tensorboard_trace_handler(str(tmp_path / "new"), "me")

    def on_trace_ready(p):
        ready.append((p.step_num, [e.trace_name for e in p.events()]))
        handler(p)

    plan = ng.profiler.schedule(wait=1, warmup=1, active=2, repeat=2)
    before = state()
    with ng.profiler.profile(schedule=plan, on_trace_ready=on_trace_ready) as prof:
        prof.add_metadata_json("answer", "[42]")
        for _ in range(10):
            ng.ones(2).mul(2)
            prof.step()
    assert ready == [
        (4, ["ProfilerStep#2", "aten::mul", "ProfilerStep#3", "aten::mul"]),
        (8, ["ProfilerStep#6", "aten::mul", "ProfilerStep#7", "aten::mul"]),
    ]
    assert state() == before and prof.key_averages()[0].key == "ProfilerStep*"
    files = list((tmp_path / "new").iterdir())
    assert len(files) == 2 and all(f.name.startswith("me.") for f in files)
    assert read_trace(files[0])["answer"] == [42]


def test_without_a_schedule_everything_is_recorded():
    ready = []
    with ng.profiler.profile(
        activities=[ng.profiler.ProfilerActivity.CPU], on_trace_ready=ready.append
    ) as prof:
        for _ in range(3):
            ng.ones(2).mul(2)
            prof.step()
    assert ready == [prof] and prof.key_averages()[0].count == 3


def test_start_and_stop():
    prof = ng.profiler.profile()
    with pytest.raises(AssertionError, match="must be initialized"):
        prof.stop()
    for name in ("sin", "cos"):
        prof.start()
        getattr(ng.ones(1), name)()
        prof.stop()
        prof.stop()
        assert [e.name for e in prof.events()] == [f"aten::{name}"]


def test_events_may_accumulate():
    plan = ng.profiler.schedule(wait=0, warmup=1, active=1)
    for keep in (False, True):
        with ng.profiler.profile(schedule=plan, acc_events=keep) as prof:
            for _ in range(4):
                ng.ones(2).mul(2)
                prof.step()
        assert [e.name for e in prof.events()].count("aten::mul") == (2 if keep else 1)


def test_wrong_use_of_the_step_profiler():
    with pytest.raises(AssertionError, match="Invalid profiler schedule"):
        ng.profiler.schedule(wait=-1, warmup=0, active=1)
    with pytest.raises(AssertionError, match="No valid profiler activities"):
        ng.profiler.profile(activities=[])
    with pytest.raises(AssertionError, match="must be initialized"):
        ng.profiler.profile().key_averages()
    with pytest.warns(UserWarning, match="CUDA is not available"):
        ng.profiler.profile(activities=[ng.profiler.ProfilerActivity.CUDA])
