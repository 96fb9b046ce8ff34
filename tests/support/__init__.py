"""Real servers for the tests: Apache Kafka and mosquitto as processes that the tests start, kill and restart."""
