"""The page on architecture names what is there."""

import ast
import re
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "layers/engine/python/botbalance"
PAGE = (ROOT / "docs/architecture.md").read_text()
PLACE = r"`([\w/]+\.py):([\w.]+)`"


def test_every_file_and_folder_on_the_page_exists() -> None:
    tree = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)[0]
    folders: list[str] = []
    missing = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        for name in re.match(r"\s*((?:\S+ )*\S+)", line)[1].split("  ")[0].split():  # type: ignore[index]
            if not re.fullmatch(r"[\w./-]+(/|\.py|\.yaml)", name):
                break
            path = "/".join([*folders[:depth], name.rstrip("/")])
            if not (ROOT / path).exists():
                missing.append(path)
            if name.endswith("/"):
                folders[depth:] = [name.rstrip("/")]
    assert len(folders) >= 1
    assert missing == []


def test_every_room_of_the_package_and_the_workbench_is_on_the_page() -> None:
    for parent in ("layers/engine/python/botbalance", "workbench"):
        for room in (ROOT / parent).iterdir():
            if (room / "__init__.py").is_file():
                assert f"{room.name}/" in PAGE, room


def find_file(path: str) -> Path:
    """Named from the root, or within the package."""
    return next(parent / path for parent in (PACKAGE, ROOT) if (parent / path).is_file())


def test_every_function_and_class_that_the_page_names_is_in_its_file() -> None:
    places = re.findall(PLACE, PAGE)
    assert len(places) > 20
    for path, name in places:
        body = ast.parse(find_file(path).read_text()).body
        for part in name.split("."):
            [found] = [one for one in body if isinstance(one, ast.ClassDef | ast.FunctionDef) and one.name == part]
            body = found.body


def test_each_step_from_a_function_inward_calls_the_next_one() -> None:
    ways = [re.findall(PLACE, way) for way in re.findall(r"^- `functions/.*?`$", PAGE, re.MULTILINE | re.DOTALL)]
    assert [len(way) for way in ways] == [4, 4]
    for way in ways:
        for (path, _), (_, name) in pairwise(way):
            assert f"{name.rpartition('.')[2]}(" in find_file(path).read_text(), (path, name)
