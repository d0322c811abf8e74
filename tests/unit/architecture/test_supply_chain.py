"""What is built with, run in CI and deployed is exactly what was locked: by version and hash, from whatever index."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import botbalance
import pytest
import yaml

ROOT = Path(__file__).parents[3]
TOOLS = sorted((ROOT / ".ci/tools").glob("*.in"))
LAYER = ROOT / "layers/vendor/requirements.txt"
_LOCKED = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;]+)(?P<rest>.*)$")


def locked(file: Path) -> dict[str, tuple[str, set[str]]]:
    """Version and hashes of every package that ``file`` names; whatever line is none of a package fails."""
    found = {}
    for line in file.read_text().replace("\\\n", " ").splitlines():
        match = _LOCKED.match(line)
        assert match, f"{file.name}: {line}"
        hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", match["rest"]))
        assert hashes, f"{file.name}: {match['name']} has no hash"
        found[match["name"]] = match["version"], hashes
    return found


@pytest.mark.parametrize("source", TOOLS, ids=lambda path: path.stem)
def test_every_tool_is_locked_with_all_that_it_needs(source: Path) -> None:
    file = source.with_suffix(".txt")
    wanted = {re.split(r"[<>=]", line)[0] for line in source.read_text().split()}
    assert wanted <= set(locked(file))
    assert "://" not in file.read_text()


def test_what_installs_this_project_is_locked_and_is_not_fetched_for_itself() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    assert project["tool"]["uv"]["no-build-isolation-package"] == ["botbalance"]
    for requirement in project["build-system"]["requires"]:
        assert packages[re.split(r"[<>=]", requirement)[0]]["wheels"]
    assert project["project"]["version"] == botbalance.__version__


def test_nothing_else_is_installed() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    installing = [
        line for line in makefile.splitlines() if re.search(r"pip (install|sync)|tool (run|install)|uvx", line)
    ]
    assert len(installing) == 2
    assert all("--require-hashes" in line for line in installing)
    brought = set(re.findall(r"\$\(TOOLS\)/(\w+)/", makefile))
    assert brought | {"uv"} == {source.stem for source in TOOLS}


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_actions_are_named_by_commit_and_keep_no_credentials(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    used = [step for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert used
    for step in used:
        action, _, commit = step["uses"].partition("@")
        assert re.fullmatch(r"[0-9a-f]{40}", commit), step["uses"]
        if action == "actions/checkout":
            assert step["with"]["persist-credentials"] is False


def test_the_bill_of_materials_names_what_the_layers_hold(tmp_path: Path) -> None:
    bill = tmp_path / "sbom.json"
    subprocess.run(["make", "--silent", "-C", ROOT, "sbom", f"SBOM={bill}"], check=True, stdout=subprocess.DEVNULL)
    document = json.loads(bill.read_text())
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "botbalance"
    told = {
        part["name"]: (
            part["version"],
            {each["content"] for reference in part["externalReferences"] for each in reference["hashes"]},
        )
        for part in document["components"]
    }
    held = locked(LAYER)
    assert told.keys() == held.keys()
    for name, (version, hashes) in held.items():
        assert told[name][0] == version, name
        assert set() < told[name][1] <= hashes, name
