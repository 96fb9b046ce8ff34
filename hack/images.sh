#!/usr/bin/env bash
# Builds iot-hub/worker:TAG and iot-hub/operator:TAG and prints what each adds to its base.
#   hack/images.sh [TAG]          TAG defaults to dev
# Environment:
#   DOCKER             the client to use (docker)
#   DOCKER_BUILD_ARGS  further words for `docker build`, for a network that needs them (--network host, --build-arg …)
#   BASE               the base image (the Dockerfile's own)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

docker=${DOCKER:-docker}
tag=${1:-dev}
export DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-1}
base=${BASE:-$(sed -n 's/^ARG BASE=//p' Dockerfile)}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
limit_mb=90 # what the worker may add to its base

"$docker" info >/dev/null 2>&1 || { echo "images: no Docker engine answers to '$docker info': start one, or name the client in DOCKER" >&2; exit 1; }

size_mb() { "$docker" image inspect --format '{{.Size}}' "$1" | awk '{printf "%.1f", $1 / 1e6}'; }

for target in worker operator; do
  # shellcheck disable=SC2086  # the words are meant to be split
  "$docker" build --quiet ${DOCKER_BUILD_ARGS:-} --target "$target" --tag "iot-hub/$target:$tag" \
    --build-arg "BASE=$base" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" . >/dev/null ||
    { echo "images: iot-hub/$target could not be built; a client without BuildKit's plugin builds with DOCKER_BUILDKIT=0" >&2; exit 1; }
done

for target in worker operator; do
  image=iot-hub/$target:$tag
  added=$(awk -v all="$(size_mb "$image")" -v below="$(size_mb "$base")" 'BEGIN {printf "%.1f", all - below}')
  printf 'images: %-22s %s MB, of which %s MB on top of %s\n' "$image" "$(size_mb "$image")" "$added" "$base"
  if [ "$target" = worker ] && awk -v a="$added" -v l=$limit_mb 'BEGIN {exit !(a > l)}'; then
    echo "images: the worker adds more than $limit_mb MB to its base: see 'docker history $image'" >&2
    exit 1
  fi
done
