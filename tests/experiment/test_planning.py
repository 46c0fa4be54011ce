import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lstmbench import UsageError
from lstmbench.experiment import memory, planning
from lstmbench.host import gpu
from lstmbench.interface import BackendInfo
from lstmbench.plugins import registry as plugins
from lstmbench.plugins.registry import Broken, Registry
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.settings import from_mapping

SMALL = {"hidden": 6, "batch": 4, "seq_len": 5, "threads": 1}
NUMPY = BackendInfo("numpy", "lstmbench_numpy.backend:NumpyBackend")


@pytest.fixture
def registry() -> Registry:
    """Ours, `mine` of one distribution, `theirs` of two, and a broken plugin."""
    found = plugins.discover()
    for name in set(found.backends) - {"numpy"}:
        del found.backends.claims[name]
    for name, distribution in [("mine", "one"), ("theirs", "one"), ("theirs", "two")]:
        found.backends.add(BackendInfo(name, NUMPY.factory), distribution)
    found.broken.append(Broken("late", "late-lstm", "needs interface 2", ("newest",)))
    return found


def plan(registry: Registry, **given: object) -> tuple[list[str], dict[str, str]]:
    header = planning.plan(from_mapping({**SMALL, **given}, "test"), registry)
    return [one.backend for one in header.contenders], header.skipped


def test_what_cannot_be_used_of_all_is_left_out_and_told(registry: Registry) -> None:
    registry.backends.add(BackendInfo("lame", "m:C", requires=("nosuch",)), "three")
    names, skipped = plan(registry, backend="all")
    assert names == ["mine", "numpy"]
    assert skipped == {
        "lame": "nosuch: not installed; pip install 'nosuch'",
        "theirs": "claimed by one and two; uninstall all but one",
        "plugin late (late-lstm)": "needs interface 2",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("theirs", "backend 'theirs' cannot be used: claimed by one and two; uninstall all"),
        ("late", "backend 'late' cannot be used: plugin late of late-lstm is broken: needs inter"),
        ("newest", "backend 'newest' cannot be used: plugin late of late-lstm is broken: needs"),
        ("nosuch", "unknown backend 'nosuch' .choices: mine, numpy, theirs"),
    ],
)
def test_what_was_asked_for_by_name_is_refused(registry: Registry, name: str, message: str) -> None:
    for others in ("numpy", "all"):
        with pytest.raises(UsageError, match=message):
            plan(registry, backend=f"{others},{name}")


def test_a_dtype_that_a_backend_has_not_leaves_it_out(registry: Registry) -> None:
    registry.backends.add(BackendInfo("half", NUMPY.factory, dtypes=("float32",)), "three")
    assert "half" in plan(registry, backend="all")[0]
    names, skipped = plan(registry, backend="all", dtype="float64")
    assert "half" not in names
    assert skipped["half"] == "it computes in float32, not in float64"
    with pytest.raises(UsageError, match="backend 'half' cannot be used: it computes in float32"):
        plan(registry, backend="numpy,half", dtype="float64")


def test_who_claims_a_name_of_ours_too_stops_nobody(registry: Registry) -> None:
    registry.backends.add(BackendInfo("numpy", "m:C"), "usurper")
    names, skipped = plan(registry, backend="all")
    assert names == ["mine"]
    assert skipped["numpy"] == "claimed by lstmbench and usurper; uninstall usurper"


def test_if_nothing_is_left_every_reason_is_told(registry: Registry) -> None:
    for name in ("mine", "numpy"):
        registry.backends.add(BackendInfo(name, "m:C"), "usurper")
    with pytest.raises(UsageError, match=r"no backend can be used: mine: claimed by .* usurper;"):
        plan(registry, backend="all")


# Devices, with a made-up number of GPUs


@pytest.fixture
def gpus(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Two GPUs, which `both` can use and `numpy` and `mine` cannot."""
    monkeypatch.setattr(gpu, "identifiers", lambda: ["0", "1"])
    registry.backends.add(
        BackendInfo("both", NUMPY.factory, devices=("cpu", "cuda"), dtypes=("float32", "bfloat16")),
        "three",
    )
    return registry


def contenders(registry: Registry, **given: object) -> list[str]:
    header = planning.plan(from_mapping({**SMALL, **given}, "test"), registry)
    return [one.label for one in header.contenders]


def test_both_devices_of_one_backend_are_two_contenders(gpus: Registry) -> None:
    found = contenders(gpus, backend="both,numpy", device="cpu,cuda,cuda:1")
    assert found == ["both", "both:cuda", "both:cuda:1", "numpy"]


@pytest.mark.parametrize("device", ["cuda:2", "cuda:x", "tpu", "cuda:"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(
    gpus: Registry, device: str
) -> None:
    choices = "choices: auto, cpu, cuda, cuda:0, cuda:1"
    with pytest.raises(UsageError, match=f"unknown device '{device}'.*{choices}"):
        contenders(gpus, backend="both", device=device)


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_without_a_gpu_cuda_is_refused(
    gpus: Registry, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(gpu, "identifiers", list)
    with pytest.raises(UsageError, match=rf"{device}': no NVIDIA GPU .* \(choices: auto, cpu\)"):
        contenders(gpus, backend="both", device=device)


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ("both:cuda", "both:cuda"),
        ("both:cuda:1", "both:cuda:1"),
        ("both", "both"),
        ("both:cpu", "both"),
        ("numpy", "numpy"),
        ("", "both"),
    ],
)
def test_a_baseline_is_a_contender_by_label_or_by_backend(
    gpus: Registry, given: str, chosen: str
) -> None:
    values = {"backend": "both,numpy", "device": "cpu,cuda,cuda:1", "baseline": given}
    header = planning.plan(from_mapping({**SMALL, **values}, "test"), gpus)
    assert header.settings.baseline == chosen


def test_a_baseline_that_is_not_there_is_refused_with_the_labels(gpus: Registry) -> None:
    with pytest.raises(UsageError, match=r"baseline 'both:cuda'.*choices: both, numpy"):
        contenders(gpus, backend="both,numpy", device="cpu", baseline="both:cuda")


def test_bfloat16_leaves_out_who_has_it_not_and_tf32_nobody(gpus: Registry) -> None:
    names, skipped = plan(gpus, backend="all", dtype="bfloat16")
    assert names == ["both"]
    assert skipped["numpy"] == "it computes in float32, float64, not in bfloat16"
    assert plan(gpus, backend="all", dtype="tf32")[0] == ["both", "mine", "numpy"]


# The command line, with somebody else's distributions on the path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """`one` and `two` both bring `theirs`; `shy` cannot be imported."""
    claim = (
        "from lstmbench import BackendInfo, hookimpl\n\n\n"
        "@hookimpl\ndef lstmbench_backends():\n"
        f"    return [BackendInfo('theirs', {NUMPY.factory!r})]\n"
    )
    for name, source in [("one", claim), ("two", claim), ("shy", "import nosuch\n")]:
        (tmp_path / f"{name}.py").write_text(source)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[lstmbench]\n{name} = {name}\n")
    return tmp_path


def lstmbench(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "lstmbench", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        timeout=300,
    )


def test_list_shows_rivals_and_broken_plugins(site: Path) -> None:
    done = lstmbench(site, "list", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rivals = [b for b in found["backends"] if b["name"] == "theirs"]
    assert sorted(b["distribution"] for b in rivals) == ["one", "two"]
    assert all("uninstall all but one" in b["status"] for b in rivals)
    (broken,) = found["broken"]
    assert broken["distribution"] == "shy" and "nosuch" in broken["status"]
    assert "no: ModuleNotFoundError" in " ".join(lstmbench(site, "list").stdout.split())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("theirs", ["'theirs'", "one", "two", "uninstall all but one"]),
        ("shy", ["'shy'", "is broken", "ModuleNotFoundError", "nosuch"]),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_asked_for_by_name_they_are_one_line_and_status_2(
    site: Path, command: str, name: str, words: list[str]
) -> None:
    arguments = ["check", name] if command == "check" else ["run", f"--backend=numpy,{name}"]
    done = lstmbench(site, *arguments)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"hidden": 8192, "layers": 64}, "training"),
        ({"batch": 65_536, "batches_per_epoch": 100_000}, "training"),
        ({"seq_len": 10_000, "batches_per_epoch": 100_000}, "training"),
        ({"batch": 65_536, "seq_len": 10_000}, "training"),
    ],
)
def test_what_cannot_fit_into_memory_is_refused_in_one_line(
    given: dict[str, int], what: str
) -> None:
    settings = from_mapping({"backend": "numpy", **given}, "test")
    with pytest.raises(UsageError, match=f"^{what} needs at least [0-9,]+ GiB, and a run may use"):
        planning.plan(settings, plugins.discover())


def test_all_contenders_of_a_launch_need_their_memory_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = from_mapping({"hidden": 512}, "test")
    monkeypatch.setattr("lstmbench.host.cpu.usable_cores", lambda: 1)
    one, two = ([Contender(backend="numpy", replica=n) for n in range(count)] for count in (1, 2))
    need = {len(group): memory.needs(settings, group)[0].size for group in (one, two)}
    assert need[1] == 3 * (need[2] - need[1]), "the oracle's numbers are twice as long"
    monkeypatch.setattr("lstmbench.host.memory.total_bytes", lambda: (need[1] + need[2]) / 1.6)
    memory.check(settings, one)
    with pytest.raises(UsageError, match="timing 2 contenders at a time"):
        memory.check(settings, two)
    on_gpu = [Contender(backend="torch", device="cuda")]
    assert memory.needs(settings, on_gpu)[0].size < need[1]
