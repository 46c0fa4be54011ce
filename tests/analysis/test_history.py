"""Histories join what belongs together, and flag what is beyond doubt."""

from made_up_answer import HOSTILE, answer
from msgspec.structs import replace

from lstmbench.analysis.analyse import analyse
from lstmbench.analysis.history import NamedRun, apart, histories
from lstmbench.analysis.results import RunResult
from lstmbench.protocol.observations import Block
from lstmbench.records.folder import Run
from lstmbench.statistics import Estimate

NAN = float("nan")


def begun(run: RunResult, day: int, **environment: object) -> RunResult:
    """The same run, begun on another day, on a machine that differs."""
    header = run.header
    header = replace(
        header,
        created=f"2026-03-{day:02d}T00:00:00+00:00",
        environment=replace(header.environment, **environment),
    )
    return analyse(Run(header, run.run.records))


def slower(run: RunResult, name: str, factor: float) -> RunResult:
    """The same run, in which one contender's training steps take longer."""
    records = [
        replace(one, seconds=[factor * s for s in one.seconds])
        if isinstance(one, Block) and one.contender.label == name and one.workload == "train"
        else one
        for one in run.run.records
    ]
    return analyse(Run(run.header, records))


def named(*runs: RunResult) -> list[NamedRun]:
    return [NamedRun(f"run{number}", run) for number, run in enumerate(runs)]


def test_runs_of_two_machines_or_shapes_are_never_joined() -> None:
    base = answer(3)
    other = begun(base, 2, cpu="another")
    fewer = begun(base, 3, cores_usable=1)
    header = replace(base.header, settings=replace(base.settings, batch=8))
    shape = analyse(Run(header, base.run.records))
    header = replace(base.header, workloads={**base.header.workloads, "train": 99})
    version = analyse(Run(header, base.run.records))
    header = replace(base.header, settings=replace(base.settings, baseline="backend02"))
    baseline = analyse(Run(header, base.run.records))
    found = histories(named(base, other, fewer, shape, version, baseline, begun(base, 9)))
    assert sorted(len(one.steps) for one in found) == [1, 1, 1, 1, 1, 2]


def test_runs_are_in_the_order_of_time_and_the_newest_history_first() -> None:
    base = answer(3)
    runs = [begun(base, day) for day in (5, 1, 3)] + [begun(base, 9, cpu="another")]
    found = histories(named(*runs))
    assert found[0].machine["cpu"] == "another"
    assert [step.named.name for step in found[1].steps] == ["run1", "run2", "run0"]
    assert found[1].newest.name == "run0"
    assert found[1].contenders == ["backend00", "backend02"]


def test_a_jump_is_where_neighbours_intervals_exclude_each_other() -> None:
    base = answer(3)
    runs = [begun(base, 1), begun(base, 2), begun(slower(base, "backend02", 2.0), 3)]
    (found,) = histories(named(*runs))
    assert [len(step.jumps) for step in found.steps] == [0, 0, 1]
    (jump,) = found.steps[2].jumps
    assert (jump.contender, jump.workload) == ("backend02", "train")
    assert jump.before.value / jump.after.value == 2.0
    (little,) = histories(named(begun(base, 1), begun(slower(base, "backend02", 1.0001), 2)))
    assert not little.steps[1].jumps


def test_what_holds_for_all_contenders_is_no_jump() -> None:
    base = answer(3)
    slow = base
    for name in ("backend00", "torch", "backend02"):
        slow = slower(slow, name, 3.0)
    (found,) = histories(named(begun(base, 1), begun(slow, 2)))
    assert not found.steps[1].jumps


def test_unknown_intervals_exclude_nothing() -> None:
    assert apart(Estimate(1, 0.9, 1.1), Estimate(2, 1.8, 2.2))
    assert not apart(Estimate(1, 0.9, 1.9), Estimate(2, 1.8, 2.2))
    assert not apart(Estimate(1, NAN, NAN), Estimate(2, 1.8, 2.2))


def test_versions_that_changed_are_named_at_the_step() -> None:
    base = answer(3)
    newer = {**base.environment.versions, "numpy": HOSTILE}
    runs = [
        begun(base, 1),
        begun(base, 2, versions=newer, platform="another kernel", variables={"OMP": "1"}),
        begun(base, 3, versions=newer, platform="another kernel", variables={"OMP": "1"}),
    ]
    (found,) = histories(named(*runs))
    assert found.steps[1].changed["numpy"] == ("2", HOSTILE)
    assert found.steps[1].changed["platform"] == ("an operating system", "another kernel")
    assert not found.steps[2].changed
