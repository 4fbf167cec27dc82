package config

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// requireContains fails unless err says want; want "" is never found wanting.
func requireContains(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		return
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want it to contain %q", err, want)
	}
}

// FuzzParse: no input makes Parse panic; what it refuses it refuses in
// printable words; what it accepts means the same when written out and read
// again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "---", "- a", header, header + "---\n", header + "exempt: &a {users: [*a]}",
		header + "maximumAction: Off\nerrorAction: Deny\ndocsURL: http://[::1]:80/%41/\n",
		header + "exempt: {namespaces: [a, b-1], users: ['a b', \"\\u00e9\"], groups: [g]}\n",
		header + "resolver: {service: {namespace: a, name: b}, addresses: [::1, 169.254.20.10]}\n",
		header + "guardrails: {dns-cut: {action: Deny}, metadata-open: {parameters: {limit: 0x7f, ratio: 1e-7, addresses: [fd00::/8], labels: {\"\\u2028\": \"<&>\"}, below: {action: Warn}}}}\n",
		header + "guardrails: {metadata-open: {parameters: {below: {}}}}\n",
		header + "\"a\\u001b\": 1\n? {x: y}\n: 1\n<<: {}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		specs := testSpecs()
		c, err := Parse(data, specs)
		if err != nil {
			var problems *Error
			if !errors.As(err, &problems) || len(problems.Problems) == 0 || c != nil {
				t.Fatalf("refused with %#v and config %v", err, c)
			}
			for _, p := range problems.Problems {
				if text := p.String(); !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Fatalf("a problem is not printable: %q", text)
				}
			}
			return
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatalf("an accepted configuration cannot be written: %v", err)
		}
		again, err := Parse(written, specs)
		if err != nil {
			t.Fatalf("an accepted configuration is refused when written out: %v\n%s", err, written)
		}
		if again.Hash() != c.Hash() {
			t.Fatalf("hash %s became %s:\n%s", c.Hash(), again.Hash(), written)
		}
	})
}
