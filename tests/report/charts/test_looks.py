"""Contenders can be told apart, on light and dark ground, and without colours."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmbench.report.charts import theme
from lstmbench.report.charts.ticks import log_ticks


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_no_two_of_many_contenders_look_alike_and_neighbours_differ_without_colour() -> None:
    looks = [theme.look(n) for n in range(36)]
    assert len({(one.colour, one.shape) for one in looks}) == 36
    assert len({(one.colour, one.dash) for one in looks}) == 36
    first = looks[: len(theme.COLOURS)]
    assert len({one.shape for one in first}) == len({one.dash for one in first}) == len(first)


@pytest.mark.parametrize("colour", [*theme.COLOURS, theme.INK, theme.MUTED])
def test_colours_stand_out_from_the_ground_in_both_modes(colour: str) -> None:
    assert contrast(colour, theme.PAPER) >= 4.5
    assert contrast(theme.DARK[colour], theme.DARK[theme.PAPER]) >= 4.5


@pytest.mark.parametrize("kind", list(theme.HEAT))
def test_text_can_be_read_on_every_cell_of_the_heat_map(kind: str) -> None:
    light, dark = theme.HEAT[kind]
    text = theme.PAPER if kind == "failed" else theme.INK
    assert contrast(text, light) >= 4.5
    assert contrast(theme.DARK[text], dark) >= 4.5


@given(
    st.floats(-12, 12),
    st.floats(0.005, 12),
)
def test_axes_have_a_few_round_labels_within_their_ends(low: float, decades: float) -> None:
    ends = 10**low, 10 ** (low + decades)
    found = log_ticks(*ends)
    assert 1 <= len(found) <= 9
    assert found == sorted(set(found))
    assert all(ends[0] * (1 - 1e-9) <= tick <= ends[1] * (1 + 1e-9) for tick in found)
    assert all(len(f"{tick / 10 ** math.floor(math.log10(tick)):.6g}") <= 6 for tick in found)
