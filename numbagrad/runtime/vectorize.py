"""How wide and how interleaved the loops of a kernel are vectorised.

LLVM's own choice for a loop with a long body (twenty vecmath calls) is one vector at a time, on
some machines a half one; each call then waits for the one before. Interleaving several vectors
hides that latency. The wish is written on each innermost loop as LLVM metadata, which leaves the
settings of LLVM in this process alone, and the rest of the process too.
"""

import re
from typing import NamedTuple


class Hint(NamedTuple):
    """Wishes for the innermost loops of a kernel; 0 leaves the choice to LLVM. With no wish at all
    loops stay scalar, as the short ones of the native runner should.

    They never change results: sums are not reordered unless the source allows it by fastmath.
    """

    bits: int = 0
    """Vector register width in bits (512 also where LLVM would rather use 256)."""
    interleave: int = 0
    """How many vectors one iteration of the vectorised loop works on."""
    independent: bool = False
    """A promise: no iteration of an innermost loop reads what another one writes. It saves the
    run-time checks for overlapping arrays, which keep a loop with many arrays scalar."""


DEFAULT = Hint(bits=512, interleave=4)
"""Measured (AVX-512, Zen 4; ten vecmath calls in a row: 7.4 ns an element without, 3.3 with it;
one: 0.26 and 0.21). 8 is 10 % better still on long bodies, and twice as long to compile."""


_LABEL = re.compile(r'^(?P<name>[-$.\w]+|"[^"]+"):')
_TARGET = re.compile(r'label %(?P<name>[-$.\w]+|"[^"]+")')
_MEMORY = re.compile(r"^  (%[^=]+ = load|store) ")


def annotate(module: str, hint: Hint) -> str:
    """Return the text of an LLVM module with `hint` on its innermost loops."""
    lines = module.splitlines()
    marks = []
    loops = 0
    used = [int(n) for n in re.findall(r"^!(\d+) = ", module, re.MULTILINE)]
    number = max(used, default=-1) + 1
    start = None
    for i, line in enumerate(lines):
        if line.startswith("define "):
            start = i
        elif line == "}" and start is not None:
            for blocks, latches in _innermost_loops(lines, start, i):
                loop, group = number + 2 * loops, number + 2 * loops + 1
                loops += 1
                parts = [f"!{loop}"]
                extra = []
                if hint.interleave:
                    parts.append(f'!{{!"llvm.loop.interleave.count", i32 {hint.interleave}}}')
                if hint.independent:
                    parts.append(f'!{{!"llvm.loop.parallel_accesses", !{group}}}')
                    extra.append(f"!{group} = distinct !{{}}")
                    for first, last in blocks:
                        for k in range(first, last):
                            if _MEMORY.match(lines[k]):
                                lines[k] += f", !llvm.access.group !{group}"
                for latch in latches:
                    lines[latch] += f", !llvm.loop !{loop}"
                marks.append(f"!{loop} = distinct !{{{', '.join(parts)}}}")
                marks += extra
            start = None
    return "\n".join([*lines, *marks, ""])


def _innermost_loops(
    lines: list[str], start: int, end: int
) -> list[tuple[list[tuple[int, int]], list[int]]]:
    """Find the loops of the function in lines start..end that contain no other loop.

    Each is given by the line ranges of its blocks and the lines of its backward branches.
    """
    names: list[str] = []
    ranges: list[tuple[int, int]] = []
    for i in range(start + 1, end):
        label = _LABEL.match(lines[i])
        if label or not names:
            if ranges:
                ranges[-1] = (ranges[-1][0], i)
            names.append(label["name"] if label else "")
            ranges.append((i, end))
    index = {name: i for i, name in enumerate(names)}
    successors: list[list[int]] = []
    branches: list[int] = []
    for first, last in ranges:
        last_line = max((k for k in range(first, last) if lines[k].startswith("  br ")), default=-1)
        branches.append(last_line)
        text = "\n".join(lines[first:last])
        successors.append([index[m["name"]] for m in _TARGET.finditer(text)])
    loops: dict[int, tuple[set[int], list[int]]] = {}
    for latch, header in _back_edges(successors):
        if branches[latch] < 0:
            continue  # the loop closes by a switch, which cannot carry the wish
        body = _loop_body(successors, header, latch)
        known, latches = loops.setdefault(header, (set(), []))
        known |= body
        latches.append(branches[latch])
    return [
        ([ranges[i] for i in sorted(body)], latches)
        for header, (body, latches) in loops.items()
        if not any(other in body for other in loops if other != header)
    ]


def _back_edges(successors: list[list[int]]) -> list[tuple[int, int]]:
    """Return the edges that close a cycle in a depth-first walk from block 0."""
    edges = []
    state = [0] * len(successors)  # 0 new, 1 on the path, 2 done
    stack = [(0, iter(successors[0]))] if successors else []
    if stack:
        state[0] = 1
    while stack:
        node, rest = stack[-1]
        for target in rest:
            if state[target] == 1:
                edges.append((node, target))
            elif state[target] == 0:
                state[target] = 1
                stack.append((target, iter(successors[target])))
                break
        else:
            state[node] = 2
            stack.pop()
    return edges


def _loop_body(successors: list[list[int]], header: int, latch: int) -> set[int]:
    """Return the blocks from which the latch is reached without passing the header."""
    predecessors: list[list[int]] = [[] for _ in successors]
    for node, targets in enumerate(successors):
        for target in targets:
            predecessors[target].append(node)
    body = {header, latch}
    pending = [latch] if latch != header else []
    while pending:
        for node in predecessors[pending.pop()]:
            if node not in body:
                body.add(node)
                pending.append(node)
    return body
