"""Break the money path in one place after the other, and say which of the breakages no test notices.

    .venv/bin/python -m tests.mutations                 all of money_path.toml
    .venv/bin/python -m tests.mutations no_trade        those whose file or meaning has that text

Each is made in a copy of the checkout, which is removed at the end; the tests that are named beside it run there. One
that is not noticed, or that no longer applies to the code, is named, and the command ends with exit status 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINE = "layers/engine/python"
LIST = Path(__file__).with_name("money_path.toml")


@dataclass(frozen=True, slots=True)
class Mutation:
    """``old`` becomes ``new`` in ``file``, which ``means`` that; ``tests`` are what should notice."""

    file: str
    old: str
    new: str
    means: str
    tests: list[str]


def read_mutations(wanted: str = "") -> list[Mutation]:
    """Those of the list whose file or meaning has ``wanted`` in it."""
    entries = tomllib.loads(LIST.read_text())["mutation"]
    return [one for one in (Mutation(**entry) for entry in entries) if wanted in one.file or wanted in one.means]


def main(arguments: Sequence[str]) -> int:
    """Returns 1 where anything was not noticed."""
    mutations = read_mutations(*arguments[:1])
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        _copy_checkout(copy)
        results = [(mutation, _tried(copy, mutation)) for mutation in mutations]
    noticed = sum(result == "noticed" for _, result in results)
    print(f"{noticed} of {len(results)} breakages were noticed")
    return int(noticed < len(results))


def _copy_checkout(copy: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in listed.stdout.split("\0"):
        if name.endswith((".py", ".toml", ".yaml", ".json", ".md", ".html")) and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)


def _tried(copy: Path, mutation: Mutation) -> str:
    file = copy / mutation.file
    source = file.read_text()
    if source.count(mutation.old) != 1:
        result = "does not apply"
    else:
        file.write_text(source.replace(mutation.old, mutation.new))
        result = "noticed" if _fails(copy, mutation.tests) else "NOT NOTICED"
        file.write_text(source)
    print(f"{result:<15} {mutation.file}: {mutation.means}", flush=True)
    return result


def _fails(copy: Path, tests: Sequence[str]) -> bool:
    """Whether the tests fail in the copy; it is the copy's code that they import."""
    path = os.pathsep.join(str(copy / folder) for folder in ("", "functions", ENGINE))
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
    )
    if ended.returncode not in {0, 1}:
        raise SystemExit(f"the tests could not run: {(ended.stdout + ended.stderr).decode()[-800:]}")
    return ended.returncode == 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
