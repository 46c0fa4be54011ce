"""The page on reports, held to the code, and its workflow to GitHub's schema."""

import re
import subprocess
from pathlib import Path

import pytest

from lstmbench.report.columns import SUMMARY
from lstmbench.report.formats import FORMATS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reports.md").read_text()


def test_every_format_is_described() -> None:
    (table,) = re.findall(r"^\| format .*\n\|.*\n((?:\|.*\n)*)", PAGE, re.MULTILINE)
    named = re.findall(r"`([\w-]+)`(?=[^|]*\|)", "\n".join(re.findall(r"^\|[^|]*\|", table, re.M)))
    assert set(named) == set(FORMATS)


def test_the_order_in_which_columns_are_dropped_is_complete() -> None:
    listed = re.findall(r"^\d+\. ", PAGE, re.MULTILINE)
    assert len(listed) == len(SUMMARY) - 1, "the first line has two: name, and whether it agrees"


@pytest.mark.parametrize("page", ["reports.md", "sweeps.md"])
def test_workflows_are_such_as_github_takes(page: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text()
    (workflow,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "benchmark.yml").write_text(workflow)
    command = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run(
        [*command, str(tmp_path / "benchmark.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
