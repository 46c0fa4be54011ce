"""What a timed block should have computed, by the float64 oracle: so that no cheat goes unseen."""

from dataclasses import replace

import numpy as np

from lstmbench import parity
from lstmbench.interface import Backend, Options, Parameters
from lstmbench.protocol.messages import Workload
from lstmbench.worker import timing


def reference(
    oracle: parity.Make,
    options: Options,
    initial: Parameters,
    workload: Workload,
    sequences: np.ndarray,
    calls: list[int],
) -> parity.Reference:
    """Expected outputs of the calls named, and their bands, of a block that got `sequences`.

    Bands as in the parity ladder: what the oracle's own arithmetic in `options.dtype`, and
    parameters moved by one unit in the last place, change.
    """
    exact = replace(options, dtype="float64", device="cpu")
    wide = {name: array.astype(np.float64) for name, array in initial.items()}

    if workload != "train":  # each call stands for itself
        sequences, calls = sequences[calls], list(range(len(calls)))

    def outputs(backend: Backend, parameters: Parameters) -> parity.Arrays:
        results = timing.block(backend, parameters, workload, sequences).results
        return timing.outputs(workload, results, calls)

    truth = outputs(oracle(exact), wide)
    unit = parity.rounding(options)
    mirrored = parity.Mirrored(oracle(replace(options, device="cpu")))
    if workload == "generate":
        return _greedy(oracle(exact), wide, mirrored, initial, sequences[calls, 0], truth, unit)
    others = [
        outputs(mirrored, initial),
        outputs(oracle(exact), parity.perturbed(wide, unit, seed=0)),
    ]
    terms = sequences[0, :, 1:].size
    return parity.Reference(workload, truth, parity.bands(truth, others, unit, terms))


def _greedy(
    exact: Backend,
    wide: Parameters,
    mirrored: Backend,
    initial: Parameters,
    prompts: np.ndarray,
    truth: parity.Arrays,
    unit: float,
) -> parity.Reference:
    """Digits are held against the oracle's where its choice was clearer than rounding."""
    path = parity.greedy_path(prompts, truth["digits"])
    logits = {}
    for name, backend, parameters in (
        ("exact", exact, wide),
        ("plain", mirrored, initial),
    ):
        backend.load(parameters)
        logits[name] = np.asarray(backend.forward(backend.stage(path))[0])
    allowed = parity.bands({"digits": logits["exact"]}, [{"digits": logits["plain"]}], unit)
    margin = parity.margins(logits["exact"][:, prompts.shape[1] - 1 :])
    return parity.Reference("generate", truth | {"margin": margin}, allowed)
