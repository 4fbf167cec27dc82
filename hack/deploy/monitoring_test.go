package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestMonitoring: what the chart makes of the files of hack/monitoring is all of them, as they are.
func TestMonitoring(t *testing.T) {
	values, err := readValues(filepath.Join(valuesDir, "monitoring.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects := rendered(t, Release{Name: "prod", Namespace: "guards"}, values)
	rule := only[*monitoringv1.PrometheusRule](t, objects)
	if len(rule.Spec.Groups) < 2 || rule.Labels["release"] != "prometheus" {
		t.Errorf("the PrometheusRule has %d groups and the labels %v", len(rule.Spec.Groups), rule.Labels)
	}
	files, err := filepath.Glob(filepath.Join(root, chartDir, "files", "monitoring", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	made := map[string]string{}
	for _, m := range each[*corev1.ConfigMap](objects) {
		if m.Labels["grafana_dashboard"] != "1" {
			continue
		}
		for name, text := range m.Data {
			made[name] = text
		}
	}
	for _, path := range files {
		var dashboard struct{ UID, Title string }
		if err := json.Unmarshal([]byte(made[filepath.Base(path)]), &dashboard); err != nil || dashboard.UID == "" {
			t.Errorf("%s became %q, %v", path, dashboard, err)
		}
	}
	if len(made) != len(files) {
		t.Errorf("%d of %d dashboards are in ConfigMaps", len(made), len(files))
	}
}

// TestMetricsOverTLS: the process listens where the Service, the ServiceMonitor and the NetworkPolicy lead.
func TestMetricsOverTLS(t *testing.T) {
	for _, secured := range []bool{false, true} {
		objects := rendered(t, installRelease, map[string]any{
			"metrics": map[string]any{"tls": secured}, "serviceMonitor": map[string]any{"enabled": true},
		})
		address, port := flagOf(t, objects, "metrics-address"), int32(8081)
		if secured {
			port = 8443
		}
		if (address == ":8443") != secured {
			t.Errorf("tls %t: --metrics-address=%s", secured, address)
		}
		service := only[*corev1.Service](t, objects)
		for _, p := range service.Spec.Ports {
			if p.Name == "metrics" && p.Port != port {
				t.Errorf("tls %t: the Service has port %d", secured, p.Port)
			}
		}
		endpoint := only[*monitoringv1.ServiceMonitor](t, objects).Spec.Endpoints[0]
		text, err := yaml.Marshal(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), "scheme: https") && strings.Contains(string(text), "serverName: bulkhead.bulkhead-system.svc\n"); got != secured {
			t.Errorf("tls %t: the ServiceMonitor scrapes %s", secured, text)
		}
	}
}
