"""From devices into Kafka: ``python -m ingestion.mqtt``, ``python -m ingestion.http``."""
