# Written from recipe.Dockerfile by `python -m tools.checks.images --write`; change that.
#
# The image carries the locked packages of its service and its own code, no pip and no compiler. It runs as an
# unprivileged user and needs to write nowhere but /tmp.
#
#     docker build -f deploy/image/execution.Dockerfile -t evenkeel/execution:0.1.0 .
ARG PYTHON=python:3.12-slim-bookworm

FROM ${PYTHON} AS packages
COPY requirements/execution.lock /tmp/requirements.lock
RUN python3 -m venv /opt/evenkeel \
 && /opt/evenkeel/bin/pip install --no-cache-dir --no-compile --only-binary :all: --require-hashes -r /tmp/requirements.lock \
 && /opt/evenkeel/bin/pip uninstall --yes pip

FROM ${PYTHON}
LABEL org.opencontainers.image.title="evenkeel/execution" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin evenkeel
COPY --from=packages /opt/evenkeel /opt/evenkeel
WORKDIR /app
# Its version, which every plan names, and the entry points by which plug-ins are found.
COPY deploy/image/evenkeel.dist-info/ evenkeel.dist-info/
COPY gen/ gen/
COPY services/__init__.py services/
COPY services/kernel/ services/kernel/
COPY services/runtime/ services/runtime/
COPY services/execution/ services/execution/
ENV PATH=/opt/evenkeel/bin:$PATH \
    PYTHONPATH=/app:/app/gen \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    EVENKEEL_COMPILED_DIR=/opt/evenkeel/compiled
# Byte code is made once here: the file system is read-only where it runs.
RUN PYTHONDONTWRITEBYTECODE= python -m compileall -q /app /opt/evenkeel/lib
# So is the machine code of decision and audit, for processors like the builder's; on others it is compiled at the start.
RUN case execution in decision|audit) NUMBA_CACHE_DIR=/opt/evenkeel/compiled python -m services.execution compile;; esac
USER 10001:10001
EXPOSE 50051 8081
STOPSIGNAL SIGTERM
# Its arguments are the service and what to do: services.execution serve, services.execution migrate.
ENTRYPOINT ["python", "-m"]
CMD ["services.execution", "serve"]
