"""Decision records: each says whether it still counts and since when, and is in the index."""

import re
from pathlib import Path

DECISIONS = Path(__file__).parents[3] / "docs/decisions"
STATUS = r"# .+\n\n(Accepted|Replaced by \[\d{4}\]\([\w-]+\.md\)), (\d{4}-\d\d-\d\d)\.\n\n"


def test_every_record_says_its_status_and_date_as_the_index_does() -> None:
    index = re.findall(
        r"^\| \[(\d{4})\]\(([\w-]+\.md)\) \| .+ \| (.+) \| (\S+) \|$", (DECISIONS / "README.md").read_text(), re.M
    )
    records = {record.name: record.read_text() for record in DECISIONS.glob("0*.md")}
    assert len(records) > 40
    assert [name for _, name, _, _ in index] == sorted(records)
    for number, name, status, date in index:
        said = re.match(STATUS, records[name])
        assert said is not None, name
        assert name.startswith(number)
        assert said[2] == date
        assert re.sub(r"\[(\d+)\]\(.*\)", r"\1", said[1]).lower() == status
