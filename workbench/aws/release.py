"""What is released, as one name: a hash of the code, the layers, the template and the parameters.

SAM makes new versions of the functions only when their own code changes. A new engine (a layer) or another parameter
would be deployed, and the alias ``live`` would go on with the versions before. So the template takes this name as the
parameter ``Release``, and a new name makes new versions.
"""

import hashlib
import re
import shlex
import tomllib
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RELEASED = ("functions/**/*", "layers/**/*", "infra/*.yaml", "infra/web_files/**/*")
_DIGITS = 40
_ASSIGNMENT = re.compile(r"[A-Za-z0-9]+=\S*")


def compute_release(parameters: Mapping[str, str], root: Path = ROOT) -> str:
    """40 hexadecimal digits; the same for the same files and ``parameters``, whatever their order."""
    digest = hashlib.sha256()
    for path in sorted(
        path
        for pattern in RELEASED
        for path in root.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    ):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for name, value in sorted(parameters.items()):
        digest.update(f"\0{name}={value}".encode())
    return digest.hexdigest()[:_DIGITS]


def parameter_overrides(config: Path, environment: str, assignments: Sequence[str]) -> dict[str, str]:
    """The parameters of a deployment: those that a samconfig.toml has for ``environment``, and above them yours.

    ``assignments`` are ``Name=value``. Raises ValueError for one that is none.
    """
    document: dict[str, Any] = tomllib.loads(config.read_text())
    configured = document.get(environment, {}).get("deploy", {}).get("parameters", {}).get("parameter_overrides", "")
    words = [*(configured if isinstance(configured, list) else shlex.split(configured)), *assignments]
    for word in words:
        if not _ASSIGNMENT.fullmatch(word):
            raise ValueError(f"parameter {word!r}, expected Name=value without spaces")
    parameters = dict(word.split("=", 1) for word in words)
    parameters.pop("Release", None)  # which `sam deploy --guided` saves
    return parameters


def main() -> None:
    """Print what `sam deploy --parameter-overrides` takes: the parameters, and the name of what they release."""
    parser = ArgumentParser(description=main.__doc__)
    parser.add_argument("assignments", nargs="*", metavar="Name=value")
    parser.add_argument("--config", type=Path, default=ROOT / "infra" / "samconfig.toml")
    parser.add_argument("--environment", default="default")
    arguments = parser.parse_args()
    try:
        parameters = parameter_overrides(arguments.config, arguments.environment, arguments.assignments)
    except ValueError as error:
        parser.error(str(error))
    released = parameters | {"Release": compute_release(parameters)}
    print(*(f"{name}={value}" for name, value in released.items()))


if __name__ == "__main__":
    main()
