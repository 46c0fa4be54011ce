"""What the numbers of a report mean: each term, with its unit and its denominator."""

from lstmbench.analysis.analyse import TARGET_ACCURACY
from lstmbench.analysis.results import RunResult
from lstmbench.interface.workloads import GENERATED_DIGITS, PROMPT_DIGITS
from lstmbench.parity.tolerances import honest_factor

PUBLISHED_LOSS = 0.28
PUBLISHED_ACCURACY = 0.925


def notes(run: RunResult) -> list[str]:
    """Return the meanings, a paragraph each."""
    counted = [one for one in run.contenders if one.digit_calls]
    calls = ", ".join(f"{one.digit_calls:,} ({one.contender.label})" for one in counted)
    told = [
        "[low, high] is a 95 % confidence interval: of speeds, over launches (every contender "
        "started afresh; median over a launch's rounds); of accuracies, over test sequences.",
        "parity: every rung agrees with a float64 oracle to within "
        f"{honest_factor(run.settings.arithmetic)} times the error of plain arithmetic in the same "
        "precision; ≈: of approximate activations. A contender that does not agree is not timed. "
        "Results of timed blocks are verified in the same way"
        f"{_verified_training(run)}.",
        "staging its inputs: bringing the batch of one training step to the device, which is "
        "outside the clock.",
        "speed ÷ baseline's: training steps a second over the baseline's in the same round; "
        "above 1 is faster. tokens/s: predicted digits a second in training.",
        f"µs/digit: greedy generation of one sequence, {GENERATED_DIGITS} digits a call after a "
        f"prompt of {PROMPT_DIGITS}, with weights of each block's own, seconds "
        f"of a call ÷ {GENERATED_DIGITS}; percentiles of a launch's calls, which are at least "
        f"{calls or 'none'}, then over launches; p99 needs 100 of them.",
        "share of roofline: the least time that the operations and bytes of the formulas take at "
        "this machine's measured peaks, over the time taken; in brackets the bottleneck "
        "(dispatch: the calls and small operations around the arithmetic).",
        "backward: loss and gradients less forward pass; clip + Adam: training step less loss and "
        "gradients. They are differences, so they may be below zero (a step need not hand "
        "gradients out). start repaid after: training steps until import, build, compile and "
        "first step are made up for, compared with the baseline.",
        "effective precision: by the relative error of the logits against float64, in brackets. "
        "computed in: as the backend tells; arrays handed over are of the run's dtype.",
        "import: of the backend's libraries, beyond what a worker itself needs, NumPy among it; "
        "build: constructing the backend and loading parameters; compile and 1st step: of the "
        "first launch, with nothing cached. peak: resident memory of the worker after training "
        "(without training, after a launch's first calls); above import: beyond what it held "
        "once the library was loaded. on GPU: the most that the worker's arrays took there, as "
        "the library counts; marked ≥, what the driver saw the whole process hold just then.",
        "train loss: teacher-forced batches of the last epoch, by the model as it was at each; "
        "free-running: batches in which the model reads its own digits; mean: over all batches.",
        "generated: cross-entropy, under the task's own process, of digits that the model wrote. "
        f"s to {TARGET_ACCURACY:.1%}: seconds of training steps to the end of the first epoch "
        "with that validation accuracy.",
    ]
    return told + _ceiling_notes(run) + _task_notes(run)


def _verified_training(run: RunResult) -> str:
    """Return how far the losses of training were compared, as the end of a sentence."""
    found = {
        check.result.note
        for one in run.contenders
        for check in one.training_checks
        if check.check == "losses"
    }
    return f", and losses in training, {'; '.join(sorted(found))}" if found else ""


def _ceiling_notes(run: RunResult) -> list[str]:
    if not run.ceiling:
        return []
    c = run.ceiling
    accuracies = ", ".join(f"{k}: {100 * v:.1f} %" for k, v in c.ngram_accuracy.items())
    ngrams = (
        f"counted on the same training data: {accuracies}. An accuracy near these shows no use of "
        "a longer context."
        if accuracies
        else "not measured, as nothing was trained."
    )
    return [
        f"Ceiling of task {c.task}: Bayes accuracy {100 * c.bayes_accuracy:.2f} % expected, "
        f"{100 * c.test_bayes_accuracy:.2f} % on these test tokens (÷ Bayes is by the latter); "
        f"entropy floor {c.entropy_floor_nats:.5f} nats, {c.test_cross_entropy_nats:.5f} here.",
        f"n-gram accuracy, guessing from the last k digits alone: {ngrams}",
    ]


def _task_notes(run: RunResult) -> list[str]:
    if run.settings.task != "digits":
        return []
    return [
        f"The tutorial that this experiment repairs reports train loss {PUBLISHED_LOSS} and "
        f"accuracy {PUBLISHED_ACCURACY:.2%} on 50 sequences; a test of 50 swings by ± 3 points."
    ]
