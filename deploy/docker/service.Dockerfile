# syntax=docker/dockerfile:1
# One image for each of upload, metadata, search and gateway:
#   docker build -f deploy/docker/service.Dockerfile --build-arg MEMBER=upload -t smart-gallery/upload .
# Whoever needs the same bytes every time puts a digest behind the tag: python:3.11-slim-trixie@sha256:...
ARG PYTHON=python:3.11-slim-trixie

FROM ${PYTHON} AS environment
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /checkout
COPY deploy/docker/build.sh deploy/docker/
COPY requirements/bootstrap.txt requirements/service.txt requirements/
RUN deploy/docker/build.sh requirements service
ARG MEMBER
COPY libs libs
COPY services/${MEMBER} services/${MEMBER}
RUN deploy/docker/build.sh members libs/* services/${MEMBER}

FROM ${PYTHON}
COPY --from=environment /app /app
COPY config /app/config
# The root file system may be read-only: what programs want to write besides their data goes to /tmp.
ENV PATH=/app/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GALLERY_CONFIG=/app/config/distributed.toml
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --start-interval=2s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('GALLERY_PORT', '8000') + '/health/ready', timeout=5)"]
