# The image of the service: docker build --tag pnet-cds:0.1.0 .
# tests/deployment/test_image.py carries out the commands of the first stage, and what the second one starts.

FROM python:3.13-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY deploy/constraints.txt deploy/
COPY cds_service cds_service
COPY fhir_profiles fhir_profiles
COPY hooks hooks
# Exactly these versions; without what only installs.
RUN python3 -m venv /opt/pnet-cds \
 && /opt/pnet-cds/bin/pip install --quiet --no-cache-dir --constraint deploy/constraints.txt '.[postgres,redis]' \
 && /opt/pnet-cds/bin/pip uninstall --quiet --yes setuptools pip

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="pnet-cds" \
      org.opencontainers.image.description="CDS Hooks service for imaging of neuroendocrine tumours" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# The only folder the service may write to, besides /tmp and /dev/shm: a volume, where something is to outlive it.
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin pnet \
 && install --directory --owner=pnet --group=pnet --mode=0700 /var/lib/pnet-cds
COPY --from=build /opt/pnet-cds /opt/pnet-cds
ENV PATH=/opt/pnet-cds/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PNET_CDS_HOST=0.0.0.0 \
    PNET_CDS_PORT=8080 \
    PNET_CDS_DATABASE_URL=sqlite:////var/lib/pnet-cds/pnet-cds.sqlite \
    PNET_CDS_SPOOL_DIR=/var/lib/pnet-cds/spool
WORKDIR /var/lib/pnet-cds
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
ENTRYPOINT ["pnet-cds"]
CMD ["serve"]
