# The image holds one static binary and nothing else: no shell, no user database, no certificates but what is mounted.
#
# "make image" builds it for each architecture without a container engine and checks it. With an engine:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=0.1.0 \
#     --build-arg COMMIT=$(git rev-parse HEAD) --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .

# Where the compiler comes from. A tag can move; a release names the digest that its registry shows, as
# --build-arg GO_IMAGE=docker.io/library/golang:1.26@sha256:... No digest is written here: it would age into a compiler
# without security fixes.
ARG GO_IMAGE=docker.io/library/golang:1.26

# The compiler runs on the machine's own architecture and compiles for the wanted one.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY deploy/config deploy/config
COPY policy policy
COPY webhook webhook
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG COMMIT
ARG SOURCE_DATE_EPOCH=0
# The time of the file is set for builders that carry it over into the layer: same source, same layer.
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -ldflags="-s -w \
      -X github.com/bulkhead-dev/bulkhead/webhook.release=${VERSION} \
      -X github.com/bulkhead-dev/bulkhead/webhook.commit=${COMMIT}" -o /bulkhead ./cmd/bulkhead \
    && chmod 0555 /bulkhead && touch -d "@${SOURCE_DATE_EPOCH}" /bulkhead

FROM scratch
ARG VERSION
ARG COMMIT
LABEL org.opencontainers.image.title="Bulkhead" \
      org.opencontainers.image.description="Keeps NetworkPolicy and Pod changes from doing what their author did not mean" \
      org.opencontainers.image.url="https://bulkhead.dev" \
      org.opencontainers.image.source="https://github.com/bulkhead-dev/bulkhead" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /bulkhead /bulkhead
# A number: the kubelet checks runAsNonRoot without a user database.
USER 65532:65532
EXPOSE 9443 8081
ENTRYPOINT ["/bulkhead"]
CMD ["serve"]
