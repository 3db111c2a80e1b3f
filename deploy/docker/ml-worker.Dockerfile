# syntax=docker/dockerfile:1
# The ML worker, for processors and, as the target cuda, for NVIDIA GPUs:
#   docker build -f deploy/docker/ml-worker.Dockerfile -t smart-gallery/ml-worker .
#   docker build -f deploy/docker/ml-worker.Dockerfile --target cuda -t smart-gallery/ml-worker-cuda .
# CUDA and cuDNN come as Python packages; of the machine it needs the driver only.
# Whoever needs the same bytes every time puts a digest behind the tag: python:3.11-slim-trixie@sha256:...
ARG PYTHON=python:3.11-slim-trixie

FROM ${PYTHON} AS tools
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /checkout
COPY deploy/docker/build.sh deploy/docker/
COPY requirements/bootstrap.txt requirements/

FROM tools AS environment-cpu
COPY requirements/ml-worker.txt requirements/
RUN deploy/docker/build.sh requirements ml-worker
COPY libs libs
COPY services/ml-worker services/ml-worker
RUN deploy/docker/build.sh members libs/* services/ml-worker

FROM tools AS environment-cuda
COPY requirements/ml-worker-cuda.txt requirements/
RUN deploy/docker/build.sh requirements ml-worker-cuda
COPY libs libs
COPY services/ml-worker services/ml-worker
RUN deploy/docker/build.sh members libs/* services/ml-worker

FROM ${PYTHON} AS base
COPY config /app/config
COPY packs /app/packs
# The root file system may be read-only: what programs want to write besides their data goes to /tmp.
ENV PATH=/app/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GALLERY_CONFIG=/app/config/distributed.toml \
    GALLERY_PACKS_DESCRIPTIONS=/app/packs
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --start-interval=2s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('GALLERY_PORT', '8000') + '/health/ready', timeout=5)"]

FROM base AS cuda
COPY --from=environment-cuda /app /app
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    GALLERY_RUNTIME=cuda

# The last one is what is built when nothing else is asked for; it has nothing of CUDA.
FROM base AS cpu
COPY --from=environment-cpu /app /app
