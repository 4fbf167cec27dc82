package guardrails

import (
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

func TestMetadataParameters(t *testing.T) {
	for name, test := range map[string]struct{ addresses, want string }{
		"defaults":         {"[]", ""},
		"port left out":    {"[{address: 10.0.0.1}]", ""},
		"address left out": {"[{ports: [80]}]", "addresses[0].address"},
		"no address":       {"[{address: metadata.google.internal}]", "addresses[0].address"},
		"with a zone":      {"[{address: 'fe80::1%eth0'}]", "without a zone"},
		"port 0":           {"[{address: 10.0.0.1, ports: [0]}]", "addresses[0].ports[0]"},
		"the same twice":   {"[{address: 10.0.0.1}, {address: 10.0.0.1}]", "addresses[1].address"},
		"the same, mapped": {"[{address: 10.0.0.1}, {address: '::ffff:10.0.0.1'}]", "addresses[1].address"},
		"an unknown field": {"[{addresss: 10.0.0.1}]", "address"},
	} {
		t.Run(name, func(t *testing.T) {
			file := "apiVersion: " + config.APIVersion + "\nkind: " + config.Kind + "\nguardrails:\n  metadata-open:\n    parameters:\n      addresses: " + test.addresses + "\n"
			_, err := config.Parse([]byte(file), policy.Specs(All()))
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Fatalf("got error %v, want one about %q", err, test.want)
			}
		})
	}
}

func TestMetadataTargetsDefaultToPort80(t *testing.T) {
	file := "apiVersion: " + config.APIVersion + "\nkind: " + config.Kind + "\nguardrails:\n  metadata-open:\n    parameters:\n      addresses: [{address: '::ffff:10.0.0.1'}, {address: 'fd00::1', ports: [81, 82], name: vault}]\n"
	cfg, err := config.Parse([]byte(file), policy.Specs(All()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, target := range cfg.Settings("metadata-open").Parameters.(*metadataParameters).targets() {
		got = append(got, target.String())
	}
	if want := "10.0.0.1:80 [fd00::1]:81 (vault) [fd00::1]:82 (vault)"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, " "), want)
	}
}
