"""Chance that repeats itself: the same seed gives the same devices, readings and damage."""

from __future__ import annotations

from random import Random


def make_random(*about: object) -> Random:
    """Return a generator that depends on ``about`` alone: a seed, and what it is for."""
    return Random("/".join(map(str, about)))  # noqa: S311  # simulated devices have no secrets
