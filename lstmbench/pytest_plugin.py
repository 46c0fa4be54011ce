"""For pytest: `pytest --lstmbench NAME` adds a test for each rung of the parity ladder.

Loaded by every pytest where lstmbench is installed: it imports nothing else until it is asked.
"""

from collections.abc import Generator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lstmbench", "parity ladder of LSTM backends")
    group.addoption(
        "--lstmbench", metavar="NAME,...", default="", help="Test these backends, a test a rung."
    )
    group.addoption(
        "--lstmbench-known-failures",
        metavar="FILE",
        help="Lines of case/rung, * for any, that are expected to fail; the reason after a #.",
    )
    group.addoption(
        "--lstmbench-dtype",
        metavar="DTYPE",
        default="float32",
        help="float32, float64, tf32 or bfloat16. [default: float32]",
    )


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    names = [name for name in config.getoption("lstmbench").split(",") if name]
    if not names:
        return
    from lstmbench import conformance
    from lstmbench.experiment.check import plan
    from lstmbench.interface.errors import UsageError
    from lstmbench.plugins import registry as plugins

    dtype = config.getoption("lstmbench_dtype")
    file = config.getoption("lstmbench_known_failures")
    try:
        known = conformance.read_known_failures(file) if file else {}
        plan(plugins.discover(), *names, dtype=dtype)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    for name in names:
        for place in conformance.PLACES:
            nodeid = f"lstmbench::{name}::{place}"
            item = RungItem.from_parent(
                session, name=place, nodeid=nodeid, backend=name, dtype=dtype
            )
            if place in known:
                item.add_marker(pytest.mark.xfail(reason=known[place], strict=True))
            items.append(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the test of a rung the time of that rung: the first one has waited for all of them."""
    report = yield
    seconds = dict(item.user_properties).get("lstmbench_seconds")
    if call.when == "call" and isinstance(seconds, float):
        report.duration = seconds
    return report


class RungItem(pytest.Item):
    """One backend at one place of the ladder."""

    def __init__(self, *, backend: str, dtype: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backend, self.dtype = backend, dtype

    def runtest(self) -> None:
        from lstmbench import conformance

        seconds = conformance.rung_seconds(self.backend, self.name, dtype=self.dtype)
        self.user_properties.append((conformance.SECONDS, seconds))
        conformance.assert_rung(self.backend, self.name, dtype=self.dtype)

    def reportinfo(self) -> tuple[str, None, str]:
        return "lstmbench", None, f"{self.backend} {self.name}"
