package e2e

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// leavesPolicy is what every way to change the label tier of a pod is told.
const leavesPolicy = "label-drops-policy: 1 live pod would drop out of 1 policy"

// backend is a policy that the label tier=be leaves.
const backend = "podSelector: {matchLabels: {tier: backend}}, policyTypes: [Ingress], ingress: [{ports: [{port: 8080}]}]"

// newTier is the patch that changes the label.
const newTier = `{"metadata":{"labels":{"tier":"be"}}}`

func (s *suite) tierOf(t *testing.T, namespace, name string) string {
	t.Helper()
	p, err := s.clients.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Labels["tier"]
}

// testPodStatus changes a pod's label with kubectl label, and through the status, which carries labels too.
func (s *suite) testPodStatus(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api, tier: backend"), networkPolicy("backend", backend),
		networkPolicy("isolated", "podSelector: {}, policyTypes: [Ingress]"))
	name := s.firstPod(t, namespace, "app=api")
	for what, args := range map[string][]string{
		"kubectl label":             {"label", "pod", name, "-n", namespace, "tier=be", "--overwrite"},
		"kubectl patch":             {"patch", "pod", name, "-n", namespace, "--type=merge", "-p", newTier},
		"kubectl patch of the spec": {"patch", "pod", name, "-n", namespace, "--type=strategic", "-p", newTier},
		"pods/status":               {"patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", newTier},
	} {
		wantDenied(t, what, s.dev(t, "", args...), "pods", leavesPolicy)
	}
	if tier := s.tierOf(t, namespace, name); tier != "backend" {
		t.Errorf("the label became %q", tier)
	}
	wantPassed(t, "a status without another label", s.dev(t, "", "patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge",
		"-p", `{"status":{"conditions":[{"type":"bulkhead.dev/e2e","status":"True"}]}}`))
	wantPassed(t, "an annotation", s.dev(t, "", "annotate", "pod", name, "-n", namespace, "team=a"))
}

// testBindings changes a label while a pod is bound to its node: a binding's labels are copied to the pod.
func (s *suite) testBindings(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, pod("name: job, labels: {app: job, tier: backend}", "schedulerName: "+noScheduler+","),
		networkPolicy("backend", backend), networkPolicy("isolated", "podSelector: {}, policyTypes: [Ingress]"))
	nodes, err := s.clients.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) == 0 {
		t.Fatalf("the nodes: %v", err)
	}
	binding := func(labels string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":"job","namespace":%q,"labels":{%s}},"target":{"kind":"Node","name":%q}}`,
			namespace, labels, nodes.Items[0].Name)
	}
	door := "/api/v1/namespaces/" + namespace
	for _, path := range []string{door + "/pods/job/binding", door + "/bindings"} {
		a := s.dev(t, binding(`"tier":"be"`), "create", "--raw", path, "-f", "-")
		wantDenied(t, path, a, "bindings", leavesPolicy)
	}
	if tier := s.tierOf(t, namespace, "job"); tier != "backend" {
		t.Errorf("the label became %q", tier)
	}
	if a := s.dev(t, binding(`"team":"a"`), "create", "--raw", door+"/pods/job/binding", "-f", "-"); !a.ok {
		t.Errorf("a binding with another label was to pass:\n%s", a.text())
	}
	s.testForeignBinding(t, nodes.Items[0].Name)
}

// testForeignBinding sets a label while a pod is bound that only a policy of another namespace selects on.
func (s *suite) testForeignBinding(t *testing.T, node string) {
	t.Helper()
	namespace, other := s.newNamespace(t), s.newNamespace(t)
	s.given(t, other, deployment("db", 1, "app: db"), networkPolicy("clients", "podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], "+
		"ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {db-client: allowed}}}], ports: [{port: 5432}]}]"))
	s.given(t, namespace, pod("name: job, labels: {app: job}", "schedulerName: "+noScheduler+","))
	binding := fmt.Sprintf(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":"job","namespace":%q,"labels":{"db-client":"allowed"}},"target":{"kind":"Node","name":%q}}`, namespace, node)
	if a := s.dev(t, binding, "create", "--raw", "/api/v1/namespaces/"+namespace+"/pods/job/binding", "-f", "-"); !a.ok {
		t.Errorf("a binding that only gains access was to pass:\n%s", a.text())
	}
	for _, d := range s.allDecisions(t, namespace) {
		if d.Subresource == "binding" && strings.Contains(d.Violations, "opens 1 connection of app=job with 1 other namespace") {
			return
		}
	}
	t.Errorf("a binding that lets the pod in elsewhere was not judged: %+v", s.allDecisions(t, namespace))
}

// testHarmless goes through subresources that change nothing that a guardrail reads.
func (s *suite) testHarmless(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api, tier: backend"), networkPolicy("default-deny", denyAll))
	name := s.firstPod(t, namespace, "app=api")
	p, err := s.clients.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: image, TerminationMessagePolicy: corev1.TerminationMessageReadFile},
	})
	if _, err := s.clients.CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), name, p, metav1.UpdateOptions{}); err != nil {
		t.Errorf("pods/ephemeralcontainers: %v", err)
	}
	eviction := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`, name, namespace)
	if a := s.dev(t, eviction, "create", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+name+"/eviction", "-f", "-"); !a.ok {
		t.Errorf("pods/eviction was to pass:\n%s", a.text())
	}
	wantPassed(t, "the deletion of a pod", s.dev(t, "", "delete", "pod", "-n", namespace, "-l", "app=api", "--wait=false"))
}

// testNodeAgent has a kubelet do its work where a guardrail would object to anybody else.
func (s *suite) testNodeAgent(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api, tier: backend"), networkPolicy("backend", backend),
		networkPolicy("isolated", "podSelector: {}, policyTypes: [Ingress]"))
	name := s.firstPod(t, namespace, "app=api")
	p, err := s.clients.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Not with kubectl, which reads pods/status before it patches; kubelets may not.
	acting := rest.CopyConfig(s.admin)
	acting.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + p.Spec.NodeName, Groups: []string{"system:nodes"}}
	kubelet, err := kubernetes.NewForConfig(acting)
	if err != nil {
		t.Fatal(err)
	}
	patch := func(body string) error {
		_, err := kubelet.CoreV1().Pods(namespace).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}, "status")
		return err
	}
	if err := patch(`{"status":{"conditions":[{"type":"bulkhead.dev/e2e","status":"True"}]}}`); err != nil {
		t.Errorf("status by the kubelet: %v", err)
	}
	// Whether a node may change labels is for the API server's NodeRestriction to say; Bulkhead stays out of it.
	if err := patch(newTier); err != nil && strings.Contains(err.Error(), "bulkhead.dev") {
		t.Errorf("Bulkhead judged a kubelet: %v", err)
	}
	agent := []string{"--as", "bulkhead-e2e-agent", "--as-group", "system:nodes", "--as-group", masters}
	wantPassed(t, "a label by an agent of the node", s.kubectlAs(t, agent, "", "patch", "pod", name, "-n", namespace, "--type=merge", "-p", newTier))
}
