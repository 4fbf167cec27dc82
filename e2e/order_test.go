package e2e

import (
	"fmt"
	"strings"
	"testing"
)

const (
	orderRounds = 100
	orderBatch  = 25 // namespaces at a time: their pods have to fit on two nodes
)

// testOrder applies allow-dns and default-deny from one file to fresh namespaces with running pods. The second policy
// is judged milliseconds after the first, by the other replica: one that decides from what it has watched alone denies
// some of them.
func (s *suite) testOrder(t *testing.T) {
	file := networkPolicy("allow-dns", allowDNS) + "---\n" + networkPolicy("default-deny", denyAll)
	before := s.metric(t, "bulkhead_confirmations_total")
	falseDenials, crossed := 0, 0
	served := make([]int, len(s.replicas))
	for done := 0; done < orderRounds; done += orderBatch {
		t.Run(fmt.Sprintf("from %d", done+1), func(t *testing.T) {
			var namespaces []string
			for range orderBatch {
				namespaces = append(namespaces, s.newNamespace(t))
			}
			s.givenInEach(t, namespaces, deployment("web", 2, "app: web"))
			for _, namespace := range namespaces {
				if a := s.dev(t, file, "apply", "-n", namespace, "-f", "-"); !a.ok {
					falseDenials++
					t.Errorf("a false denial:\n%s", a.text())
				}
			}
			for _, namespace := range namespaces {
				var by []int // the replica that judged each policy
				for i, r := range s.replicas {
					for _, d := range decisions(t, r, namespace) {
						if d.Resource == "networkpolicies" {
							by = append(by, i)
							served[i]++
						}
					}
				}
				if len(by) != 2 {
					t.Errorf("%d decisions about policies of %s were logged, want 2", len(by), namespace)
				} else if by[0] != by[1] {
					crossed++
				}
			}
		})
	}
	t.Logf("%d files applied: %d false denials; the second policy was judged by the other replica in %d; by replica %v; %.0f judged again on live reads",
		orderRounds, falseDenials, crossed, served, s.metric(t, "bulkhead_confirmations_total")-before)
	if crossed < orderRounds*9/10 {
		t.Errorf("the replicas took turns within %d of %d files: the test shows too little", crossed, orderRounds)
	}
}

// givenInEach is given for many namespaces at a time.
func (s *suite) givenInEach(t *testing.T, namespaces []string, text string) {
	t.Helper()
	for _, namespace := range namespaces {
		for _, o := range parse(t, text) {
			o.SetNamespace(namespace)
			s.create(t, o)
		}
	}
	for _, namespace := range namespaces {
		for _, o := range parse(t, text) {
			o.SetNamespace(namespace)
			s.awaitRunning(t, o)
		}
	}
	s.settle(t)
}

// testFix applies the policies in the wrong order, then does what the denial says.
func (s *suite) testFix(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("web", 2, "app: web"))
	wall := networkPolicy("default-deny", denyAll)

	a := s.dev(t, wall, "apply", "-n", namespace, "-f", "-")
	wantDenied(t, "default-deny on its own", a, "networkpolicies", "dns-cut: 2 live pods would lose DNS (1 error")
	fix := `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: ` + namespace + `, name: allow-dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`
	want := `dns-cut: 2 live pods would lose DNS (1 error)

  NetworkPolicy ` + namespace + `/default-deny
  dns-cut  spec.egress: no rules, so nothing reaches kube-system/kube-dns on UDP 53
           affects web (2 pods)

  apply this policy first:
` + indent(fix) + `
  why, and how to ask for an exemption: https://bulkhead.dev/guardrails/dns-cut`
	if got := messageOf(a); got != want {
		t.Errorf("the message is\n%s\nwant\n%s", got, want)
	}
	confirmed := false
	for _, d := range s.allDecisions(t, namespace) {
		confirmed = confirmed || d.Name == "default-deny" && d.Decision == "denied" && d.Confirmation == "confirmed"
	}
	if !confirmed {
		t.Error("no log line says that the denial was confirmed by a live read")
	}
	if s.metric(t, "bulkhead_confirmations_total", `result="confirmed"`) < 1 {
		t.Error("no confirmation was counted")
	}

	cut := cutFix(messageOf(a), "apply this policy first:")
	wantPassed(t, "the policy of the message", s.dev(t, cut, "apply", "-f", "-"))
	wantPassed(t, "default-deny after it", s.dev(t, wall, "apply", "-n", namespace, "-f", "-"))

	// In one file, the wrong way round: kubectl goes on after the denial, so that a second apply gets there too.
	namespace = s.newNamespace(t)
	s.given(t, namespace, deployment("web", 2, "app: web"))
	file := wall + "---\n" + networkPolicy("allow-dns", allowDNS)
	a = s.dev(t, file, "apply", "-n", namespace, "-f", "-")
	wantDenied(t, "default-deny before allow-dns in one file", a, "networkpolicies", "dns-cut: 2 live pods would lose DNS")
	if cut := cutFix(messageOf(a), "apply this policy first:"); !strings.Contains(cut, "name: allow-dns}") {
		t.Errorf("the message shows no policy to apply first:\n%s", a.text())
	}
	wantPassed(t, "the same file again", s.dev(t, file, "apply", "-n", namespace, "-f", "-"))
}

// indent sets YAML as a denial shows it.
func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("    " + line)
	}
	return out.String()
}

// cutFix gives the YAML below a line of a denial, as one would cut it out of a terminal.
func cutFix(message, say string) string {
	_, below, _ := strings.Cut(message, "\n  "+say+"\n")
	var out strings.Builder
	for line := range strings.Lines(below) {
		yaml, indented := strings.CutPrefix(line, "    ")
		if !indented {
			break
		}
		out.WriteString(yaml)
	}
	return out.String()
}
