# One image for every process of Forebay; which one it is, the command says:
#   node shared/launch/run.mjs services/gateway/src/main.ts
# npm is not in the way of signals.

# The manifests alone, so that a change of source code leaves the layer of dependencies as it is.
FROM node:22-slim AS manifests
WORKDIR /app
COPY . .
RUN find . -type f ! -name package.json ! -name package-lock.json ! -name .npmrc -delete

FROM node:22-slim AS dependencies
ENV NODE_ENV=production
WORKDIR /app
COPY --from=manifests /app ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --omit=dev

FROM node:22-slim
# Every process answers /healthz, /readyz and /metrics on 8080: the gateway on PORT, the others on FOREBAY_OPS_PORT.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8080 \
    FOREBAY_OPS_PORT=8080 \
    BLOB_URL=file:///var/lib/forebay/blobs
WORKDIR /app
# A named volume mounted here takes over this owner.
RUN mkdir -p /var/lib/forebay/blobs /var/lib/forebay/keys && chown -R node:node /var/lib/forebay
COPY --from=dependencies /app ./
COPY . .
# What the command finds when it looks for its script's bundle: it could not write one.
RUN npm run build
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["node", "deploy/healthcheck.mjs"]
CMD ["node", "shared/launch/run.mjs", "services/gateway/src/main.ts"]
