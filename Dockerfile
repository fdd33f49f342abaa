# The service with all that it runs on. No setting and no secret is in it: they come from the environment of the container.
#   docker build -t thingspace-fota-listener:0.1.0 --build-arg BUILD_COMMIT="$(git rev-parse HEAD)" .

# A tag may be moved to another image. For a build that nobody can change, write its digest behind it, here and below
# (FROM python:3.11-slim-bookworm@sha256:…), and raise it with your updates:
#   docker buildx imagetools inspect python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /venv
COPY requirements.lock ./
# Everything has a wheel, so a compiler is never needed and no package's own code runs; a file of another content is refused.
RUN /venv/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock
COPY gunicorn.conf.py ./
COPY registrar/ registrar/
COPY listener/ listener/
RUN /venv/bin/python -m compileall -q .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="thingspace-fota-listener" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
# A new volume takes over the folder's owner, so the spool can be written without root.
RUN groupadd --gid 10001 fota \
    && useradd --uid 10001 --gid fota --no-create-home --shell /usr/sbin/nologin fota \
    && install --directory --owner=fota --group=fota --mode=0700 /var/lib/thingspace-fota
COPY --from=build /venv /venv
COPY --from=build /app /app
# Who may execute a program and not read it cannot read its processes either, from their first moment on: a web worker does not see
# the provider's credentials in the environment of the registrar, of a health check, or of a command by hand.
RUN chmod 0711 "$(readlink -f /venv/bin/python)"
WORKDIR /app
ENV PATH=/venv/bin:$PATH \
    PORT=8000 \
    SPOOL_DIR=/var/lib/thingspace-fota/spool \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# What /version and the metric fota_build_info tell; last, so that a new commit alone makes no layer anew.
ARG BUILD_COMMIT=
ENV BUILD_COMMIT=$BUILD_COMMIT
USER 10001:10001
# Must outlive the container: what Redis has not confirmed yet is here alone.
VOLUME /var/lib/thingspace-fota
EXPOSE 8000 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; there = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); there.request('GET', '/readyz'); sys.exit(there.getresponse().status != 200)"]
# In this form it is process 1 and gets SIGTERM itself; it reaps orphans, so no other init is needed.
CMD ["python", "-m", "registrar", "run", "--", "gunicorn", "listener.wsgi:app"]
