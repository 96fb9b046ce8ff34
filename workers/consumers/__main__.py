"""``python -m consumers``: the shared worker. ``--preflight`` tries everything but consuming, and exits."""

import argparse
import sys

from consumers.worker import run_worker


def main() -> int:
    """Run the worker and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m consumers", description=__doc__)
    parser.add_argument(
        "--preflight",
        action="store_true",
        help="import the handler, run its setup(), look for the topics, commit starting offsets, exit",
    )
    return run_worker(preflight=parser.parse_args().preflight)


if __name__ == "__main__":
    sys.exit(main())
