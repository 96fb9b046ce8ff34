"""Sending to Kafka: `producers.config.ProducerConfig` and `producers.kafka_producer.KafkaProducer`."""
