"""The promised lowest versions, and the pinned ones, beside what pyproject.toml says."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
TESTED = ("numba", "torch", "jax", "report", "tensorboard", "test")
"""The extras that the tests at the lowest versions install; the others are for benchmarks."""


def pinned(name: str) -> dict[str, Version]:
    """What a file of constraints pins, by canonical name."""
    lines = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in lines}


def required(*extras: str) -> list[Requirement]:
    """What lstmbench depends on, with the named extras, but for itself."""
    lines = PROJECT["dependencies"] + [line for extra in extras for line in EXTRAS[extra]]
    return [r for r in map(Requirement, lines) if r.name != "lstmbench"]


def test_the_lowest_versions_are_those_that_are_promised() -> None:
    lowest = pinned("constraints-lowest.txt")
    for requirement in required(*TESTED):
        ((operator, bound),) = [(s.operator, s.version) for s in requirement.specifier]
        assert operator == ">=", requirement
        version = lowest.pop(canonicalize_name(requirement.name))
        # A bound may leave out the date that a package of types has as its last number.
        exact = version.release[: len(Version(bound).release)]
        padded = (*Version(bound).release, *[0] * len(version.release))[: len(exact)]
        assert exact == padded, requirement
    assert set(lowest) == {"jaxlib", "llvmlite"}, "what jax and numba cannot do without"


@pytest.mark.parametrize("extra", [*EXTRAS])
def test_what_is_pinned_keeps_every_promise(extra: str) -> None:
    pins = pinned("constraints.txt")
    for requirement in required(extra):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier
