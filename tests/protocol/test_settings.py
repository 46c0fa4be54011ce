import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lstmbench import UsageError
from lstmbench.protocol.settings import QUICK, Settings, from_mapping, read_config


def test_defaults_are_the_default_experiment() -> None:
    s = Settings()
    assert (s.backend, s.task, s.device, s.dtype) == (("all",), "digits", ("auto",), "float32")
    assert (s.batch, s.seq_len, s.hidden, s.layers, s.seed) == (64, 10, 128, 2, 0)
    assert (s.epochs, s.batches_per_epoch, s.learning_rate) == (50, 25, 0.001)
    assert (s.teacher_forcing, s.clip) == (0.5, 5.0)


def test_nothing_given_is_the_defaults() -> None:
    assert from_mapping({}, "settings") == Settings()


def test_quick_changes_settings_that_exist_and_only_makes_them_smaller() -> None:
    quick = from_mapping(dict(QUICK), "--quick")
    changed = {
        name
        for name in Settings.__struct_fields__
        if getattr(quick, name) != getattr(Settings(), name)
    }
    assert changed == set(QUICK)
    assert all(getattr(quick, name) < getattr(Settings(), name) for name in changed)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("torch", ("torch",)),
        ("torch,jax", ("torch", "jax")),
        (" torch , jax,", ("torch", "jax")),
        (["torch", "jax"], ("torch", "jax")),
    ],
)
def test_lists_may_be_written_with_commas(given: Any, taken: tuple[str, ...]) -> None:
    settings = from_mapping({"backend": given, "device": given}, "settings")
    assert settings.backend == settings.device == taken


def test_dashes_are_allowed_in_names() -> None:
    settings = from_mapping({"seq-len": 7, "batches-per-epoch": 3, "learning_rate": 0.1}, "x")
    assert (settings.seq_len, settings.batches_per_epoch, settings.learning_rate) == (7, 3, 0.1)


def test_whole_numbers_serve_where_fractions_do() -> None:
    assert from_mapping({"clip": 5, "teacher_forcing": 1}, "x").clip == 5.0


@pytest.mark.parametrize(("wrong", "right"), [("hiden", "hidden"), ("seqlen", "seq_len")])
def test_an_unknown_name_is_refused_with_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping({wrong: 3}, "my source")
    message = str(caught.value)
    assert message.startswith("my source: ")
    assert repr(wrong) in message and f"did you mean {right!r}" in message
    assert all(name in message for name in Settings.__struct_fields__)


def test_a_name_like_no_other_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match=r"unknown setting 'zzzzzz' \(choices: .*batch"):
        from_mapping({"zzzzzz": 3}, "x")


POSITIVE = ["batch", "seq_len", "hidden", "layers", "batches_per_epoch", "rounds"]
REAL = ["learning_rate", "clip", "precision", "block_seconds", "timeout"]
BAD: list[tuple[str, Any]] = [
    *((name, value) for name in POSITIVE for value in (0, -1, 1.5, "64", None, True, 10**12)),
    *((name, value) for name in REAL for value in (0, -1.0, float("nan"), "1", None, [1.0])),
    *((name, float("inf")) for name in REAL),
    *(("time_budget", value) for value in (-1, float("nan"), float("inf"), "1")),
    *(("launches", value) for value in (0, 1, -3, 2.5, 10**9)),
    *(("threads", value) for value in (-1, 0.5, 10**6)),
    *(("epochs", value) for value in (-1, 0.5, "64", 10**9)),
    *(("seed", value) for value in (-1, 0.5, 2**64, 2**70)),
    *(("teacher_forcing", value) for value in (-0.1, 1.1, float("nan"), "half")),
    *(("dtype", value) for value in ("float16", "", 32)),
    *(("tf32", value) for value in (1, "yes", None)),
    *(("backend", value) for value in ([], 3, ["torch", 3], None)),
    *(("device", value) for value in ([], 0, ["cpu", None])),
    ("task", 3),
    ("baseline", None),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        from_mapping({"hidden": 16, name: value}, "run.toml")
    message = str(caught.value)
    assert message.startswith("run.toml: ") and "\n" not in message
    assert name in message and repr(value) in message


@pytest.mark.parametrize("name", ["backend", "device"])
@pytest.mark.parametrize("value", ["", " , "])
def test_an_empty_list_written_with_commas_is_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        from_mapping({name: value}, "x")


def test_a_dtype_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match=r"dtype = 'float16'.*float32.*float64"):
        from_mapping({"dtype": "float16"}, "x")


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("batch", 1, 65536),
        ("layers", 1, 64),
        ("teacher_forcing", 0, 1),
        ("seed", 0, 2**53),
        ("threads", 0, 4096),
    ],
)
def test_bounds_are_inclusive(name: str, lowest: int, highest: int) -> None:
    for value in (lowest, highest):
        assert getattr(from_mapping({name: value}, "x"), name) == value
    for value in (lowest - 1, highest + 1):
        with pytest.raises(UsageError, match=name):
            from_mapping({name: value}, "x")


def test_settings_survive_the_header_of_a_run() -> None:
    settings = from_mapping({"backend": "a,b", "clip": 1e30, "seed": 2**53}, "x")
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


def test_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('backend = ["torch", "jax"]\nseq-len = 20\nclip = 1\n')
    settings = from_mapping(read_config(path), "x")
    assert (settings.backend, settings.seq_len, settings.clip) == (("torch", "jax"), 20, 1.0)


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_config(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_toml_error_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("batch = 3\nhidden = = 4\n")
    assert "line 2" in refusal(path)


@pytest.mark.parametrize("text", ["[run]\nbatch = 3\n", "bach = 3\n", "batch = 'x'\n"])
def test_a_wrong_setting_in_a_config_is_told_with_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    assert text.strip("[").split()[0].rstrip("]") in refusal(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"batch = " + b"9" * 5000, "is not TOML: ValueError: Exceeds the limit"),
        (b"batch = 0x" + b"f" * 5000, "batch = .a int that is too long to be told.: "),
        (b"batch = " + b"[" * 5000 + b"]" * 5000, "is not TOML: RecursionError: "),
        (b"x = '" + b"x" * 900_000 + b"'", "unknown setting 'x'"),
        (b"task = [" + b"1," * 100_000 + b"]", "task = .1, 1.*….*, 1.: Expected `str`"),
        (b"# " + b"x" * 1_000_001, "cannot be read: over 1,000,000 bytes"),
        (b"seq-len = 3\nseq_len = 4", "seq_len is given twice, once with - and once with _"),
        (b"tf32 = true\ndtype = 'bfloat16'", "tf32 is a kind of float32; dtype is 'bfloat16'"),
        (b"\xff\xfe", "is not UTF-8: "),
        (b"a" * 100_000 + b" = 1", "unknown setting 'aaa.*…"),
    ],
    ids=lambda value: str(value[:20]),
)
def test_an_odd_config_is_refused_in_one_short_line(tmp_path: Path, text: bytes, told: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(text)
    message = refusal(path)
    assert re.search(told, message) and "\n" not in message and len(message) < 2000


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/full"), Path("/dev/null")):
        assert "not a regular file" in refusal(path)


def test_a_config_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.toml")
    assert "directory" in refusal(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# caf\xe9\n")
    assert "utf-8" in refusal(path)


def test_tf32_is_another_spelling_of_a_dtype() -> None:
    assert from_mapping({"tf32": True}, "settings").dtype == "tf32"
    assert from_mapping({"tf32": True, "dtype": "float32"}, "settings").dtype == "tf32"
    assert from_mapping({"tf32": False, "dtype": "float64"}, "settings").dtype == "float64"


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_tf32_is_no_matter_of_another_dtype_and_is_refused(dtype: str) -> None:
    with pytest.raises(UsageError, match=f"tf32 is a kind of float32; dtype is '{dtype}'"):
        from_mapping({"tf32": True, "dtype": dtype}, "settings")


@pytest.mark.parametrize(
    ("name", "stored", "products"),
    [
        ("float32", "float32", ""),
        ("float64", "float64", ""),
        ("tf32", "float32", "tf32"),
        ("bfloat16", "float32", "bfloat16"),
    ],
)
def test_a_backend_is_told_what_is_stored_and_what_products_are_made_of(
    name: str, stored: str, products: str
) -> None:
    options = from_mapping({"dtype": name}, "settings").options("cuda:1", threads=3)
    assert (options.dtype, options.products) == (stored, products)
    assert (options.device, options.threads) == ("cuda", 3), "it sees one GPU, the first"
