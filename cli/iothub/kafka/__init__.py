"""Looking into a Kafka: topics, groups, lag, messages, dead letters."""
