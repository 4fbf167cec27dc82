package guardrails_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// infrastructure are the guardrails whose advice names a component of the platform that the pods have to do with.
var infrastructure = [...]string{"gateway-cut", "scrape-cut"}

// TestOtherNamespacesStayUntold looks in all that is said of each fixture, with all guardrails, for the names of namespaces
// that are neither the request's own nor named in it, and of what is in them. The platform's own namespaces and the network
// plugin are no secret.
func TestOtherNamespacesStayUntold(t *testing.T) {
	all := guardrails.All()
	fixtures, err := policytest.Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, f := range fixtures {
		cfg, err := f.Settings(all)
		if err != nil {
			t.Fatalf("%s/%s: %v", f.Guardrail, f.Name, err)
		}
		if cfg.DiscloseOtherNamespaces {
			continue
		}
		c, err := f.Change(cfg)
		if err != nil {
			t.Fatalf("%s/%s: %v", f.Guardrail, f.Name, err)
		}
		untold := untoldNames(t, f, c)
		for _, finding := range policy.Evaluate(cfg, all, c).Findings {
			if slices.Contains(infrastructure[:], finding.Guardrail) {
				continue
			}
			judged++
			told := words(strings.Join(said(policy.Decision{Findings: []policy.Finding{finding}}), "\n"))
			for name := range untold {
				if told[name] {
					t.Errorf("%s/%s: %s tells of %q: %s", f.Guardrail, f.Name, finding.Guardrail, name, finding.Detail)
				}
			}
		}
	}
	if judged == 0 {
		t.Error("no fixture has anything to say")
	}
}

// untoldNames are the names of other namespaces and of the objects in them, as far as nothing that the requester knows, the
// request, the config and the own namespace, has the same words.
func untoldNames(t *testing.T, f *policytest.Fixture, c *policy.Change) map[string]bool {
	t.Helper()
	own := c.Namespace
	if own == "" {
		own = c.Name // of a Namespace
	}
	known, err := json.Marshal([]any{f.Request, f.Config})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, raw := range f.Cluster {
		kind, namespace, name := identity(t, raw)
		switch {
		case kind == "Namespace" && name != own:
			out[name] = true
		case kind == "DaemonSet" || namespace == "kube-system" || namespace == "openshift-dns" || namespace == "default":
		case namespace == own || namespace == "":
			known = append(known, raw.Raw...)
		default:
			out[namespace], out[name] = true, true
		}
	}
	for word := range words(string(known)) {
		delete(out, word)
	}
	return out
}

func identity(t *testing.T, raw runtime.RawExtension) (kind, namespace, name string) {
	t.Helper()
	var o struct {
		Kind     string
		Metadata struct{ Namespace, Name string }
	}
	if err := json.Unmarshal(raw.Raw, &o); err != nil {
		t.Fatal(err)
	}
	return o.Kind, o.Metadata.Namespace, o.Metadata.Name
}

// words gives what in the text may be a name.
func words(text string) map[string]bool {
	out := map[string]bool{}
	for _, w := range regexp.MustCompile(`[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?`).FindAllString(text, -1) {
		out[w] = true
	}
	return out
}
