package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// review is one AdmissionReview as the API server sends it.
type review struct {
	kind string // of request, for the table
	body []byte
}

// The kinds of review, and how often each comes in a hundred. What the webhook's matchConditions keep out is not among
// them: Bulkhead never sees it.
const (
	policyCreate   = "NetworkPolicy CREATE"
	policyUpdate   = "NetworkPolicy UPDATE"
	policyDelete   = "NetworkPolicy DELETE"
	podCreate      = "Pod CREATE by a ReplicaSet"
	podRelabel     = "Pod UPDATE of labels"
	templateCreate = "Deployment CREATE"
	templateUpdate = "Deployment UPDATE"

	reviewsInAll = 4000
)

var mix = []struct {
	kind  string
	share int
}{
	{policyCreate, 20}, {policyUpdate, 15}, {policyDelete, 5}, {podCreate, 25}, {podRelabel, 10}, {templateCreate, 10}, {templateUpdate, 15},
}

// makeReviews makes the mix of reviews, of as many namespaces as there are, in an order that the seed fixes.
func makeReviews(scaled *policytest.Scaled, seed uint64) ([]review, error) {
	rng := rand.New(rand.NewPCG(seed, 7))
	var out []review
	for len(out) < reviewsInAll {
		for _, m := range mix {
			for range m.share {
				r, err := makeReview(scaled, m.kind, scaled.Tenant(rng.IntN(scaled.Tenants())), len(out), rng)
				if err != nil {
					return nil, err
				}
				out = append(out, r)
			}
		}
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out, nil
}

func makeReview(scaled *policytest.Scaled, kind string, tenant, i int, rng *rand.Rand) (review, error) {
	switch kind {
	case policyCreate, policyUpdate, policyDelete:
		old, new := policyPair(scaled, kind, tenant, i)
		return admissionReview(kind, "networking.k8s.io", "networkpolicies", i, old, new)
	case podCreate, podRelabel:
		pods := slices.DeleteFunc(scaled.Pods(tenant), func(p *corev1.Pod) bool { return p.OwnerReferences[0].Kind != "ReplicaSet" })
		p := pods[rng.IntN(len(pods))]
		fillPod(p, i)
		if kind == podCreate {
			p.Name = p.GenerateName + fmt.Sprintf("%05x", rng.IntN(1<<20))
			p.Status.ContainerStatuses, p.Status.Conditions, p.Spec.NodeName, p.ManagedFields = nil, nil, "", p.ManagedFields[:1]
			return admissionReview(kind, "", "pods", i, nil, p)
		}
		edited := p.DeepCopy()
		edited.Labels["debug.example.com/by"] = fmt.Sprintf("user-%d", i%40)
		return admissionReview(kind, "", "pods", i, p, edited)
	}
	var d *appsv1.Deployment
	for _, obj := range scaled.Templates(tenant) {
		if x, ok := obj.(*appsv1.Deployment); ok && (d == nil || rng.IntN(3) == 0) {
			d = x
		}
	}
	if d == nil {
		return review{}, fmt.Errorf("%s has no Deployment", scaled.Namespace(tenant).Name)
	}
	fillDeployment(d)
	if kind == templateCreate {
		d.Name += "-next"
		return admissionReview(kind, "apps", "deployments", i, nil, d)
	}
	edited := d.DeepCopy()
	edited.Spec.Template.Spec.Containers[0].Image += fmt.Sprintf("-%d", i)
	return admissionReview(kind, "apps", "deployments", i, d, edited)
}

// policyPair makes a policy change. Nothing that a cluster's policies allow today is lost by it.
func policyPair(scaled *policytest.Scaled, kind string, tenant, i int) (old, new runtime.Object) {
	own := scaled.Policies(tenant)
	add := func(np *networkingv1.NetworkPolicy) {
		np.Spec.Ingress = append(np.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{
			From: []networkingv1.NetworkPolicyPeer{{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprintf("team-%03d", i%(max(scaled.Namespaces()/5, 1)))}},
				PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "api"}},
			}},
			Ports: []networkingv1.NetworkPolicyPort{{Port: ptr(intstr.FromInt32(8080))}},
		})
	}
	// The fourth of a tenant's policies opens its services to others, the third its pods to each other.
	opens := own[min(3, len(own)-1)].DeepCopy()
	fillPolicy(opens)
	switch kind {
	case policyCreate:
		opens.Name = fmt.Sprintf("allow-client-%d", i)
		opens.Spec.Ingress = nil
		add(opens)
		return nil, opens
	case policyUpdate:
		edited := opens.DeepCopy()
		edited.Generation++
		add(edited)
		return opens, edited
	}
	return opens, nil
}

func ptr[T any](v T) *T { return &v }

// admissionReview puts objects into a review as the API server does. Policy changes are dry runs, because nothing here
// stores them: a replica remembers for some seconds what it has allowed and looks twice at the namespace meanwhile, which
// no cluster sees at this rate.
func admissionReview(kind, group, resource string, i int, old, new runtime.Object) (review, error) {
	r := &admissionv1.AdmissionRequest{
		UID: uid("review", fmt.Sprint(i)), UserInfo: authenticationv1.UserInfo{
			Username: fmt.Sprintf("dev-%d@example.com", i%50), Groups: []string{"team-017", "developers", "system:authenticated"},
			Extra: map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=" + string(uid("credential", fmt.Sprint(i)))}},
		},
	}
	if kind == podCreate {
		r.UserInfo = authenticationv1.UserInfo{ // who else says that a ReplicaSet made a pod is not believed
			Username: "system:serviceaccount:kube-system:replicaset-controller",
			Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
		}
	}
	var options runtime.Object
	switch {
	case old == nil:
		r.Operation = admissionv1.Create
		options = &metav1.CreateOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "CreateOptions"}, FieldManager: "kubectl-client-side-apply", FieldValidation: "Strict"}
	case new == nil:
		r.Operation = admissionv1.Delete
		options = &metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "DeleteOptions"}, PropagationPolicy: ptr(metav1.DeletePropagationBackground)}
	default:
		r.Operation = admissionv1.Update
		options = &metav1.UpdateOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "UpdateOptions"}, FieldManager: "kubectl-client-side-apply", FieldValidation: "Strict"}
	}
	object := new
	if object == nil {
		object = old
	}
	gvk := object.GetObjectKind().GroupVersionKind()
	r.Kind = metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
	r.Resource = metav1.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
	r.RequestKind, r.RequestResource = &r.Kind, &r.Resource
	meta := object.(metav1.Object)
	r.Name, r.Namespace = meta.GetName(), meta.GetNamespace()
	r.DryRun = ptr(resource == "networkpolicies")
	for _, x := range []struct {
		to   *runtime.RawExtension
		from runtime.Object
	}{{&r.Object, new}, {&r.OldObject, old}, {&r.Options, options}} {
		if x.from == nil {
			continue
		}
		var err error
		if x.to.Raw, err = json.Marshal(x.from); err != nil {
			return review{}, err
		}
	}
	body, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: r,
	})
	return review{kind: kind, body: body}, err
}
