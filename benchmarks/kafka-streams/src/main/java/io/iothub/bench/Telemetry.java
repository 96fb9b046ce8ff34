package io.iothub.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.format.ResolverStyle;
import java.time.temporal.ChronoField;
import java.util.Map;
import java.util.Set;

/** The telemetry schema, version 1: from a raw value to its normal form, or the reason why not. */
final class Telemetry {
    /** Why a message can't be taken; made without a stack trace, since it is an answer and no failure. */
    static final class Invalid extends Exception {
        final String reason;

        Invalid(String reason, String message) {
            super(message, null, false, false);
            this.reason = reason;
        }
    }

    /** A message in its normal form. */
    record Clean(String device, byte[] value) {}

    private static final Set<String> FIELDS = Set.of("schema_version", "device", "metrics", "ts");
    private static final long FIRST_MILLISECONDS = 100_000_000_000L;
    private static final DateTimeFormatter LOCAL = new DateTimeFormatterBuilder()
            .appendPattern("uuuu-MM-dd[' ']['T']HH:mm[:ss]")
            .appendFraction(ChronoField.NANO_OF_SECOND, 0, 9, true)
            .toFormatter()
            .withResolverStyle(ResolverStyle.STRICT); // 30 February is no day

    private static final ObjectMapper MAPPER = new ObjectMapper(JsonFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(64).build())
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private Telemetry() {}

    /** Returns the normal form of {@code value}, sent by {@code sender} (null where the transport does not tell). */
    static Clean normalise(byte[] value, String sender) throws Invalid {
        ObjectNode document = parse(value);
        JsonNode version = require(document, "schema_version");
        JsonNode metrics = require(document, "metrics");
        JsonNode ts = require(document, "ts");
        if (!version.isInt() || version.intValue() != 1) {
            throw new Invalid("unsupported_schema_version", "'schema_version' is " + version);
        }
        String device = findDevice(document.get("device"), sender);
        checkMetrics(metrics);

        ObjectNode clean = MAPPER.createObjectNode();
        clean.put("schema_version", 1);
        clean.put("device", device);
        clean.set("metrics", metrics);
        clean.put("ts", parseTime(ts).toString());
        ObjectNode extra = null;
        for (Map.Entry<String, JsonNode> field : document.properties()) {
            if (!FIELDS.contains(field.getKey())) {
                extra = extra == null ? clean.putObject("extra") : extra;
                extra.set(field.getKey(), field.getValue());
            }
        }
        try {
            return new Clean(device, MAPPER.writeValueAsBytes(clean));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a tree that was read can be written", e);
        }
    }

    private static ObjectNode parse(byte[] value) throws Invalid {
        try {
            JsonNode document = MAPPER.readTree(value);
            if (document instanceof ObjectNode object) {
                return object;
            }
            throw new Invalid("not_object", "the message must be a JSON object");
        } catch (StreamConstraintsException e) {
            throw new Invalid("too_deep", e.getMessage());
        } catch (IOException e) {
            boolean twice = e.getMessage().startsWith("Duplicate");
            throw new Invalid(twice ? "duplicate_key" : isText(value) ? "not_json" : "not_utf8", e.getMessage());
        }
    }

    private static boolean isText(byte[] value) {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(value));
            return true;
        } catch (CharacterCodingException e) {
            return false;
        }
    }

    private static JsonNode require(ObjectNode document, String field) throws Invalid {
        JsonNode found = document.get(field);
        if (found == null) {
            throw new Invalid("missing_field", "the field '" + field + "' is missing");
        }
        return found;
    }

    private static String findDevice(JsonNode said, String sender) throws Invalid {
        String device = said == null ? sender : said.isTextual() ? said.textValue() : "";
        if (device == null || device.isEmpty() || device.length() > 128 || device.chars().anyMatch(Character::isISOControl)) {
            throw new Invalid("bad_device", "'device' must be a string of 1 to 128 characters");
        }
        if (sender != null && !device.equals(sender)) {
            throw new Invalid("device_mismatch", "'device' is " + device + ", but " + sender + " sent the message");
        }
        return device;
    }

    private static void checkMetrics(JsonNode metrics) throws Invalid {
        if (!metrics.isObject() || metrics.isEmpty() || metrics.size() > 256) {
            throw new Invalid("bad_metrics", "'metrics' must be an object of 1 to 256 values");
        }
        for (Map.Entry<String, JsonNode> metric : metrics.properties()) {
            int length = metric.getKey().length();
            JsonNode value = metric.getValue();
            boolean finite = value.isBoolean() || value.isIntegralNumber()
                    || (value.isFloatingPointNumber() && Double.isFinite(value.doubleValue()));
            if (length < 1 || length > 64 || !finite) {
                throw new Invalid("bad_metrics", "'metrics." + metric.getKey() + "' must be a number or a boolean");
            }
        }
    }

    private static Instant parseTime(JsonNode ts) throws Invalid {
        try {
            if (ts.isTextual()) {
                String text = ts.textValue();
                char last = text.isEmpty() ? ' ' : text.charAt(text.length() - 1);
                boolean zoned = last == 'Z' || text.lastIndexOf('+') > 10 || text.lastIndexOf('-') > 10;
                return zoned
                        ? OffsetDateTime.parse(text.replace(' ', 'T')).toInstant()
                        : LocalDateTime.parse(text, LOCAL).toInstant(ZoneOffset.UTC);
            }
            if (ts.isNumber() && ts.doubleValue() >= 0) {
                double number = ts.doubleValue();
                return number >= FIRST_MILLISECONDS
                        ? Instant.ofEpochMilli((long) number)
                        : Instant.ofEpochSecond((long) number, (long) ((number - (long) number) * 1e9));
            }
        } catch (DateTimeException e) {
            throw new Invalid("bad_ts", "'ts' is no time: " + e.getMessage());
        }
        throw new Invalid("bad_ts", "'ts' must be a time");
    }
}
