"""Handlers with ``async`` methods: an adapter that makes a plain handler of one.

The event loop lives as long as the handler: ``setup()``, every ``handle()`` and ``close()`` run on the same one, so
that what belongs to a loop (an HTTP session, a pool of connections) can be made once and kept. It turns only while one
of them runs: a task in the background stands still between two calls.
"""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from consumers.calls import Handler

_METHODS = ("setup", "handle", "close")


def adapt(handler: Handler) -> Handler:
    """Return ``handler`` itself where its methods are plain, else a plain one around it.

    Whoever calls this is to call the result's ``close()`` in the end, which ends the loop too.
    """
    if isinstance(handler, AsyncHandler) or not any(_is_async(getattr(handler, name, None)) for name in _METHODS):
        return handler
    return AsyncHandler(handler)


class AsyncHandler:
    """A plain handler around one of which at least one method is ``async``. Everything else is the handler's own."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._runner: asyncio.Runner | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def setup(self) -> None:
        """Start the loop, and run the handler's ``setup()`` on it where it has one."""
        try:
            self._run("setup")
        except BaseException:
            self._end()
            raise

    def handle(self, payload: Any) -> Any:
        """Run the handler's ``handle`` and return what it returns; what it yields, as a list."""
        return self._run("handle", payload)

    def close(self) -> None:
        """Run the handler's ``close()`` where it has one; in any case, end the loop with every task that is left."""
        try:
            self._run("close")
        finally:
            self._end()

    def _run(self, name: str, *arguments: Any) -> Any:
        method = getattr(self._handler, name, None)
        if method is None:
            return None
        if self._runner is None:
            # With a factory it leaves the thread's own loop, which a notebook has, as it is.
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
            # A consumer that adapted its handler itself has nobody who calls close().
            weakref.finalize(self, self._runner.get_loop().close)
        return _run_aside(self._runner.run, _call(method, *arguments))

    def _end(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            _run_aside(runner.close)


async def _call(method: Callable[..., Any], *arguments: Any) -> Any:
    # A plain method too: it may start a task, and a generator may look for the loop while it is gone through.
    result = method(*arguments)
    if inspect.isawaitable(result):
        result = await result
    if hasattr(result, "__aiter__"):
        return [part async for part in result]
    return list(result) if inspect.isgenerator(result) else result


def _is_async(method: object) -> bool:
    # An object that can be called has its code in __call__.
    return any(
        inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each)
        for each in (method, getattr(method, "__call__", None))  # noqa: B004  # it is looked at, not asked for
    )


def _run_aside(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``function``, which runs a loop, where none runs: on another thread in a notebook, say, that has its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function(*arguments)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *arguments).result()
