"""Handlers by name: found, or refused with a sentence that a person can act on from a pod's status alone."""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from consumers.calls import HandlerCalls
from consumers.handlers import BUILT_IN, load_handler, set_up
from consumers.telemetry_raw_logger import TelemetryRawLogger
from consumers.telemetry_validator import TelemetryValidator
from telemetry.errors import HandlerError
from telemetry.process import build_last_words

Write = Callable[..., str]

GOOD = """
    import json

    class Printer:
        def __init__(self, prefix=""):
            self.prefix = prefix

        def handle(self, payload):
            pass
"""


@pytest.fixture(autouse=True)
def _modules_are_forgotten() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module where Python finds it, and returns its path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_module(text: str, name: str = "my_handler.py") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return str(path)

    return write_module


def refusal(name: str, **more: Any) -> HandlerError:
    with pytest.raises(HandlerError) as caught:
        load_handler(name, **more)
    assert "\n" not in str(caught.value)
    return caught.value


class TestFound:
    def test_the_built_in_ones_have_short_names(self) -> None:
        assert isinstance(load_handler("logger"), TelemetryRawLogger)
        assert isinstance(load_handler("validator"), TelemetryValidator)

    @pytest.mark.parametrize("name", BUILT_IN)
    def test_every_built_in_one_loads(self, name: str) -> None:
        assert callable(load_handler(name).handle)

    def test_a_class_of_a_module_on_the_path(self, write: Write) -> None:
        write(GOOD, "acme/handlers.py")
        assert type(load_handler("acme.handlers:Printer")).__name__ == "Printer"

    def test_a_class_in_a_file(self, write: Write) -> None:
        assert type(load_handler("Printer", file=write(GOOD))).__name__ == "Printer"

    def test_a_files_name_need_not_be_a_modules(self, write: Write) -> None:
        # As a ConfigMap's key may be
        assert load_handler("Printer", file=write(GOOD, "my-handler.v2.py"))

    def test_options_are_keyword_arguments_of_the_class(self, write: Write) -> None:
        handler: Any = load_handler("Printer", file=write(GOOD), options={"prefix": "> "})
        assert handler.prefix == "> "

    @pytest.mark.parametrize("method", ["setup", "handle", "close"])
    def test_one_with_async_methods_is_a_plain_one(self, write: Write, method: str) -> None:
        plain = "" if method == "handle" else "    def handle(self, payload): pass\n"
        arguments = "self, payload" if method == "handle" else "self"
        handler = load_handler("X", file=write(f"class X:\n    async def {method}({arguments}): pass\n{plain}"))
        set_up(handler)
        assert handler.handle(1) is None
        handler.close()  # type: ignore[attr-defined]

    def test_each_time_it_is_a_new_one(self, write: Write) -> None:
        path = write(GOOD)
        assert load_handler("Printer", file=path) is not load_handler("Printer", file=path)

    def test_a_file_may_hold_a_dataclass(self, write: Write) -> None:
        # dataclasses look their module up by its name
        path = write(
            """
            from __future__ import annotations
            from dataclasses import dataclass

            @dataclass
            class Counter:
                n: int = 0

                def handle(self, payload):
                    self.n += 1
            """
        )
        handler: Any = load_handler("Counter", file=path, options={"n": 5})
        assert handler.n == 5


class TestNotFound:
    def test_a_name_that_is_neither_built_in_nor_a_path(self) -> None:
        for name in ("printer", "consumers.x.Printer", "", ":", "module:", ":Class"):
            error = refusal(name)
            assert error.reason == "HandlerNotFound"
            assert repr(name) in str(error)
            assert "logger, validator" in str(error)
            assert "package.module:Class" in str(error)

    @pytest.mark.parametrize(
        ("name", "module"), [("acme:X", "acme"), ("acme.sub:X", "acme"), ("consumers.nope:X", "consumers.nope")]
    )
    def test_a_module_that_is_not_in_the_image(self, name: str, module: str) -> None:
        error = refusal(name)
        assert (error.reason, str(error)) == ("HandlerNotFound", f"there is no module {module!r} in this image")

    def test_a_class_that_is_not_in_the_module_with_those_that_are(self, write: Write) -> None:
        error = refusal("Printr", file=(path := write(GOOD)))
        assert (error.reason, str(error)) == ("HandlerNotFound", f"{path} has no class 'Printr'; its classes: Printer")

    def test_a_module_without_a_class(self, write: Write) -> None:
        write("from pathlib import Path", "empty_one.py")
        assert str(refusal("empty_one:X")) == "empty_one has no class 'X'; it has no class of its own"

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        error = refusal("X", file=str(tmp_path / "none.py"))
        assert (error.reason, str(error)) == ("HandlerNotFound", f"there is no file {tmp_path / 'none.py'}")

    def test_a_file_that_is_no_python(self, write: Write) -> None:
        error = refusal("X", file=write(GOOD, "handler.txt"))
        assert error.reason == "HandlerNotFound"
        assert "must end in .py" in str(error)

    def test_what_is_no_class(self, write: Write) -> None:
        error = refusal("handler", file=(path := write("handler = {}")))
        assert (error.reason, str(error)) == ("HandlerNotFound", f"'handler' in {path} is no class, but a dict")

    def test_a_class_without_handle(self, write: Write) -> None:
        error = refusal("X", file=write("class X:\n    handle = 5"))
        assert error.reason == "HandlerNotFound"
        assert "no method handle(payload)" in str(error)


class TestFailed:
    """The sentence holds the error and the line that raised it: there may be nobody who can read the pod's log."""

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("import json\n\n1 / 0\n", ["ZeroDivisionError: division by zero", "line 3"]),
            ("import no_such_library\n", ["No module named 'no_such_library'", "line 1"]),
            ("class X:\n    def handle(self:\n", ["SyntaxError: '(' was never closed", "line 2: def handle(self:"]),
            ("class X:\n  def handle(self, p): pass\n   x = 1\n", ["IndentationError", "line 3: x = 1"]),
            ("import json\njson.loads('{')\n", ["JSONDecodeError", "my_handler.py, line 2"]),
            ("raise SystemExit(0)\n", ["SystemExit: 0", "line 1"]),
        ],
    )
    @pytest.mark.parametrize("via", ["file", "module"])
    def test_a_module_that_does_not_import(self, write: Write, text: str, words: list[str], via: str) -> None:
        path = write(text)
        error = refusal("X", file=path) if via == "file" else refusal("my_handler:X")
        assert error.reason == "HandlerFailed"
        assert "my_handler" in str(error)
        for word in words:
            assert word in str(error)

    @pytest.mark.parametrize(
        ("body", "options", "words"),
        [
            ("def __init__(self): raise ValueError('no url')", {}, ["ValueError: no url", "my_handler.py", "line 2"]),
            ("def __init__(self): exit(0)", {}, ["SystemExit"]),
            ("def __init__(self, s='1x'): self.n = int(s)", {"s": "y"}, ["ValueError: invalid literal", "line 2"]),
        ],
    )
    def test_a_class_that_can_not_be_made(
        self, write: Write, body: str, options: dict[str, Any], words: list[str]
    ) -> None:
        error = refusal("X", file=write(f"class X:\n    {body}\n"), options=options)
        assert error.reason == "HandlerFailed"
        assert "X(…) failed" in str(error)
        for word in words:
            assert word in str(error)

    @pytest.mark.parametrize(
        ("arguments", "options", "sentence"),
        [
            ("self, prefix: str = ''", {"prefx": 1}, "X(prefix='') has no option 'prefx'"),
            ("self, url, *, limit=30.0", {}, "X(url, *, limit=30.0) needs the option 'url'"),
            ("self, url", {"uri": 1}, "X(url) has no option 'uri' and needs the option 'url'"),
            ("self", {"x": 1, "y": 2}, "X() takes no arguments, and has no option 'x', 'y'"),
            ("self, a, *rest, **others", {"b": 1}, "X(a, *rest, **others) needs the option 'a'"),
        ],
    )
    def test_wrong_options_are_told_beside_the_right_ones(
        self, write: Write, arguments: str, options: dict[str, Any], sentence: str
    ) -> None:
        error = refusal("X", file=write(f"class X:\n    def __init__({arguments}): pass\n"), options=options)
        assert error.reason == "HandlerFailed"
        assert str(error).startswith(sentence)

    def test_an_abstract_class_says_what_it_lacks(self, write: Write) -> None:
        path = write(
            """
            from abc import ABC, abstractmethod

            class X(ABC):
                @abstractmethod
                def store(self): ...

                @abstractmethod
                def handle(self, payload): ...
            """
        )
        error = refusal("X", file=path)
        assert (error.reason, str(error)) == ("HandlerFailed", "X is abstract: it has no handle(), store()")

    @pytest.mark.parametrize(
        ("method", "sentence"),
        [
            ("def handle(payload)", "handle() is called with the payload, and can't be: too many positional arguments"),
            ("def handle(self, a, b)", "handle(a, b) is called with the payload, and can't be: missing a required arg"),
            ("async def handle(self, *, p)", "handle(*, p) is called with the payload, and can't be: too many"),
            ("def setup(self, config)", "setup(config) is called with no argument, and can't be: missing a required"),
            ("def close(self, wait)", "close(wait) is called with no argument, and can't be: missing a required"),
        ],
    )
    def test_a_method_that_can_not_be_called(self, write: Write, method: str, sentence: str) -> None:
        handle = "" if "handle" in method else "    def handle(self, payload): pass\n"
        error = refusal("X", file=(path := write(f"class X:\n    {method}: pass\n{handle}")))
        assert error.reason == "HandlerFailed"
        assert str(error).startswith(f"{path}:X: {sentence}")

    @pytest.mark.parametrize(
        "method", ["def handle(self, payload, extra=1)", "def handle(self, *payload)", "handle = staticmethod(print)#"]
    )
    def test_one_that_can_be_called_is_good_enough(self, write: Write, method: str) -> None:
        assert load_handler("X", file=write(f"class X:\n    {method}: pass\n"))

    def test_a_consumer_in_code_says_so_too(self) -> None:
        class Handler:
            def handle(payload: Any) -> None: ...  # noqa: N805

        with pytest.raises(HandlerError, match=r"Handler: handle\(\) is called with the payload, and can't be"):
            HandlerCalls(Handler(), batch=True, max_attempts=1, stopping=lambda: False)  # type: ignore[arg-type]

    def test_a_library_that_fails_is_blamed_on_the_handlers_line(self, write: Write) -> None:
        error = refusal("X", file=write("import json\n\nclass X:\n    def __init__(self):\n        json.loads('{')"))
        assert str(error).endswith("my_handler.py, line 5)")

    def test_a_secret_among_the_options_is_in_no_last_words(self, write: Write) -> None:
        path = write("class X:\n    def __init__(self, password): raise ValueError(f'no {password}')\n")
        error = refusal("X", file=path, options={"password": "s3cr3t-of-an-option"})
        assert b"s3cr3t" not in build_last_words(error.reason, str(error))

    def test_an_error_of_several_lines_is_one_sentence(self, write: Write) -> None:
        assert "ValueError: one two" in str(refusal("X", file=write("raise ValueError('one\\n   two')")))


class TestSetUp:
    def test_setup_is_called_once_where_there_is_one(self) -> None:
        class Handler:
            calls = 0

            def setup(self) -> None:
                self.calls += 1

            def handle(self, payload: Any) -> None: ...

        handler = Handler()
        set_up(handler)
        assert handler.calls == 1

    def test_a_handler_without_one_is_fine(self) -> None:
        set_up(TelemetryValidator())

    @pytest.mark.parametrize("error", [ConnectionError("db:5432 refused"), SystemExit(0), CancelledError()], ids=repr)
    def test_its_failure_is_the_handlers(self, error: BaseException) -> None:
        class Handler:
            def setup(self) -> None:
                raise error

            def handle(self, payload: Any) -> None: ...

        with pytest.raises(
            HandlerError, match=rf"setup\(\) failed: .*{type(error).__name__}.*test_handlers\.py"
        ) as caught:
            set_up(Handler())
        assert caught.value.reason == "HandlerFailed"
