"""Simulated devices: what they say, and how they send it."""
