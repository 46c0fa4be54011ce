"""Plain Keras, on its JAX backend: on a CPU that of PyTorch runs the time steps in Python."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from typing import Any

import keras
import numpy as np

from lstmbench import VOCABULARY, Backend, ModelSpec, NotSupported, Options, Parameters, State


class PlainKeras(Backend):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        keras.config.set_floatx(options.dtype)

        self.sizes = 0, 0

    def load(self, parameters: Parameters) -> None:
        model = ModelSpec.of(parameters)
        sizes = model.hidden, model.layers
        if sizes != self.sizes:  # a new model would be compiled anew
            self.sizes = sizes
            self.build(*sizes)
        self.names = tuple(parameters)
        self.model.set_weights([array.T.copy() for array in parameters.values()])
        for variable, value in zip(self.model.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)

    def build(self, hidden: int, layers: int) -> None:
        o = self.options
        digits = keras.Input((None,), dtype="int32")
        x, states = keras.ops.one_hot(digits, VOCABULARY), []
        for _ in range(layers):
            x, *state = keras.layers.LSTM(hidden, return_sequences=True, return_state=True)(x)
            states.append(state)
        logits = keras.layers.Dense(VOCABULARY)(x)
        self.model = keras.Model(digits, logits)
        self.with_states = keras.Model(digits, [logits, states])
        self.model.compile(
            optimizer=keras.optimizers.Adam(
                o.learning_rate, o.beta1, o.beta2, o.epsilon, global_clipnorm=o.clip_norm
            ),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.fresh = [np.array(variable) for variable in self.model.optimizer.variables]

    def parameters(self) -> dict[str, np.ndarray]:
        own = self.model.get_weights()
        return {name: np.array(array.T) for name, array in zip(self.names, own, strict=True)}

    def forward(self, inputs: np.ndarray, state: State | None = None) -> tuple[Any, State]:
        if state:
            raise NotSupported
        logits, states = self.with_states.predict_on_batch(inputs)
        hidden, cell = zip(*states, strict=True)
        return logits, (np.stack(hidden), np.stack(cell))

    def train_step(
        self, inputs: np.ndarray, targets: np.ndarray, free_running: bool = False
    ) -> Any:
        if free_running:
            raise NotSupported
        self.model.reset_metrics()  # else the loss is a mean over all batches so far
        return self.model.train_on_batch(inputs, targets)
