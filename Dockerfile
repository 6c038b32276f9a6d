# syntax=docker/dockerfile:1
# The platform image: operator and services, one entry point each (`python3 -m ringfence.execution`, ...).
# The local node builds the same layout without Docker: tools/images.

FROM python:3.11-slim-bookworm AS build
ARG UV_VERSION=0.13.9
RUN pip install --no-cache-dir "uv==${UV_VERSION}"
WORKDIR /src
COPY pyproject.toml uv.lock ./
# dependencies first: they change less often than our code
RUN uv export --frozen --no-dev --no-emit-project --extra operator --extra services --quiet -o /requirements.txt \
 && uv pip install --target /opt/ringfence/lib --only-binary :all: --require-hashes -r /requirements.txt \
 && rm -rf /opt/ringfence/lib/bin
COPY README.md LICENSE ./
COPY operator operator
COPY services services
RUN uv build --wheel --out-dir /dist \
 && python -m zipfile -e /dist/*.whl /opt/ringfence/app \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/ringfence

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 65532 ringfence \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ringfence
COPY --from=build /opt/ringfence /opt/ringfence
ENV PYTHONPATH=/opt/ringfence/lib:/opt/ringfence/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/usr/bin/python3", "-m"]
