"""What cannot be read. In a module of its own, because whoever only reports it needs neither numpy nor Arrow."""

from pathlib import Path


class CandleFileError(ValueError):
    """A folder or file of candles cannot be replayed. The message says where, what was found and what would do."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        self.path = path
        self.line = line
        super().__init__(f"{path}{f', line {line}' if line else ''}: {problem}")
