#!/usr/bin/env bash
# Deletes the kind cluster of hack/kind-up.sh with everything in it, and its registry.
#   KIND_CLUSTER    the cluster's name (iot-hub)
set -euo pipefail

cluster=${KIND_CLUSTER:-iot-hub}
registry=$cluster-registry

fail() {
  printf 'kind-down: %s\n' "$*" >&2
  exit 1
}
need() { command -v "$1" >/dev/null || fail "$1 is missing: install it from $2"; }

need docker https://docs.docker.com/engine/install/
need kind https://kind.sigs.k8s.io/docs/user/quick-start/#installation
docker info >/dev/null 2>&1 || fail "no Docker engine answers to 'docker info': start it, or see that you may use it"

kind delete cluster --name "$cluster"
if docker container inspect "$registry" >/dev/null 2>&1; then
  docker rm --force --volumes "$registry" >/dev/null
fi
printf 'kind-down: the cluster %s and its registry are gone\n' "$cluster"
