# The service with all that it runs on. No setting and no secret is in it: they come from the environment of the container.
#   docker build -t thingspace-fota-listener:0.1.0 --build-arg BUILD_COMMIT="$(git rev-parse HEAD)" --build-arg BUILD_TIME="$(date -u +%FT%TZ)" .
#
# Where a proxy inspects TLS, or packages come from an index of your own, pip gets the certificate authorities and its configuration
# as secrets, which stay out of every layer:
#   docker build --secret id=ca.pem,src=/etc/ssl/certs/ca-certificates.crt --secret id=pip.conf,src="$HOME/.config/pip/pip.conf" …

# Debian's own Python gets Debian's security updates, and has no pip to remove: docs/adr/0021-the-image-has-debians-python.md.
# A tag may be moved to another image. For a build that nobody can change, write its digest behind it
# (FROM debian:13-slim@sha256:…), and raise it with your updates:
#   docker buildx imagetools inspect debian:13-slim --format '{{.Manifest.Digest}}'
FROM debian:13-slim AS base
# hadolint ignore=DL3008  # the newest of this Debian, which are its security updates
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*

FROM base AS build
# hadolint ignore=DL3008,DL3009  # nothing of this stage is kept but /venv
RUN apt-get update && apt-get install --yes --no-install-recommends python3-hatchling python3-venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv --without-pip /venv && python3 -m venv --system-site-packages /pip
WORKDIR /src
COPY requirements.lock ./
# Everything has a wheel, so a compiler is never needed and no package's own code runs; a file of another content is refused.
RUN --mount=type=secret,id=ca.pem,target=/run/secrets/ca.pem --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    if [ -e /run/secrets/ca.pem ]; then export PIP_CERT=/run/secrets/ca.pem; fi \
    && /pip/bin/pip --python /venv/bin/python install --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY registrar/ registrar/
COPY listener/ listener/
# The service itself is installed as users install it, from a wheel; what makes the wheel is Debian's, so that nothing is fetched.
RUN /pip/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheel . \
    && /pip/bin/pip --python /venv/bin/python install --no-deps --no-index /wheel/*.whl

FROM base
# A new volume takes over the folder's owner, so the spool can be written without root.
RUN groupadd --gid 10001 fota \
    && useradd --uid 10001 --gid fota --no-create-home --shell /usr/sbin/nologin fota \
    && install --directory --owner=fota --group=fota --mode=0700 /var/lib/thingspace-fota
COPY --from=build /venv /venv
# Who may execute a program and not read it cannot read its processes either, from their first moment on: a web worker does not see
# the provider's credentials in the environment of the registrar, of a health check, or of a command by hand.
RUN chmod 0711 "$(readlink -f /venv/bin/python)"
WORKDIR /app
# gunicorn finds it here, where it is started without the registrar.
COPY gunicorn.conf.py ./
ENV PATH=/venv/bin:$PATH \
    PORT=8000 \
    SPOOL_DIR=/var/lib/thingspace-fota/spool \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
# Must outlive the container: what Redis has not confirmed yet is here alone.
VOLUME /var/lib/thingspace-fota
EXPOSE 8000 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; there = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); there.request('GET', '/readyz'); sys.exit(there.getresponse().status != 200)"]
# In this form it is process 1 and gets SIGTERM itself; it reaps orphans, so no other init is needed.
CMD ["python", "-m", "registrar", "run", "--", "gunicorn", "listener.wsgi:app"]
# Last, so that a new commit alone makes no layer anew. /version and the metric fota_build_info report the commit.
ARG BUILD_COMMIT=
ARG BUILD_TIME=
ARG SOURCE_URL=
ENV BUILD_COMMIT=$BUILD_COMMIT
LABEL org.opencontainers.image.title="thingspace-fota-listener" \
      org.opencontainers.image.description="A callback listener for Verizon ThingSpace firmware campaigns (FOTA)" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision=$BUILD_COMMIT \
      org.opencontainers.image.created=$BUILD_TIME \
      org.opencontainers.image.source=$SOURCE_URL
