"""The running loss is the mean since it was last told."""

from made_up_answer import answer

from lstmbench.protocol.observations import Epoch
from lstmbench.report.progress import RunningLoss


def told(every: int, epochs: list[Epoch]) -> list[str]:
    lines: list[str] = []
    running = RunningLoss(every, lines.append)
    for one in epochs:
        running.hear(one)
    return lines


def test_the_mean_is_over_the_epochs_since_the_last_line() -> None:
    epochs = answer(1, epochs=5)["backend00"].epochs
    first, second = told(2, epochs)
    mean = (epochs[2].loss_nats + epochs[3].loss_nats) / 2
    assert first.startswith("backend00: epoch 2: train loss ")
    assert second.startswith(f"backend00: epoch 4: train loss {mean:.3f} nats (mean of 2 epochs)")
    assert second.endswith(f"validation accuracy {epochs[3].validation_accuracy:.1%}")


def test_another_contender_begins_anew_and_zero_means_never() -> None:
    run = answer(2, epochs=3)
    epochs = [*run["backend00"].epochs, *run["torch"].epochs]
    lines = told(2, epochs)
    assert [line.split(":")[0] for line in lines] == ["backend00", "torch"]
    assert all("mean of 2 epochs" in line for line in lines)
    assert told(0, epochs) == []


def test_other_records_are_passed_over() -> None:
    run = answer(1)
    lines: list[str] = []
    running = RunningLoss(1, lines.append)
    for record in run.run.records:
        running.hear(record)
    assert len(lines) == 5
