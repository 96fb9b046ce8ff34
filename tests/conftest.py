"""What every test can use: the fixtures of ``support.plugin`` (real Kafka, real mosquitto)."""

pytest_plugins = ["support.plugin"]
