"""The page on architecture names what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/architecture.md").read_text()


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
