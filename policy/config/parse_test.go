package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParseErrors states the exact words of every refusal. Texts begin on line
// 3, after the header, unless whole is set.
func TestParseErrors(t *testing.T) {
	tests := []struct {
		name, text string
		whole      bool
		want       []string
	}{
		// The file as a whole.
		{name: "empty", whole: true, text: "", want: []string{`the file is empty; ` + smallestFile}},
		{name: "comments only", whole: true, text: "# nothing\n", want: []string{`the file is empty; ` + smallestFile}},
		{name: "null", whole: true, text: "---\n", want: []string{`the file is empty; ` + smallestFile}},
		{name: "a list", whole: true, text: "- a\n", want: []string{`line 1: the file must be a mapping, but is a list; ` + smallestFile}},
		{name: "a word", whole: true, text: "hello", want: []string{`line 1: the file must be a mapping, but is the string "hello"; ` + smallestFile}},
		{name: "two documents", whole: true, text: header + "---\n" + header, want: []string{`line 3: the file holds more than one YAML document; keep one and remove the line ---`}},
		{name: "too large", whole: true, text: header + strings.Repeat("#", MaxBytes), want: []string{`the file has more than 1048576 bytes; shorten it`}},
		{name: "half a file", text: "exempt: {users: [a,", want: []string{`line 3: not valid YAML: did not find expected node content`}},
		{name: "control character", text: "docsURL: \x01", want: []string{`not valid YAML: control characters are not allowed`}},
		{name: "unknown alias", text: "exempt: *nobody", want: []string{`not valid YAML: unknown anchor 'nobody' referenced`}},
		{name: "missing header", whole: true, text: "maximumAction: Deny\n", want: []string{
			`line 1: apiVersion: is missing; add the line "apiVersion: bulkhead.dev/v1alpha1"`,
			`line 1: kind: is missing; add the line "kind: BulkheadConfig"`,
		}},
		{name: "wrong header", whole: true, text: "apiVersion: bulkhead.dev/v1\nkind: Configuration\n", want: []string{
			`line 1: apiVersion: "bulkhead.dev/v1" is not what this version of Bulkhead reads; write "bulkhead.dev/v1alpha1"`,
			`line 2: kind: "Configuration" is not what this version of Bulkhead reads; write "BulkheadConfig"`,
		}},
		{name: "header of the wrong type", whole: true, text: "apiVersion: 1\nkind:\n", want: []string{
			`line 1: apiVersion: must be a string, but is the number 1; put it in quotes`,
			`line 2: kind: has no value; write one or remove the line`,
		}},

		// Fields.
		{name: "unknown field, near", text: "maximumActoin: Deny", want: []string{`line 3: maximumActoin: "maximumActoin" is not a field here; did you mean "maximumAction"?`}},
		{name: "unknown field, case", text: "docsUrl: x", want: []string{`line 3: docsUrl: "docsUrl" is not a field here; did you mean "docsURL"?`}},
		{name: "unknown field, far", text: "exempt: {workloads: []}", want: []string{`line 3: exempt.workloads: "workloads" is not a field here; known here: namespaces, users, groups`}},
		{name: "unexported field", text: "settings: {}", want: []string{`line 3: settings: "settings" is not a field here; known here: apiVersion, kind, maximumAction, errorAction, docsURL, discloseOtherNamespaces, exempt, resolver, network, metrics, events, guardrails`}},
		{name: "unknown field with control characters", text: `"a\u001b[31m\u202e": 1`, want: []string{`line 3: ["a\x1b[31m\u202e"]: "a\x1b[31m\u202e" is not a field here; known here: apiVersion, kind, maximumAction, errorAction, docsURL, discloseOtherNamespaces, exempt, resolver, network, metrics, events, guardrails`}},
		{name: "duplicate key", text: "metrics: {}\nmaximumAction: Deny\nmetrics: {}", want: []string{`line 5: metrics: the key "metrics" is already on line 3; keep one of them`}},
		{name: "duplicate guardrail", text: "guardrails:\n  dns-cut: {}\n  dns-cut: {action: Off}", want: []string{`line 5: guardrails.dns-cut: the key "dns-cut" is already on line 4; keep one of them`}},
		{name: "key that is no string", text: "exempt: {1: a}\n? [x]\n: y", want: []string{
			`line 3: exempt: a key must be a string, but is the number 1; write a name, in quotes where needed`,
			`line 4: a key must be a string, but is a list; write a name, in quotes where needed`,
		}},
		{name: "merge key", text: "exempt:\n  <<: {users: [a]}", want: []string{`line 4: exempt: a key must be a string, but is "<<" with the YAML tag "!!merge"; write a name, in quotes where needed`}},
		{name: "alias", text: "exempt: &e {users: [a]}\nmetrics: *e", want: []string{`line 4: metrics: YAML aliases are not accepted; write the value out`}},
		{name: "alias bomb", text: "exempt:\n  users: &a [x,x]\n  groups: [*a,*a]\n  namespaces: *a", want: []string{
			`line 4: exempt.users[1]: "x" is already entry 0; keep one of them`,
			`line 5: exempt.groups[0]: YAML aliases are not accepted; write the value out`,
			`line 5: exempt.groups[1]: YAML aliases are not accepted; write the value out`,
			`line 6: exempt.namespaces: YAML aliases are not accepted; write the value out`,
		}},
		{name: "mapping wanted", text: "exempt: all\nmetrics: []", want: []string{
			`line 3: exempt: must be a mapping, but is the string "all"`,
			`line 4: metrics: must be a mapping, but is a list`,
		}},
		{name: "list wanted", text: "exempt: {users: alice}", want: []string{`line 3: exempt.users: must be a list, but is the string "alice"`}},
		{name: "string wanted", text: "exempt: {users: [1, true, {}, null, !x y]}", want: []string{
			`line 3: exempt.users[0]: must be a string, but is the number 1; put it in quotes`,
			`line 3: exempt.users[1]: must be a string, but is the boolean true; put it in quotes`,
			`line 3: exempt.users[2]: must be a string, but is a mapping`,
			`line 3: exempt.users[3]: has no value; write one or remove the line`,
			`line 3: exempt.users[4]: must be a string, but is "y" with the YAML tag "!x"; put it in quotes`,
		}},
		{name: "boolean wanted", text: "discloseOtherNamespaces: yes", want: []string{`line 3: discloseOtherNamespaces: must be true or false, but is the string "yes"`}},

		// Actions.
		{name: "action in lower case", text: "guardrails:\n  dns-cut:\n    action: deny", want: []string{`line 5: guardrails.dns-cut.action: "deny" is not an action; did you mean "Deny"?`}},
		{name: "action of another tool", text: "maximumAction: enforce", want: []string{`line 3: maximumAction: "enforce" is not an action; write Deny, Warn, Audit or Off`}},
		{name: "action made a boolean by a template", text: "maximumAction: false", want: []string{`line 3: maximumAction: the boolean false is not an action; to switch it off write "Off", in quotes where a template writes this file`}},
		{name: "action with control characters", text: `maximumAction: "De\u001bny\n"`, want: []string{`line 3: maximumAction: "De\x1bny\n" is not an action; write Deny, Warn, Audit or Off`}},
		{name: "action without a value", text: "maximumAction:", want: []string{`line 3: maximumAction: has no value; write one or remove the line`}},
		{name: "action as a list", text: "maximumAction: [Deny]", want: []string{`line 3: maximumAction: must be an action, but is a list`}},
		{name: "errors hidden", text: "errorAction: Off", want: []string{`line 3: errorAction: "Off" would hide that a guardrail fails; write Audit, Warn or Deny`}},

		// Guardrails.
		{name: "unknown guardrail, near", text: "guardrails: {dns_cut: {action: Deny}}", want: []string{`line 3: guardrails.dns_cut: "dns_cut" is not a guardrail; did you mean "dns-cut"?`}},
		{name: "unknown guardrail, far", text: "guardrails: {latency: {}}", want: []string{`line 3: guardrails.latency: "latency" is not a guardrail; known here: dns-cut, dns-tcp, metadata-open`}},
		{name: "guardrails as a list", text: "guardrails: [dns-cut]", want: []string{`line 3: guardrails: must be a mapping from guardrail to its settings, but is a list`}},
		{name: "guardrail without a mapping", text: "guardrails:\n  dns-cut: Deny\n  dns-tcp: on", want: []string{
			`line 4: guardrails.dns-cut: must be a mapping, but is the string "Deny"; write {action: Deny}`,
			`line 5: guardrails.dns-tcp: must be a mapping, but is the string "on"`,
		}},
		{name: "unknown guardrail setting", text: "guardrails: {dns-cut: {params: {}}}", want: []string{`line 3: guardrails.dns-cut.params: "params" is not a field here; known here: action, parameters`}},
		{name: "parameters where none are", text: "guardrails: {dns-cut: {parameters: {a: 1}}}", want: []string{`line 3: guardrails.dns-cut.parameters: the guardrail dns-cut takes no parameters; remove it`}},
		{name: "parameters", text: `guardrails:
  metadata-open:
    parameters:
      addresses: [169.254.169.254]
      limit: 99999999999
      ratio: .inf
      strict: 1
      labels: {a: 1, b c: 2}
      below: {action: Denny}
      limits: 1`, want: []string{
			`line 6: guardrails.metadata-open.parameters.addresses[0]: "169.254.169.254" is not valid: netip.ParsePrefix("169.254.169.254"): no '/'`,
			`line 7: guardrails.metadata-open.parameters.limit: must be a whole number that fits int32, but is the number 99999999999`,
			`line 8: guardrails.metadata-open.parameters.ratio: must be a number that fits float64, but is the number .inf`,
			`line 9: guardrails.metadata-open.parameters.strict: must be true or false, but is the number 1`,
			`line 10: guardrails.metadata-open.parameters.labels["b c"]: must be a string, but is the number 2; put it in quotes`,
			`line 10: guardrails.metadata-open.parameters.labels[a]: must be a string, but is the number 1; put it in quotes`,
			`line 11: guardrails.metadata-open.parameters.below.action: "Denny" is not an action; did you mean "Deny"?`,
			`line 12: guardrails.metadata-open.parameters.limits: "limits" is not a field here; did you mean "limit"?`,
		}},
		{name: "the guardrail's own validation", text: "guardrails:\n  metadata-open:\n    parameters:\n      limit: 0", want: []string{
			`line 6: guardrails.metadata-open.parameters.limit: Invalid value: 0: must be at least 1`,
		}},

		// Exemptions.
		{name: "exempt everything", text: `exempt:
  namespaces: ["*"]
  users: ["*", "system:anonymous"]
  groups:
  - "*"
  - system:authenticated
  - system:unauthenticated`, want: []string{
			`line 4: exempt.namespaces[0]: "*" would exempt everything; list exact names; to stop enforcing, lower maximumAction`,
			`line 5: exempt.users[0]: "*" would exempt everything; list exact names; to stop enforcing, lower maximumAction`,
			`line 5: exempt.users[1]: "system:anonymous" is every caller without credentials; name the users that need the exemption`,
			`line 7: exempt.groups[0]: "*" would exempt everything; list exact names; to stop enforcing, lower maximumAction`,
			`line 8: exempt.groups[1]: "system:authenticated" would exempt everyone; name a narrower group; to stop enforcing, lower maximumAction`,
			`line 9: exempt.groups[2]: "system:unauthenticated" would exempt everyone; name a narrower group; to stop enforcing, lower maximumAction`,
		}},
		{name: "exempt all service accounts", text: "exempt: {groups: [system:serviceaccounts:flux-system, system:serviceaccounts]}", want: []string{
			`line 3: exempt.groups[1]: "system:serviceaccounts" would exempt every controller and every pipeline; name one account as a user, ` +
				`such as system:serviceaccount:flux-system:flux, or the accounts of one namespace, such as system:serviceaccounts:flux-system`,
		}},
		{name: "exempt names", text: `exempt:
  namespaces: [kube-*, Payments, web, web, ""]
  users: [" alice", "bob\u202e"]`, want: []string{
			`line 4: exempt.namespaces[0]: "kube-*" is a pattern; list exact names`,
			`line 4: exempt.namespaces[1]: "Payments" is not a namespace name: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			`line 4: exempt.namespaces[3]: "web" is already entry 2; keep one of them`,
			`line 4: exempt.namespaces[4]: "" names nothing; remove it`,
			`line 5: exempt.users[0]: " alice" has spaces around it or characters that are not printable; list exact names`,
			`line 5: exempt.users[1]: "bob\u202e" has spaces around it or characters that are not printable; list exact names`,
		}},

		// Events.
		{name: "events", text: "events:\n  decisions: [Denied, denied, Denied, Audited, 1]\n  perMinute: 0", want: []string{
			`line 4: events.decisions[1]: "denied" is not a decision that Events are made of; did you mean "Denied"?`,
			`line 4: events.decisions[2]: "Denied" is already entry 0; keep one of them`,
			`line 4: events.decisions[3]: "Audited" is not a decision that Events are made of; known here: Denied, Warned`,
			`line 4: events.decisions[4]: must be a string, but is the number 1; put it in quotes`,
			`line 5: events.perMinute: 0 is out of range; write a number from 1 to 600; to make no Events, leave decisions empty`,
		}},
		{name: "too many events", text: "events: {perMinute: 601, perminute: 1}", want: []string{
			`line 3: events.perMinute: 601 is out of range; write a number from 1 to 600`,
			`line 3: events.perminute: "perminute" is not a field here; did you mean "perMinute"?`,
		}},

		// Resolver.
		{name: "resolver", text: `resolver:
  service: {namespace: Kube, nam: x}
  addresses: [10.96.0.10/32, 10.96.0.10, 10.96.0.10, "fe80::1%eth0", "::ffff:10.0.0.1", 0.0.0.0, ""]`, want: []string{
			`line 4: resolver.service.nam: "nam" is not a field here; did you mean "name"?`,
			`line 4: resolver.service.name: is missing; name the Service`,
			`line 4: resolver.service.namespace: "Kube" is not the name of a namespace: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			`line 5: resolver.addresses[0]: "10.96.0.10/32" is not valid: ParseAddr("10.96.0.10/32"): unexpected character (at "/32")`,
			`line 5: resolver.addresses[2]: "10.96.0.10" is already entry 1; keep one of them`,
			`line 5: resolver.addresses[3]: "fe80::1%eth0" has a zone, which NetworkPolicy cannot express; remove what follows the %`,
			`line 5: resolver.addresses[4]: "::ffff:10.0.0.1" is an IPv4 address in IPv6 form; write "10.0.0.1"`,
			`line 5: resolver.addresses[5]: "0.0.0.0" is not the address of a host; write the address that the pods' resolv.conf names`,
			`line 5: resolver.addresses[6]: is empty; write an IP address or remove it`,
		}},

		// Network.
		{name: "network", text: `network:
  plugin: Cillium
  podRange: [10.244.0.0/16]
  podRanges: [10.244.0.0/16, 10.244.0.0/16, 10.244.1.0/16, 10.244.0.0, "::ffff:10.0.0.0/112", ""]
  serviceRanges: [0.0.0.0/0, 10.96.0.0/12]`, want: []string{
			`line 4: network.plugin: "Cillium" is not a network plugin that is known here; did you mean "cilium"?`,
			`line 5: network.podRange: "podRange" is not a field here; did you mean "podRanges"?`,
			`line 6: network.podRanges[1]: "10.244.0.0/16" is already entry 0; keep one of them`,
			`line 6: network.podRanges[2]: "10.244.1.0/16" has bits beyond its mask; write "10.244.0.0/16"`,
			`line 6: network.podRanges[3]: "10.244.0.0" is not valid: netip.ParsePrefix("10.244.0.0"): no '/'`,
			`line 6: network.podRanges[4]: "::ffff:10.0.0.0/112" is an IPv4 range in IPv6 form; write the IPv4 range`,
			`line 6: network.podRanges[5]: is empty; write a CIDR such as 10.244.0.0/16 or remove it`,
			`line 7: network.serviceRanges[0]: "0.0.0.0/0" is every address; write the cluster's range`,
		}},
		{name: "network plugin of the wrong type", text: "network: {plugin: [calico]}", want: []string{
			`line 3: network.plugin: must be a string, but is a list`,
		}},

		// Link.
		{name: "docsURL scheme", text: "docsURL: javascript:alert(1)", want: []string{`line 3: docsURL: "javascript:alert(1)" is not an http or https URL; write a URL such as https://bulkhead.dev/guardrails`}},
		{name: "docsURL without a host", text: "docsURL: https:///x", want: []string{`line 3: docsURL: "https:///x" is not an http or https URL; write a URL such as https://bulkhead.dev/guardrails`}},
		{name: "docsURL with a password", text: "docsURL: https://u:secret@x/", want: []string{`line 3: docsURL: holds a user or a password, which every denial would show; remove it`}},
		{name: "docsURL with a query", text: "docsURL: https://x/?a=b", want: []string{`line 3: docsURL: "https://x/?a=b" has a query or a fragment, but a guardrail's name is appended to it; write a URL such as https://bulkhead.dev/guardrails`}},
		{name: "docsURL too long", text: "docsURL: https://x/" + strings.Repeat("y", maxDocsURL), want: []string{`line 3: docsURL: "https://x/` + strings.Repeat("y", 54) + `"... has more than 128 characters; write a URL such as https://bulkhead.dev/guardrails`}},

		{name: "everything at once, in order of lines", text: "guardrails: {dns-cutt: {}}\nerrorAction: warn\nmaximumAction: x", want: []string{
			`line 3: guardrails.dns-cutt: "dns-cutt" is not a guardrail; did you mean "dns-cut"?`,
			`line 4: errorAction: "warn" is not an action; did you mean "Warn"?`,
			`line 5: maximumAction: "x" is not an action; write Deny, Warn, Audit or Off`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := test.text
			if !test.whole {
				text = header + text
			}
			c, err := Parse([]byte(text), testSpecs())
			var problems *Error
			if !errors.As(err, &problems) {
				t.Fatalf("got config %v and error %v, want an *Error", c, err)
			}
			var got []string
			for _, p := range problems.Problems {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if c != nil {
				t.Error("a refused file must not give a config")
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	_, err := Parse([]byte(header+"maximumAction: deny\n"), testSpecs())
	if want := `invalid configuration: line 3: maximumAction: "deny" is not an action; did you mean "Deny"?`; err == nil || err.Error() != want {
		t.Errorf("one problem:\n got %v\nwant %s", err, want)
	}
	_, err = Parse([]byte(header+"maximumAction: deny\nmetrics: 1\n"), testSpecs())
	want := "invalid configuration: 2 problems:\n" +
		`  line 3: maximumAction: "deny" is not an action; did you mean "Deny"?` + "\n" +
		"  line 4: metrics: must be a mapping, but is the number 1"
	if err == nil || err.Error() != want {
		t.Errorf("two problems:\n got %v\nwant %s", err, want)
	}
	_, err = Parse([]byte(header+"exempt:\n  users:"+strings.Repeat("\n  - 1", 5000)), testSpecs())
	if err == nil || !strings.HasSuffix(err.Error(), "\n  and 4900 more") {
		t.Errorf("5000 problems must be cut to 100 in the text, got %.200v", err)
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	type deep struct {
		Below map[string]map[string]map[string]string `json:"below"`
	}
	specs := []Spec{{Slug: "deep", DefaultAction: Warn, NewParameters: func() any { return &deep{} }}}
	for _, text := range []string{
		"guardrails: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"guardrails: " + strings.Repeat("{a: ", 9000) + strings.Repeat("}", 9000),
		"guardrails: " + strings.Repeat("[", 100000),
		"guardrails: {deep: {parameters: {below: {a: {b: {c: {d: e}}}}}}}",
	} {
		if _, err := Parse([]byte(header+text), specs); err == nil {
			t.Errorf("accepted: %.60s", text)
		}
	}
}
