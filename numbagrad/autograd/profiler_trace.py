"""Profiles in the Trace Event format, which Perfetto and chrome://tracing open.

The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from typing import Any

from .profiler_util import FunctionEvent
from .recorder import BACKWARD, FUNCTION, KERNEL, MEMORY, OP, REGION, USER

_CATEGORIES = {OP: "cpu_op", FUNCTION: "cpu_op", BACKWARD: "cpu_op", REGION: "cpu_op",
               KERNEL: "native_kernel", USER: "user_annotation"}  # fmt: skip


def write_trace(path: str, events: Iterable[FunctionEvent], metadata: dict[str, Any]) -> None:
    """Write a trace; one whose name ends in ``.gz`` is compressed.

    Args:
        metadata: more entries of the file, by name.
    """
    trace = {
        "schemaVersion": 1,
        "displayTimeUnit": "ms",
        **metadata,
        "traceEvents": list(_trace_events(list(events))),
    }
    text = json.dumps(trace, allow_nan=False)
    if path.endswith(".gz"):
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(text)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def _trace_events(events: list[FunctionEvent]) -> Any:
    pid = os.getpid()
    yield {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": "python"}}
    for tid in dict.fromkeys(e.thread for e in events):
        name = {"name": f"thread {tid}"}
        yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": name}
    forward: dict[int, FunctionEvent] = {}
    allocated = 0
    for e in events:
        common = {"pid": pid, "tid": e.thread, "ts": _us(e.time_range.start)}
        allocated += e.self_cpu_memory_usage
        if e.kind is MEMORY:
            args = {"Bytes": e.self_cpu_memory_usage, "Total Allocated": allocated}
            yield {"ph": "i", "s": "t", "name": e.name, "cat": "cpu_instant_event", **common,
                   "args": args}  # fmt: skip
            continue
        yield {"ph": "X", "cat": _CATEGORIES[e.kind], "name": e.trace_name, **common,
               "dur": _us(e.time_range.elapsed_us()), "args": _arguments(e)}  # fmt: skip
        if e.sequence_nr < 0:
            continue
        if e.kind is not BACKWARD:
            forward.setdefault(e.sequence_nr, e)
            continue
        source = forward.get(e.sequence_nr)
        if source is not None:
            flow = {"cat": "fwdbwd", "name": "fwdbwd", "id": e.id, "pid": pid}
            yield {"ph": "s", **flow, "tid": source.thread, "ts": _us(source.time_range.start)}
            yield {"ph": "f", "bp": "e", **flow, "tid": e.thread, "ts": common["ts"]}


def _us(time: float) -> float:
    return round(time, 3)  # nanoseconds


def _arguments(e: FunctionEvent) -> dict[str, Any]:
    facts = {
        "Ev Idx": e.id,
        "Sequence number": e.sequence_nr if e.sequence_nr >= 0 else None,
        "Fwd thread id": e.fwd_thread,
        "Input Dims": e.input_shapes,
        "Bytes moved": e.bytes_moved,
        "FLOPs": e.flops,
        "Memory": e.self_cpu_memory_usage,
        "Call stack": ";\n".join(e.stack),
    }
    return {
        k: v for k, v in facts.items() if k == "Ev Idx" or (v is not None and v not in (0, [], ""))
    }
