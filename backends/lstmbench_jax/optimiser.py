"""Global-norm clipping and Adam, as pure functions of named arrays."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstmbench import Options
from lstmbench_jax.model import Arrays


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
    parameters: Arrays, gradients: Arrays, state: AdamState, options: Options
) -> tuple[Arrays, AdamState]:
    """Clip `gradients` to the global norm and take one step: parameters and state after it.

    Adam with bias correction: Kingma and Ba, https://arxiv.org/abs/1412.6980, algorithm 1.
    """
    o = options
    scale = clip_scale(gradients, o.clip_norm)
    steps = state.steps + 1
    correction1 = bias_correction(o.beta1, steps, scale.dtype)
    correction2 = bias_correction(o.beta2, steps, scale.dtype)
    moved, mean, square = {}, {}, {}
    for name, gradient in gradients.items():
        g = gradient * scale
        m = o.beta1 * state.mean[name] + (1 - o.beta1) * g
        v = o.beta2 * state.square[name] + (1 - o.beta2) * g * g
        step = o.learning_rate * (m / correction1) / (jnp.sqrt(v / correction2) + o.epsilon)
        moved[name], mean[name], square[name] = parameters[name] - step, m, v
    return moved, AdamState(mean, square, steps)


def clip_scale(gradients: Arrays, clip_norm: float) -> jax.Array:
    """Return the factor that brings the L2 norm of all gradients together down to `clip_norm`."""
    norm = jnp.sqrt(jnp.stack([jnp.vdot(g, g) for g in gradients.values()]).sum())
    return jnp.where(norm > clip_norm, clip_norm / norm, 1)


def bias_correction(beta: float, steps: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Return 1 - beta^steps; expm1 spares float32 the cancellation of a beta close to 1."""
    logarithm = math.log(beta) if beta else -math.inf
    return -jnp.expm1(logarithm * steps.astype(dtype))
