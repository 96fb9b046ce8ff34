"""Finding a handler by name: the registry of built-in ones, an import path, or a class in a mounted file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from consumers.async_handlers import adapt
from telemetry.errors import HandlerError
from telemetry.redaction import learn_secrets

if TYPE_CHECKING:
    from consumers.calls import Handler

BUILT_IN: Mapping[str, str] = {
    "logger": "consumers.telemetry_raw_logger:TelemetryRawLogger",
    "validator": "consumers.telemetry_validator:TelemetryValidator",
}
"""From short name to import path. A new built-in handler is one more line."""

_CALLS: Mapping[str, Sequence[str]] = {"handle": ("the payload",), "setup": (), "close": ()}
"""A handler's methods, and what each is called with."""
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_FOREIGN = (*(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")), str(Path(__file__).parent), "<")
"""Where lines of code lie that are no handler's: libraries, this package, Python's own frozen modules."""


def load_handler(name: str, *, file: str | None = None, options: Mapping[str, Any] | None = None) -> Handler:
    """Return a new handler: ``name`` is a short name, ``package.module:Class``, or a class's name in ``file``.

    ``options`` are the class's keyword arguments. Raises HandlerError (``HandlerNotFound``, ``HandlerFailed``) with a
    sentence that holds the error and the line that raised it.
    """
    if file is not None:
        module, class_name, origin = _load_file(Path(file)), name, file
    else:
        path = BUILT_IN.get(name, name)
        module_name, colon, class_name = path.partition(":")
        if not colon or not module_name or not class_name:
            known = ", ".join(BUILT_IN)
            raise HandlerError(
                "HandlerNotFound",
                f"{name!r} is neither a built-in handler ({known}) nor of the form package.module:Class",
            )
        module, origin = _import(module_name), module_name
    cls = getattr(module, class_name, None)
    if cls is None:
        raise HandlerError("HandlerNotFound", f"{origin} has no class {class_name!r}; {_classes_of(module)}")
    learn_secrets(options or {})
    if not callable(cls):
        raise HandlerError("HandlerNotFound", f"{class_name!r} in {origin} is no class, but a {type(cls).__name__}")
    if inspect.isabstract(cls):
        missing = ", ".join(f"{name}()" for name in sorted(cls.__abstractmethods__))
        raise HandlerError("HandlerFailed", f"{class_name} is abstract: it has no {missing}")
    _check_options(cls, class_name, options or {})
    try:
        handler = cls(**(options or {}))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise HandlerError("HandlerFailed", f"{class_name}(…) failed: {_describe(error)}") from error
    check_methods(handler, f"{origin}:{class_name}")
    return adapt(handler)


def check_methods(handler: object, name: str) -> None:
    """Raise HandlerError where ``handler`` has no ``handle``, or a method that can't be called as it will be."""
    if not callable(getattr(handler, "handle", None)):
        raise HandlerError("HandlerNotFound", f"{name} has no method handle(payload)")
    for method_name, arguments in _CALLS.items():
        method = getattr(handler, method_name, None)
        try:
            signature = inspect.signature(method) if method is not None else None
        except (TypeError, ValueError):  # written in C, it does not tell
            continue
        if signature is None:
            continue
        try:
            signature.bind(*arguments)
        except TypeError as error:
            raise HandlerError(
                "HandlerFailed",
                f"{name}: {method_name}{_show(signature)} is called with {' and '.join(arguments) or 'no argument'}, "
                f"and can't be: {error}",
            ) from error


def set_up(handler: Handler) -> None:
    """Call the handler's ``setup()`` where it has one. Raises HandlerError (``HandlerFailed``)."""
    setup = getattr(handler, "setup", None)
    if setup is not None:
        try:
            setup()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise HandlerError("HandlerFailed", f"setup() failed: {_describe(error)}") from error


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise HandlerError("HandlerNotFound", f"there is no module {error.name!r} in this image") from error
        raise HandlerError("HandlerFailed", f"importing {name} failed: {_describe(error)}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise HandlerError("HandlerFailed", f"importing {name} failed: {_describe(error)}") from error


def _load_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"iot_hub_handler_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise HandlerError("HandlerNotFound", f"{path} is no Python file: its name must end in .py")
    if not path.is_file():
        raise HandlerError("HandlerNotFound", f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[spec.name]
        raise HandlerError("HandlerFailed", f"importing {path.name} failed: {_describe(error)}") from error
    return module


def _classes_of(module: ModuleType) -> str:
    own = [
        name for name, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__
    ]
    return f"its classes: {', '.join(own)}" if own else "it has no class of its own"


def _check_options(cls: Any, name: str, options: Mapping[str, Any]) -> None:
    """Raise HandlerError that names the options which ``cls`` does not take or lacks, and those that it takes."""
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):  # written in C, it does not tell
        return
    try:
        signature.bind(**options)
    except TypeError:
        names = [each.name for each in signature.parameters.values() if each.kind in _BY_NAME]
        any_name = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
        unknown = [] if any_name else [repr(option) for option in options if option not in names]
        needed = [
            repr(each)
            for each in names
            if each not in options and signature.parameters[each].default is inspect.Parameter.empty
        ]
        problems = []
        if unknown:
            problems.append(f"{'has' if names else 'takes no arguments, and has'} no option {', '.join(unknown)}")
        if needed:
            problems.append(f"needs the option {', '.join(needed)}")
        raise HandlerError("HandlerFailed", f"{name}{_show(signature)} {' and '.join(problems)}") from None


def _show(signature: inspect.Signature) -> str:
    """Return the arguments with their defaults; as types are written here, they would only be in the way."""
    bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return str(inspect.Signature(bare))


def _describe(error: BaseException) -> str:
    """Return the error with its place in one line, all that fits a pod's status: the last line that is no library's."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        line = f": {error.text.strip()}" if error.text else ""
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno}{line})"
    sentence = " ".join("".join(traceback.format_exception_only(error)).split())
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_FOREIGN)]
    place = (own or frames)[-1:]
    return sentence + "".join(f" ({frame.filename}, line {frame.lineno})" for frame in place)
