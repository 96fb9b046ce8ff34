#!/bin/sh
# Ready for devices: ingestion's retained mark is there, so its session is, and what a device sends is kept for it.
# Asked of the broker at most once a minute, as each time shows in its log; the mark lives as long as the session, for days.
set -eu
[ -z "$(find /tmp/ready -mmin -1 2>/dev/null)" ] || exit 0
if mosquitto_sub -o /mosquitto/auth/probe >/dev/null; then
  touch /tmp/ready
else
  rm -f /tmp/ready
  echo "no mark of ingestion's session yet: devices wait, since what they sent now would be lost"
  exit 1
fi
