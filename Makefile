# Bulkhead. "make help" lists what there is.

# One set of build flags for everything: the same packages are then compiled once, for the product, the tests, the
# control plane and the tools alike. Nothing needs a C compiler.
export CGO_ENABLED = 0
export GOFLAGS = -trimpath

BIN := bin
# Every folder with a go.mod, and of those the ones with code of our own.
MODULES := $(patsubst %/,%,$(sort $(dir $(wildcard go.mod */go.mod */*/go.mod */*/*/go.mod))))
LINTED := . e2e e2e/browser hack/bench hack/controlplane/certmanager hack/deploy hack/monitoring/check
FUZZTIME ?= 30s

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ use

.PHONY: build
build: ## build bin/bulkhead
	go build -o $(BIN)/bulkhead ./cmd/bulkhead

.PHONY: demo
demo: ## run Bulkhead on a real control plane and walk through it; DEMO_EXIT=1 ends by itself
	@go run ./hack/demo

.PHONY: controlplane
controlplane: ## build etcd, kube-apiserver and friends into bin/controlplane (minutes, once)
	@go run ./hack/controlplane/cmd/controlplane build

.PHONY: image
image: controlplane ## build the image for amd64 and arm64 without a container engine, and check it (as root); COLD=1 without build cache
	@go run ./hack/image $(if $(COLD),-cold)

##@ test

.PHONY: test
test: unit e2e browser ## run all tests: units, end to end on a real control plane, then in a browser

.PHONY: unit
unit: ## run the unit tests; no cluster needed
	go test ./...
	go test -C hack/deploy ./...
	go test -C hack/monitoring/check ./...

.PHONY: race
race: ## run the unit tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -short ./...

# Only a KUBECONFIG that is named on make's own command line is meant for the tests; one in the environment is somebody's
# daily cluster.
ifeq ($(origin KUBECONFIG),command line)
export BULKHEAD_E2E_KUBECONFIG := $(abspath $(KUBECONFIG))
endif

.PHONY: e2e
e2e: controlplane $(BIN)/tools/helm $(BIN)/tools/prometheus ## run the end-to-end tests; KUBECONFIG=... uses that cluster
	go test -tags e2e -count=1 -timeout 10m ./hack/controlplane
	cd e2e && go test -count=1 -timeout 45m -parallel 4 ./...

.PHONY: browser
browser: ## look at the console and the HTML report in a real Chromium, which is installed from Debian where it is missing
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { apt-get update && apt-get install -y --no-install-recommends chromium; } || { \
		echo "The browser tests need Chromium: install it, or run this as root on a Debian." >&2; exit 1; }
	cd e2e/browser && go test -count=1 -timeout 10m ./...

.PHONY: endurance
endurance: controlplane ## take replicas, certificates and the API server down under load, then soak; about half an hour
	cd e2e && BULKHEAD_ENDURANCE=1 go test -count=1 -v -timeout 60m -run '^TestAvailability$$' .

.PHONY: e2e-node
e2e-node: controlplane image $(BIN)/tools/helm ## run the image on a real node, installed by Helm; needs Linux and root
	cd e2e && go test -tags node -count=1 -timeout 20m -v ./node

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (default 30s)
	@go run ./hack/fuzz -time $(FUZZTIME)

.PHONY: bench
bench: controlplane ## measure evaluation, snapshot, memory and the webhook against one that does nothing
	go test -run '^$$' -bench . -benchmem ./policy/... ./webhook
	go run -C hack/bench .

##@ keep

.PHONY: chart
chart: $(BIN)/tools/helm ## package the Helm chart into bin
	$(BIN)/tools/helm lint --strict deploy/chart
	$(BIN)/tools/helm package deploy/chart --destination $(BIN)

$(BIN)/tools/helm: hack/tools/helm/go.mod
	cd hack/tools/helm && go build -o $(CURDIR)/$@ helm.sh/helm/v4/cmd/helm

# The one of this machine, or Debian's, which needs neither root nor an installation.
$(BIN)/tools/prometheus:
	@mkdir -p $(BIN)/tools
	@if command -v prometheus >/dev/null; then ln -sf "$$(command -v prometheus)" $@; exit; fi; \
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { \
		echo "The end-to-end tests need Prometheus 2.40 or later: install it, or put its binary at $@." >&2; exit 1; }; \
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && chmod 755 "$$dir" && cd "$$dir" && \
	{ apt-get download -qq prometheus 2>/dev/null || { apt-get update -qq && apt-get download -qq prometheus; }; } && \
	dpkg-deb -x prometheus_*.deb . && cp usr/bin/prometheus "$(CURDIR)/$@"

.PHONY: generate
generate: ## write the generated pages, tables, schemas and manifests
	go run ./hack/gen-schema
	go run ./hack/gen-docs
	go run ./hack/monitoring
	go run -C hack/deploy .

.PHONY: verify
verify: lint vuln ## check generated files, go.mod files, formatting, lint and known vulnerabilities
	go run ./hack/gen-docs -check
	go run ./hack/gen-schema -check
	go run ./hack/monitoring -check
	go run -C hack/deploy . -check
	@for m in $(MODULES); do echo "go mod tidy -diff ($$m)"; (cd $$m && go mod tidy -diff) || exit 1; done

.PHONY: lint
lint: $(BIN)/tools/golangci-lint ## check the code's form and the direction of its dependencies
	@for m in $(LINTED); do echo "golangci-lint ($$m)"; (cd $$m && $(CURDIR)/$(BIN)/tools/golangci-lint run --config $(CURDIR)/.golangci.yaml) || exit 1; done

$(BIN)/tools/golangci-lint: hack/tools/lint/go.mod
	cd hack/tools/lint && go build -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: vuln
vuln: ## look for known vulnerabilities, where the database can be reached
	@go run ./hack/vuln

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN)
