"""What every test can use: the fixtures of ``support.plugin`` (real Kafka, real mosquitto)."""

import signal

pytest_plugins = ["support.plugin"]


def pytest_configure() -> None:
    """Have Ctrl-C mean something, here and in whatever tests start: children inherit that a signal is ignored.

    A shell ignores it for what it starts in the background, and pytest-xdist in its workers.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
