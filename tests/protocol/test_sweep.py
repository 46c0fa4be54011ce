"""Sweeps as plans: axes, ranges, designs, corners, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmbench.interface.errors import UsageError
from lstmbench.protocol.sweep import plan, sweep_config, values


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("batch", "1,8,64", [1, 8, 64]),
        ("hidden", "32:1024:x2", [32, 64, 128, 256, 512, 1024]),
        ("hidden", "32:1000:x2", [32, 64, 128, 256, 512]),
        ("batch", "10:50:+10", [10, 20, 30, 40, 50]),
        ("batch", "1, 2:8:x2 ,100", [1, 2, 4, 8, 100]),
        ("batch", "4,4,4", [4]),
        ("batch", [1, 2], [1, 2]),
        ("learning_rate", "0.001:0.1:x10", [0.001, 0.01, 0.1]),
        ("dtype", "float32,float64", ["float32", "float64"]),
        ("device", "cpu,cuda:1", ["cpu", "cuda:1"]),
        ("threads", "1:3:+1", [1, 2, 3]),
    ],
)
def test_lists_and_ranges(name: str, text: Any, expected: list[Any]) -> None:
    found = values(name, text)
    assert found == pytest.approx(expected) if name == "learning_rate" else found == expected
    assert [type(one) for one in found] == [type(one) for one in expected]


@given(st.integers(1, 50), st.integers(1, 500), st.integers(1, 60))
def test_a_range_of_sums_is_pythons_own(low: int, length: int, step: int) -> None:
    found = values("batch", f"{low}:{low + length}:+{step}")
    assert found == list(range(low, low + length + 1, step))


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"bach": "1"}, "unknown axis 'bach'; did you mean 'batch'"),
        ({"backend": "numpy"}, "unknown axis 'backend'"),
        ({"epochs": "1"}, "unknown axis 'epochs'"),
        ({"batch": ""}, "axis batch: no values"),
        ({"batch": []}, "axis batch: no values"),
        ({"batch": 5}, "neither a list nor a range"),
        ({"batch": "0,1"}, "batch = 0"),
        ({"batch": "many"}, "batch = 'many'"),
        ({"batch": [1.5]}, "batch = 1.5"),
        ({"batch": "8:1:x2"}, "does not go from low to high"),
        ({"batch": "1:8:x1"}, "does not go from low to high"),
        ({"batch": "1:8:+0"}, "does not go from low to high"),
        ({"batch": "0:8:x2"}, "does not go from low to high"),
        ({"batch": "1:inf:x2"}, "does not go from low to high"),
        ({"batch": "1:nan:+1"}, "does not go from low to high"),
        ({"batch": "a:b:x2"}, "no range of numbers"),
        ({"batch": "1:8:2"}, "write low:high:xN"),
        ({"seq_len": "1:10000:+1", "hidden": "1:8192:+1"}, "over 10,000 cells"),
        ({"dtype": "float33"}, "dtype = 'float33'"),
    ],
)
def test_what_is_no_axis_is_refused(axes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as error:
        plan({}, axes, "grid")
    assert words in str(error.value) and "\n" not in str(error.value)


def test_one_axis_at_a_time_has_the_base_once() -> None:
    found = plan({"hidden": 128}, {"batch": "8,64", "hidden": "32,128"})
    assert [cell.name for cell in found.cells] == ["base", "batch=8", "hidden=32"]
    assert found.settings(found.cells[1]).batch == 8
    assert found.settings(found.cells[2]).batch == 64


def test_a_grid_has_all_combinations_corners_are_tied_and_some_are_skipped() -> None:
    found = plan(
        {},
        {"batch": [8, 16], "seq-len": [5, 7]},
        "grid",
        also=[{"batch": 1, "hidden": 1024}, {"batch": 8, "seq_len": 5}],
        skip=[{"batch": 16, "seq-len": 7}],
    )
    assert [cell.name for cell in found.cells] == [
        "batch=8,seq-len=5",
        "batch=8,seq-len=7",
        "batch=16,seq-len=5",
        "batch=1,hidden=1024",
    ]


def test_a_skip_counts_the_bases_own_values() -> None:
    found = plan({"hidden": 64}, {"batch": [1, 2]}, skip=[{"hidden": 64, "batch": 2}])
    assert [cell.name for cell in found.cells] == ["base", "batch=1"]
    with pytest.raises(UsageError, match="without cells"):
        plan({}, {"batch": [1]}, skip=[{"hidden": 128}])


def test_cells_are_cheap_unless_told_otherwise() -> None:
    cheap = plan({}, {})
    settings = cheap.settings(cheap.cells[0])
    assert (settings.epochs, settings.rounds, settings.launches) == (0, 8, 3)
    assert settings.time_budget == 0
    precise = plan({"precision": 0.01, "rounds": 5}, {})
    settings = precise.settings(precise.cells[0])
    assert (settings.time_budget, settings.precision, settings.rounds) == (180.0, 0.01, 5)


def test_a_cell_is_named_by_number_or_name() -> None:
    found = plan({}, {"batch": [8, 16]})
    assert found.cell("1").name == "base" and found.cell("batch=16").name == "batch=16"
    for key, words in (("0", "there are 3"), ("4", "there are 3"), ("batch=9", "unknown cell")):
        with pytest.raises(UsageError, match=words):
            found.cell(key)


def test_names_are_those_of_folders() -> None:
    found = plan({}, {"device": ["cpu", "cuda:1"], "learning-rate": [0.01]})
    assert [c.name for c in found.cells] == [
        "base",
        "device=cpu",
        "device=cuda-1",
        "learning-rate=0.01",
    ]


def test_a_file_has_settings_and_a_table_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'hidden = 64\n[sweep]\ndesign = "grid"\n[sweep.axes]\nbatch = [1, 8]\n'
        'seq-len = "5:20:x2"\n[[sweep.also]]\nbatch = 100\n[[sweep.skip]]\nbatch = 1\n'
    )
    base, told = sweep_config(tmp_path / "s.toml")
    found = plan(base, told.axes, told.design, told.also, told.skip)
    assert base == {"hidden": 64}
    assert [c.name for c in found.cells] == [
        "batch=8,seq-len=5",
        "batch=8",
        "batch=8,seq-len=20",
        "batch=100",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sweep]\ndesing = 'grid'", "desing"),
        ("[sweep]\ndesign = 'both'", "'both'"),
        ("[sweep]\naxes = 3", "axes"),
        ("[sweep.axes]\nbatch = {a = 1}", "batch"),
        ("[[sweep.also]]\n", "no table of settings"),
        ("hiden = 3", "hiden"),
        ("sweep = 3", "sweep"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        base, told = sweep_config(tmp_path / "s.toml")
        plan(base, told.axes, told.design, told.also, told.skip)
    assert words in str(error.value) and "\n" not in str(error.value)
