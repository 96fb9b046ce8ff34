"""Finding a handler by name: the registry of built-in ones, an import path, or a class in a mounted file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from consumers.calls import Handler
from telemetry.errors import HandlerError

BUILT_IN: Mapping[str, str] = {
    "logger": "consumers.telemetry_raw_logger:TelemetryRawLogger",
    "validator": "consumers.telemetry_validator:TelemetryValidator",
}
"""From short name to import path. A new built-in handler is one more line."""


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
    try:
        handler = cls(**(options or {}))
    except (Exception, SystemExit) as error:
        raise HandlerError("HandlerFailed", f"{class_name}(…) failed: {_describe(error)}") from error
    if not callable(getattr(handler, "handle", None)):
        raise HandlerError("HandlerNotFound", f"{origin}:{class_name} has no method handle(payload)")
    return handler  # type: ignore[no-any-return]


def set_up(handler: Handler) -> None:
    """Call the handler's ``setup()`` where it has one. Raises HandlerError (``HandlerFailed``)."""
    setup = getattr(handler, "setup", None)
    if setup is not None:
        try:
            setup()
        except (Exception, SystemExit) as error:
            raise HandlerError("HandlerFailed", f"setup() failed: {_describe(error)}") from error


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise HandlerError("HandlerNotFound", f"there is no module {error.name!r} in this image") from error
        raise HandlerError("HandlerFailed", f"importing {name} failed: {_describe(error)}") from error
    except (Exception, SystemExit) as error:
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
    except (Exception, SystemExit) as error:
        raise HandlerError("HandlerFailed", f"importing {path.name} failed: {_describe(error)}") from error
    return module


def _classes_of(module: ModuleType) -> str:
    own = [
        name for name, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__
    ]
    return f"its classes: {', '.join(own)}" if own else "it has no class of its own"


def _describe(error: BaseException) -> str:
    """Return the error with the place that raised it, in one line: all that fits a pod's status."""
    frames = traceback.extract_tb(error.__traceback__)
    sentence = " ".join("".join(traceback.format_exception_only(error)).split())
    return f"{sentence} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else sentence
