# The image of every role: `docker build -t sluice .`, then `docker run sluice ingest|bridge|sink|setup|check|keys|…`.
# What it needs of Debian: each -dev package above has its library below.
# hadolint global ignore=DL3008
# (Debian's stable releases change a package's version for security only; a pinned one would be gone then.)

FROM swift:6.3-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    libcurl4-openssl-dev libgnutls28-dev libjemalloc-dev libmicrohttpd-dev libmongoc-dev libmosquitto-dev librdkafka-dev \
    libsimdjson-dev libsodium-dev libwslay-dev pkg-config zlib1g-dev \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Package.swift ./
COPY Sources Sources
# The manifest names these too.
COPY Tests Tests
COPY Benchmarks/HotPaths Benchmarks/HotPaths
RUN swift build -c release --product sluice --static-swift-stdlib \
  && install -D -m 755 "$(swift build -c release --show-bin-path)/sluice" /image/usr/bin/sluice
COPY --chmod=755 compose/sluice-ready /image/usr/bin/sluice-ready

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
    ca-certificates libcurl4 libgnutls30 libjemalloc2 libmicrohttpd12 libmongoc-1.0-0 libmosquitto1 librdkafka1 \
    libsimdjson14 libsodium23 libstdc++6 libwslay1 zlib1g \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 10001 --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin sluice \
  && install -d -o sluice -g sluice -m 700 /var/lib/sluice
COPY --from=build /image /
USER 10001:10001
# Asks the role's own /readyz, on the port of SLUICE_MANAGEMENT_LISTEN.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["sluice-ready"]
ENTRYPOINT ["sluice"]
CMD ["--help"]
