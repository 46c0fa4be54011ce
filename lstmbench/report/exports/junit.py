"""The comparisons with the oracle as JUnit XML, which CI systems read.

A suite is a contender, a test case one comparison. What is not claimed is skipped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from lstmbench.analysis.results import RunResult
from lstmbench.analysis.verdict import Compared, failure_in_words, place, what_differs
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import BlockCheck, Failure, RungResult
from lstmbench.report.text import clean

SKIPPED = ("not claimed", "not seen")


@dataclass(frozen=True)
class Suite:
    """What was compared of one contender, and why it went no further."""

    contender: Contender
    compared: Sequence[Compared]
    failure: Failure | None


def render(run: RunResult) -> str:
    """Return everything that was compared in a run: rungs, timed results, training."""
    return render_suites(
        Suite(one.contender, [*one.rungs, *one.checks, *one.training_checks], one.failure)
        for one in run.contenders
    )


def render_suites(suites: Iterable[Suite]) -> str:
    """Return suites as one XML file."""
    root = ElementTree.Element("testsuites", name="lstmbench")
    root.extend([_suite(one) for one in suites])
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode", xml_declaration=True) + "\n"


def _suite(suite: Suite) -> ElementTree.Element:
    name = clean(suite.contender.label)
    cases = [_case(name, one) for one in suite.compared]
    if suite.failure:
        cases.append(_broken(name, suite.failure))
    counts = {
        kind: sum(case.find(element) is not None for case in cases)
        for kind, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    seconds = sum(float(case.get("time", "0")) for case in cases)
    element = ElementTree.Element(
        "testsuite",
        {
            "name": name,
            "tests": str(len(cases)),
            **{kind: str(count) for kind, count in counts.items()},
            "time": f"{seconds:.3f}",
        },
    )
    element.extend(cases)
    return element


def _case(suite: str, one: Compared) -> ElementTree.Element:
    group, _, name = _place(one).partition("/")
    case = ElementTree.Element("testcase", classname=f"{suite}.{group}", name=name)
    if isinstance(one, RungResult) and one.seconds is not None:
        case.set("time", f"{one.seconds:.3f}")
    result = one.result
    if not result.passed:
        failure = ElementTree.SubElement(case, "failure", message=clean(what_differs(result)))
        if isinstance(one, RungResult) and one.traceback:
            failure.text = clean(one.traceback, lines=True)
    elif result.outcome in SKIPPED:
        ElementTree.SubElement(case, "skipped", message=clean(result.note or result.outcome))
    return case


def _place(one: Compared) -> str:
    """Return a place that no two comparisons of a contender share."""
    if isinstance(one, RungResult):
        return place(one)
    if isinstance(one, BlockCheck):
        return f"{place(one)}, launch {one.launch}, round {one.round}"
    return place(one) if one.epoch is None else f"{place(one)}, epoch {one.epoch}"


def _broken(suite: str, failure: Failure) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=f"{suite}.{failure.phase}", name="failure")
    error = ElementTree.SubElement(case, "error", message=clean(failure_in_words(failure)))
    error.text = clean(failure.traceback, lines=True)
    return case
