package guardrails

import (
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// TestParametersAreChecked: a slip in the config is told with its place and not taken for something else.
func TestParametersAreChecked(t *testing.T) {
	tests := map[string]string{ // parameters and what is said of them; empty where they are fine
		"world-cidr: {parameters: {approved: [203.0.113.0/24, \"2001:db8::/32\"]}}":         "",
		"world-cidr: {parameters: {approved: [203.0.113.5/24]}}":                            `guardrails.world-cidr.parameters.approved[0]: Invalid value: "203.0.113.5/24": write 203.0.113.0/24`,
		"world-cidr: {parameters: {approved: [10.0.0.0/8, 10.0.0.0/8]}}":                    `guardrails.world-cidr.parameters.approved[1]: Duplicate value: "10.0.0.0/8"`,
		"world-cidr: {parameters: {approved: [\"::ffff:10.0.0.0/104\"]}}":                   `guardrails.world-cidr.parameters.approved[0]: Invalid value: "::ffff:10.0.0.0/104": write the IPv4 range`,
		"forbidden-cidr: {parameters: {ranges: [{reason: BMC}]}}":                           `guardrails.forbidden-cidr.parameters.ranges[0].cidr: Required value: write a CIDR such as 203.0.113.0/24`,
		"forbidden-cidr: {parameters: {ranges: [{cidr: 10.0.0.0/8}, {cidr: 10.0.0.0/8}]}}":  `guardrails.forbidden-cidr.parameters.ranges[1].cidr: Duplicate value: "10.0.0.0/8"`,
		"any-namespace: {parameters: {shared: [{namespace: dns}, {}]}}":                     `guardrails.any-namespace.parameters.shared[1]: Required value: write a namespace, podLabels or both`,
		"gateway-cut: {parameters: {controllers: [{class: edge, podLabels: {app: edge}}]}}": "",
		"gateway-cut: {parameters: {controllers: [{namespace: edge}]}}":                     `guardrails.gateway-cut.parameters.controllers[0]: Required value: write a class or a controller, one of them`,
		"gateway-cut: {parameters: {controllers: [{class: edge}]}}":                         `guardrails.gateway-cut.parameters.controllers[0]: Required value: write a namespace, podLabels or both`,
		"scrape-cut: {parameters: {scrapers: [{namespace: telemetry}, {}]}}":                `guardrails.scrape-cut.parameters.scrapers[1]: Required value: write a namespace, podLabels or both`,
		"selector-ephemeral: {parameters: {mutableKeys: [build, build]}}":                   `guardrails.selector-ephemeral.parameters.mutableKeys[1]: Duplicate value: "build"`,
		"selector-ephemeral: {parameters: {mutableKeys: [a/b/c]}}":                          "guardrails.selector-ephemeral.parameters.mutableKeys[0]: Invalid value: \"a/b/c\": a label key",
		"selector-ephemeral: {parameters: {mutableKeys: [example.com/build, version]}}":     "",
	}
	for lines, want := range tests {
		_, err := config.Parse([]byte("apiVersion: "+config.APIVersion+"\nkind: "+config.Kind+"\nguardrails: {"+lines+"}\n"), policy.Specs(All()))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if want == "" && got != "" || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s\n got %q\nwant %q", lines, got, want)
		}
	}
}
