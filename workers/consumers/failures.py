"""What a handler's error means, and the sentence that tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from consumers.records import Reject, RetryLater
from telemetry.dead_letters import Cause
from telemetry.errors import QueueFull

TRANSIENT: tuple[type[Exception], ...] = (ConnectionError, TimeoutError, QueueFull)
"""Errors that pass by themselves: what they hit is tried again without limit."""


def understand(error: BaseException) -> Exception:
    """Return the failure that a handler's error means; a person who interrupts is let through."""
    if isinstance(error, BaseExceptionGroup):
        error = _choose(error)
    if isinstance(error, KeyboardInterrupt):
        raise error
    return error if isinstance(error, Exception) else _tame(error)


def _choose(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one error of several, as an `asyncio.TaskGroup` raises them together, that decides for all.

    A person who interrupts, then a failure: it is bounded. Else one that waits: whoever is rejected can be so later.
    """
    return min(_flatten(group), key=_rank)


def _rank(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return 0
    if isinstance(error, Reject):
        return 3
    return 2 if isinstance(error, (RetryLater, *TRANSIENT)) else 1


def _flatten(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flatten(error)
        else:
            yield error


def _tame(error: BaseException) -> Exception:
    """Return as a failure what would end the worker: a handler has no say in that, and a message still less."""
    if isinstance(error, SystemExit):
        tamed = RuntimeError(f"the handler called sys.exit({error.code!r})")
    else:
        # asyncio's CancelledError, or the panic of a library written in Rust.
        tamed = RuntimeError(f"the handler raised {tell(error)}")
    tamed.__cause__ = error
    return tamed


def build_reject_cause(reject: Reject, attempts: int) -> Cause:
    """Return why a rejected message is a dead letter."""
    error = reject.__cause__ or reject
    return Cause(reject.reason, str(reject), reject.stage, name_class(error), attempts)


def release(error: BaseException | None) -> None:
    """Drop the tracebacks of ``error`` and of what is behind it.

    They hold frames, the frames hold the batch and the error itself: all of it would stay until Python's collector
    comes by, which is rarely in a worker.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def name_class(error: BaseException) -> str:
    """Return the module and name of an error's class."""
    cls = type(error)
    return f"{cls.__module__}.{cls.__qualname__}"


def tell(error: BaseException) -> str:
    """Return an error in one sentence, whatever its own ``__str__`` does."""
    try:
        text = str(error)
    except Exception:
        text = "(its message can't be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def build_crash_cause(crashes: int) -> Cause:
    """Return why a message is a dead letter that ``crashes`` processes have died of."""
    return Cause(
        "crashed_worker",
        f"{crashes} processes ended while they had this message alone in hand: killed, out of memory, or crashed",
        "handle",
        "telemetry.errors.WorkerCrashed",
        crashes,
    )
