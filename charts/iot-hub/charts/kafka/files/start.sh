#!/bin/bash
# Starts a node. The image's own start does the same from KAFKA_* variables, into which any Service that is called kafka
# puts its KAFKA_PORT; here the properties are a file that one can read in the ConfigMap. compose.yaml starts its Kafka with it too.
set -eu
properties=/tmp/server.properties

advertised=PLAINTEXT://$ADVERTISED_HOST:9092
# To whoever comes through a port-forward, this node is at a port of their own machine.
[ -z "${FORWARDED_PORT:-}" ] || advertised=$advertised,FORWARDED://127.0.0.1:$((FORWARDED_PORT + NODE_ID))

{
  cat /etc/iot-hub/kafka/server.properties
  echo "node.id=$NODE_ID"
  echo "advertised.listeners=$advertised"
} >"$properties"

# A new volume is formatted; one that is formatted already is left as it is, and refused where it is another cluster's.
/opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id "$CLUSTER_ID" --config "$properties"

# The flags of kafka-server-start.sh. A node that is out of memory ends and is started anew, rather than lingering on.
exec java "-Xms$HEAP" "-Xmx$HEAP" -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
  -XX:+ExplicitGCInvokesConcurrent -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
  -Dlog4j2.configurationFile=/etc/iot-hub/kafka/log4j2.yaml -cp '/opt/kafka/libs/*' kafka.Kafka "$properties"
