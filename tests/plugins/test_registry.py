import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lstmbench import INTERFACE, BackendInfo, UsageError
from lstmbench.plugins import registry as plugins
from lstmbench.plugins.resolve import resolve

Install = Callable[..., None]
OURS = {"numpy", "torch", "numba", "jax"}
OUR_TASKS = {"digits", "markov", "arith", "lag"}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution with one plugin module, of the same name, where it is found."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def install(name: str, source: str, entry: str = "") -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[lstmbench]\n{name} = {entry or name}\n")
        importlib.invalidate_caches()

    yield install
    for name in set(sys.modules) - before:
        del sys.modules[name]


def backends(*names: str) -> str:
    infos = ", ".join(f"BackendInfo({name!r}, 'm:C')" for name in names)
    return f"""
        from lstmbench import BackendInfo, TaskInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [{infos}]
    """


def test_ours_are_found_through_the_same_door() -> None:
    found = plugins.discover()
    assert set(found.backends) >= OURS and set(found.tasks) >= OUR_TASKS
    assert found.broken == []
    assert found.backends.distribution("numpy") == "lstmbench"


def test_a_strangers_backends_and_tasks_are_found(install: Install) -> None:
    source = """
        from lstmbench import BackendInfo, TaskInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("theirs", "m:C", requires=("json",), summary="s")]

        @hookimpl
        def lstmbench_tasks():
            return [TaskInfo("theirs", "m:T")]
    """
    install("theirs", source)
    found = plugins.discover()
    assert found.backends["theirs"] == BackendInfo("theirs", "m:C", ("json",), summary="s")
    assert found.tasks["theirs"].factory == "m:T"
    assert found.backends.distribution("theirs") == "theirs"
    assert found.broken == []


BROKEN = {
    "not_importable": ("import no_such_module_anywhere", "ModuleNotFoundError: .*no_such_module"),
    "no_syntax": ("def (", "SyntaxError: "),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "panics": (
        """
        class PanicException(BaseException):
            pass

        raise PanicException("index out of bounds")
        """,
        "PanicException: index out of bounds",
    ),
    "raises_on_import": ("raise RuntimeError('no licence\\nline 2')", "RuntimeError: no licence$"),
    "hook_raises": (
        """
        from lstmbench import hookimpl

        @hookimpl
        def lstmbench_backends():
            raise ValueError("not today")
        """,
        "ValueError: not today",
    ),
    "hook_exits": (
        """
        import sys
        from lstmbench import hookimpl

        @hookimpl
        def lstmbench_tasks():
            sys.exit("no")
        """,
        "SystemExit: no",
    ),
    "returns_strings": (
        """
        from lstmbench import hookimpl

        @hookimpl
        def lstmbench_backends():
            return ["torch"]
        """,
        "lstmbench_backends returned 'torch' where a BackendInfo belongs",
    ),
    "returns_a_number": (
        """
        from lstmbench import hookimpl

        @hookimpl
        def lstmbench_backends():
            return 3
        """,
        "TypeError: ",
    ),
    "returns_nothing": (
        """
        from lstmbench import hookimpl

        @hookimpl
        def lstmbench_backends():
            pass
        """,
        "lstmbench_backends returned None where a list belongs",
    ),
    "returns_tasks_as_backends": (
        """
        from lstmbench import TaskInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [TaskInfo("t", "m:C")]
        """,
        "lstmbench_backends returned TaskInfo.* where a BackendInfo belongs",
    ),
    "name_is_no_text": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo(3, "m:C")]
        """,
        r"a hook returned BackendInfo\(name=3.*\): Expected `str`, got `int` - at `\$.name`",
    ),
    "requires_is_no_sequence": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("theirs", "m:C", requires="torch")]
        """,
        r"Expected `array`, got `str` - at `\$.requires`",
    ),
    "interface_is_no_number": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("theirs", "m:C", interface="2")]
        """,
        r"Expected `int`, got `str` - at `\$.interface`",
    ),
    "name_cannot_be_typed": (
        """
        from lstmbench import TaskInfo, hookimpl

        @hookimpl
        def lstmbench_tasks():
            return [TaskInfo("one,two", "m:C")]
        """,
        "the name 'one,two', which nobody could ask for",
    ),
    "name_is_all": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("all", "m:C")]
        """,
        "the name 'all', which nobody could ask for",
    ),
    "factory_names_no_class": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("theirs", "package.module.Class")]
        """,
        "factory 'package.module.Class' of theirs is not like 'package.module:Class'",
    ),
    "its_error_cannot_be_told": (
        """
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError

        raise Mute
        """,
        r"^Mute: \(its message cannot be told\)$",
    ),
    "needs_a_newer_interface": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("late", "m:C", interface=3)]
        """,
        "needs interface 3, this lstmbench has 2; pip install --upgrade lstmbench$",
    ),
    "passes_what_is_not_known": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("late", "m:C", colour="red")]
        """,
        "TypeError: .*'colour'; if it was .* newer lstmbench: pip install --upgrade lstmbench$",
    ),
    "imports_what_is_not_known": (
        "from lstmbench import Telescope",
        "ImportError: .*'Telescope'.* newer lstmbench: pip install --upgrade lstmbench$",
    ),
    "has_a_hook_that_is_not_known": (
        """
        from lstmbench import hookimpl

        @hookimpl
        def lstmbench_backend():
            return []
        """,
        "PluginValidationError: unknown hook 'lstmbench_backend'.*pip install --upgrade lstmbench$",
    ),
    "has_no_hook": ("def lstmbench_backends(): return []", "no hook; is @hookimpl missing"),
    "is_interrupted": ("raise KeyboardInterrupt", r"KeyboardInterrupt:$"),
    "recurses": ("def f(): f()\nf()", "RecursionError: "),
    "requires_the_main_module": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("theirs", "m:C", requires=("json", "__main__"))]
        """,
        "'__main__', which theirs requires, is no import name",
    ),
    "requires_nothing": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("theirs", "m:C", requires=("",))]
        """,
        "'', which theirs requires, is no import name",
    ),
    "has_a_device_with_a_newline": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("theirs", "m:C", devices=("cpu\\n",))]
        """,
        "of theirs is the name of no device or dtype",
    ),
    "talks_without_end": (
        """
        from lstmbench import BackendInfo, hookimpl

        @hookimpl
        def lstmbench_backends():
            return [BackendInfo("theirs", "m:C", summary="x" * 200_000)]
        """,
        "it tells 200,[0-9]{3} bytes of itself",
    ),
    "raises_a_book": (
        "raise RuntimeError('x' * 1_000_000)",
        "^RuntimeError: x{200,250}…x{200,250}$",
    ),
    "exits_for_good": ("import os\nos._exit(0)", "the process ended with exit status 0 while"),
    "aborts": (
        "import os\nos.write(2, b'last words')\nos.abort()",
        r"the process ended by SIGABRT \(last words\) while it was loaded",
    ),
    "is_killed": ("import os\nos.kill(os.getpid(), 9)", "the process ended by SIGKILL while"),
    "closes_all_files": ("import os\nos.closerange(1, 100)", "the process ended with exit status"),
    "writes_into_pipes": (
        """
        import os

        for fd in range(3, 100):
            try:
                os.write(fd, b"hello, world")
            except OSError:
                pass
        """,
        "something else was in the pipe of the process",
    ),
    "asks_for_arguments": (
        """
        from lstmbench import hookimpl

        @hookimpl
        def lstmbench_backends(config):
            return []
        """,
        "PluginValidationError: .*'config'.* not be found",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_and_harms_nobody(install: Install, name: str) -> None:
    source, error = BROKEN[name]
    install(name, source)
    install("healthy", backends("theirs"))
    found = plugins.discover()
    assert [(b.plugin, b.distribution) for b in found.broken] == [(name, name)]
    with pytest.raises(Exception, match=error):
        raise Exception(found.broken[0].error)
    assert set(found.backends) >= {"theirs", *OURS}
    assert set(found.tasks) >= OUR_TASKS


HARMLESS = {
    "writes_to_the_output": "import os\nos.write(1, b'{}')",
    "closes_the_output": "import os, sys\nsys.stdout.close()\nos.close(1)",
    "changes_the_process": "import os, sys\nos.chdir('/')\nsys.path.clear()\nos.environ.clear()",
    "prints_much": "print('x' * 1_000_000)",
    "leaves_a_thread": "import threading\nthreading.Thread(target=threading.Event().wait).start()",
    "leaves_a_child": "import subprocess as s\ns.Popen(['sleep', '99'], start_new_session=True)",
    "handles_signals": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_plugin_does_besides_harms_nobody(
    install: Install, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    install(name, HARMLESS[name] + textwrap.dedent(backends("theirs")))
    install("zzz_healthy", backends("others"))
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    found = plugins.discover()
    assert found.broken == []
    assert set(found.backends) >= {"theirs", "others", *OURS}
    assert capfd.readouterr() == ("", "")
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= children


def test_a_plugin_that_hangs_is_left_behind(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("hangs", "import time\ntime.sleep(99)")
    install("healthy", backends("theirs"))
    monkeypatch.setattr(plugins, "PATIENCE_SECONDS", 3.0)
    found = plugins.discover()
    (broken,) = found.broken
    assert broken.error == "no answer within 3 s while it was loaded"
    assert set(found.backends) >= {"theirs", *OURS}


def test_a_plugin_that_ends_the_process_later_takes_no_other_with_it(install: Install) -> None:
    later = "import threading, os, time\nthreading.Timer(0.3, os._exit, (0,)).start()"
    install("later", later + textwrap.dedent(backends("theirs")))
    for n in range(3):
        install(f"slow{n}", "import time\ntime.sleep(0.2)" + textwrap.dedent(backends(f"slow{n}")))
    found = plugins.discover()
    assert found.broken == []
    assert set(found.backends) >= {"theirs", "slow0", "slow1", "slow2", *OURS}


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"[lstmbench\nx", b"\0"])
def test_a_distribution_whose_metadata_is_damaged_harms_nobody(
    install: Install, tmp_path: Path, damage: bytes
) -> None:
    install("damaged", backends("theirs"))
    (tmp_path / "damaged-1.0.dist-info" / "entry_points.txt").write_bytes(damage)
    found = plugins.discover()
    assert set(found.backends) >= OURS
    assert all(one.distribution == "damaged" for one in found.broken)


def test_an_entry_point_that_names_nothing_is_broken(install: Install) -> None:
    install("nowhere", "", entry="nowhere:missing")
    (broken,) = plugins.discover().broken
    assert broken.distribution == "nowhere" and "missing" in broken.error


def test_remains_of_an_uninstalled_plugin_harm_nobody(install: Install, tmp_path: Path) -> None:
    install("remains", backends("theirs"))
    (tmp_path / "remains-1.0.dist-info" / "METADATA").unlink()
    found = plugins.discover()
    assert set(found.backends) >= OURS
    assert all(isinstance(found.backends.distribution(name), str) for name in found.backends)


def test_nothing_of_a_plugin_is_taken_if_a_part_is_broken(install: Install) -> None:
    half = """
        @hookimpl
        def lstmbench_tasks():
            return [BackendInfo("other", "m:C")]
    """
    install("half", textwrap.dedent(backends("theirs")) + textwrap.dedent(half))
    found = plugins.discover()
    assert len(found.broken) == 1
    assert "theirs" not in set(found.backends)


def test_a_name_claimed_twice_is_refused_with_both_distributions(install: Install) -> None:
    install("one", backends("theirs", "fine"))
    install("two", backends("theirs"))
    found = plugins.discover()
    with pytest.raises(UsageError, match=r"backend 'theirs' is claimed by .* and ") as caught:
        found.backends["theirs"]
    assert "one" in str(caught.value) and "two" in str(caught.value)
    assert found.backends.conflict("theirs").startswith("claimed by")
    assert not found.backends.conflict("fine")
    assert found.backends["fine"].name == "fine"
    assert found.broken == []


def test_ours_is_never_silently_replaced(install: Install) -> None:
    install("usurper", backends("numpy"))
    found = plugins.discover()
    with pytest.raises(UsageError, match="backend 'numpy' is claimed by") as caught:
        found.backends["numpy"]
    assert "lstmbench" in str(caught.value) and "usurper" in str(caught.value)
    assert str(caught.value).endswith("; uninstall usurper")


def test_a_broken_plugin_is_told_by_any_name_that_it_may_be_asked_for_by(install: Install) -> None:
    install("theirs", "raise RuntimeError('no licence')")
    install("late", BROKEN["needs_a_newer_interface"][0].replace('"late"', '"new"'))
    found = plugins.discover()
    with pytest.raises(UsageError) as caught:
        found.backends["theirs"]
    assert str(caught.value) == (
        "backend 'theirs' cannot be used: plugin theirs of theirs is broken: "
        "RuntimeError: no licence"
    )
    with pytest.raises(UsageError, match=r"'new' cannot .* plugin late .* needs interface 3"):
        found.backends["new"]
    with pytest.raises(UsageError, match="task 'late' cannot be used: plugin late "):
        found.tasks["late"]


def test_a_plugin_for_this_interface_is_taken(install: Install) -> None:
    install("older", backends("theirs").replace("'m:C'", "'m:C', interface=1"))
    found = plugins.discover()
    assert found.broken == [] and found.backends["theirs"].interface == 1 < INTERFACE


def test_a_name_claimed_twice_by_one_distribution_is_its_fault(install: Install) -> None:
    install("one", backends("theirs", "theirs"))
    install("two", backends("theirs"))
    reason = plugins.discover().backends.conflict("theirs")
    assert reason == "claimed by one and two; uninstall all but one"
    install("three", backends("mine", "mine"))
    reason = plugins.discover().backends.conflict("mine")
    assert reason == "claimed more than once by three, which is its fault; uninstall it"


def test_a_task_and_a_backend_may_share_a_name(install: Install) -> None:
    install("namesake", backends("digits"))
    found = plugins.discover()
    assert found.backends["digits"].factory == "m:C"
    assert found.tasks["digits"].factory.startswith("lstmbench_digits")


def test_an_unknown_name_is_refused_with_the_nearest_and_the_choices() -> None:
    found = plugins.discover()
    with pytest.raises(UsageError, match="unknown backend 'troch'; did you mean 'torch'") as caught:
        found.backends["troch"]
    assert all(name in str(caught.value) for name in OURS)
    with pytest.raises(UsageError, match="unknown task 'digit'; did you mean 'digits'"):
        found.tasks["digit"]


def test_what_is_installed_is_usable() -> None:
    assert plugins.unusable(BackendInfo("b", "m:C", requires=("json", "numpy")), "dist") == ""


@pytest.mark.parametrize(
    ("requires", "extra", "reason"),
    [
        (("nosuch",), "fast", "nosuch: not installed; pip install 'dist[fast]'"),
        (("json", "nosuch"), "", "nosuch: not installed; pip install 'nosuch'"),
        (("nosuch", "northis"), "x", "nosuch, northis: not installed; pip install 'dist[x]'"),
        (("nosuch.part",), "x", "nosuch.part: not installed; pip install 'dist[x]'"),
    ],
)
def test_unusable_says_what_is_missing_and_what_to_type(
    requires: tuple[str, ...], extra: str, reason: str
) -> None:
    info = BackendInfo("b", "m:C", requires=requires, extra=extra)
    assert plugins.unusable(info, "dist") == reason


def test_what_a_backend_requires_is_not_imported_to_find_out(
    install: Install, tmp_path: Path
) -> None:
    install("theirs", backends("theirs"))
    (tmp_path / "heavy.py").write_text("raise RuntimeError('imported')")
    assert plugins.unusable(BackendInfo("b", "m:C", requires=("heavy",)), "dist") == ""
    assert "heavy" not in sys.modules


def test_resolve_imports_what_a_factory_names(install: Install) -> None:
    from json import JSONDecoder

    assert resolve("json:JSONDecoder") is JSONDecoder
    install("late", "class C: pass")
    assert "late" not in sys.modules
    assert resolve("late:C") is sys.modules["late"].C


@pytest.mark.parametrize(
    ("factory", "error"), [("json:Nope", AttributeError), ("nosuch:C", ModuleNotFoundError)]
)
def test_resolve_says_what_is_not_there(factory: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=factory.split(":")[error is AttributeError]):
        resolve(factory)
