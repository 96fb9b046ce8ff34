#!/usr/bin/env bash
# A kind cluster with a registry beside it, our images in the registry, and the chart installed and ready. It can be run
# again at any time: what is there is kept, what has changed is brought up to date.
#   hack/kind-up.sh               everything
#   hack/kind-up.sh --no-chart    the cluster and the registry only, for `tilt up`
# Environment:
#   KIND_CLUSTER    the cluster's name (iot-hub); its context is kind-NAME
#   REGISTRY_PORT   the registry's port on this machine (5001)
#   RELEASE, NAMESPACE   where the chart goes (iot-hub, default)
#   HELM_ARGS       further words for helm, for example --set kafka.replicas=3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cluster=${KIND_CLUSTER:-iot-hub}
context=kind-$cluster
registry=$cluster-registry
port=${REGISTRY_PORT:-5001}
release=${RELEASE:-iot-hub}
namespace=${NAMESPACE:-default}

say() { printf 'kind-up: %s\n' "$*"; }
fail() {
  printf 'kind-up: %s\n' "$*" >&2
  exit 1
}
need() { command -v "$1" >/dev/null || fail "$1 is missing: install it from $2"; }

chart=yes
case ${1:-} in
  '') ;;
  --no-chart) chart= ;;
  *) fail "$1 is not known: the only argument is --no-chart" ;;
esac

need docker https://docs.docker.com/engine/install/
need kind https://kind.sigs.k8s.io/docs/user/quick-start/#installation
need kubectl https://kubernetes.io/docs/tasks/tools/
[ -z "$chart" ] || need helm https://helm.sh/docs/intro/install/
docker info >/dev/null 2>&1 || fail "no Docker engine answers to 'docker info': start it, or see that you may use it"

# 1. The registry: a container, which the cluster's nodes reach by its name and this machine by localhost.
if [ "$(docker container inspect --format '{{.State.Running}}' "$registry" 2>/dev/null || true)" != true ]; then
  docker rm --force "$registry" >/dev/null 2>&1 || true
  say "starting a registry at localhost:$port"
  docker run --detach --restart=always --publish "127.0.0.1:$port:5000" --network bridge --name "$registry" registry:3 >/dev/null
fi

# 2. The cluster.
if kind get clusters 2>/dev/null | grep -qx "$cluster"; then
  say "the cluster $cluster is there"
else
  say "making the cluster $cluster"
  kind create cluster --name "$cluster" --wait 120s --config=- <<'KIND'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
KIND
fi

# 3. Inside a node localhost is the node itself: its containerd is told where localhost:PORT is to be found.
for node in $(kind get nodes --name "$cluster"); do
  docker exec "$node" mkdir -p "/etc/containerd/certs.d/localhost:$port"
  printf '[host."http://%s:5000"]\n' "$registry" |
    docker exec --interactive "$node" cp /dev/stdin "/etc/containerd/certs.d/localhost:$port/hosts.toml"
done
if [ "$(docker container inspect --format '{{json .NetworkSettings.Networks.kind}}' "$registry")" = null ]; then
  docker network connect kind "$registry"
fi

# 4. Tools such as Tilt look here for the registry.
kubectl --context "$context" apply --filename=- >/dev/null <<REGISTRY
apiVersion: v1
kind: ConfigMap
metadata:
  name: local-registry-hosting
  namespace: kube-public
data:
  localRegistryHosting.v1: |
    host: "localhost:$port"
    help: "https://kind.sigs.k8s.io/docs/user/local-registry/"
REGISTRY

if [ -z "$chart" ]; then
  say "the cluster is ready. Type next: tilt up"
  exit 0
fi

# 5. The images, under a tag made from what is in them: the same code keeps its pods, changed code rolls them.
say "building the images"
hack/images.sh dev
tag=dev-$(docker image inspect --format '{{.Id}}' iot-hub/worker:dev iot-hub/operator:dev | cksum | cut -d ' ' -f 1)
for image in worker operator; do
  docker tag "iot-hub/$image:dev" "localhost:$port/iot-hub/$image:$tag"
  docker push --quiet "localhost:$port/iot-hub/$image:$tag" >/dev/null
done

# 6. The chart. Its images are pulled now, which takes a while the first time.
say "installing the chart as $release in the namespace $namespace (the first time, images of about 1 GB are pulled)"
# shellcheck disable=SC2086  # HELM_ARGS holds several words
if ! helm --kube-context "$context" --namespace "$namespace" upgrade --install "$release" charts/iot-hub --create-namespace \
  --set "global.image.registry=localhost:$port" --set "global.image.tag=$tag" --wait --wait-for-jobs --timeout 10m ${HELM_ARGS:-}; then
  kubectl --context "$context" --namespace "$namespace" get pods >&2 || true
  fail "the chart did not become ready; look at a pod with: kubectl --context $context --namespace $namespace describe pod NAME"
fi
kubectl --context "$context" --namespace "$namespace" wait --for=condition=Ready --timeout=5m telemetryconsumers --all

cat <<NEXT

kind-up: the hub is ready on the context $context. Type next:

  kubectl apply -f examples/telemetry-raw-logger.yaml
  kubectl get telemetryconsumers
  helm --namespace $namespace test $release --logs
NEXT
