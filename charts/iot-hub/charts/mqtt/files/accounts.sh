#!/bin/sh
# Makes mosquitto's password and access lists from the Secrets. Mosquitto reads such files through no symbolic link, which
# is what a mounted Secret or ConfigMap is, and asks that nobody else may read them.
set -eu
umask 077
cd /mosquitto/auth

fail() {
  echo "accounts: $1" >&2
  exit 1
}

check() {
  [ -n "$2" ] || fail "the Secret of $1 has an empty username: give it the keys username and password"
  [ -n "$3" ] || fail "the Secret of $1 has an empty password: give it the keys username and password"
  case $2 in *[!A-Za-z0-9._@-]*) fail "the username of $1 may hold letters, digits and . _ @ - only" ;; esac
}

probe=iot-hub-probe
check devices "$DEVICES_USERNAME" "$DEVICES_PASSWORD"
check ingestion "$INGESTION_USERNAME" "$INGESTION_PASSWORD"
[ "$DEVICES_USERNAME" != "$INGESTION_USERNAME" ] || fail "devices and ingestion have one username: give them two, since their rights differ"
case $probe in "$DEVICES_USERNAME" | "$INGESTION_USERNAME") fail "the username $probe is the readiness probe's: choose another" ;; esac

# The probe's password lives and dies with this pod.
probe_password=$(head -c 24 /dev/urandom | base64 | tr -d '\n')

rm -f passwd acl probe
# Hashing holds up mosquitto's only thread at each connection: PBKDF2 takes well below a millisecond, argon2id tens of them.
mosquitto_passwd -H sha512-pbkdf2 -c -b passwd "$DEVICES_USERNAME" "$DEVICES_PASSWORD"
mosquitto_passwd -H sha512-pbkdf2 -b passwd "$INGESTION_USERNAME" "$INGESTION_PASSWORD"
mosquitto_passwd -H sha512-pbkdf2 -b passwd "$probe" "$probe_password"

{
  [ ! -f /mosquitto/config/anonymous.acl ] || cat /mosquitto/config/anonymous.acl
  printf 'user %s\n' "$DEVICES_USERNAME"
  cat /mosquitto/config/devices.acl
  printf 'user %s\n' "$INGESTION_USERNAME"
  cat /mosquitto/config/ingestion.acl
  printf 'user %s\n' "$probe"
  cat /mosquitto/config/probe.acl
} >acl

printf '%s\n' '-h 127.0.0.1' '-p 1884' "-u $probe" "-P $probe_password" "-t $READY_TOPIC" '-C 1' '-W 2' '--quiet' >probe
chmod 0440 passwd acl probe
