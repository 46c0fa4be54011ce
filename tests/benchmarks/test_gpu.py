"""The command for a machine with a GPU, as far as it can be tried without one."""

import json
from pathlib import Path

import gpu
import peers
import pytest
from click.testing import CliRunner

from lstmbench import UsageError


@pytest.fixture
def session(tmp_path: Path) -> gpu.Session:
    return gpu.Session(tmp_path, 100.0, "cpu")


def test_what_goes_wrong_in_a_part_is_recorded_and_the_rest_goes_on(session: gpu.Session) -> None:
    def fails() -> None:
        raise RuntimeError("no such kernel")

    assert session.part("one", fails) is None
    assert session.part("two", lambda: {"found": 1}) == {"found": 1}
    written = json.loads((session.output / "record.json").read_text())
    assert written["parts"]["one"]["status"] == "failed: RuntimeError: no such kernel"
    assert written["parts"]["two"]["status"] == "done" and written["two"] == {"found": 1}


def test_what_does_not_fit_the_time_is_left_out_and_named(session: gpu.Session) -> None:
    assert session.part("long", lambda: pytest.fail("begun"), needs=1000.0) is None
    told = session.record["parts"]["long"]
    assert told["seconds"] is None and told["status"].startswith("left out: it needs about 1000 s")


def test_a_contender_without_a_gpu_is_a_line_on_standard_error_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lstmbench.host.gpu.identifiers", list)
    done = CliRunner().invoke(gpu.main, ["--output", str(tmp_path / "new")])
    assert done.exit_code == 2
    assert "device 'cuda': no NVIDIA GPU can be used here" in done.stderr


def test_a_peer_that_is_not_installed_is_left_out_and_named(
    session: gpu.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = []

    def plan(**given: str) -> None:
        planned.append(given["backend"])
        raise UsageError("enough")

    monkeypatch.setattr(session, "plan", plan)
    monkeypatch.setattr(
        gpu.plugins, "missing", lambda info: ["flax"] if info.name == "flax-plain" else []
    )
    with pytest.raises(UsageError, match="enough"):
        gpu.measure(session)
    assert planned == ["torch,jax,torch-plain,torch-compile"]
    assert session.record["not installed"] == {"flax-plain": ["flax"]}


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    done = CliRunner().invoke(gpu.main, ["--output", str(tmp_path)])
    assert done.exit_code == 2 and "exists and is not empty" in done.stderr


def test_shapes_have_names_and_settings_that_exist(session: gpu.Session) -> None:
    assert peers.name_of({"batch": 1, "seq_len": 100}) == "batch 1, seq-len 100"
    assert len({peers.name_of(change) for change in gpu.SHAPES}) == 8
    with pytest.raises(UsageError):
        session.plan(backend="numpy", nonsense=1)
    for change in gpu.SHAPES:
        assert session.plan(backend="numpy", device="cpu", **gpu.FEWER, **change)
