"""The demonstration: the hub, devices, a live screen, and the count at the end."""
