"""The answer as summary.csv: raw numbers, with their units in the columns' names."""

import csv
import io
from typing import Any

from lstmbench.analysis.results import Line, Summary
from lstmbench.records.folder import PER_CALL
from lstmbench.statistics import Estimate


def rows(summary: Summary) -> list[dict[str, Any]]:
    """One flat mapping a row; None where there is no number."""
    return [_row(line, summary) for line in summary.lines]


def render(summary: Summary) -> str:
    """A header line and a line a row; empty cells where there is no number."""
    flat = rows(summary)
    columns = list(dict.fromkeys(name for row in flat for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _estimate(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    parts = tuple(None if v != v else v for v in estimate) if estimate else (None, None, None)
    return {name: parts[0], f"{name}_low": parts[1], f"{name}_high": parts[2]}


def _row(line: Line, summary: Summary) -> dict[str, Any]:
    s = summary.header.settings
    step, worst = line.seconds.get("train"), line.first_difference
    speeds: dict[str, Any] = {}
    for workload, unit in PER_CALL.items():
        speeds |= _estimate(unit, line.seconds.get(workload))
        speeds |= _estimate(f"{workload}_speed_over_baseline", line.speed_ratio.get(workload))
        speeds |= _estimate(f"{workload}_share_of_bound", line.share_of_bound.get(workload))
    return {
        "backend": line.row.backend,
        "device": line.row.device,
        "sound": line.sound,
        "first_failing_rung": worst and f"{worst.place}/{worst.tensor}",
        "failure": line.failure and f"{line.failure.reason}: {line.failure.message}",
        "baseline": summary.baseline and summary.baseline.label,
        "tokens_per_second": s.batch * s.seq_len / step.value if step else None,
        **speeds,
        **_estimate("backward_seconds", line.backward_seconds),
        **_estimate("optimiser_seconds", line.optimiser_seconds),
        "microseconds_per_digit_p50": line.digit_microseconds_p50,
        "microseconds_per_digit_p99": line.digit_microseconds_p99,
        "import_seconds": line.import_seconds,
        "build_seconds": line.build_seconds,
        "compile_seconds": line.compile_seconds,
        "first_step_seconds": line.first_step_seconds,
        "steps_to_repay_startup": line.steps_to_repay_startup,
        "peak_bytes": line.peak_bytes,
        "peak_bytes_above_import": line.peak_bytes_above_import,
        "train_loss_nats": line.train_loss,
        "free_running_loss_nats": line.free_running_loss,
        "mean_loss_nats": line.mean_loss,
        **line.metrics,
        "training_seconds": line.training_seconds,
        "seconds_to_target_accuracy": line.seconds_to_target,
    }
