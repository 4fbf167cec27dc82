package config

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// metadataParameters stands for a guardrail's parameters in these tests.
type metadataParameters struct {
	Addresses []netip.Prefix    `json:"addresses"`
	Limit     int32             `json:"limit"`
	Ratio     float64           `json:"ratio"`
	Strict    bool              `json:"strict"`
	Labels    map[string]string `json:"labels"`
	Below     *nestedParameters `json:"below"`
	internal  int               //nolint:unused // no field of the file may reach an unexported one
}

type nestedParameters struct {
	Action Action `json:"action"`
}

func (p *metadataParameters) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.Limit < 1 {
		errs = append(errs, field.Invalid(path.Child("limit"), p.Limit, "must be at least 1"))
	}
	if p.Below != nil && !p.Below.Action.Valid() {
		errs = append(errs, field.Required(path.Child("below", "action"), "name an action"))
	}
	return errs
}

func newMetadataParameters() any {
	return &metadataParameters{
		Addresses: []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")},
		Limit:     10,
		Labels:    map[string]string{"app": "metadata"},
	}
}

func testSpecs() []Spec {
	return []Spec{
		{Slug: "dns-cut", DefaultAction: Deny},
		{Slug: "dns-tcp", DefaultAction: Warn},
		{Slug: "metadata-open", DefaultAction: Warn, NewParameters: newMetadataParameters},
	}
}

// header is the two lines that every file begins with; a test's own text
// starts on line 3.
const header = "apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\n"

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse([]byte(text), testSpecs())
	if err != nil {
		t.Fatalf("Parse: %v\nof:\n%s", err, text)
	}
	return c
}

func TestSpecsOfTheseTestsAreSound(t *testing.T) {
	if err := CheckSpecs(testSpecs()); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultIsTheSmallestFile(t *testing.T) {
	got, want := mustParse(t, header), Default(testSpecs())
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}, metadataParameters{}), cmp.Comparer(equalPrefix)); diff != "" {
		t.Errorf("Default differs from the smallest file (-default +parsed):\n%s", diff)
	}
	if got.Hash() != want.Hash() {
		t.Errorf("hashes differ: parsed %s, default %s", got.Hash(), want.Hash())
	}
	if got.MaximumAction != Warn || got.ErrorAction != Audit || got.DocsURL != DefaultDocsURL {
		t.Errorf("a fresh install must warn, audit its errors and link to the documentation, got %+v", got)
	}
}

func equalPrefix(a, b netip.Prefix) bool { return a == b }

func TestParseReadsEveryField(t *testing.T) {
	c := mustParse(t, header+`
maximumAction: Deny
errorAction: Warn
docsURL: http://wiki.example.com/bulkhead/
discloseOtherNamespaces: true
exempt:
  namespaces: [kube-public, 2024-01-01]
  users: ["Jane Doe", "system:serviceaccount:flux-system:kustomize-controller"]
  groups: [system:masters]
resolver:
  service: {namespace: openshift-dns, name: dns-default}
  addresses: [169.254.20.10, "fd00:10:96::a"]
network:
  plugin: cilium
  podRanges: [10.244.0.0/16, "fd00:10:244::/56"]
  serviceRanges: [10.96.0.0/12]
metrics: {namespaceLabel: true}
events: {decisions: [Denied, Warned], perMinute: 12}
guardrails:
  dns-cut: {action: Off}
  dns-tcp:
  metadata-open:
    action: Deny
    parameters:
      addresses: [100.100.100.200/32]
      limit: 0x10
      ratio: 1
      strict: true
      labels: {tier: db}
      below: {action: Audit}
`)
	parameters := &metadataParameters{
		Addresses: []netip.Prefix{netip.MustParsePrefix("100.100.100.200/32")},
		Limit:     16, Ratio: 1, Strict: true,
		Labels: map[string]string{"tier": "db"},
		Below:  &nestedParameters{Action: Audit},
	}
	want := &Config{
		APIVersion: APIVersion, Kind: Kind,
		MaximumAction: Deny, ErrorAction: Warn,
		DocsURL:                 "http://wiki.example.com/bulkhead",
		DiscloseOtherNamespaces: true,
		Exempt: Exempt{
			Namespaces: []string{"kube-public", "2024-01-01"},
			Users:      []string{"Jane Doe", "system:serviceaccount:flux-system:kustomize-controller"},
			Groups:     []string{"system:masters"},
		},
		Resolver: Resolver{
			Service:   &ServiceReference{Namespace: "openshift-dns", Name: "dns-default"},
			Addresses: []netip.Addr{netip.MustParseAddr("169.254.20.10"), netip.MustParseAddr("fd00:10:96::a")},
		},
		Network: Network{
			Plugin:        "cilium",
			PodRanges:     []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd00:10:244::/56")},
			ServiceRanges: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")},
		},
		Metrics: MetricsConfig{NamespaceLabel: true},
		Events:  EventsConfig{Decisions: []string{EventDenied, EventWarned}, PerMinute: 12},
		Guardrails: map[string]GuardrailConfig{
			"dns-cut":       {Action: Off},
			"dns-tcp":       {Action: Warn},
			"metadata-open": {Action: Deny, Parameters: parameters},
		},
	}
	equalAddr := func(a, b netip.Addr) bool { return a == b }
	if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Config{}, metadataParameters{}), cmp.Comparer(equalPrefix), cmp.Comparer(equalAddr)); diff != "" {
		t.Errorf("parsed wrongly (-want +got):\n%s", diff)
	}
}

func TestSettingsAreBoundedByTheMaximumAction(t *testing.T) {
	for _, test := range []struct {
		maximum, own, want Action
	}{
		{Deny, Deny, Deny}, {Deny, Warn, Warn}, {Warn, Deny, Warn}, {Warn, Audit, Audit},
		{Audit, Deny, Audit}, {Off, Deny, Off}, {Deny, Off, Off},
	} {
		c := mustParse(t, header+"maximumAction: "+string(test.maximum)+"\nguardrails: {dns-cut: {action: "+string(test.own)+"}}\n")
		if got := c.Settings("dns-cut").Action; got != test.want {
			t.Errorf("action %s under maximum %s: got %s, want %s", test.own, test.maximum, got, test.want)
		}
	}
	if got := mustParse(t, header).Settings("no-such-guardrail"); got != (Settings{Action: Off}) {
		t.Errorf("an unknown guardrail must be off, got %+v", got)
	}
	if c := mustParse(t, header+"errorAction: Deny\n"); c.ActionOnError() != Warn || c.ErrorAction != Deny {
		t.Errorf("under maximumAction Warn an error must warn, got %s", c.ActionOnError())
	}
}

func TestParametersAreNotSharedBetweenConfigs(t *testing.T) {
	first := mustParse(t, header+"guardrails: {metadata-open: {parameters: {limit: 3, labels: {}, addresses: []}}}\n")
	second := mustParse(t, header)
	got := second.Settings("metadata-open").Parameters.(*metadataParameters)
	if got.Limit != 10 || len(got.Labels) != 1 || len(got.Addresses) != 1 {
		t.Errorf("defaults changed by another file: %+v", got)
	}
	cleared := first.Settings("metadata-open").Parameters.(*metadataParameters)
	if len(cleared.Labels) != 0 || len(cleared.Addresses) != 0 {
		t.Errorf("an empty list or map must replace the default, got %+v", cleared)
	}
}

func TestHashFollowsTheMeaning(t *testing.T) {
	plain := mustParse(t, header)
	for _, same := range []string{
		"kind: BulkheadConfig\n# a comment\napiVersion: bulkhead.dev/v1alpha1\n",
		header + "maximumAction: Warn\nguardrails:\n  dns-cut: {action: Deny}\n",
		header + "exempt:\n  # users: [somebody]\n",
		`{"kind":"BulkheadConfig","apiVersion":"bulkhead.dev/v1alpha1","docsURL":"https://bulkhead.dev/guardrails/"}`,
	} {
		if got := mustParse(t, same); got.Hash() != plain.Hash() {
			t.Errorf("hash %s, want %s for the same meaning:\n%s", got.Hash(), plain.Hash(), same)
		}
	}
	seen := map[string]string{plain.Hash(): header}
	for _, other := range []string{
		"maximumAction: Deny\n",
		"discloseOtherNamespaces: true\n",
		"network: {plugin: calico}\n",
		"network: {podRanges: [10.244.0.0/16]}\n",
		"guardrails: {dns-cut: {action: Warn}}\n",
		"guardrails: {metadata-open: {parameters: {addresses: []}}}\n",
		"guardrails: {metadata-open: {parameters: {below: {action: Deny}}}}\n",
	} {
		c := mustParse(t, header+other)
		if earlier, ok := seen[c.Hash()]; ok {
			t.Errorf("%q and %q have the same hash", earlier, other)
		}
		seen[c.Hash()] = other
		if len(c.Hash()) != hashDigits {
			t.Errorf("hash %q has %d digits, want %d", c.Hash(), len(c.Hash()), hashDigits)
		}
	}
}

func TestExemptedBy(t *testing.T) {
	c := mustParse(t, header+"exempt: {namespaces: [kube-public], users: [alice], groups: [breakglass]}\n")
	for _, test := range []struct {
		namespace, user string
		groups          []string
		want            string
	}{
		{"kube-public", "bob", nil, "namespace kube-public"},
		{"payments", "alice", nil, "user alice"},
		{"payments", "bob", []string{"dev", "breakglass"}, "group breakglass"},
		{"payments", "bob", []string{"dev"}, ""},
		{"", "", nil, ""},
		{"kube-public2", "alice2", []string{"breakglass2"}, ""},
	} {
		if got := c.ExemptedBy(test.namespace, test.user, test.groups); got != test.want {
			t.Errorf("ExemptedBy(%q, %q, %q) = %q, want %q", test.namespace, test.user, test.groups, got, test.want)
		}
	}
}

func TestActionOrder(t *testing.T) {
	actions := Actions()
	for i, a := range actions {
		if want := len(actions) - 1 - i; a.Rank() != want || !a.Valid() {
			t.Errorf("%s: rank %d valid %t, want rank %d", a, a.Rank(), a.Valid(), want)
		}
		for j, b := range actions {
			if got, want := Stricter(a, b), actions[min(i, j)]; got != want {
				t.Errorf("Stricter(%s, %s) = %s, want %s", a, b, got, want)
			}
			if got, want := AtMost(a, b), actions[max(i, j)]; got != want {
				t.Errorf("AtMost(%s, %s) = %s, want %s", a, b, got, want)
			}
		}
	}
	if Action("deny").Valid() || Action("").Valid() {
		t.Error("actions are spelled exactly")
	}
}

// TestPluginsInTheSchema: the schema's list of network plugins is the one that is checked.
func TestPluginsInTheSchema(t *testing.T) {
	f, _ := reflect.TypeFor[Network]().FieldByName("Plugin")
	want := "enum="
	for _, name := range Plugins() {
		want += ",enum=" + name
	}
	if got := f.Tag.Get("jsonschema"); got != want {
		t.Errorf("the schema says %q, want %q", got, want)
	}
}
