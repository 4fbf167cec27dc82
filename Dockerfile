# The image holds one static binary and nothing else: no shell, no user database, no certificates but what is mounted.
FROM docker.io/library/golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY deploy/config deploy/config
COPY policy policy
COPY webhook webhook
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /bulkhead ./cmd/bulkhead

FROM scratch
COPY --from=build /bulkhead /bulkhead
USER 65532:65532
EXPOSE 9443 8081
ENTRYPOINT ["/bulkhead"]
CMD ["serve"]
