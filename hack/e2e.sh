#!/usr/bin/env bash
# The tests that take a cluster, on any: the contract with its API server, the operator's faults (FAULT_SECONDS=60: the long
# form), and the end-to-end tests, which install the chart in a fresh namespace, try it, and take it away again.
#   hack/e2e.sh [TAG] [pytest's arguments]   TAG of iot-hub/worker and iot-hub/operator, defaults to dev; nothing is built
# Environment:
#   KUBECONFIG     names the cluster
#   IMAGE_LOADER   a command that brings images to its nodes, given their names ("kind load docker-image"); without it they
#                  have to be there
#   READINGS_CSV   real readings (ts,temperature,humidity,light,co2); without it they are made up
#   E2E_HELM_ARGS  further words for `helm install`, such as --set 'operator.watchNamespaces={NAMESPACE}' together with
#                  E2E_NAMESPACE, where the cluster has other TelemetryConsumers that must be left alone
#   E2E_KEDA=1     the cluster has KEDA: the tests of it fail where it is missing, and are not skipped
#   E2E_KEEP=1     leaves the release in place for a look
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tag=${1:-dev}
[ $# -eq 0 ] || shift
images=("iot-hub/worker:$tag" "iot-hub/operator:$tag")
[ -n "${KUBECONFIG:-}" ] || { echo "e2e: set KUBECONFIG to the cluster to test on" >&2; exit 2; }
kubectl get --raw /readyz >/dev/null || { echo "e2e: the cluster of $KUBECONFIG does not answer" >&2; exit 1; }

if [ -n "${IMAGE_LOADER:-}" ]; then
  # shellcheck disable=SC2086  # a command with its arguments
  $IMAGE_LOADER "${images[@]}"
fi

export IMAGE_TAG=$tag E2E_NAMESPACE=${E2E_NAMESPACE:-iot-hub-e2e-$(date +%H%M%S)-$$}
crd=telemetryconsumers.telemetry.iot-hub.io
crd_was_there=$(kubectl get crd "$crd" --ignore-not-found -o name)
clean_up() {
  # The tests clean up behind them; this is for a run that was killed, and for what they share.
  [ "${E2E_KEEP:-}" != 1 ] || return 0
  helm uninstall hub --namespace "$E2E_NAMESPACE" --ignore-not-found >/dev/null 2>&1 || true
  kubectl delete namespace "$E2E_NAMESPACE" "$E2E_NAMESPACE-killer" --ignore-not-found --wait=false >/dev/null 2>&1 || true
  [ -n "$crd_was_there" ] || kubectl delete crd "$crd" --ignore-not-found >/dev/null 2>&1 || true
}
trap clean_up EXIT

code=0
run() { # pytest's arguments
  local ended=0
  .venv/bin/pytest -m cluster "$@" || ended=$?
  # 5: arguments chose tests of the other run alone.
  [ $ended = 0 ] || [ $ended = 5 ] || code=$ended
}
# One after the other: the release's operator would answer to the objects of the contract tests as well.
run --durations=5 tests/contract "$@"
run --durations=5 tests/operator_faults "$@"
run --verbose --durations=10 tests/e2e "$@"
exit $code
