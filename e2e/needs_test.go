package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// testNeeds has guardrails read what a real cluster says of itself: where its API server is, whom that calls, who may use it, and
// which addresses Services have. Then kinds of other projects are installed under the running replicas.
func (s *suite) testNeeds(t *testing.T) {
	if s.plane == nil {
		t.Skip("what another cluster says of itself is not known here, and its kinds are left alone")
	}
	t.Run("the API server's addresses and the rights of accounts", s.testAPIServerCut)
	t.Run("a webhook's Service", s.testWebhookCut)
	t.Run("the range of Services", s.testServiceRange)
	t.Run("kinds that come and go", s.testKindsComeAndGo)
}

// operator is a workload that uses the API: its account is bound to a role.
const operator = `apiVersion: v1
kind: ServiceAccount
metadata: {name: op}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: op}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: op}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator}
spec:
  replicas: 2
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec: {serviceAccountName: op, terminationGracePeriodSeconds: 0, containers: [{name: main, image: "` + image + `"}]}
`

func (s *suite) testAPIServerCut(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, operator, deployment("plain", 1, "app: plain"))
	s.settle(t)
	a := s.dev(t, networkPolicy("only-dns", allowDNS), "create", "-n", namespace, "-f", "-")
	wantDenied(t, "a policy that leaves an operator DNS alone", a, "networkpolicies",
		"apiserver-cut: 2 live pods would lose the Kubernetes API")
	if m := messageOf(a); !strings.Contains(m, "192.0.2.1:") || strings.Contains(m, "plain") {
		t.Errorf("the message was to name the API server's address and no pods that use it not:\n%s", m)
	}
	first := pasted(t, a)
	wantPassed(t, "the policy that the message shows", s.dev(t, first, "create", "-n", namespace, "-f", "-"))
	wantPassed(t, "the policy after that one", s.dev(t, networkPolicy("only-dns", allowDNS), "create", "-n", namespace, "-f", "-"))
	if a := s.dev(t, "", "delete", "networkpolicy", "-n", namespace, "allow-apiserver"); a.ok || !strings.Contains(a.stderr, "apiserver-cut") {
		t.Errorf("the policy was to stay, and kubectl printed:\n%s", a.text())
	}
}

// pasted gives the policy that a denial says to apply first.
func pasted(t *testing.T, a answer) string {
	t.Helper()
	_, rest, found := strings.Cut(messageOf(a), "apply this policy first:\n")
	text, _, _ := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatalf("no policy to apply first in\n%s", a.text())
	}
	var out strings.Builder
	indent := len(text) - len(strings.TrimLeft(text, " "))
	for line := range strings.Lines(text) {
		out.WriteString(line[min(indent, len(line)):])
	}
	return out.String()
}

// hook is a webhook that nobody calls: there are no objects of its group.
const hook = `apiVersion: v1
kind: Service
metadata: {name: hook}
spec: {selector: {app: hook}, ports: [{port: 443, targetPort: 8443}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: hook}
spec:
  replicas: 2
  selector: {matchLabels: {app: hook}}
  template:
    metadata: {labels: {app: hook}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "` + image + `", ports: [{containerPort: 8443}]}]}
`

func (s *suite) testWebhookCut(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, hook)
	configuration := parse(t, fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- name: nothing.example.org
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {service: {namespace: %[1]s, name: hook, path: /}}
  rules: [{apiGroups: [nothing.example.org], apiVersions: [v1], resources: [nothings], operations: [CREATE]}]
`, namespace))[0]
	s.create(t, configuration)
	defer s.remove(t, configuration)
	s.settle(t)
	shut := networkPolicy("shut", "podSelector: {}, policyTypes: [Ingress]")
	a := s.dev(t, shut, "create", "-n", namespace, "-f", "-")
	wantDenied(t, "a default-deny around a webhook", a, "networkpolicies",
		"webhook-cut: the API server would no longer reach ValidatingWebhookConfiguration "+namespace)
	wantPassed(t, "the policy that the message shows", s.dev(t, pasted(t, a), "create", "-n", namespace, "-f", "-"))
	if a := s.dev(t, shut, "create", "-n", namespace, "-f", "-"); !a.ok || strings.Contains(a.stderr, "webhook-cut") {
		t.Errorf("the policy after that one was to pass, and kubectl printed:\n%s", a.text())
	}
}

func (s *suite) testServiceRange(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("web", 1, "app: web"))
	s.settle(t)
	const services = "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [" + dnsRule + ", {to: [{ipBlock: {cidr: 10.96.0.0/16}}], ports: [{port: 443}]}]"
	wantWarned(t, "a rule for the range of Services", s.dev(t, networkPolicy("services", services), "create", "-n", namespace, "-f", "-", "--dry-run=server"),
		"ipblock-in-cluster: egress[1] 10.96.0.0/16 is the Service range")
}

// testKindsComeAndGo: an Issuer counts from the moment at which the cluster has Issuers, and no longer than that.
func (s *suite) testKindsComeAndGo(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("web", 1, "app: web"))
	s.settle(t)
	const shut = "podSelector: {}, policyTypes: [Ingress]"
	everyReplica := func(check func(a answer)) {
		for range s.replicas { // they take turns
			check(s.dev(t, networkPolicy("shut", shut), "create", "-n", namespace, "-f", "-", "--dry-run=server"))
		}
	}
	silent := func(when string) {
		everyReplica(func(a answer) {
			if !a.ok || strings.Contains(a.stderr, "acme-solver-cut") {
				t.Errorf("%s kubectl printed:\n%s", when, a.text())
			}
		})
	}
	silent("without the kind")
	remove := s.installKinds(t)
	issuer := parse(t, `apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: letsencrypt}
spec: {acme: {server: "https://acme.example.org", privateKeySecretRef: {name: account}, solvers: [{http01: {ingress: {ingressClassName: nginx}}}]}}
`)[0]
	issuer.SetNamespace(namespace)
	silent("without an Issuer")
	s.create(t, issuer)
	s.settle(t)
	everyReplica(func(a answer) {
		wantWarned(t, "with an Issuer", a, "acme-solver-cut: Issuer letsencrypt solves HTTP-01 here")
	})
	remove()
	s.settle(t)
	silent("after the kind is gone")
}
