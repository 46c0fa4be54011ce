"""Control groups, siblings and kinds of cores, in made-up folders in place of /proc and /sys."""

from pathlib import Path

import pytest

from lstmbench.host import cgroups, cpu, load
from lstmbench.host.cgroups import Throttling
from lstmbench.host.load import LoadMonitor

Files = dict[str, str]


def made(root: Path, files: Files) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/cpu,cpuacct"
V1_LINES = "4:memory:/docker/a\n3:cpu,cpuacct:/docker/a"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/a/b", f"{V2}/a/b/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/a/b", f"{V2}/a/b/cpu.max": "50000 100000"}, 0.5),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                f"{V2}/a/b/cpu.max": "400000 100000",
                f"{V2}/a/cpu.max": "150000 100000",
            },
            1.5,
        ),
        ({"proc/self/cgroup": "0::/not/seen/here", f"{V2}/cpu.max": "250000 100000"}, 2.5),
        ({"proc/self/cgroup": "0::/../../x", f"{V2}/cpu.max": "250000 100000"}, 2.5),
        (
            {
                "proc/self/cgroup": V1_LINES,
                f"{V1}/docker/a/cpu.cfs_quota_us": "50000",
                f"{V1}/docker/a/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": V1_LINES,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": V1_LINES,
                f"{V1}/docker/a/cpu.cfs_quota_us": "-1",
                f"{V1}/docker/a/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "nonsense"}, None),
        ({"proc/self/cgroup": "0::/", f"{V2}/cpu.max": "50000 0"}, None),
        ({"proc/self/cgroup": "nonsense"}, None),
    ],
)
def test_a_quota_is_found_in_either_version(tmp_path: Path, files: Files, quota: float) -> None:
    assert cgroups.cpu_quota(made(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"proc/self/cgroup": "0::/a", f"{V2}/a/memory.max": "1073741824"}, 2**30),
        ({"proc/self/cgroup": "0::/a", f"{V2}/a/memory.max": "max"}, None),
        (
            {
                "proc/self/cgroup": V1_LINES,
                "sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes": "2147483648",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            2**31,
        ),
    ],
)
def test_a_limit_of_memory_is_found_in_either_version(
    tmp_path: Path, files: Files, limit: int
) -> None:
    assert cgroups.memory_limit(made(tmp_path, files)) == limit


STAT = "usage_usec 1\nnr_periods 1539\nnr_throttled 1529\nthrottled_usec 3"


def test_throttling_is_counted(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/a", f"{V2}/a/cpu.stat": STAT, f"{V2}/cpu.stat": "usage 1"}
    assert cgroups.throttling(made(tmp_path, files)) == Throttling(1539, 1529)
    assert cgroups.throttling(tmp_path / "nothing") is None


def test_throttling_while_something_is_timed_is_a_share_of_its_periods(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = iter([Throttling(100, 90), Throttling(150, 130), Throttling(150, 130), None])
    monkeypatch.setattr(load.cgroups, "throttling", lambda: next(told))
    assert LoadMonitor([]).load().throttled == 40 / 50
    assert LoadMonitor([]).load().throttled is None


def test_only_the_cores_that_may_be_used_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is kept on core 2 of four, of which core 1 is switched off."""
    busy = {0: 50.0, 2: 0.0, 3: 50.0}

    class Times:
        def __init__(self, seconds: float) -> None:
            self.user, self.system, self.steal = seconds, 0.0, 0.0

    def times(percpu: bool) -> list[Times]:
        assert percpu
        found = [Times(seconds) for seconds in busy.values()]
        for number in busy:
            busy[number] += {0: 100.0, 2: 0.25, 3: 100.0}[number]
        return found

    clock = iter([0.0, 1.0])
    monkeypatch.setattr(load.psutil, "cpu_times", times)
    monkeypatch.setattr(load.cpu, "allowed", lambda: [2])
    monkeypatch.setattr(load.cpu, "online", lambda: [0, 2, 3])
    monkeypatch.setattr(load.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(load, "_processor_seconds", lambda pids: 0.0)
    assert LoadMonitor([]).load().others == 0.25


def machine(root: Path, siblings: list[str], speeds: list[str] | None = None) -> Path:
    """Cores with these siblings and speeds."""
    for number, told in enumerate(siblings):
        made(root, {f"{cpu.CORES}/cpu{number}/topology/thread_siblings_list": told})
    for number, told in enumerate(speeds or []):
        made(root, {f"{cpu.CORES}/cpu{number}/cpufreq/cpuinfo_max_freq": told})
    return root


@pytest.mark.parametrize(
    ("siblings", "speeds", "quota", "usable", "order"),
    [
        (["0", "1", "2", "3"], None, "max 100000", 4, [0, 1, 2, 3]),
        (["0-1", "0-1", "2-3", "2-3"], None, "max 100000", 2, [0, 2, 1, 3]),
        (["0,2", "1,3", "0,2", "1,3"], None, "max 100000", 2, [0, 1, 2, 3]),
        (
            ["0-1", "0-1", "2", "3"],
            ["5200000", "5200000", "3900000", "3900000"],
            "max 100000",
            1,
            [0, 2, 3, 1],
        ),
        (["0", "1", "2", "3"], ["3900000", "5200000", "5400000", "3900000"], "max 1", 2, None),
        (["0", "1", "2", "3"], None, "250000 100000", 2, None),
        (["0", "1", "2", "3"], None, "50000 100000", 1, None),
        ([], ["nonsense"], "max 100000", 4, [0, 1, 2, 3]),
    ],
)
def test_threads_are_worth_starting_on_physical_cores_of_the_fastest_kind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    siblings: list[str],
    speeds: list[str] | None,
    quota: str,
    usable: int,
    order: list[int] | None,
) -> None:
    root = made(machine(tmp_path, siblings, speeds), {"proc/self/cgroup": "0::/"})
    made(root, {f"{V2}/cpu.max": quota})
    monkeypatch.setattr(cpu, "allowed", lambda: [0, 1, 2, 3])
    assert cpu.usable_cores(root) == usable
    assert sorted(cpu.in_order(root)) == [0, 1, 2, 3]
    assert order is None or cpu.in_order(root) == order


@pytest.mark.parametrize(
    ("told", "numbers"),
    [
        ("0-3", [0, 1, 2, 3]),
        ("0,2-3", [0, 2, 3]),
        ("7", [7]),
        ("x", None),
        ("0-", [0]),
        (None, None),
    ],
)
def test_cores_that_are_switched_on(
    tmp_path: Path, told: str | None, numbers: list[int] | None
) -> None:
    if told is not None:
        made(tmp_path, {f"{cpu.CORES}/online": told})
    assert cpu.online(tmp_path) == numbers
