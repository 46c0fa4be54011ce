import json
import subprocess
import sys

import pytest

HEAVY = ["torch", "jax", "jaxlib", "numba", "llvmlite", "pandas", "scipy", "numpy"]
HEAVY += ["altair", "vl_convert", "jinja2", "tensorboardX", "matplotlib"]
LIST = """
import sys
from lstmbench.cli import main
sys.argv = ["lstmbench", "list", "--json"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
TELL = f"""
import json, sys
print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code + TELL]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    "code",
    [
        "import lstmbench",
        "import lstmbench.cli",
        "from lstmbench.plugins import registry; registry.discover()",
        LIST,
        LIST.replace(', "--json"', ""),
        LIST.replace('"list", "--json"', '"--help"'),
        LIST.replace('"list", "--json"', '"run", "--help"'),
    ],
    ids=["lstmbench", "cli", "discover", "list --json", "list", "--help", "run --help"],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert json.loads(run(code).stderr) == []


def test_list_answers_for_programs() -> None:
    found = json.loads(run(LIST).stdout)
    names = {kind: {entry["name"] for entry in found[kind]} for kind in found}
    assert names["backends"] >= {"numpy", "numba", "torch", "jax"}
    assert names["tasks"] >= {"digits", "markov", "arith", "lag"}
    assert "cpu" in names["devices"]


@pytest.mark.parametrize(
    "module",
    [
        "api",
        "execution.loop",
        "experiment.run",
        "host.environment",
        "interface.workloads",
        "parity",
        "plugins.registry",
        "protocol.wire",
        "records.folder",
    ],
)
def test_the_harness_imports_no_framework(module: str) -> None:
    frameworks = {"torch", "jax", "jaxlib", "numba", "llvmlite"}
    assert not frameworks & set(json.loads(run(f"import lstmbench.{module}").stderr))
