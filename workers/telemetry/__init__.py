"""What every hop of the data shares: headers, the telemetry schema, JSON, settings, logs, metrics, health."""
