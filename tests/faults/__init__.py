"""Faults that must lose nothing: real processes that die under load, and the count of what arrived nevertheless."""
