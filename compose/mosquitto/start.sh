#!/bin/sh
# Starts mosquitto so that devices come in only when ingestion's session keeps what they send. Mosquitto opens a new listener
# only at its start, so it starts twice: for ingestion alone, and, once ingestion has left its mark, for devices too. On a
# volume that holds the session already, that is at once.
set -eu
config=/mosquitto/config
sh /iot-hub/accounts.sh

/usr/sbin/mosquitto -c "$config/broker.conf" &
broker=$!
trap 'kill "$broker"; wait "$broker"; exit 0' TERM INT
until sh /iot-hub/ready.sh; do
  kill -0 "$broker" 2>/dev/null || exit 1
  sleep 1
done
kill "$broker"
wait "$broker"
trap - TERM INT

cat "$config/broker.conf" "$config/devices.conf" >/tmp/mosquitto.conf
touch /tmp/open
exec /usr/sbin/mosquitto -c /tmp/mosquitto.conf
