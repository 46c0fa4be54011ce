"""The least operations and bytes of a call, counted from the formulas of the model.

Counted is what no implementation can leave out:

- operations: 2 m n k for each matrix product. The input of layer 0 is one-hot, so its product is
  a look-up and counts nothing; nor does the recurrent product of the first step, which has no
  hidden state before it. In the backward pass each product costs two more of the same size.
- bytes: the weights are read once for each generated digit (of the look-up, one column) and once
  for a pass over a batch; gradients are written; a training step reads and writes the weights and
  both of Adam's moments.
"""

from typing import NamedTuple

from lstmbench.interface.model import BatchShape, ModelSpec, Precision

ADAM_PASSES = 6
"""How often a training step goes through the weights' bytes: weights and two moments, each read
and written."""


class Work(NamedTuple):
    """The least that a call must do."""

    operations: float
    bytes: float


def forward(model: ModelSpec, shape: BatchShape, precision: Precision) -> Work:
    """Return the work of a forward pass over a batch, from a zero state."""
    first_step = _recurrent(model) * shape.batch
    return Work(_token(model) * shape.tokens - first_step, model.size * precision.factor_itemsize)


def gradients(model: ModelSpec, shape: BatchShape, precision: Precision) -> Work:
    """Return the work of loss and gradients of a batch."""
    once = forward(model, shape, precision)
    return Work(3 * once.operations, once.bytes + model.size * precision.itemsize)


def training_step(model: ModelSpec, shape: BatchShape, precision: Precision) -> Work:
    """Return the work of loss, gradients and an Adam step on a batch."""
    once = forward(model, shape, precision)
    return Work(3 * once.operations, ADAM_PASSES * model.size * precision.itemsize)


def generated_digit(model: ModelSpec, precision: Precision, prompt: int, digits: int) -> Work:
    """Return the work of one of `digits` digits of one sequence, after a prompt.

    The prompt's own share is its products but those onto logits. Its weights count once, with the
    first digit's, as all of a prompt may go through a layer together; the look-up reads one column
    of V.
    """
    unread = 4 * model.hidden * (model.vocabulary - 1)
    onto_logits = 2.0 * model.hidden * model.vocabulary
    before = (prompt - 1) * (_token(model) - onto_logits) - _recurrent(model)
    return Work(_token(model) + before / digits, (model.size - unread) * precision.factor_itemsize)


def _recurrent(model: ModelSpec) -> float:
    """Return the operations of all layers' recurrent products for one token."""
    return 8.0 * model.hidden**2 * model.layers


def _token(model: ModelSpec) -> float:
    """Return the operations of all products for one token that has a state before it."""
    between_layers = 8.0 * model.hidden**2 * (model.layers - 1)
    return _recurrent(model) + between_layers + 2.0 * model.hidden * model.vocabulary
