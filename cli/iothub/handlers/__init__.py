"""Trying handlers without a worker: whether they load, and what they make of real messages."""
