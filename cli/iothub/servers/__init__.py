"""Kafka and an MQTT broker on this machine, as programs that the hub runs."""
