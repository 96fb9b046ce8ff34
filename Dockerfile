# Two images from one file:
#   docker build --target worker   -t iot-hub/worker .
#   docker build --target operator -t iot-hub/operator .
#
# The dependencies are a virtual environment in /app/.venv, made from uv.lock; our own packages lie beside it as they lie
# in the repository (/app/workers, /app/operator, on PYTHONPATH), so that Tilt can sync a changed file into a running pod.
# Nothing here needs more than a plain engine: no syntax line, no cache mounts, no heredocs.

# The environment refers to the interpreter by its path, so both stages stand on the same base.
ARG BASE=python:3.13-slim


FROM ${BASE} AS builder
ARG UV_VERSION=0.13.9
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore "uv==${UV_VERSION}"
ENV UV_PROJECT_ENVIRONMENT=/app/.venv \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
WORKDIR /app
COPY pyproject.toml uv.lock ./
# What importlib.metadata answers for our own distribution, which is not installed but lies beside its dependencies.
RUN version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
 && mkdir -p "about/iot_hub_telemetry-$version.dist-info" \
 && printf 'Metadata-Version: 2.1\nName: iot-hub-telemetry\nVersion: %s\n' "$version" >"about/iot_hub_telemetry-$version.dist-info/METADATA"


# --locked fails where uv.lock no longer fits pyproject.toml. Bytecode is compiled here: a read-only root file system
# would have every start compile it anew.
FROM builder AS worker-builder
RUN uv sync --locked --no-default-groups --no-install-project --compile-bytecode --extra ingestion --python "$(command -v python3)"
COPY workers workers
RUN python3 -m compileall -q workers


FROM builder AS operator-builder
RUN uv sync --locked --no-default-groups --no-install-project --compile-bytecode --extra operator --python "$(command -v python3)"
COPY operator operator
RUN python3 -m compileall -q operator


FROM ${BASE} AS runtime
# No installer in a running pod; and a name for the user, since some libraries ask for it.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip \
 && echo 'iot-hub:x:10001:' >>/etc/group \
 && echo 'iot-hub:x:10001:10001::/app:/usr/sbin/nologin' >>/etc/passwd
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
# By number: Kubernetes can't check runAsNonRoot against a name. And no ENTRYPOINT: a pod's command is the whole of it.
USER 10001:10001


# SOURCE_OWNER: the code is root's, so that no process can change its own. Tilt's live update writes as the pod's user
# and builds with 10001:10001.
FROM runtime AS operator
ENV PYTHONPATH=/app/operator:/app/about
CMD ["python", "-m", "telemetry_operator"]
COPY --from=operator-builder /app/.venv .venv
COPY --from=builder /app/about about
ARG SOURCE_OWNER=0:0
COPY --from=operator-builder --chown=${SOURCE_OWNER} /app/operator operator
ARG VERSION=0.0.0
ARG REVISION=unknown
# The wheel is not installed here, so its metadata can't tell.
ENV IOT_HUB_VERSION=${VERSION}
LABEL org.opencontainers.image.title=iot-hub/operator \
      org.opencontainers.image.description="Runs a Deployment for every TelemetryConsumer" \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.licenses=Apache-2.0


FROM runtime AS worker
ENV PYTHONPATH=/app/workers:/app/about
CMD ["python", "-m", "consumers"]
COPY --from=worker-builder /app/.venv .venv
COPY --from=builder /app/about about
ARG SOURCE_OWNER=0:0
COPY --from=worker-builder --chown=${SOURCE_OWNER} /app/workers workers
ARG VERSION=0.0.0
ARG REVISION=unknown
# The wheel is not installed here, so its metadata can't tell.
ENV IOT_HUB_VERSION=${VERSION}
LABEL org.opencontainers.image.title=iot-hub/worker \
      org.opencontainers.image.description="Consumers, ingestion and the topics job of the IoT Hub telemetry pipeline" \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.licenses=Apache-2.0
