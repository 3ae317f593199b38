# syntax=docker/dockerfile:1
# The service with its model inside. Both stages start from one image, which is named by its tag; to pin the very bytes,
# write its digest behind it, as in python:3.11.14-slim-bookworm@sha256:..., which this command shows:
#   docker buildx imagetools inspect python:3.11.14-slim-bookworm
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS builder
SHELL ["/bin/sh", "-eu", "-c"]
WORKDIR /build
# Only wheels, whose hashes are known: no compiler is needed, nothing of a package runs while it is installed.
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/retrieval && \
    pip --disable-pip-version-check --python /opt/retrieval/bin/python install \
        --only-binary :all: --require-hashes --requirement requirements.lock
COPY requirements-build.lock pyproject.toml README.md LICENSE ./
COPY docs ./docs
COPY service ./service
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/building && \
    pip --disable-pip-version-check --python /opt/building/bin/python install \
        --only-binary :all: --require-hashes --requirement requirements-build.lock && \
    pip --disable-pip-version-check --python /opt/building/bin/python wheel \
        --no-deps --no-build-isolation --wheel-dir /build/wheels . && \
    pip --disable-pip-version-check --python /opt/retrieval/bin/python install --no-deps --no-index /build/wheels/*.whl

FROM ${PYTHON} AS service
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="retrieval-service" \
      org.opencontainers.image.description="FAQ and RAG retrieval with hybrid search" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The user owns what it writes, and nothing else: the root file system may be mounted read-only.
RUN install --directory --owner=65532 --group=65532 --mode=0750 /data
COPY --from=builder /opt/retrieval /opt/retrieval
# The C library gives memory back after a burst, so that an autoscaler may let go of pods: see docs/deployment.md.
ENV PATH=/opt/retrieval/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_TRIM_THRESHOLD_=65536 \
    MALLOC_MMAP_THRESHOLD_=65536 \
    RETRIEVAL_LISTEN=0.0.0.0:8000 \
    RETRIEVAL_DATA_DIR=/data
USER 65532:65532
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# Kubernetes has probes of its own and does not look at this one.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/health/ready', timeout=4)"]
ENTRYPOINT ["retrieval"]
CMD ["serve"]
