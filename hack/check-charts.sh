#!/usr/bin/env bash
# Checks the charts without a cluster: the CRD's copies, helm lint and helm template of the whole and of each part, with the
# values that people are likely to set, and the scripts that go into the pods. A part of `make check`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

chart=charts/iot-hub
problems=0
problem() {
  printf 'check-charts: %s\n' "$*" >&2
  problems=$((problems + 1))
}

# 1. Every CRD is in the chart as it is in crds/, and no other.
if ! diff --recursive --brief crds "$chart/charts/operator/crds" >&2; then
  problem "the CRDs of $chart/charts/operator/crds differ from crds/: cp crds/*.yaml $chart/charts/operator/crds/"
fi

# 2. Shell scripts parse: those that run in pods and containers with sh, ours with bash.
for script in hack/*.sh .ci/run compose/*/*.sh "$chart"/charts/*/files/*.sh; do
  case $(head -1 "$script") in
    *bash) bash -n "$script" || problem "$script does not parse" ;;
    *) sh -n "$script" || problem "$script does not parse" ;;
  esac
done

# 3. Lint and render.
if ! command -v helm >/dev/null; then
  if [ -n "${CI:-}" ]; then
    problem "helm is missing, and in CI nothing is skipped: install it from https://helm.sh/docs/intro/install/"
  else
    echo "check-charts: helm is missing, so lint and rendering are SKIPPED: install it from https://helm.sh/docs/intro/install/" >&2
  fi
else
  answer=$(mktemp)
  trap 'rm -f "$answer"' EXIT
  lint() {
    helm lint --strict --quiet "$@" >"$answer" 2>&1 || { cat "$answer" >&2; problem "helm lint --strict $*"; }
  }
  render() {
    helm template hub "$@" >"$answer" 2>&1 || { cat "$answer" >&2; problem "helm template hub $*"; }
  }
  for folder in "$chart" "$chart"/charts/*/; do
    lint "${folder%/}"
    render "${folder%/}"
  done
  external_kafka=(--set kafka.enabled=false --set global.externalKafka.bootstrapServers=kafka.example.com:9092)
  external_mqtt=(--set mqtt.enabled=false --set global.externalMqtt.host=mqtt.example.com)
  render "$chart" --set global.image.tag=dev --set kafka-ui.enabled=false
  render "$chart" --set kafka.replicas=3
  render "$chart" "${external_kafka[@]}" "${external_mqtt[@]}"
  render "$chart" --set ingestion.enabled=false --set operator.enabled=false --set topics.enabled=false
  render "$chart" --set 'operator.watchNamespaces={one,two}' --set ingestion.mqtt.replicas=3 --set kafka-ui.auth.enabled=true
  render "$chart" --values "$chart/values-development.yaml"
fi

[ "$problems" = 0 ] || exit 1
