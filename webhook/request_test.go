package webhook

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
)

const (
	create  = admissionv1.Create
	update  = admissionv1.Update
	deleted = admissionv1.Delete
	connect = admissionv1.Connect
)

func status(err error) int {
	e := &httpError{}
	if errors.As(err, &e) {
		return e.status
	}
	return 0
}

// judgedAs says in a few words what decodeRequest made of a request.
func judgedAs(r *reviewed) string {
	switch {
	case r.skip != "":
		return "skip " + r.skip
	case r.policyChange():
		return "policy " + sides(r.oldPolicy != nil, r.newPolicy != nil)
	case r.newNamespace != nil:
		return "namespace " + sides(r.oldNamespace != nil, true)
	case r.binding != nil:
		return "binding"
	case r.newPod != nil:
		return "pod " + sides(r.oldPod != nil, true)
	case r.newTemplate != nil:
		return r.kind + " " + sides(r.oldTemplate != nil, true)
	}
	return "nothing"
}

func sides(old, new bool) string {
	out := ""
	if old {
		out += "old"
	}
	if new {
		out += "new"
	}
	return out
}

func annotated(key, value string) func(np *networkingv1.NetworkPolicy) {
	return func(np *networkingv1.NetworkPolicy) { np.Annotations = map[string]string{key: value} }
}

func TestDecodePoliciesAndPods(t *testing.T) {
	going := metav1.Now()
	api, web := map[string]string{"app": "api"}, map[string]string{"app": "web"}
	ingressToo := func(np *networkingv1.NetworkPolicy) {
		np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
	}
	terminating := func(np *networkingv1.NetworkPolicy) { np.DeletionTimestamp = &going }
	unfinalized := func(np *networkingv1.NetworkPolicy) { np.DeletionTimestamp, np.Finalizers = &going, nil }
	finalized := func(np *networkingv1.NetworkPolicy) { np.Finalizers = []string{"example.com/hold"} }
	phase := func(phase corev1.PodPhase) func(p *corev1.Pod) { return func(p *corev1.Pod) { p.Status.Phase = phase } }
	made := func(apiVersion, kind string) func(p *corev1.Pod) {
		return func(p *corev1.Pod) { controlledBy(apiVersion, kind)(&p.ObjectMeta) }
	}
	bind := func(labels map[string]string) *corev1.Binding {
		return &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}}
	}
	const policies, policyGroup, policyKind = "networkpolicies", "networking.k8s.io", "NetworkPolicy"

	for _, tt := range []struct {
		name                               string
		operation                          admissionv1.Operation
		group, resource, subresource, kind string
		old, new                           any
		want                               string // what it is judged as, or the HTTP status
	}{
		{"policy create", create, policyGroup, policies, "", policyKind, nil, policyOf("a"), "policy new"},
		{"policy update", update, policyGroup, policies, "", policyKind, policyOf("a"), policyOf("a", ingressToo), "policy oldnew"},
		{"policy delete", deleted, policyGroup, policies, "", policyKind, policyOf("a"), nil, "policy old"},
		{"policy delete with an object that is null", deleted, policyGroup, policies, "", policyKind, policyOf("a"), "null", "policy old"},
		{"same spec, other labels", update, policyGroup, policies, "", policyKind, policyOf("a"), policyOf("a", func(np *networkingv1.NetworkPolicy) { np.Labels = web }), "skip unchanged"},
		{"empty and absent rules are the same", update, policyGroup, policies, "", policyKind, policyOf("a"), policyOf("a", func(np *networkingv1.NetworkPolicy) { np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{} }), "skip unchanged"},
		{"annotation put on", update, policyGroup, policies, "", policyKind, policyOf("a"), policyOf("a", annotated("owner", "red")), "skip unchanged"},
		{"annotation taken away", update, policyGroup, policies, "", policyKind, policyOf("a", annotated("owner", "red")), policyOf("a"), "policy oldnew"},
		{"annotation emptied", update, policyGroup, policies, "", policyKind, policyOf("a", annotated("owner", "red")), policyOf("a", annotated("owner", "")), "policy oldnew"},
		{"what kubectl notes taken away", update, policyGroup, policies, "", policyKind, policyOf("a", annotated(corev1.LastAppliedConfigAnnotation, "{}")), policyOf("a"), "skip unchanged"},
		{"manager changed", update, policyGroup, policies, "", policyKind, policyOf("a", annotated(policy.ManagedByKey, "red")), policyOf("a", annotated(policy.ManagedByKey, "blue")), "policy oldnew"},
		{"manager's label taken away", update, policyGroup, policies, "", policyKind, policyOf("a", func(np *networkingv1.NetworkPolicy) { np.Labels = map[string]string{policy.ManagedByKey: "red"} }), policyOf("a"), "policy oldnew"},
		{"finalizer put on", update, policyGroup, policies, "", policyKind, policyOf("a"), policyOf("a", finalized), "skip unchanged"},
		{"last finalizer taken away", update, policyGroup, policies, "", policyKind, policyOf("a", finalized, terminating), policyOf("a", unfinalized), "skip unchanged"},
		{"a policy that is going is in force until it is gone", update, policyGroup, policies, "", policyKind, policyOf("a", terminating), policyOf("a", terminating, ingressToo), "policy oldnew"},
		{"deleted a second time", deleted, policyGroup, policies, "", policyKind, policyOf("a", terminating), nil, "skip deletion"},
		{"policy status", update, policyGroup, policies, "status", policyKind, policyOf("a"), policyOf("a"), "skip subresource"},
		{"policy, unknown subresource", update, policyGroup, policies, "scale", "Scale", policyOf("a"), policyOf("a"), "500"},
		{"policy create without object", create, policyGroup, policies, "", policyKind, nil, nil, "500"},
		{"policy create with null", create, policyGroup, policies, "", policyKind, nil, " null ", "500"},
		{"policy update without oldObject", update, policyGroup, policies, "", policyKind, nil, policyOf("a"), "500"},
		{"policy update with oldObject null", update, policyGroup, policies, "", policyKind, "null", policyOf("a"), "500"},
		{"policy update without object", update, policyGroup, policies, "", policyKind, policyOf("a"), nil, "500"},
		{"policy delete without oldObject", deleted, policyGroup, policies, "", policyKind, nil, nil, "500"},
		{"policy that is a string", create, policyGroup, policies, "", policyKind, nil, `"x"`, "400"},
		{"policy that is a list", create, policyGroup, policies, "", policyKind, nil, `[]`, "400"},
		{"policy that is a number", create, policyGroup, policies, "", policyKind, nil, `7`, "400"},
		{"policy with a spec of another type", create, policyGroup, policies, "", policyKind, nil, `{"spec":[]}`, "400"},
		{"policy with a label that is a number", create, policyGroup, policies, "", policyKind, nil, `{"spec":{"podSelector":{"matchLabels":{"a":1}}}}`, "400"},
		{"policy cut short", create, policyGroup, policies, "", policyKind, nil, `{"spec":{`, "400"},
		{"policy with something behind it", create, policyGroup, policies, "", policyKind, nil, `{"spec":{}} {}`, "400"},
		{"policy of another kind", create, policyGroup, policies, "", "Pod", nil, policyOf("a"), "500"},
		{"policy without kind", create, policyGroup, policies, "", "", nil, policyOf("a"), "500"},
		{"policy connect", connect, policyGroup, policies, "", policyKind, nil, policyOf("a"), "500"},
		{"no operation", "", policyGroup, policies, "", policyKind, nil, policyOf("a"), "500"},
		{"operation in small letters", "create", policyGroup, policies, "", policyKind, nil, policyOf("a"), "500"},
		{"policies of another group", create, "extensions", policies, "", policyKind, nil, policyOf("a"), "500"},
		{"policies without group", create, "", policies, "", policyKind, nil, policyOf("a"), "500"},
		{"unknown resource", create, "", "secrets", "", "Secret", nil, `{}`, "500"},
		{"nodes", update, "", "nodes", "", "Node", `{}`, `{}`, "500"},
		{"pods of another group", create, "metrics.k8s.io", "pods", "", "PodMetrics", nil, `{}`, "500"},

		{"pod create", create, "", "pods", "", "Pod", nil, podOf("p", api), "pod new"},
		{"pod relabelled", update, "", "pods", "", "Pod", podOf("p", api), podOf("p", web), "pod oldnew"},
		{"pod relabelled by its status", update, "", "pods", "status", "Pod", podOf("p", api), podOf("p", web), "pod oldnew"},
		{"pod status", update, "", "pods", "status", "Pod", podOf("p", api), podOf("p", api, phase(corev1.PodPending)), "skip unchanged"},
		{"pod with labels null and empty", update, "", "pods", "", "Pod", podOf("p", nil), podOf("p", map[string]string{}), "skip unchanged"},
		{"pod finished", update, "", "pods", "status", "Pod", podOf("p", api), podOf("p", web, phase(corev1.PodSucceeded)), "skip deletion"},
		{"pod going", update, "", "pods", "", "Pod", podOf("p", api), podOf("p", web, func(p *corev1.Pod) { p.DeletionTimestamp = &going }), "skip deletion"},
		{"pod delete", deleted, "", "pods", "", "Pod", podOf("p", api), nil, "skip deletion"},
		{"pod of a ReplicationController, whose template nobody judged", create, "", "pods", "", "Pod", nil, podOf("p", api, made("v1", "ReplicationController")), "pod new"},
		{"pod of another group's Job", create, "", "pods", "", "Pod", nil, podOf("p", api, made("batch.volcano.sh/v1alpha1", "Job")), "pod new"},
		{"relabelled pod of a ReplicaSet", update, "", "pods", "", "Pod", podOf("p", api, made("apps/v1", "ReplicaSet")), podOf("p", web, made("apps/v1", "ReplicaSet")), "pod oldnew"},
		{"ephemeral containers", update, "", "pods", "ephemeralcontainers", "Pod", podOf("p", api), podOf("p", api), "skip subresource"},
		{"resize", update, "", "pods", "resize", "Pod", podOf("p", api), podOf("p", api), "skip subresource"},
		{"eviction", create, "", "pods", "eviction", "Eviction", nil, `{}`, "skip subresource"},
		{"unknown pod subresource", update, "", "pods", "labels", "Pod", podOf("p", api), podOf("p", web), "500"},
		{"exec", connect, "", "pods", "exec", "PodExecOptions", nil, `{}`, "500"},
		{"pod create without object", create, "", "pods", "", "Pod", nil, nil, "500"},
		{"pod update without oldObject", update, "", "pods", "", "Pod", nil, podOf("p", api), "500"},
		{"pod status without object", update, "", "pods", "status", "Pod", podOf("p", api), "null", "500"},
		{"pod that is a string", create, "", "pods", "", "Pod", nil, `"x"`, "400"},
		{"old pod that is a string", update, "", "pods", "", "Pod", `"x"`, podOf("p", api), "400"},

		{"binding with labels", create, "", "pods", "binding", "Binding", nil, bind(web), "binding"},
		{"binding without labels", create, "", "pods", "binding", "Binding", nil, bind(nil), "skip unchanged"},
		{"legacy binding with labels", create, "", "bindings", "", "Binding", nil, bind(web), "binding"},
		{"binding updated", update, "", "pods", "binding", "Binding", bind(web), bind(web), "500"},
		{"binding without object", create, "", "pods", "binding", "Binding", nil, nil, "500"},
		{"binding that is a pod", create, "", "pods", "binding", "Pod", nil, podOf("p", web), "500"},
		{"legacy binding, unknown subresource", create, "", "bindings", "status", "Binding", nil, bind(web), "500"},
		{"binding of another type", create, "", "bindings", "", "Binding", nil, `[]`, "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeRequest(admissionRequest(t, tt.operation, tt.group, tt.resource, tt.subresource, tt.kind, tt.old, tt.new))
			checkDecoded(t, got, err, tt.want)
		})
	}
}

func checkDecoded(t *testing.T, got *reviewed, err error, want string) {
	t.Helper()
	switch {
	case err != nil && want == statusText(err):
		if text := err.Error(); strings.ContainsAny(text, "\n\x1b") || !strings.Contains(text, " ") {
			t.Errorf("message %q", text)
		}
	case err != nil:
		t.Errorf("got HTTP %d (%v), want %s", status(err), err, want)
	case judgedAs(got) != want:
		t.Errorf("judged as %q, want %q", judgedAs(got), want)
	}
}

func statusText(err error) string {
	switch status(err) {
	case http.StatusBadRequest:
		return "400"
	case http.StatusInternalServerError:
		return "500"
	}
	return "neither 400 nor 500"
}

func TestDecodeTemplates(t *testing.T) {
	api, web := map[string]string{"app": "api"}, map[string]string{"app": "web"}
	for _, k := range templateKinds() {
		for _, tt := range []struct {
			name        string
			operation   admissionv1.Operation
			subresource string
			old, new    any
			want        string
		}{
			{"create", create, "", nil, k.object(api), k.kind + " new"},
			{"relabelled", update, "", k.object(api), k.object(web), k.kind + " oldnew"},
			{"same template", update, "", k.object(api), k.object(api, func(o *metav1.ObjectMeta) { o.Labels = web }), "skip unchanged"},
			{"made by an operator", create, "", nil, k.object(api, controlledBy("example.com/v1", "Database")), k.kind + " new"},
			{"delete", deleted, "", k.object(api), nil, "skip deletion"},
			{"status", update, "status", k.object(api), k.object(web), "skip subresource"},
			{"scale", update, "scale", `{}`, `{}`, "skip subresource"},
			{"unknown subresource", update, "rollback", k.object(api), k.object(web), "500"},
			{"connect", connect, "", nil, k.object(api), "500"},
			{"create without object", create, "", nil, "null", "500"},
			{"update without oldObject", update, "", nil, k.object(api), "500"},
			{"of another type", create, "", nil, `"x"`, "400"},
			{"with a spec of another type", create, "", nil, `{"spec":"x"}`, "400"},
			{"old one of another type", update, "", `[1]`, k.object(api), "400"},
		} {
			t.Run(k.kind+" "+tt.name, func(t *testing.T) {
				got, err := decodeRequest(admissionRequest(t, tt.operation, k.group, k.resource, tt.subresource, k.kind, tt.old, tt.new))
				checkDecoded(t, got, err, tt.want)
			})
		}
		t.Run(k.kind+" of another version", func(t *testing.T) {
			r := admissionRequest(t, create, k.group, k.resource, "", k.kind, nil, k.object(api))
			r.Resource.Version = "v1beta1"
			got, err := decodeRequest(r)
			checkDecoded(t, got, err, "500")
		})
	}
}

func TestDecodeTakesThePlaceFromTheRequest(t *testing.T) {
	anonymous := func(o *metav1.ObjectMeta) { o.Namespace, o.Name, o.GenerateName = "", "", "thing-" }
	np := policyOf("")
	anonymous(&np.ObjectMeta)
	got, err := decodeRequest(admissionRequest(t, create, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", nil, np))
	if err != nil || got.newPolicy.Namespace != "shop" || got.newPolicy.Name != "thing" {
		t.Errorf("policy: %+v, %v", got, err)
	}
	p := podOf("", map[string]string{"app": "api"})
	anonymous(&p.ObjectMeta)
	r := admissionRequest(t, create, "", "pods", "", "Pod", nil, p)
	r.Name = "" // the API server fills generateName in before validation; were it not to, the pod still has to be judged
	got, err = decodeRequest(r)
	if err != nil || got.newPod.Namespace != "shop" || got.newPod.Name != "" {
		t.Errorf("pod: %+v, %v", got, err)
	}
	for _, k := range templateKinds() {
		got, err := decodeRequest(admissionRequest(t, create, k.group, k.resource, "", k.kind, nil, k.object(nil, anonymous)))
		if err != nil || got.newTemplate.Workload.Namespace != "shop" || got.newTemplate.Workload.Name != "thing" {
			t.Errorf("%s: %+v, %v", k.kind, got, err)
		}
	}
	got, err = decodeRequest(admissionRequest(t, create, "", "bindings", "", "Binding", nil,
		`{"metadata":{"name":"api-1","namespace":"elsewhere","labels":{"a":"b"}}}`))
	if err != nil || got.binding.Name != "api-1" || got.binding.Namespace != "shop" {
		t.Errorf("a legacy binding names its pod itself: %+v, %v", got, err)
	}
}

func TestDecodeNeedsANamespace(t *testing.T) {
	r := admissionRequest(t, create, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", nil, policyOf("a"))
	r.Namespace = ""
	if _, err := decodeRequest(r); status(err) != http.StatusBadRequest {
		t.Errorf("got %v", err)
	}
}

func TestUnparseablePolicyIsNoDecision(t *testing.T) {
	bad := policyOf("a", func(np *networkingv1.NetworkPolicy) {
		np.Spec.PodSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Perhaps"}}
	})
	got, err := decodeRequest(admissionRequest(t, create, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", nil, bad))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.change(shop().Snapshot()); status(err) != http.StatusInternalServerError {
		t.Errorf("got %v", err)
	}
}

func TestMergeLabelsOverwritesAndCopies(t *testing.T) {
	old := podOf("p", map[string]string{"app": "api", "zone": ""})
	got := mergeLabels(old, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"zone": "a"}}})
	if got.Labels["zone"] != "a" || got.Labels["app"] != "api" || old.Labels["zone"] != "" {
		t.Errorf("got %v, old %v", got.Labels, old.Labels)
	}
	if got := mergeLabels(podOf("p", nil), &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"zone": "a"}}}); got.Labels["zone"] != "a" {
		t.Errorf("got %v", got.Labels)
	}
}
