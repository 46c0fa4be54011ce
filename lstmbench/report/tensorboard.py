"""Training as TensorBoard shows it: a folder for each contender, with scalars and hparams."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import hparams

from lstmbench.protocol.contender import Contender
from lstmbench.protocol.observations import Epoch, Record, Trained
from lstmbench.protocol.settings import Settings
from lstmbench.records import folder as folders
from lstmbench.records.folder import Header

HPARAMS = (
    "task",
    "dtype",
    "threads",
    "batch",
    "seq_len",
    "hidden",
    "layers",
    "epochs",
    "batches_per_epoch",
    "learning_rate",
    "teacher_forcing",
    "clip",
    "seed",
)
"""The settings that say what was trained, and how."""


class TensorBoard:
    """Writes what it hears of: scalars after each epoch, hparams once a contender is trained.

    An event's time is the start of the run and the seconds of training steps until then, so that
    TensorBoard's relative axis shows training time. A contender that is trained again takes the
    place of what was written before.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        """Make the folder; raises UsageError if it cannot be written."""
        self._folder, self._settings = folder, header.settings
        self._start = datetime.fromisoformat(header.created).timestamp()
        self._writers: dict[Contender, EventsWriter] = {}
        self._seconds: dict[Contender, float] = {}
        folders.make(folder)

    def hear(self, record: Record) -> None:
        """Write an epoch, or what a trained model is worth; other records are passed over."""
        if isinstance(record, Epoch):
            self._epoch(record)
        elif isinstance(record, Trained):
            self._trained(record)

    def close(self) -> None:
        """Close all files."""
        for writer in self._writers.values():
            writer.close()

    def _epoch(self, epoch: Epoch) -> None:
        if epoch.epoch == 0 or epoch.contender not in self._writers:
            self._open(epoch.contender, epoch.epoch)
        self._seconds[epoch.contender] += epoch.seconds
        self._write(
            epoch.contender,
            epoch.epoch + 1,
            {
                "Train Loss": epoch.loss_nats,
                "loss/teacher-forced": epoch.teacher_forced_loss_nats,
                "loss/free-running": epoch.free_running_loss_nats,
                "accuracy/validation": epoch.validation_accuracy,
            },
        )

    def _trained(self, trained: Trained) -> None:
        contender = trained.contender
        if contender not in self._writers:
            return
        metrics = {
            f"final/{name}": value for name, value in trained.metrics.items() if value is not None
        }
        metrics["final/training_seconds"] = self._seconds[contender]
        for summary in hparams(_told(contender, self._settings), metrics):
            self._add(contender, summary, 0)
        self._write(contender, self._settings.epochs, metrics)

    def _open(self, contender: Contender, step: int) -> None:
        """Begin a file; what was written from this step on, by another, is not shown any more."""
        if contender in self._writers:
            self._writers[contender].close()
        path = self._folder / contender.file_name
        folders.make(path)
        # The library's own SummaryWriter writes some time after it is told to, and renames tags.
        writer = EventsWriter(str(path / "events"), filename_suffix=f".{time.time_ns()}")
        start = SessionLog(status=SessionLog.START)
        writer.write_event(Event(wall_time=self._start, step=step, session_log=start))
        self._writers[contender] = writer
        self._seconds[contender] = 0.0

    def _write(self, contender: Contender, step: int, values: Mapping[str, float | None]) -> None:
        """Write scalars, so that they can be read at once."""
        told = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
            if value is not None
        ]
        self._add(contender, Summary(value=told), step)
        self._writers[contender].flush()

    def _add(self, contender: Contender, summary: Summary, step: int) -> None:
        when = self._start + self._seconds[contender]
        self._writers[contender].write_event(Event(wall_time=when, step=step, summary=summary))


def write(records: Iterable[Record], folder: Path, header: Header) -> None:
    """Write the training that some records tell of."""
    board = TensorBoard(folder, header)
    for record in records:
        board.hear(record)
    board.close()


def _told(contender: Contender, settings: Settings) -> dict[str, str | float]:
    return {
        "backend": contender.backend,
        "device": contender.device,
        **{name: getattr(settings, name) for name in HPARAMS},
    }
