"""The hub on this machine: what a cluster does with TelemetryConsumers, done with processes."""
