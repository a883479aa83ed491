"""Programs that reply to lines with numbers."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence


class Program:
    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def reply(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.command}: ended with {self.process.wait()}")
        return line.strip()

    def numbers(self) -> list[int]:
        return [int(word) for word in self.reply().split()]

    def end(self) -> None:
        """Lets it end by itself, at the end of its input, and checks that it succeeded."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.wait() != 0:
            raise RuntimeError(f"{self.command}: ended with {self.process.returncode}")


@contextlib.contextmanager
def running(commands: Sequence[Sequence[str]]) -> Iterator[list[Program]]:
    """Runs these programs at the same time; none outlives the block."""
    programs: list[Program] = []
    try:
        for command in commands:
            programs.append(Program(command))
        yield programs
        for program in programs:
            program.end()
    finally:
        for program in programs:
            program.process.kill()
            program.process.wait()
