"""The settings under which every rule about the charts' objects is checked."""

from __future__ import annotations

EXTERNAL_KAFKA = (
    "kafka.enabled=false",
    "global.externalKafka.bootstrapServers=kafka.example.com:9093",
    "global.externalKafka.securityProtocol=SSL",
    "global.externalKafka.properties.socket\\.keepalive\\.enable=true",
)
EXTERNAL_MQTT = (
    "mqtt.enabled=false",
    "global.externalMqtt.host=mqtt.example.com",
    "global.externalMqtt.port=8884",
    "global.externalMqtt.existingSecret=their-account",
)
VARIANTS = {
    "defaults": (),
    "end-to-end": ("global.image.tag=dev", "kafka-ui.enabled=false"),
    "three nodes": ("kafka.replicas=3", "ingestion.mqtt.replicas=3"),
    "others' brokers": (*EXTERNAL_KAFKA, *EXTERNAL_MQTT),
    "others' brokers by certificate": (
        *EXTERNAL_KAFKA,
        *EXTERNAL_MQTT,
        "ingestion.mqtt.tls.enabled=true",
        "ingestion.mqtt.tls.caSecret=authority",
        "ingestion.mqtt.tls.clientSecret=certificate",
    ),
    "devices by certificate": ("mqtt.tls.existingSecret=certificate", "mqtt.tls.clientCaSecret=authority"),
    "namespaces": ("operator.watchNamespaces={one,two}",),
    "own registry": (
        "global.image.registry=registry.example.com/team",
        "global.image.tag=1.2.3",
        "global.image.pullPolicy=Always",
        "global.imagePullSecrets[0].name=registry-key",
    ),
    "login": ("kafka-ui.auth.enabled=true", "kafka-ui.contextPath=/ui", "mqtt.auth.allowAnonymous=true"),
}
