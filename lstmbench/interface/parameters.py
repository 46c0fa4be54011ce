"""The canonical parameters: their formulas, how they are drawn, and the source of random numbers.

For layer l with input x (one-hot digit, or h of the layer below), gate order i, f, g, o::

    z_t = x_t W_ih^T + h_{t-1} W_hh^T + b
    i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o);   g = tanh(z_g)
    c_t = f c_{t-1} + i g;   h_t = o tanh(c_t)

and logits = h W^T + b of the linear layer on top. One bias per layer, trainable. Names and shapes
are those of `ModelSpec.shapes`.
Hochreiter and Schmidhuber, https://doi.org/10.1162/neco.1997.9.8.1735, with the forget gate of
Gers et al., https://doi.org/10.1162/089976600300015015.
"""

from collections.abc import Mapping

import numpy as np

from lstmbench.interface.model import ModelSpec

VARIED_GAIN = 3.0
"""A recurrent network is chaotic from a gain of about 1 on; Sompolinsky et al.,
https://doi.org/10.1103/PhysRevLett.61.259. With more of it, digits vary more, but rounding grows so
fast that late ones are no longer determined."""


def random_generator(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of all random numbers: PCG64 from a seed and an explicit spawn key."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def draw(seed: int, model: ModelSpec, dtype: str = "float64") -> dict[str, np.ndarray]:
    """Draw initial parameters, each U(-1/sqrt(H), 1/sqrt(H)), in float64 in canonical order."""
    random = random_generator(seed, 0, 5)
    bound = model.hidden**-0.5
    return {
        name: random.uniform(-bound, bound, shape).astype(dtype)
        for name, shape in model.shapes.items()
    }


def draw_varied(
    random: np.random.Generator, model: ModelSpec, dtype: str = "float64"
) -> dict[str, np.ndarray]:
    """Draw parameters with which greedy digits vary, and depend on all that came before.

    Weights are N(0, VARIED_GAIN^2 / H), so that the recurrent dynamics are chaotic, and biases
    N(0, 0.1^2), but for a forget gate that is open by 2, which keeps the memory of a long prompt.
    """
    result = {}
    for name, shape in model.shapes.items():
        scale = 0.1 if name.endswith("bias") else VARIED_GAIN / np.sqrt(model.hidden)
        values = random.normal(0, scale, shape)
        if name.startswith("lstm") and name.endswith("bias"):
            values[model.hidden : 2 * model.hidden] += 2
        result[name] = values.astype(dtype)
    return result


def views(flat: np.ndarray, layout: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return consecutive parts of one flat array by name, each in its shape, without copying."""
    result, start = {}, 0
    for name, shape in layout.items():
        size = int(np.prod(shape))
        result[name] = flat[start : start + size].reshape(shape)
        start += size
    return result
