"""Global-norm clipping and Adam, as pure functions of named arrays."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstmbench import Options
from lstmbench_jax.model import Arrays


class Settings(NamedTuple):
    """The settings of a step, as numbers of the arrays' dtype: what is compiled serves for all.

    What is left of 1 by a beta, and its logarithm, are taken before they are rounded.
    """

    learning_rate: jax.Array
    clip_norm: jax.Array
    epsilon: jax.Array
    beta1: jax.Array
    beta2: jax.Array
    rest1: jax.Array
    rest2: jax.Array
    log_beta1: jax.Array
    log_beta2: jax.Array


def settings_of(options: Options) -> np.ndarray:
    """Return the fields of `Settings` as one vector."""
    o = options
    logs = (math.log(beta) if beta else -math.inf for beta in (o.beta1, o.beta2))
    rest = 1 - o.beta1, 1 - o.beta2
    values = o.learning_rate, o.clip_norm, o.epsilon, o.beta1, o.beta2, *rest, *logs
    return np.array(values, o.dtype)


class AdamState(NamedTuple):
    """Running means of the gradient and of its square, and the number of steps taken (int32)."""

    mean: Arrays
    square: Arrays
    steps: jax.Array


def initial_state(parameters: Arrays) -> AdamState:
    """Return the state before the first step. No two arrays share memory: all of it is donated."""
    mean = {name: jnp.zeros_like(array) for name, array in parameters.items()}
    square = {name: jnp.zeros_like(array) for name, array in parameters.items()}
    return AdamState(mean, square, jnp.zeros((), jnp.int32))


def adam_step(
    parameters: Arrays, gradients: Arrays, state: AdamState, settings: jax.Array
) -> tuple[Arrays, AdamState]:
    """Clip `gradients` to the global norm and take one step: parameters and state after it.

    `settings` are those of `settings_of`.

    Adam with bias correction: Kingma and Ba, https://arxiv.org/abs/1412.6980, algorithm 1.
    """
    s = Settings(*settings)
    scale = clip_scale(gradients, s.clip_norm)
    steps = state.steps + 1
    correction1 = bias_correction(s.log_beta1, steps)
    correction2 = bias_correction(s.log_beta2, steps)
    moved, mean, square = {}, {}, {}
    for name, gradient in gradients.items():
        g = gradient * scale
        m = s.beta1 * state.mean[name] + s.rest1 * g
        v = s.beta2 * state.square[name] + s.rest2 * g * g
        step = s.learning_rate * (m / correction1) / (jnp.sqrt(v / correction2) + s.epsilon)
        moved[name], mean[name], square[name] = parameters[name] - step, m, v
    return moved, AdamState(mean, square, steps)


def clip_scale(gradients: Arrays, clip_norm: jax.Array) -> jax.Array:
    """Return the factor that brings the L2 norm of all gradients together down to `clip_norm`."""
    norm = jnp.sqrt(jnp.stack([jnp.vdot(g, g) for g in gradients.values()]).sum())
    return jnp.where(norm > clip_norm, clip_norm / norm, 1)


def bias_correction(log_beta: jax.Array, steps: jax.Array) -> jax.Array:
    """Return 1 - beta^steps; expm1 spares float32 the cancellation of a beta close to 1."""
    return -jnp.expm1(log_beta * steps.astype(log_beta.dtype))
