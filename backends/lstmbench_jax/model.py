"""Forward pass and backpropagation through time, by hand, as pure functions.

Inside, arrays are time-major, so that `lax.scan` walks over contiguous blocks, and the weight
matrices of the LSTM are kept as (inputs, 4H), the transpose of the canonical (4H, inputs): both
z = x W and the weight gradient x^T dz are then in the layouts that XLA multiplies fastest.

Gradients are those of the formulas in `lstmbench.interface.parameters`; Werbos,
https://doi.org/10.1109/5.58337. The backward loop does only what must be done step by step; each
weight gradient is one product over all T steps after it. (What `jax.grad` makes of the scan adds
up the weight gradient inside the loop.)
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from lstmbench import ModelSpec

Arrays: TypeAlias = dict[str, jax.Array]

MOST_PROJECTED = 2**23
"""Bytes of projected inputs, of all steps, up to which they are one product before the loop.

Larger ones cost more on their way through memory than the larger product gains.
"""


class Form(NamedTuple):
    """In which form the formulas are compiled.

    Loops over time make `unroll` steps in each turn. If `bfloat16`, factors of products are rounded
    to it, and summed in float32; gates and states stay float32.
    """

    unroll: int = 1
    bfloat16: bool = False


class Layer(NamedTuple):
    """Weights of one layer: (X, 4H), (H, 4H) and (4H,), where X is V or, above layer 0, H.

    Its matrices are of the dtype that products have factors of.
    """

    weight_ih: jax.Array
    weight_hh: jax.Array
    bias: jax.Array


class Gates(NamedTuple):
    """Activated input, forget, cell and output gates, each (..., B, H)."""

    i: jax.Array
    f: jax.Array
    g: jax.Array
    o: jax.Array


class Trace(NamedTuple):
    """What a pass over one layer leaves behind: its inputs, gates, c and h (T, B, H).

    Inputs are digits (T, B) or, above layer 0, h of the layer below (T, B, H).
    """

    inputs: jax.Array
    gates: Gates
    cell: jax.Array
    hidden: jax.Array


class LayerState(NamedTuple):
    """h and c of one layer, each (B, H)."""

    hidden: jax.Array
    cell: jax.Array


def transpose_weights(arrays: Arrays) -> Arrays:
    """Turn the canonical layout of the LSTM's matrices into that used here, or back."""
    return {name: a.T if name.startswith("lstm.") else a for name, a in arrays.items()}


def factor(array: jax.Array, form: Form) -> jax.Array:
    """Return an array as a factor of products."""
    return array.astype(jnp.bfloat16) if form.bfloat16 else array


def product(left: jax.Array, right: jax.Array, form: Form) -> jax.Array:
    """Return left @ right, summed and returned in the wider of their dtypes, float32 at least."""
    if not form.bfloat16:
        return left @ right
    factors = factor(left, form), factor(right, form)
    return jnp.matmul(*factors, preferred_element_type=jnp.float32)


def layers_of(parameters: Arrays, form: Form) -> list[Layer]:
    """Return the weights of each layer, bottom first."""
    result = []
    for n in range(ModelSpec.of(parameters).layers):
        weight_ih, weight_hh, bias = (parameters[f"lstm.{n}.{part}"] for part in Layer._fields)
        result.append(Layer(factor(weight_ih, form), factor(weight_hh, form), bias))
    return result


def zero_state(parameters: Arrays, batch: int) -> list[LayerState]:
    """Return the state of each layer before the first step."""
    output = parameters["linear.weight"]
    zeros = jnp.zeros((batch, output.shape[1]), output.dtype)
    return [LayerState(zeros, zeros)] * ModelSpec.of(parameters).layers


def one_hot(parameters: Arrays, digits: jax.Array) -> jax.Array:
    """Return the digits (...) as unit vectors (..., V)."""
    output = parameters["linear.weight"]
    return jax.nn.one_hot(digits, output.shape[0], dtype=output.dtype)


def output_layer(parameters: Arrays, hidden: jax.Array, form: Form) -> jax.Array:
    """Return the logits (..., V) from h of the top layer (..., H)."""
    return product(hidden, parameters["linear.weight"].T, form) + parameters["linear.bias"]


def cell_step(z: jax.Array, cell: jax.Array) -> tuple[Gates, LayerState]:
    """Make one step from z_t (B, 4H) and c_{t-1} (B, H): return the gates, and h_t with c_t."""
    z_i, z_f, z_g, z_o = jnp.split(z, 4, axis=-1)
    gates = Gates(jax.nn.sigmoid(z_i), jax.nn.sigmoid(z_f), jnp.tanh(z_g), jax.nn.sigmoid(z_o))
    cell = gates.f * cell + gates.i * gates.g
    return gates, LayerState(gates.o * jnp.tanh(cell), cell)


def project(layer: Layer, x: jax.Array, form: Form) -> jax.Array:
    """Return x W_ih + b (..., 4H) of h (..., H), or of digits (...), which pick rows of W_ih."""
    digits = jnp.issubdtype(x.dtype, jnp.integer)
    picked = layer.weight_ih[x] if digits else product(x, layer.weight_ih, form)
    return picked + layer.bias


def run_layer(layer: Layer, inputs: jax.Array, state: LayerState, form: Form) -> Trace:
    """Run all T steps of one layer over h (T, B, H) of the layer below, or over digits (T, B)."""
    size = inputs.shape[0] * inputs.shape[1] * layer.bias.nbytes
    # All of h is known, so its product may be one, outside the loop.
    hoisted = inputs.ndim == 3 and size <= MOST_PROJECTED

    def step(state: LayerState, x: jax.Array) -> tuple[LayerState, tuple[Gates, LayerState]]:
        z = x if hoisted else project(layer, x, form)
        z += product(state.hidden, layer.weight_hh, form)
        gates, state = cell_step(z, state.cell)
        return state, (gates, state)

    steps = project(layer, inputs, form) if hoisted else inputs
    _, (gates, states) = lax.scan(step, state, steps, unroll=form.unroll)
    return Trace(inputs, gates, states.cell, states.hidden)


def run(parameters: Arrays, tokens: jax.Array, states: list[LayerState], form: Form) -> list[Trace]:
    """Run all T steps over `tokens` (T, B), one layer after the other."""
    x = tokens
    traces = []
    for layer, state in zip(layers_of(parameters, form), states, strict=True):
        traces.append(run_layer(layer, x, state, form))
        x = traces[-1].hidden
    return traces


def step_layers(
    parameters: Arrays, digits: jax.Array, states: list[LayerState], form: Form
) -> tuple[jax.Array, list[LayerState], list[Trace]]:
    """Make one step of every layer from `digits` (B,): return argmax (B,), states and traces."""
    x = digits
    after, traces = [], []
    for layer, state in zip(layers_of(parameters, form), states, strict=True):
        z = project(layer, x, form) + product(state.hidden, layer.weight_hh, form)
        gates, state = cell_step(z, state.cell)
        after.append(state)
        traces.append(Trace(x, gates, state.cell, state.hidden))
        x = state.hidden
    return best(parameters, x, digits.dtype, form), after, traces


def best(parameters: Arrays, hidden: jax.Array, dtype: jnp.dtype, form: Form) -> jax.Array:
    """Return the likeliest digit (B,) after h of the top layer (B, H)."""
    return jnp.argmax(output_layer(parameters, hidden, form), axis=-1).astype(dtype)


def run_free(parameters: Arrays, first: jax.Array, length: int, form: Form) -> list[Trace]:
    """Make `length` steps from `first` (B,), each further input being the argmax of the last."""

    def step(
        carry: tuple[jax.Array, list[LayerState]], nothing: None
    ) -> tuple[tuple[jax.Array, list[LayerState]], list[Trace]]:
        digits, states, traces = step_layers(parameters, *carry, form)
        return (digits, states), traces

    traces: list[Trace]
    start = first, zero_state(parameters, len(first))
    _, traces = lax.scan(step, start, length=length, unroll=form.unroll)
    return traces


def forward(
    parameters: Arrays, inputs: jax.Array, *state: jax.Array, form: Form
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Return logits (B, T, V) and the last (h, c), each (L, B, H), from `state` or from zero."""
    if state:
        states = [LayerState(h, c) for h, c in zip(*state, strict=True)]
    else:
        states = zero_state(parameters, len(inputs))
    traces = run(parameters, inputs.T, states, form)
    logits = output_layer(parameters, traces[-1].hidden, form)
    hidden = jnp.stack([trace.hidden[-1] for trace in traces])
    cell = jnp.stack([trace.cell[-1] for trace in traces])
    return logits.swapaxes(0, 1), (hidden, cell)


def generate(parameters: Arrays, prompts: jax.Array, steps: int, form: Form) -> jax.Array:
    """Return greedy digits (B, steps) after the prompts (B, P), in one loop on the device."""
    traces = run(parameters, prompts.T, zero_state(parameters, len(prompts)), form)
    first = best(parameters, traces[-1].hidden[-1], prompts.dtype, form)
    states = [LayerState(trace.hidden[-1], trace.cell[-1]) for trace in traces]

    def step(
        carry: tuple[jax.Array, list[LayerState]], nothing: None
    ) -> tuple[tuple[jax.Array, list[LayerState]], jax.Array]:
        digits, states, _ = step_layers(parameters, *carry, form)
        return (digits, states), digits

    _, rest = lax.scan(step, (first, states), length=steps - 1, unroll=form.unroll)
    return jnp.concatenate([first[None], rest]).T


def loss_and_gradients(
    parameters: Arrays,
    inputs: jax.Array,
    targets: jax.Array,
    form: Form,
    free_running: bool = False,
) -> tuple[jax.Array, Arrays]:
    """Return mean cross-entropy (nats) of `targets` (B, T), and its gradients in our layout."""
    batch, length = inputs.shape
    if free_running:
        traces = run_free(parameters, inputs[:, 0], length, form)
    else:
        traces = run(parameters, inputs.T, zero_state(parameters, batch), form)
    return backward(parameters, traces, targets.T, form)


def canonical_loss_and_gradients(
    parameters: Arrays, inputs: jax.Array, targets: jax.Array, form: Form
) -> tuple[jax.Array, Arrays]:
    """Return what `loss_and_gradients` does, with the gradients in the canonical layout."""
    loss, gradients = loss_and_gradients(parameters, inputs, targets, form)
    return loss, transpose_weights(gradients)


def backward(
    parameters: Arrays, traces: list[Trace], targets: jax.Array, form: Form
) -> tuple[jax.Array, Arrays]:
    """Return the loss and gradients after a pass from a zero state, for `targets` (T, B)."""
    top = traces[-1].hidden
    loss, d_logits = cross_entropy(
        output_layer(parameters, top, form), one_hot(parameters, targets)
    )
    gradients = {
        "linear.weight": sum_of_products(d_logits, top, form),
        "linear.bias": d_logits.sum((0, 1)),
    }
    d_hidden = product(d_logits, parameters["linear.weight"], form)
    layers = layers_of(parameters, form)
    for n in reversed(range(len(layers))):
        d_z = backward_through_time(layers[n], traces[n], d_hidden, form)
        inputs = traces[n].inputs if n else one_hot(parameters, traces[n].inputs)
        gradients |= {
            f"lstm.{n}.weight_ih": sum_of_products(inputs, d_z, form),
            # h before the first step is zero and adds nothing.
            f"lstm.{n}.weight_hh": sum_of_products(traces[n].hidden[:-1], d_z[1:], form),
            f"lstm.{n}.bias": d_z.sum((0, 1)),
        }
        d_hidden = product(d_z, layers[n].weight_ih.T, form)  # of the layer below
    return loss, gradients


def backward_through_time(layer: Layer, trace: Trace, d_hidden: jax.Array, form: Form) -> jax.Array:
    """Return d loss / d z (T, B, 4H) from what reaches h (T, B, H) from above the layer."""

    def step(
        carry: LayerState, x: tuple[jax.Array, Gates, jax.Array, jax.Array]
    ) -> tuple[LayerState, jax.Array]:
        d_h, (i, f, g, o), cell, cell_before = x
        d_h += carry.hidden
        tanh_cell = jnp.tanh(cell)
        d_c = carry.cell + d_h * o * (1 - tanh_cell * tanh_cell)
        # d z = d activation * derivative: s (1 - s) of a sigmoid s, 1 - g^2 of the tanh g
        d_z = jnp.concatenate(
            [
                d_c * g * i * (1 - i),
                d_c * cell_before * f * (1 - f),
                d_c * i * (1 - g * g),
                d_h * tanh_cell * o * (1 - o),
            ],
            axis=-1,
        )
        return LayerState(product(d_z, layer.weight_hh.T, form), d_c * f), d_z

    zeros = jnp.zeros_like(d_hidden[0])
    cell_before = jnp.concatenate([zeros[None], trace.cell[:-1]])
    steps = d_hidden, trace.gates, trace.cell, cell_before
    _, d_z = lax.scan(step, LayerState(zeros, zeros), steps, reverse=True, unroll=form.unroll)
    return d_z


def sum_of_products(left: jax.Array, right: jax.Array, form: Form) -> jax.Array:
    """Sum the outer products of left (T, B, M) and right (T, B, N) over T and B: (M, N)."""
    rows = left.reshape(-1, left.shape[-1]), right.reshape(-1, right.shape[-1])
    return product(rows[0].T, rows[1], form)


def cross_entropy(logits: jax.Array, wanted: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the mean of -log softmax(logits) at `wanted` (T, B, V), one-hot, and its gradient."""
    count = wanted.shape[0] * wanted.shape[1]
    log_probability = jax.nn.log_softmax(logits)
    loss = -jnp.sum(wanted * log_probability) / count
    return loss, (jnp.exp(log_probability) - wanted) / count
