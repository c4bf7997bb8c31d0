# syntax=docker/dockerfile:1
# The image holds the compiled package and what it depends on at run time: no compiler, no tests.
# Pin by digest in production: docker build --build-arg NODE_IMAGE=node:26.10.0-slim@sha256:… .
ARG NODE_IMAGE=node:26.10.0-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json tsconfig.json ./
RUN npm ci --ignore-scripts
COPY proxy ./proxy
COPY interceptors ./interceptors
COPY policies ./policies
COPY README.md LICENSE ./
# What is left after pruning has the lock's versions; the pinned Node binaries go, for the image has one.
RUN npm run build \
 && npm prune --omit=dev --omit=optional --ignore-scripts \
 && mv node_modules dist/node_modules

FROM ${NODE_IMAGE}
ENV NODE_ENV=production \
    SLUICE_STATE_DIR=/var/lib/sluice
RUN groupadd --system --gid 10001 sluice \
 && useradd --system --uid 10001 --gid sluice --home-dir /var/lib/sluice --shell /usr/sbin/nologin sluice \
 && install -d -o sluice -g sluice -m 0700 /var/lib/sluice \
 && install -d -m 0755 /config
COPY --from=build /src/dist /opt/sluice
RUN ln -s /opt/sluice/proxy/cli/sluice.js /usr/local/bin/sluice
USER 10001:10001
WORKDIR /config
# Session key and nothing else; without a volume clients start new sessions after a restart.
VOLUME /var/lib/sluice
EXPOSE 8080 8081
# Liveness only: whether servers can be reached is what /ready says, and no reason to restart.
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8081/health').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["sluice"]
# A container is reached from outside, so it listens on all its addresses; mount the configuration at /config/sluice.yaml.
CMD ["run", "-c", "/config/sluice.yaml", "--listen", "0.0.0.0:8080", "--admin", "0.0.0.0:8081", "--log-format", "json"]
