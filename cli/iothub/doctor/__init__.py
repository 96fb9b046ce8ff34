"""What is missing or wrong on this machine or a cluster, and what to type.

A check is a small function that returns findings; none depends on another, and each is bounded in time.
"""
