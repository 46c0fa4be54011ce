"""The canonical parameters: their names, shapes and formulas, and how they travel.

For layer l with input x (one-hot digit, or h of the layer below), gate order i, f, g, o::

    z_t = x_t W_ih^T + h_{t-1} W_hh^T + b
    i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o);   g = tanh(z_g)
    c_t = f c_{t-1} + i g;   h_t = o tanh(c_t)

and logits = h W^T + b of the linear layer on top. One bias per layer, trainable.
Hochreiter and Schmidhuber, https://doi.org/10.1162/neco.1997.9.8.1735, with the forget gate of
Gers et al., https://doi.org/10.1162/089976600300015015.
"""

from collections.abc import Mapping

import numpy as np
import safetensors.numpy

from lstmbench.interface import VOCABULARY, Parameters


def shapes(hidden: int, layers: int, vocabulary: int = VOCABULARY) -> dict[str, tuple[int, ...]]:
    """Shape of each canonical parameter by name, in canonical order."""
    result: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        inputs = hidden if layer else vocabulary
        result[f"lstm.{layer}.weight_ih"] = (4 * hidden, inputs)
        result[f"lstm.{layer}.weight_hh"] = (4 * hidden, hidden)
        result[f"lstm.{layer}.bias"] = (4 * hidden,)
    result["linear.weight"] = (vocabulary, hidden)
    result["linear.bias"] = (vocabulary,)
    return result


def dimensions(parameters: Mapping[str, np.ndarray]) -> tuple[int, int, int]:
    """(vocabulary, hidden, layers) of canonical parameters."""
    vocabulary, hidden = parameters["linear.weight"].shape
    layers = sum(name.endswith(".weight_hh") for name in parameters)
    return vocabulary, hidden, layers


def random_generator(seed: int, *key: int) -> np.random.Generator:
    """The one source of random numbers: PCG64 from a seed and an explicit spawn key."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def draw(
    seed: int,
    hidden: int,
    layers: int,
    dtype: str = "float64",
    vocabulary: int = VOCABULARY,
) -> dict[str, np.ndarray]:
    """Initial parameters, each U(-1/sqrt(H), 1/sqrt(H)), drawn in float64 in canonical order."""
    random = random_generator(seed, 0, 5)
    bound = hidden**-0.5
    return {
        name: random.uniform(-bound, bound, shape).astype(dtype)
        for name, shape in shapes(hidden, layers, vocabulary).items()
    }


def views(flat: np.ndarray, layout: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Consecutive parts of one flat array, by name, each in its shape, without copying."""
    result, start = {}, 0
    for name, shape in layout.items():
        size = int(np.prod(shape))
        result[name] = flat[start : start + size].reshape(shape)
        start += size
    return result


def count(layout: Mapping[str, tuple[int, ...]]) -> int:
    """How many numbers a layout holds."""
    return sum(int(np.prod(shape)) for shape in layout.values())


def to_bytes(arrays: Parameters) -> bytes:
    """Named arrays as safetensors bytes."""
    return safetensors.numpy.save({k: np.require(v, requirements="C") for k, v in arrays.items()})


def from_bytes(data: bytes) -> dict[str, np.ndarray]:
    """Named arrays from safetensors bytes."""
    return dict(safetensors.numpy.load(data))
