"""What is compiled: pure functions of a model's graph, which is static, and its state."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax

from lstmbench_flax.model import Carry, Model, to_canonical


@partial(jax.jit, static_argnames="graph")
def forward(
    graph: Any, state: Any, tokens: jax.Array, initial: tuple[jax.Array, jax.Array] | None
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Logits (B, T, V) and the last (h, c), each (L, B, H), from `initial` (h, c) or from zero."""
    model: Model = nnx.merge(graph, state)
    if initial is None:
        carry = model.zero_carry(len(tokens))
    else:
        carry = [(c, h) for h, c in zip(*initial, strict=True)]
    logits, after = model(tokens, carry)
    return logits, (jnp.stack([h for _, h in after]), jnp.stack([c for c, _ in after]))


@partial(jax.jit, static_argnames="graph")
def loss_and_gradients(
    graph: Any, state: Any, inputs: jax.Array, targets: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Mean cross-entropy (nats) and its canonical gradients."""
    value, gradients = jax.value_and_grad(loss)(state, graph, inputs, targets, False)
    return value, to_canonical(graph, gradients)


@partial(
    jax.jit,
    static_argnames=("graph", "optimiser", "free_running"),
    donate_argnames=("state", "moments"),
)
def train_step(
    graph: Any,
    optimiser: optax.GradientTransformation,
    free_running: bool,
    state: Any,
    moments: Any,
    inputs: jax.Array,
    targets: jax.Array,
) -> tuple[jax.Array, Any, Any]:
    """Loss (nats) before the update, and state and optimiser's state after it."""
    value, gradients = jax.value_and_grad(loss)(state, graph, inputs, targets, free_running)
    updates, moments = optimiser.update(gradients, moments, state)
    return value, optax.apply_updates(state, updates), moments


@partial(jax.jit, static_argnames=("graph", "steps"))
def generate(graph: Any, state: Any, prompts: jax.Array, steps: int) -> jax.Array:
    """Greedy digits (B, steps) that follow the prompts (B, P), all in one compiled loop."""
    model: Model = nnx.merge(graph, state)
    logits, carry = model(prompts, model.zero_carry(len(prompts)))
    first = logits[:, -1].argmax(-1)
    rest = greedy(graph, state, first, carry, steps - 1).argmax(-1)
    return jnp.concatenate([first[:, None], rest], axis=1)


def loss(
    state: Any, graph: Any, inputs: jax.Array, targets: jax.Array, free_running: bool
) -> jax.Array:
    """Return the mean cross-entropy (nats) of targets (B, T), from a zero state."""
    model: Model = nnx.merge(graph, state)
    carry = model.zero_carry(len(inputs))
    if free_running:
        logits = greedy(graph, state, inputs[:, 0], carry, inputs.shape[1])
    else:
        logits, _ = model(inputs, carry)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


def greedy(graph: Any, state: Any, first: jax.Array, carry: Carry, length: int) -> jax.Array:
    """Return the logits (B, length, V): `first` (B,) goes in first, then each argmax."""
    arrays = nnx.pure(state)

    def step(
        before: tuple[jax.Array, Carry], nothing: None
    ) -> tuple[tuple[jax.Array, Carry], jax.Array]:
        digits, carry = before
        model: Model = nnx.merge(graph, arrays)
        logits, carry = model(digits[:, None], carry)
        last = logits[:, -1]
        return (last.argmax(-1).astype(digits.dtype), carry), last

    _, logits = lax.scan(step, (first, carry), length=length)
    return logits.swapaxes(0, 1)
