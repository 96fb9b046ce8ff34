"""The operator: keeps a Deployment of the shared worker image running for every TelemetryConsumer."""
