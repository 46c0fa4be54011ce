"""Global-norm clipping and Adam over one flat vector, in place and without allocation."""

import numpy as np

from lstmbench import Options


class Adam:
    """Adam with bias correction: Kingma and Ba, https://arxiv.org/abs/1412.6980, algorithm 1."""

    def __init__(self, size: int, options: Options) -> None:
        self.options = options
        self.mean = np.zeros(size, options.dtype)
        self.square = np.zeros(size, options.dtype)
        self.scratch = np.empty(size, options.dtype)
        self.steps = 0

    def step(self, parameters: np.ndarray, gradient: np.ndarray) -> None:
        """Clip `gradient` (n,) to the global norm and move `parameters` (n,); changes both."""
        o = self.options
        self.steps += 1
        norm = float(np.sqrt(gradient @ gradient))
        if norm > o.clip_norm:
            gradient *= o.clip_norm / norm
        scratch = self.scratch
        self.mean *= o.beta1
        self.mean += np.multiply(gradient, 1 - o.beta1, out=scratch)
        self.square *= o.beta2
        gradient *= gradient
        self.square += np.multiply(gradient, 1 - o.beta2, out=scratch)
        # step = rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
        np.multiply(self.square, 1 / (1 - o.beta2**self.steps), out=scratch)
        np.sqrt(scratch, out=scratch)
        scratch += o.epsilon
        np.divide(self.mean, scratch, out=scratch)
        scratch *= o.learning_rate / (1 - o.beta1**self.steps)
        parameters -= scratch
