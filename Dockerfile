# Penstock's images. Each target is one:
#
#   docker build --target penstock .     the command alone; mount a project at /project
#   docker build .                       the same with a project inside: examples/user_events, or another by
#                                        --build-context project=/path/to/project
#   docker build --target airflow .      Airflow, with Penstock in an environment of its own and the project
#
# The images run as users 10001 and 50000, never as root, and with a read-only root where /tmp and
# /project/.penstock are writable. tests/end_to_end/test_image.py does the same steps without Docker.

FROM python:3.13.13-slim-trixie AS python
ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# the wheel, made by the locked build backend, with the native lane in it
FROM python AS wheel
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY requirements/build.txt requirements/
RUN python -m venv --without-pip /build \
    && python -m pip --python /build/bin/python install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY tools/build_kernel.py tools/
COPY src src
COPY examples examples
COPY docs/configuration.md docs/penstock.schema.json docs/
RUN PENSTOCK_KERNEL=require /build/bin/python -m hatchling build --target wheel --directory /wheels

# the environment: what is locked, and the wheel; neither pip nor the build backend is in it
FROM python AS environment
COPY requirements/image.txt /requirements/
RUN python -m venv --without-pip /opt/penstock \
    && python -m pip --python /opt/penstock/bin/python install --no-cache-dir --compile \
        --require-hashes -r /requirements/image.txt
COPY --from=wheel /wheels /wheels
RUN python -m pip --python /opt/penstock/bin/python install --no-cache-dir --compile \
    --no-deps --no-index /wheels/*.whl

FROM python AS penstock
LABEL org.opencontainers.image.title="Penstock" \
      org.opencontainers.image.description="Lands every event, file and API record once, keeps its history, and has it modelled seconds later." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
RUN groupadd --gid 10001 penstock \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin penstock \
    && install --directory --owner=10001 --group=10001 /project
COPY --from=environment /opt/penstock /opt/penstock
# HOME: nothing is kept there, and users without an entry in /etc/passwd have none
ENV PATH="/opt/penstock/bin:$PATH" \
    HOME=/tmp \
    DO_NOT_TRACK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PENSTOCK__UP__HOST=0.0.0.0 \
    PENSTOCK__UP__PORT=9464
USER 10001:10001
WORKDIR /project
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "-m", "penstock.up.probe", "/healthz"]
ENTRYPOINT ["penstock"]
CMD ["up"]

# the project to take in, unless the build brings a context of this name
FROM scratch AS project
COPY examples/user_events /

# without what a project's folder may hold beside it: secrets, warehouses, what was made by running it
FROM python AS clean
COPY --from=project / /project
RUN rm -rf /project/.env /project/.git /project/.venv /project/.penstock /project/target /project/logs \
        /project/dbt_packages /project/lake /project/report.html \
    && find /project -name '*.duckdb*' -delete \
    && mkdir /project/.penstock

FROM apache/airflow:3.3.2-python3.13 AS airflow
LABEL org.opencontainers.image.title="Airflow with Penstock" \
      org.opencontainers.image.description="Apache Airflow, and Penstock in an environment of its own." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
# root for the installation only: what runs cannot change it
USER 0
COPY requirements/image.txt /requirements/
RUN python3 -m venv --without-pip /opt/penstock \
    && python3 -m pip --python /opt/penstock/bin/python install --no-cache-dir --compile \
        --require-hashes -r /requirements/image.txt
COPY --from=wheel /wheels /wheels
RUN python3 -m pip --python /opt/penstock/bin/python install --no-cache-dir --compile \
    --no-deps --no-index /wheels/*.whl
COPY --from=clean --chown=50000:0 /project /project
COPY --chmod=755 scripts/airflow/init /usr/local/bin/airflow-init
RUN install --directory --owner=50000 --group=0 --mode=775 /opt/airflow/dags /opt/airflow/logs
ENV DO_NOT_TRACK=1
USER 50000:0

# the last target is what `docker build .` makes
FROM penstock AS platform
COPY --from=clean --chown=10001:10001 /project /project
