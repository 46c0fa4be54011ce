from pathlib import Path

import pytest

from lstmbench import UsageError
from lstmbench.parity.known_failures import parse, read


def test_places_or_patterns_have_a_reason() -> None:
    lines = ["# all", "", "odd/clip  # why", "*/accuracy", "single/st*#x", "timed/train # slow"]
    lines += ["training/losses # other", "training/epoch means"]
    assert parse(lines, "a list") == {
        "odd/clip": "why",
        "wide/accuracy": "known failure",
        "training/accuracy": "known failure",
        "single/state": "x",
        "single/step": "x",
        "single/steps": "x",
        "timed/train": "slow",
        "training/losses": "other",
        "training/epoch means": "known failure",
    }


@pytest.mark.parametrize("place", ["odd/clap", "timed/dance", "odd"])
def test_a_line_that_names_no_place_is_refused_with_its_number(place: str) -> None:
    with pytest.raises(UsageError, match=rf"a list, line 2: no rung matches '{place}'.*odd.*clip"):
        parse(["odd/clip", place], "a list")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"known failures .*none\.txt.* cannot be read"):
        read(tmp_path / "none.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="binary"):
        read(tmp_path / "binary")
