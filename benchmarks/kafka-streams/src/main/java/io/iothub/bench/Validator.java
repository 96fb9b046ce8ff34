package io.iothub.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.file.Files;
import java.time.Instant;
import java.util.Properties;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/**
 * The validator on Kafka Streams: from the raw topic to the clean one, or a dead letter with a reason.
 *
 * <p>At least once, one stream thread. Arguments: bootstrap servers, group, raw topic, clean topic, dead-letter topic.
 */
public final class Validator {
    private Validator() {}

    public static void main(String[] arguments) throws Exception {
        String group = arguments[1];
        String raw = arguments[2];
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("kafka-streams").toString());
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.producerPrefix("acks"), "all");
        settings.put(StreamsConfig.producerPrefix("compression.type"), "lz4");

        Topology topology = new Topology();
        topology.addSource("raw", new ByteArrayDeserializer(), new ByteArrayDeserializer(), raw);
        topology.addProcessor("check", () -> new Check(group, raw), "raw");
        topology.addSink("clean", arguments[3], new ByteArraySerializer(), new ByteArraySerializer(), "check");
        topology.addSink("dlq", arguments[4], new ByteArraySerializer(), new ByteArraySerializer(), "check");

        KafkaStreams streams = new KafkaStreams(topology, settings);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    /** Checks one record and hands it to the sink that it belongs to. */
    private static final class Check extends ContextualProcessor<byte[], byte[], byte[], byte[]> {
        private final byte[] group;
        private final byte[] raw;

        Check(String group, String raw) {
            this.group = group.getBytes(UTF_8);
            this.raw = raw.getBytes(UTF_8);
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            RecordMetadata place = context().recordMetadata().orElseThrow();
            byte[] partition = Integer.toString(place.partition()).getBytes(UTF_8);
            byte[] offset = Long.toString(place.offset()).getBytes(UTF_8);
            Headers headers = record.headers();
            Header device = headers.lastHeader("device");
            try {
                Telemetry.Clean clean =
                        Telemetry.normalise(record.value(), device == null ? null : new String(device.value(), UTF_8));
                headers.add("raw_topic", raw);
                headers.add("raw_partition", partition);
                headers.add("raw_offset", offset);
                context().forward(record.withKey(clean.device().getBytes(UTF_8)).withValue(clean.value()), "clean");
            } catch (Telemetry.Invalid invalid) {
                headers.add("__connect.errors.topic", raw);
                headers.add("__connect.errors.partition", partition);
                headers.add("__connect.errors.offset", offset);
                headers.add("__connect.errors.exception.class.name", Telemetry.Invalid.class.getName().getBytes(UTF_8));
                headers.add("__connect.errors.exception.message", invalid.getMessage().getBytes(UTF_8));
                headers.add("__connect.errors.stage", "validate".getBytes(UTF_8));
                headers.add("dlq.reason", invalid.reason.getBytes(UTF_8));
                headers.add("dlq.consumer", group);
                headers.add("dlq.attempts", "1".getBytes(UTF_8));
                headers.add("dlq.at", Instant.now().toString().getBytes(UTF_8));
                context().forward(record, "dlq");
            }
        }
    }
}
