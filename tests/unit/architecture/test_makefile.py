"""Whatever the Makefile brings, it brings through `fetch`, which trusts the machine's certificates where it must."""

import re
from pathlib import Path

MAKEFILE = (Path(__file__).parents[3] / "Makefile").read_text()


def test_everything_that_asks_an_index_falls_back_to_the_machine_s_certificates() -> None:
    asking = re.findall(r"^\t.*\$\(UV\) (?:sync|venv|pip install)\b.*$", MAKEFILE, re.MULTILINE)
    assert len(asking) >= 4
    assert [line for line in asking if "$(call fetch," not in line] == []
