"""Where the user's code is: the frames outside of this package."""

from __future__ import annotations

import itertools
import linecache
import os
import sys
import traceback
from typing import Any

import numpy as np

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep


class Stack:
    """The user's frames at some moment, the innermost last; text is made when it is asked for.

    Only code objects and line numbers are kept: noting one costs a fraction of a microsecond a
    frame, and keeps no local variable alive.
    """

    __slots__ = ("frames",)

    def __init__(self, frames: tuple[tuple[Any, int], ...]) -> None:
        self.frames = frames

    @classmethod
    def here(cls) -> Stack:
        """The stack of the caller."""
        frame: Any = sys._getframe(1)
        found = []
        while frame is not None:
            code = frame.f_code
            if not code.co_filename.startswith(PACKAGE):
                found.append((code, frame.f_lineno))
            frame = frame.f_back
        found.reverse()
        return cls(tuple(found))

    def lines(self) -> list[str]:
        """``file(line): function`` for each frame, the innermost first."""
        return [
            f"{code.co_filename}({number}): {code.co_name}"
            for code, number in reversed(self.frames)
        ]

    @property
    def line(self) -> str:
        """The innermost frame in one line, with its source."""
        if not self.frames:
            return "an unknown line"
        code, number = self.frames[-1]
        source = linecache.getline(code.co_filename, number).strip()
        return f"{code.co_filename}:{number} in {code.co_name}: {source}"

    def format(self) -> str:
        """As in a traceback."""
        frames = [
            traceback.FrameSummary(code.co_filename, number, code.co_name)
            for code, number in self.frames
        ]
        return "".join(traceback.StackSummary.from_list(frames).format())


Place = tuple[Any, int]  # a code object and an instruction of it


def innermost(depth: int) -> Place | None:
    """Where the user's code is, as briefly as it can be noted; :func:`described` makes it text.

    The caller and at least `depth` of its callers are known to be of this package.
    """
    frame: Any = sys._getframe(depth + 2)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def described(place: Place | None) -> str:
    """``file:line in function: source`` of what :func:`innermost` noted."""
    if place is None:
        return "an unknown line"
    code, instruction = place
    number = next(itertools.islice(code.co_positions(), instruction // 2, None))[0]
    return Stack(((code, number or code.co_firstlineno),)).line


def at_user_line() -> str:
    """The user's line, for the end of an error message."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((PACKAGE, NUMPY)):
        frame = frame.f_back
    if frame is None:
        return ""
    name, number = frame.f_code.co_filename, frame.f_lineno
    line = linecache.getline(name, number).strip()
    return f'\n  File "{name}", line {number}' + (f"\n    {line}" if line else "")
