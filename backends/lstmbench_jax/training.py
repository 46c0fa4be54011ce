"""One training step as pure functions: of a whole batch, or of shares of it and from them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
from jax.flatten_util import ravel_pytree

from lstmbench_jax import model
from lstmbench_jax.optimiser import AdamState, adam_step


class Training(NamedTuple):
    """All that a training step changes."""

    parameters: model.Arrays
    adam: AdamState


def step(
    training: Training,
    inputs: jax.Array,
    targets: jax.Array,
    settings: jax.Array,
    free_running: bool,
    form: model.Form,
) -> tuple[jax.Array, Training]:
    """Return the loss (nats) of the batch and what one clipped step of Adam makes of `training`."""
    parameters, adam = training
    loss, gradients = model.loss_and_gradients(parameters, inputs, targets, form, free_running)
    return loss, Training(*adam_step(parameters, gradients, adam, settings))


def slope(
    parameters: model.Arrays,
    inputs: jax.Array,
    targets: jax.Array,
    free_running: bool,
    batch: int,
    form: model.Form,
) -> jax.Array:
    """Return gradients and loss of some rows as one vector (n + 1,), times their share of all."""
    loss, gradients = model.loss_and_gradients(parameters, inputs, targets, form, free_running)
    return len(inputs) / batch * ravel_pytree((gradients, loss))[0]


def loss_and_gradients(
    parameters: model.Arrays, slopes: Sequence[jax.Array]
) -> tuple[jax.Array, model.Arrays]:
    """Return those of the whole batch, from all rows' slopes; `parameters` only lend shapes."""
    _, unravel = ravel_pytree((parameters, slopes[0][0]))
    gradients, loss = unravel(sum(slopes[1:], slopes[0]))
    return loss, gradients


def canonical_gradients(
    parameters: model.Arrays, *slopes: jax.Array
) -> tuple[jax.Array, model.Arrays]:
    """Return what `loss_and_gradients` does, with the gradients in the canonical layout."""
    loss, gradients = loss_and_gradients(parameters, slopes)
    return loss, model.transpose_weights(gradients)


def update(
    training: Training, settings: jax.Array, *slopes: jax.Array
) -> tuple[jax.Array, Training]:
    """Make the training step of `step`, from the slopes of all rows."""
    parameters, adam = training
    loss, gradients = loss_and_gradients(parameters, slopes)
    return loss, Training(*adam_step(parameters, gradients, adam, settings))
