package webhook

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Path is where reviews are answered.
const Path = "/validate"

// RegistrationOptions say how the API server reaches Bulkhead and what happens when it cannot.
type RegistrationOptions struct {
	// Name of the ValidatingWebhookConfiguration.
	Name string
	// Namespace is Bulkhead's own: nothing in it is sent for review.
	Namespace string
	// Service in Namespace in front of the replicas, or URL of a server outside the cluster. One of them.
	Service, URL string
	// CABundle as PEM; empty where Bulkhead or cert-manager's cainjector fills it in.
	CABundle []byte
	// FailClosed refuses NetworkPolicy changes that Bulkhead cannot answer for. All else always fails open.
	FailClosed bool
}

// CEL conditions keep out of Bulkhead what it would only wave through. Labels can change through an update, through
// pods/status and through a binding that carries some; nodes report status all day without changing any.
const (
	celLabelsChanged = `request.operation != 'UPDATE' || (has(object.metadata.labels) ? object.metadata.labels : {}) != (has(oldObject.metadata.labels) ? oldObject.metadata.labels : {})`
	celHasLabels     = `has(object.metadata.labels) && size(object.metadata.labels) > 0`
	celNoNode        = `!has(request.userInfo.groups) || !('system:nodes' in request.userInfo.groups)`
	// Deletions by the controllers that empty namespaces and collect garbage have to work while Bulkhead is down, too.
	celNoCollector = `request.operation != 'DELETE' || !(request.userInfo.username in [%s])`
	celSpecChanged = `request.operation != 'UPDATE' || object.spec != oldObject.spec`
	// Of a policy's metadata, guardrails read who manages it and what it is documented by.
	celPolicyChanged = celSpecChanged + ` || (has(object.metadata.annotations) ? object.metadata.annotations : {}) != (has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {})` +
		` || (has(object.metadata.labels) ? object.metadata.labels : {}) != (has(oldObject.metadata.labels) ? oldObject.metadata.labels : {})` +
		` || ` + celOwnerAdded
	// With a new owner a policy can be deleted unjudged: by the garbage collector, once the owner is gone.
	celOwnerAdded = `(has(object.metadata.ownerReferences) ? object.metadata.ownerReferences : []).exists(new, !(has(oldObject.metadata.ownerReferences) ? oldObject.metadata.ownerReferences : []).exists(old, ` +
		`old.uid == new.uid && old.name == new.name && old.kind == new.kind && old.apiVersion == new.apiVersion))`
	// The controller that ends a namespace writes to it until it is gone.
	celNotTerminating = `!has(oldObject.metadata.deletionTimestamp)`
)

// Registration makes the ValidatingWebhookConfiguration that sends Bulkhead what it judges, and nothing else.
func Registration(o RegistrationOptions) *admissionregistrationv1.ValidatingWebhookConfiguration {
	closed := admissionregistrationv1.Ignore
	if o.FailClosed {
		closed = admissionregistrationv1.Fail
	}
	open := admissionregistrationv1.Ignore
	tenants := metav1.LabelSelectorRequirement{
		// By the label that the API server itself keeps: a tenant can set any other.
		Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{systemNamespace, o.Namespace},
	}
	notOwn := metav1.LabelSelectorRequirement{
		// Of a Namespace the API server matches the new labels, and of its subresources the old ones: this label has in
		// both the value that the API server gives it.
		Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{o.Namespace},
	}
	system := metav1.LabelSelectorRequirement{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []string{systemNamespace}}
	create, update := admissionregistrationv1.Create, admissionregistrationv1.Update
	written := []admissionregistrationv1.OperationType{create, update}
	all := append(slices.Clip(written), admissionregistrationv1.Delete)
	collecting := condition("no-collector", fmt.Sprintf(celNoCollector, "'"+strings.Join(collectors(), "', '")+"'"))
	specChanged := condition("spec-changed", celSpecChanged)
	policyChanged := condition("policy-changed", celPolicyChanged)
	policies := []admissionregistrationv1.RuleWithOperations{rule(all, "networking.k8s.io", "networkpolicies")}

	entry := func(name string, failure admissionregistrationv1.FailurePolicyType, where metav1.LabelSelectorRequirement,
		rules []admissionregistrationv1.RuleWithOperations, conditions ...admissionregistrationv1.MatchCondition,
	) admissionregistrationv1.ValidatingWebhook {
		none, equivalent, timeout := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Equivalent, int32(5)
		return admissionregistrationv1.ValidatingWebhook{
			Name: name + ".bulkhead.dev", ClientConfig: o.clientConfig(), Rules: rules, FailurePolicy: &failure,
			MatchPolicy: &equivalent, SideEffects: &none, TimeoutSeconds: &timeout, AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{where}}, MatchConditions: conditions,
		}
	}
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: o.Name, Labels: map[string]string{"app.kubernetes.io/name": "bulkhead"}},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{
			entry("networkpolicies", closed, tenants, policies, policyChanged, collecting),
			// Judged but never refused, and never in the way: the cluster's own namespace has to stay repairable.
			entry("system-networkpolicies", open, system, policies, policyChanged, collecting),
			// kube-system included: policies everywhere reach DNS by its labels.
			entry("namespaces", open, notOwn, []admissionregistrationv1.RuleWithOperations{
				clusterWide(rule([]admissionregistrationv1.OperationType{update}, "", "namespaces", "namespaces/status", "namespaces/finalize")),
			}, condition("labels-may-change", celLabelsChanged), condition("not-terminating", celNotTerminating)),
			entry("pods", open, tenants, []admissionregistrationv1.RuleWithOperations{
				rule(written, "", "pods"), rule([]admissionregistrationv1.OperationType{update}, "", "pods/status"),
			}, condition("labels-may-change", celLabelsChanged), condition("no-node-agent", celNoNode)),
			entry("bindings", open, tenants, []admissionregistrationv1.RuleWithOperations{
				rule([]admissionregistrationv1.OperationType{create}, "", "pods/binding", "bindings"),
			}, condition("carries-labels", celHasLabels)),
			entry("templates", open, tenants, []admissionregistrationv1.RuleWithOperations{
				rule(written, "apps", "deployments", "statefulsets", "daemonsets", "replicasets"),
				rule(written, "batch", "jobs", "cronjobs"),
			}, specChanged),
		},
	}
}

func (o RegistrationOptions) clientConfig() admissionregistrationv1.WebhookClientConfig {
	c := admissionregistrationv1.WebhookClientConfig{CABundle: o.CABundle}
	if o.URL != "" {
		url := strings.TrimSuffix(o.URL, "/") + Path
		c.URL = &url
		return c
	}
	path := Path
	c.Service = &admissionregistrationv1.ServiceReference{Namespace: o.Namespace, Name: o.Service, Path: &path}
	return c
}

func rule(operations []admissionregistrationv1.OperationType, group string, resources ...string) admissionregistrationv1.RuleWithOperations {
	namespaced := admissionregistrationv1.NamespacedScope
	return admissionregistrationv1.RuleWithOperations{Operations: operations, Rule: admissionregistrationv1.Rule{
		APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources, Scope: &namespaced,
	}}
}

// clusterWide makes a rule match objects that are in no namespace, which Namespaces count as.
func clusterWide(r admissionregistrationv1.RuleWithOperations) admissionregistrationv1.RuleWithOperations {
	scope := admissionregistrationv1.ClusterScope
	r.Scope = &scope
	return r
}

func condition(name, expression string) admissionregistrationv1.MatchCondition {
	return admissionregistrationv1.MatchCondition{Name: name, Expression: expression}
}
