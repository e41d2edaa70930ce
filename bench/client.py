"""The parent's end of a worker: starts it, sends commands, and never waits for ever."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from bench.libraries import Library

ROOT = Path(__file__).resolve().parent.parent


class Refused(Exception):
    """The worker answered that it cannot, or died. `status` is one of the answer's."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """One worker process. It computes only between a command and its answer."""

    def __init__(self, python: str, environment: Mapping[str, str], timeout: float) -> None:
        self._timeout = timeout
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in __exit__)
        try:
            self._process = subprocess.Popen(
                [python, "-m", "bench.worker"],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        except OSError as error:
            self._errors.close()
            raise Refused("unavailable", f"missing: cannot start {python}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def load(
        self, library: Library, module: str, workload: str, tiny: bool = False
    ) -> dict[str, Any]:
        return self.ask(
            "load", library=asdict(library), module=module, workload=workload, tiny=tiny
        )

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send one command; its answer, or Refused."""
        assert self._process.stdin is not None and self._process.stdout is not None
        watchdog = threading.Timer(self._timeout, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps({"do": command, "with": arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            expired = watchdog.finished.is_set()
            watchdog.cancel()
        if not line:
            reason = f"no answer in {self._timeout:g} s" if expired else "the worker died"
            raise Refused("error", f"{reason} at {command!r}: {self._last_words()}")
        answer = json.loads(line)
        if answer["status"] != "ok":
            raise Refused(answer["status"], answer["message"])
        return answer

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        return " ".join(" ".join(lines[-4:]).split())[-300:] or "it wrote nothing"
