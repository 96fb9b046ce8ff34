"""From devices into Kafka: ``python -m ingestion.mqtt``."""
