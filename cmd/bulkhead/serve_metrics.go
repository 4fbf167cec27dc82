package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// listenMetrics opens the port of metrics over TLS; without an address it gives nil.
func listenMetrics(address string, certificate certificateSource) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	inner, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s, choose another address with --metrics-address: %w", address, err)
	}
	return tls.NewListener(webhook.ProbeListener(inner), &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: certificate.GetCertificate, SessionTicketsDisabled: true,
	}), nil
}

// unsecured gives what the port of probes may show without TLS: nothing where metrics have a port of their own.
func unsecured(registry prometheus.Gatherer, secured net.Listener) prometheus.Gatherer {
	if secured != nil {
		return nil
	}
	return registry
}

// metricsOnly serves /metrics and nothing else.
func metricsOnly(registry prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", webhook.MetricsHandler(registry))
	return mux
}
