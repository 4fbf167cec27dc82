package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// losesDNS begins the denial of a change that cuts the DNS of two pods.
const losesDNS = "dns-cut: 2 live pods would lose DNS"

// Policies beside the two that most tests are about.
const (
	wall     = "podSelector: {}, policyTypes: [Egress]"
	apiToDB  = "podSelector: {matchLabels: {app: api}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]"
	ignored  = "podSelector: {}, policyTypes: [Ingress], egress: [{}]"
	tcpNoUDP = "podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{protocol: TCP, port: 443}]}]"
)

func (s *suite) policy(t *testing.T, namespace, name string) *networkingv1.NetworkPolicy {
	t.Helper()
	p, err := s.clients.NetworkingV1().NetworkPolicies(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantNoPolicy fails where a policy was stored.
func (s *suite) wantNoPolicy(t *testing.T, namespace, name string) {
	t.Helper()
	_, err := s.clients.NetworkingV1().NetworkPolicies(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("NetworkPolicy %s was to be stored nowhere: %v", name, err)
	}
}

// testUnion changes one of several policies: what counts is what all of them allow together.
func (s *suite) testUnion(t *testing.T) {
	apply := func(t *testing.T, namespace, name, spec string) answer {
		return s.dev(t, networkPolicy(name, spec), "apply", "-n", namespace, "-f", "-")
	}
	remove := func(t *testing.T, namespace, name string) answer {
		return s.dev(t, "", "delete", "networkpolicy", name, "-n", namespace)
	}
	t.Run("a rule needs a policy that allows DNS", func(t *testing.T) {
		namespace := s.newNamespace(t)
		s.given(t, namespace, deployment("api", 2, "app: api"), deployment("db", 1, "app: db"))
		wantDenied(t, "the rule alone", apply(t, namespace, "api-to-db", apiToDB), "networkpolicies", losesDNS)
		wantPassed(t, "allow-dns", apply(t, namespace, "allow-dns", allowDNS))
		wantPassed(t, "the rule beside allow-dns", apply(t, namespace, "api-to-db", apiToDB))
		wantDenied(t, "allow-dns taken away", remove(t, namespace, "allow-dns"), "networkpolicies", "dns-cut: 2 live pods would lose DNS")
	})
	t.Run("where DNS is cut already, nothing gets worse", func(t *testing.T) {
		namespace := s.newNamespace(t)
		s.given(t, namespace, deployment("api", 2, "app: api"), deployment("db", 1, "app: db"), networkPolicy("wall", wall))
		wantPassed(t, "another rule", apply(t, namespace, "api-to-db", apiToDB))
		wantPassed(t, "allow-dns last", apply(t, namespace, "allow-dns", allowDNS))
	})
	t.Run("renaming a policy", func(t *testing.T) {
		namespace := s.newNamespace(t)
		s.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("old", denyAll), networkPolicy("allow-dns", allowDNS))
		wantDenied(t, "deletion first", remove(t, namespace, "old"), "networkpolicies", "isolation-lost: ")
		wantPassed(t, "creation first", apply(t, namespace, "new", denyAll))
		wantPassed(t, "deletion second", remove(t, namespace, "old"))
	})
}

// testUpdate compares the old object with the new one: what was wrong before may be edited, and may not get worse.
func (s *suite) testUpdate(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("ignored", ignored), networkPolicy("allow-dns", allowDNS),
		networkPolicy("default-deny", denyAll))
	replace := func(name, spec string) answer {
		return s.dev(t, networkPolicy(name, spec), "replace", "-n", namespace, "-f", "-")
	}
	wantPassed(t, "an edit that leaves the void rule as it was", replace("ignored",
		"podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: 8080}]}], egress: [{}]"))
	wantDenied(t, "an edit that makes a rule void", replace("allow-dns",
		"podSelector: {}, policyTypes: [Ingress], egress: ["+dnsRule+"]"), "networkpolicies", losesDNS)
	wantDenied(t, "an edit that takes the rule for DNS away", replace("allow-dns", tcpNoUDP), "networkpolicies", losesDNS)
	wantPassed(t, "an edit that adds to it", replace("allow-dns",
		"podSelector: {}, policyTypes: [Egress], egress: ["+dnsRule+", {to: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: 443}]}]"))
}

// testDryRun asks what would happen: the answer is the same, and nothing else happens.
func (s *suite) testDryRun(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	policies := `resource="networkpolicies"`
	count := func(dryRun string) float64 {
		return s.metric(t, "bulkhead_decisions_total", policies, `decision="denied"`, `operation="CREATE"`, `dry_run="`+dryRun+`"`)
	}
	dry, real, violations := count("true"), count("false"), s.metric(t, "bulkhead_violations_total")
	file := networkPolicy("default-deny", denyAll)
	asked := s.dev(t, file, "create", "-n", namespace, "-f", "-", "--dry-run=server")
	wantDenied(t, "the dry run", asked, "networkpolicies", losesDNS)
	if got := count("true"); got != dry+1 {
		t.Errorf("%.0f denials of dry runs were counted, want 1", got-dry)
	}
	if got := count("false"); got != real {
		t.Errorf("the dry run was counted as %.0f denied changes", got-real)
	}
	if got := s.metric(t, "bulkhead_violations_total"); got != violations {
		t.Errorf("the dry run was counted as %.0f violations", got-violations)
	}
	done := s.dev(t, file, "create", "-n", namespace, "-f", "-")
	if asked.text() != done.text() {
		t.Errorf("the dry run printed\n%s\nand the real thing\n%s", asked.text(), done.text())
	}
	wantPassed(t, "the dry run of allow-dns", s.dev(t, networkPolicy("allow-dns", allowDNS), "apply", "-n", namespace, "-f", "-", "--dry-run=server"))
	s.wantNoPolicy(t, namespace, "allow-dns")
	wantDenied(t, "default-deny after the dry run of allow-dns", s.dev(t, file, "create", "-n", namespace, "-f", "-"), "networkpolicies", losesDNS)
	s.wantNoPolicy(t, namespace, "default-deny")
}

// testGenerateName creates objects that the API server names.
func (s *suite) testGenerateName(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	unnamed := func(spec string) string {
		return strings.Replace(networkPolicy("x", spec), "name: x", "generateName: wall-", 1)
	}
	a := s.dev(t, unnamed(denyAll), "create", "-n", namespace, "-f", "-")
	wantDenied(t, "a policy", a, "networkpolicies", losesDNS)
	if want := "\n  NetworkPolicy " + namespace + "/wall-"; !strings.Contains(messageOf(a), want) {
		t.Errorf("the message lacks %q:\n%s", want, a.text())
	}
	wantPassed(t, "a policy that allows DNS", s.dev(t, unnamed(allowDNS), "create", "-n", namespace, "-f", "-"))

	debug := pod("generateName: debug-, labels: {app: debug}", "")
	wantPassed(t, "a pod where policies allow DNS", s.dev(t, debug, "create", "-n", namespace, "-f", "-"))
	walled := s.newNamespace(t)
	s.given(t, walled, networkPolicy("wall", wall))
	wantWarned(t, "a pod where none does", s.dev(t, debug, "create", "-n", walled, "-f", "-"), "dns-cut: app=debug would have no DNS: ")
}

// testDeployment creates a Deployment whose pods will have no DNS: its author is warned, and its pods are in nobody's way.
func (s *suite) testDeployment(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, networkPolicy("default-deny", denyAll))
	wantWarned(t, "the Deployment", s.dev(t, deployment("web", 3, "app: web"), "apply", "-n", namespace, "-f", "-"), "dns-cut: ")
	wantPassed(t, "its rollout", s.dev(t, "", "rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s"))
	made := map[string]int{}
	for _, d := range s.allDecisions(t, namespace) {
		if d.User != dev {
			made[d.Resource+" "+d.Decision]++
		}
	}
	for what, n := range made {
		if strings.HasSuffix(what, " denied") || strings.HasSuffix(what, " warned") {
			t.Errorf("controllers were told %d times about %s", n, what)
		}
	}
	wantPassed(t, "scaling", s.dev(t, "", "scale", "deployment/web", "-n", namespace, "--replicas=5"))
	wantPassed(t, "the second rollout", s.dev(t, "", "rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s"))
}

// testForce has kubectl force a denied update. It answers some refusals by deleting the live object; not this one.
func (s *suite) testForce(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	for name, spec := range map[string]string{"allow-dns": allowDNS, "default-deny": denyAll} {
		if name == "allow-dns" {
			wantPassed(t, name, s.dev(t, networkPolicy(name, spec), "apply", "-n", namespace, "-f", "-"))
		} else {
			s.given(t, namespace, networkPolicy(name, spec))
		}
	}
	before := s.policy(t, namespace, "allow-dns")
	a := s.dev(t, networkPolicy("allow-dns", tcpNoUDP), "apply", "-n", namespace, "-f", "-", "--force")
	wantDenied(t, "kubectl apply --force", a, "networkpolicies", losesDNS)
	after := s.policy(t, namespace, "allow-dns")
	if before.UID != after.UID || before.ResourceVersion != after.ResourceVersion {
		t.Errorf("the live object was replaced: %s at %s before, %s at %s after", before.UID, before.ResourceVersion, after.UID, after.ResourceVersion)
	}
	for _, force := range []string{"--force", "--force --cascade=orphan"} {
		args := append([]string{"replace", "-n", namespace, "-f", "-", "--grace-period=0"}, strings.Fields(force)...)
		wantDenied(t, "kubectl replace "+force, s.dev(t, networkPolicy("allow-dns", tcpNoUDP), args...), "networkpolicies", losesDNS)
		if after := s.policy(t, namespace, "allow-dns"); before.UID != after.UID {
			t.Error("kubectl replace --force replaced the live object")
		}
	}
}

// testFinalizer edits what no guardrail reads, on a policy that could not be created today.
func (s *suite) testFinalizer(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("default-deny", denyAll), networkPolicy("ignored", ignored))
	patch := func(what string, metadata map[string]any) {
		body, err := json.Marshal(map[string]any{"metadata": metadata})
		if err != nil {
			t.Fatal(err)
		}
		wantPassed(t, what, s.dev(t, "", "patch", "networkpolicy", "ignored", "-n", namespace, "--type=merge", "-p", string(body)))
	}
	patch("a finalizer", map[string]any{"finalizers": []string{"bulkhead.dev/e2e"}})
	patch("a label", map[string]any{"labels": map[string]string{"team": "a"}})
	// Held up by the finalizer; taking that away is the update with which controllers end a deletion.
	wantPassed(t, "the deletion", s.dev(t, "", "delete", "networkpolicy", "ignored", "-n", namespace, "--wait=false"))
	patch("the end of the finalizer", map[string]any{"finalizers": nil})
	s.wantNoPolicy(t, namespace, "ignored")
}

// testCollections deletes many policies at once.
func (s *suite) testCollections(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("allow-dns", allowDNS), networkPolicy("default-deny", denyAll))
	stillThere := func(what string) {
		t.Helper()
		list, err := s.clients.NetworkingV1().NetworkPolicies(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 2 {
			t.Errorf("%s left %d of 2 policies", what, len(list.Items))
		}
	}
	a := s.dev(t, "", "delete", "networkpolicy", "--all", "-n", namespace)
	wantDenied(t, "kubectl delete --all", a, "networkpolicies", losesDNS)
	wantDenied(t, "kubectl delete --all, the second policy", a, "networkpolicies", "isolation-lost: ")
	stillThere("kubectl delete --all")
	// kubectl asks for each object by name; this is the API's own way, with one review an object and no name in any.
	a = s.dev(t, "", "delete", "--raw", "/apis/networking.k8s.io/v1/namespaces/"+namespace+"/networkpolicies")
	wantDenied(t, "deletecollection", a, "networkpolicies", "")
	stillThere("deletecollection")

	empty := s.newNamespace(t)
	s.given(t, empty, networkPolicy("allow-dns", allowDNS), networkPolicy("default-deny", denyAll))
	a = s.dev(t, "", "delete", "--raw", "/apis/networking.k8s.io/v1/namespaces/"+empty+"/networkpolicies")
	if !a.ok {
		t.Errorf("deletecollection where nothing runs was to pass:\n%s", a.text())
	}
	s.wantNoPolicy(t, empty, "allow-dns")
	s.wantNoPolicy(t, empty, "default-deny")
}

// testNamespaceDeletion deletes a namespace with all that is in it, among that what nobody may delete on its own.
func (s *suite) testNamespaceDeletion(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("allow-dns", allowDNS), networkPolicy("default-deny", denyAll))
	for _, name := range []string{"allow-dns", "default-deny"} {
		wantDenied(t, "the deletion of "+name, s.dev(t, "", "delete", "networkpolicy", name, "-n", namespace), "networkpolicies", "")
	}
	wantPassed(t, "the deletion of the namespace", s.dev(t, "", "delete", "namespace", namespace, "--timeout=60s"))
	if _, err := s.clients.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
}

// testGarbageCollection deletes the owner of a policy: the garbage collector gets through where people do not.
func (s *suite) testGarbageCollection(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("allow-dns", allowDNS), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owner}\n")
	owner, err := s.clients.CoreV1().ConfigMaps(namespace).Get(t.Context(), "owner", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owned := fmt.Sprintf("name: default-deny, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: %s}]", owner.UID)
	s.given(t, namespace, strings.Replace(networkPolicy("default-deny", denyAll), "name: default-deny", owned, 1))
	wantDenied(t, "deletion by a person", s.dev(t, "", "delete", "networkpolicy", "default-deny", "-n", namespace), "networkpolicies", "isolation-lost: ")
	wantPassed(t, "deletion of the owner", s.dev(t, "", "delete", "configmap", "owner", "-n", namespace))
	eventually(t, "the policy to be collected", func(ctx context.Context) error {
		_, err := s.clients.NetworkingV1().NetworkPolicies(namespace).Get(ctx, "default-deny", metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return fmt.Errorf("it is still there")
		}
		return err
	})
}
