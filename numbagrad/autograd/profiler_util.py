"""Events of a profile and what is made of them: averages, tables, stacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .recorder import BACKWARD, KERNEL, MEMORY, USER, Event

# RecordScope of PyTorch.
_SCOPES = {BACKWARD: 1, USER: 7}
#: How the names of steps of a training loop begin (`ng.profiler.profile`).
STEP = "ProfilerStep#"
_STACK_METRICS = ("self_cpu_time_total",)


class Interval:
    """A span of time, in microseconds."""

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end

    def elapsed_us(self) -> float:
        return self.end - self.start


class _Measured:
    """What events and their averages have in common."""

    key: str
    count: int
    cpu_time_total: float
    self_cpu_time_total: float
    # There is no other device; scripts sort by these all the same.
    device_time = device_time_total = self_device_time_total = 0
    device_memory_usage = self_device_memory_usage = 0
    cuda_time = cuda_time_total = self_cuda_time_total = 0
    cuda_memory_usage = self_cuda_memory_usage = 0
    device_type = "cpu"
    use_device = None
    node_id = -1

    @property
    def cpu_time(self) -> float:
        """The mean time of a call, in microseconds, with what happens inside."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        return time_text(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        return time_text(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        return time_text(self.self_cpu_time_total)


class FunctionEvent(_Measured):
    """One call of an op, a node of the tape, a kernel or a named part of the user's code.

    Attributes:
        name, key: ``aten::mul``, ``MulBackward0``, ...
        trace_name: the same, but for the steps of a loop, which are numbered.
        time_range: start and end, in microseconds since the profile began.
        cpu_parent, cpu_children: the event in which this one happens, and those inside of it.
        cpu_time_total, self_cpu_time_total: in microseconds, with and without the children.
        cpu_memory_usage, self_cpu_memory_usage: bytes taken less bytes given back.
        input_shapes: of each input, ``[]`` for numbers; only with ``record_shapes=True``.
        sequence_nr: a forward op and the node that runs backward for it have the same; else -1.
        thread, fwd_thread: where it ran, and where the forward op of a node did.
        flops: arithmetic operations, only with ``with_flops=True``.
        bytes_moved: what a kernel of a compiled function reads and writes.
        stack: the user's frames, innermost first; only with ``with_stack=True``.
    """

    count = 1
    is_async = is_remote = is_legacy = False

    def __init__(self, id: int, event: Event, began: int, ended: int, flops: bool) -> None:
        self.id = id
        self.trace_name = event.name
        # The averages sum up all steps of a loop, as in PyTorch.
        is_step = event.kind is USER and event.name.startswith(STEP)
        self.name = self.key = "ProfilerStep*" if is_step else event.name
        self.kind = event.kind
        self.is_user_annotation = event.kind is USER
        self.scope = _SCOPES.get(event.kind, 0)
        end = ended if event.end is None else min(event.end, ended)
        self.time_range = Interval((event.start - began) / 1000, (end - began) / 1000)
        self.thread = event.thread
        self.fwd_thread: int | None = None
        self.sequence_nr = event.sequence
        self.input_shapes: list[list[int]] = event.shapes
        self.flops = event.flops if flops else 0
        self.bytes_moved = event.moved
        self.stack: list[str] = [] if event.stack is None else event.stack.lines()
        self.self_cpu_memory_usage = event.memory
        self.cpu_parent: FunctionEvent | None = None
        self.cpu_children: list[FunctionEvent] = []
        self._total = self.time_range.elapsed_us()

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        return self._total

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        return self._total - sum(c.cpu_time_total for c in self.cpu_children)

    @property
    def cpu_memory_usage(self) -> int:
        total = 0
        stack: list[FunctionEvent] = [self]
        while stack:
            event = stack.pop()
            total += event.self_cpu_memory_usage
            stack += event.cpu_children
        return total

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_str} "
            f"start_us={self.time_range.start:.3f} end_us={self.time_range.end:.3f} "
            f"cpu_children={[c.id for c in self.cpu_children]} thread={self.thread} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} "
            f"seq_nr={self.sequence_nr}>"
        )


class FunctionEventAvg(_Measured):
    """The sum of the events of one name (and of the same shapes or stack, if asked for)."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.count = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0
        self.flops = self.bytes_moved = 0
        self.input_shapes: Any = ""
        self.stack: list[str] = []
        self.scope = 0
        self.is_user_annotation = False
        self.cpu_parent: FunctionEvent | None = None

    def add(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Add an event, or the sum of others."""
        for name in ("count", "cpu_time_total", "self_cpu_time_total", "cpu_memory_usage",
                     "self_cpu_memory_usage", "flops", "bytes_moved"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    __iadd__ = add

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} input_shapes={self.input_shapes} "
            f"cpu_memory_usage={self.cpu_memory_usage}>"
        )


class EventList(list[Any]):
    """Events, or averages of them, with PyTorch's methods on such lists."""

    def __init__(
        self,
        events: Iterable[Any] = (),
        *,
        profile_memory: bool = False,
        with_flops: bool = False,
        with_stack: bool = False,
    ) -> None:
        super().__init__(events)
        self._options = {"profile_memory": profile_memory, "with_flops": with_flops,
                         "with_stack": with_stack}  # fmt: skip

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds spent in all events together."""
        return sum(e.self_cpu_time_total for e in self)

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """One :class:`FunctionEventAvg` for each name.

        Args:
            group_by_input_shapes: tell calls on different shapes apart.
            group_by_stack_n: tell calls from different lines apart, by so many frames.
        """
        found: dict[Any, FunctionEventAvg] = {}
        for e in self:
            shapes = e.input_shapes if group_by_input_shapes else ""
            stack = e.stack[:group_by_stack_n]
            key = (e.key, str(shapes), tuple(stack), e.is_user_annotation)
            average = found.get(key)
            if average is None:
                average = found[key] = FunctionEventAvg(e.key)
                average.input_shapes, average.stack = shapes, stack
                average.scope, average.is_user_annotation = e.scope, e.is_user_annotation
                average.cpu_parent = e.cpu_parent
            average.add(e)
        return EventList(found.values(), **self._options)

    def total_average(self) -> FunctionEventAvg:
        """The sum over all events."""
        total = FunctionEventAvg("Total")
        for e in self:
            total.add(e)
        return total

    def supported_export_stacks_metrics(self) -> list[str]:
        return list(_STACK_METRICS)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write the stacks of all events in the form that flame graph tools read.

        Raises:
            ValueError: `metric` is not "self_cpu_time_total".
        """
        if metric not in _STACK_METRICS:
            raise ValueError(f"metric should be one of: {list(_STACK_METRICS)}, got {metric!r}")
        sums: dict[str, int] = {}
        for e in self:
            if e.stack:
                frames = ";".join(f.replace(" ", "_").replace(";", "_") for f in e.stack[::-1])
                line = f"{frames};{e.key.replace(' ', '_').replace(';', '_')}"
                sums[line] = sums.get(line, 0) + round(getattr(e, metric))
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{line} {value}\n" for line, value in sums.items() if value > 0)

    def export_chrome_trace(self, path: str) -> None:
        """Write the events as a trace that https://ui.perfetto.dev opens."""
        from .profiler_trace import write_trace

        write_trace(path, self, {})

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int | None = 75,
        max_name_column_width: int | None = 55,
        max_shapes_column_width: int | None = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events as text.

        Args:
            sort_by: an attribute of the events, largest first: ``cpu_time_total``,
                ``self_cpu_time_total``, ``cpu_time``, ``count``, ``cpu_memory_usage``,
                ``self_cpu_memory_usage``, ``flops``, ``bytes_moved``, ...
            row_limit: how many rows at most.
            header: a line above.
            top_level_events_only: leave out what happens inside of other events.
            time_unit: ``"s"``, ``"ms"`` or ``"us"`` for all times.

        Raises:
            AttributeError: the events have no attribute `sort_by`.
        """
        if not self:
            return ""
        rows: list[Any] = list(self)
        if sort_by is not None:
            rows.sort(key=lambda e: getattr(e, sort_by), reverse=True)
        if top_level_events_only:
            rows = [e for e in rows if e.cpu_parent is None]
        columns = _columns(self, time_unit, max_name_column_width, max_shapes_column_width,
                           max_src_column_width, self._options)  # fmt: skip
        shown = [[text(e) for _, _, text in columns] for e in rows[: max(row_limit, 0)]]
        if row_limit == -1:
            shown = [[text(e) for _, _, text in columns] for e in rows]
        widths = [width for _, width, _ in columns]
        rule = "  ".join("-" * w for w in widths)
        lines = []
        if header is not None:
            lines += ["=" * len(rule), header]
        if top_level_events_only:
            lines += ["=" * len(rule), "This report only display top-level ops statistics"]
        lines += [rule, _row([title for title, _, _ in columns], widths), rule]
        lines += [_row(cells, widths) for cells in shown]
        lines += [rule, f"Self CPU time total: {time_text(self.self_cpu_time_total, time_unit)}"]
        return "\n".join(lines) + "\n"


def _row(cells: list[str], widths: list[int]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _columns(
    events: EventList, unit: str | None, name_width: int | None, shapes_width: int | None,
    source_width: int | None, options: dict[str, bool],
) -> list[tuple[str, int, Any]]:  # fmt: skip
    """(title, width, what it says of an event) for each column there is something to say in."""
    whole = events.self_cpu_time_total

    def share(us: float) -> str:
        return f"{100 * us / whole:.2f}%" if whole else "0.00%"

    def bounded(text: Any, width: int | None) -> int:
        longest = max(len(text(e)) for e in events) + 4
        return longest if width is None else min(longest, width)

    names = bounded(lambda e: e.key, name_width)
    columns: list[tuple[str, int, Any]] = [
        ("Name", names, lambda e: _cut(e.key, names)),
        ("Self CPU %", 12, lambda e: share(e.self_cpu_time_total)),
        ("Self CPU", 12, lambda e: time_text(e.self_cpu_time_total, unit)),
        ("CPU total %", 12, lambda e: share(e.cpu_time_total)),
        ("CPU total", 12, lambda e: time_text(e.cpu_time_total, unit)),
        ("CPU time avg", 12, lambda e: time_text(e.cpu_time, unit)),
    ]
    if options["profile_memory"]:
        columns += [
            ("CPU Mem", 12, lambda e: memory_text(e.cpu_memory_usage)),
            ("Self CPU Mem", 12, lambda e: memory_text(e.self_cpu_memory_usage)),
        ]
    columns.append(("# of Calls", 12, lambda e: str(e.count)))
    if any(e.input_shapes for e in events):
        shapes = bounded(lambda e: str(e.input_shapes), shapes_width)
        columns.append(("Input Shapes", shapes, lambda e: _cut(str(e.input_shapes), shapes)))
    if any(e.stack for e in events):
        source = bounded(lambda e: "".join(e.stack[:1]), source_width)
        columns.append(("Source Location", source, lambda e: _tail("".join(e.stack[:1]), source)))
    if any(e.bytes_moved for e in events):
        columns.append(
            ("Bytes moved", 12, lambda e: memory_text(e.bytes_moved) if e.bytes_moved else "--")
        )
    counts = [e.flops for e in events if e.flops > 0]
    if options["with_flops"] and counts:
        steps = 0
        while steps < 5 and min(counts) >= 1000 ** (steps + 1):
            steps += 1
        scale, letter = 1000**steps, ("", "K", "M", "G", "T", "P")[steps]
        columns.append(
            (f"Total {letter}FLOPs", 12, lambda e: f"{e.flops / scale:.3f}" if e.flops else "--")
        )
    return columns


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _tail(text: str, width: int) -> str:
    return text if len(text) <= width else "..." + text[len(text) - width + 3 :]


def time_text(us: float, unit: str | None = None) -> str:
    """Microseconds for people: ``12.000us``, ``3.400ms``."""
    if unit is None:
        unit = "s" if us >= 1e6 else "ms" if us >= 1e3 else "us"
    return f"{us / {'s': 1e6, 'ms': 1e3, 'us': 1.0}[unit]:.3f}{unit}"


def memory_text(nbytes: int) -> str:
    """Bytes for people: ``512 B``, ``1.50 MB``."""
    for power, unit in ((30, "GB"), (20, "MB"), (10, "KB")):
        if abs(nbytes) >= 1 << power:
            return f"{nbytes / (1 << power):.2f} {unit}"
    return f"{nbytes} B"


def build_events(
    events: list[Event], began: int, ended: int, *, flops: bool, memory: bool, stack: bool
) -> EventList:
    """What a profile shows of what was recorded: times are relative to when it began."""
    made: dict[int, FunctionEvent] = {}
    forward: dict[int, FunctionEvent] = {}
    found = EventList(profile_memory=memory, with_flops=flops, with_stack=stack)
    for e in events:
        if e.kind is MEMORY and not memory:
            continue
        event = made[id(e)] = FunctionEvent(len(found) + 1, e, began, ended, flops)
        found.append(event)
        parent = None if e.parent is None else made.get(id(e.parent))
        if parent is not None:
            event.cpu_parent = parent
            parent.cpu_children.append(event)
        if e.sequence >= 0:
            if e.kind is BACKWARD:
                source = forward.get(e.sequence)
                event.fwd_thread = None if source is None else source.thread
            elif e.kind is not KERNEL:
                forward.setdefault(e.sequence, event)
    return found
