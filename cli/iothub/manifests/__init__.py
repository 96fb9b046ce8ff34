"""TelemetryConsumers in files: read with their lines, checked as the API server would, rendered. Pure."""
