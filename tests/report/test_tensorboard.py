"""What TensorBoard itself reads of the files that are written for it."""

from pathlib import Path

import pytest
from made_up_answer import answer, contenders, header, records

import lstmbench
from lstmbench.interface.errors import UsageError
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Epoch, Trained
from lstmbench.report.tensorboard import TensorBoard, write

# It asks for a module that Python has deprecated, before anything of ours is run.
accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
hparams = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")


def read(folder: Path) -> accumulators.EventAccumulator:  # type: ignore[name-defined]
    found = accumulators.EventAccumulator(str(folder))
    found.Reload()
    return found


def test_each_contender_has_a_folder_and_the_tutorials_own_tag(tmp_path: Path) -> None:
    found = contenders(2)
    kept = records(found, 1, 1, 6)
    write(kept, tmp_path, header(found, 1, 1, 6))
    assert {path.name for path in tmp_path.iterdir()} == {"backend00", "torch"}
    epochs = [one for one in kept if isinstance(one, Epoch) and one.contender == found[1]]
    events = read(tmp_path / "torch")
    expected = {
        "Train Loss": [one.loss_nats for one in epochs],
        "loss/teacher-forced": [one.teacher_forced_loss_nats for one in epochs],
        "loss/free-running": [one.free_running_loss_nats for one in epochs],
        "accuracy/validation": [one.validation_accuracy for one in epochs],
    }
    assert set(expected) <= set(events.Tags()["scalars"])
    for tag, values in expected.items():
        scalars = events.Scalars(tag)
        assert [one.step for one in scalars] == list(range(1, 7))
        assert [one.value for one in scalars] == pytest.approx(values)
    times = [one.wall_time for one in events.Scalars("Train Loss")]
    assert times[-1] - times[0] == pytest.approx(sum(one.seconds for one in epochs[1:]), abs=1e-3)


def test_settings_and_final_metrics_are_hparams(tmp_path: Path) -> None:
    lstmbench.write_tensorboard(answer(1), tmp_path)
    events = read(tmp_path / "backend00")
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    told = hparams.HParamsPluginData.FromString(content).session_start_info.hparams
    assert told["backend"].string_value == "backend00" and told["hidden"].number_value == 128
    assert told["learning_rate"].number_value == 0.001
    (accuracy,) = events.Scalars("final/test_accuracy")
    assert accuracy.value == pytest.approx(0.96) and accuracy.step == 5


def test_what_is_written_can_be_read_at_once(tmp_path: Path) -> None:
    found = contenders(1)
    board = TensorBoard(tmp_path, header(found, 1, 1, 3))
    for number, record in enumerate(
        one for one in records(found, 1, 1, 3) if isinstance(one, Epoch)
    ):
        board.hear(record)
        assert len(read(tmp_path / "backend00").Scalars("Train Loss")) == number + 1
    board.close()


def test_training_that_begins_anew_takes_the_place_of_what_was(tmp_path: Path) -> None:
    found = contenders(1)
    kept = [one for one in records(found, 1, 1, 5) if isinstance(one, Epoch | Trained)]
    write(kept[:3], tmp_path, header(found, 1, 1, 5))
    write(kept, tmp_path, header(found, 1, 1, 5))
    scalars = read(tmp_path / "backend00").Scalars("Train Loss")
    assert [one.step for one in scalars] == [1, 2, 3, 4, 5]


def test_folders_have_no_colon() -> None:
    assert Contender(backend="torch", device="cuda:1").file_name == "torch-cuda-1"
    assert Contender(backend="a", replica=2, injected_slowdown=True).file_name == "a-2-slowed"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        lstmbench.write_tensorboard(answer(1), tmp_path / "file")
