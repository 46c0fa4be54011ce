import pytest

from lstmbench import ModelSpec
from lstmbench.interface import BatchShape, Precision, operations

FLOAT32 = Precision("float32")

Sizes = tuple[int, int, int, int]


def products(batch: int, length: int, hidden: int, layers: int) -> tuple[int, int]:
    """Operations of a forward pass and of a training step, product by product."""
    forward = backward = 0
    for layer in range(layers):
        for t in range(length):
            if t:  # h_{t-1} W_hh; back: to h_{t-1} and to W_hh
                forward += 2 * batch * hidden * 4 * hidden
                backward += 2 * 2 * batch * hidden * 4 * hidden
            if layer:  # x W_ih; back: to x and to W_ih
                forward += 2 * batch * hidden * 4 * hidden
                backward += 2 * 2 * batch * hidden * 4 * hidden
    forward += 2 * batch * length * hidden * 10
    backward += 2 * 2 * batch * length * hidden * 10
    return forward, forward + backward


def specs(sizes: Sizes) -> tuple[ModelSpec, BatchShape]:
    batch, length, hidden, layers = sizes
    return ModelSpec(layers, hidden), BatchShape(batch, length)


@pytest.mark.parametrize("sizes", [(3, 5, 7, 2), (1, 1, 4, 1), (2, 9, 3, 4)])
def test_operations_are_those_of_each_product(sizes: Sizes) -> None:
    forward, train = products(*sizes)
    assert operations.forward(*specs(sizes), FLOAT32).operations == forward
    assert operations.training_step(*specs(sizes), FLOAT32).operations == train
    assert operations.gradients(*specs(sizes), FLOAT32).operations == train


def test_the_default_step_takes_three_quarters_of_a_gigaflop() -> None:
    step = operations.training_step(*specs((64, 10, 128, 2)), FLOAT32)
    assert step.operations == pytest.approx(0.76e9, rel=0.08)


def test_a_digit_reads_all_weights_but_the_look_up_it_does_not_need() -> None:
    h = 8
    weights = 4 * h + 4 * h * h + 4 * h + 4 * h * (h + h + 1) + 10 * h + 10
    assert (
        operations.generated_digit(ModelSpec(2, h), Precision("float64"), 1, 64).bytes
        == 8 * weights
    )


def test_a_digits_operations_are_its_products_and_its_share_of_the_prompts() -> None:
    h, v, prompt, digits = 8, 10, 8, 64
    recurrent, between, onto_logits = 2 * 2 * 4 * h * h, 2 * 4 * h * h, 2 * h * v
    whole = digits * (recurrent + between + onto_logits)
    whole += (prompt - 1) * (recurrent + between) - recurrent  # the first step has no state
    found = operations.generated_digit(ModelSpec(2, h), FLOAT32, prompt, digits)
    assert found.operations == pytest.approx(whole / digits)


def test_a_training_step_goes_through_the_weights_six_times() -> None:
    model, shape = specs((3, 5, 7, 2))
    assert operations.training_step(model, shape, FLOAT32).bytes == 6 * 4 * model.size


def test_bfloat16_halves_what_products_read_and_nothing_else() -> None:
    model, shape = specs((3, 5, 7, 2))
    short = Precision("float32", "bfloat16")
    assert operations.forward(model, shape, short).bytes == 2 * model.size
    assert operations.gradients(model, shape, short).bytes == (2 + 4) * model.size
    assert operations.training_step(model, shape, short).bytes == 6 * 4 * model.size
    for count in (operations.forward, operations.gradients, operations.training_step):
        assert count(model, shape, short).operations == count(model, shape, FLOAT32).operations
