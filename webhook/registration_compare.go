package webhook

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RegistrationProblem is one way in which the registration sends Bulkhead less than it judges.
type RegistrationProblem struct {
	// Webhook is the name of the entry, such as "networkpolicies.bulkhead.dev".
	Webhook string
	// Detail says what is wrong.
	Detail string
}

func (p RegistrationProblem) String() string { return p.Webhook + ": " + p.Detail }

// CompareRegistration tells in what got, nil where it is gone, falls short of want. What lets more through to Bulkhead is no
// problem, and neither are webhooks that want has not. What happens when Bulkhead does not answer is the operator's choice.
func CompareRegistration(want, got *admissionregistrationv1.ValidatingWebhookConfiguration) []RegistrationProblem {
	var out []RegistrationProblem
	for i := range want.Webhooks {
		w := &want.Webhooks[i]
		at := -1
		if got != nil {
			at = slices.IndexFunc(got.Webhooks, func(h admissionregistrationv1.ValidatingWebhook) bool { return h.Name == w.Name })
		}
		if at < 0 {
			out = append(out, RegistrationProblem{w.Name, "it is missing"})
			continue
		}
		for _, detail := range narrower(w, &got.Webhooks[at]) {
			out = append(out, RegistrationProblem{w.Name, detail})
		}
	}
	return out
}

// narrower tells what got leaves out of what want asks for.
func narrower(want, got *admissionregistrationv1.ValidatingWebhook) []string {
	var out []string
	for _, missing := range uncovered(want.Rules, got.Rules) {
		out = append(out, "rules lack "+missing)
	}
	for _, c := range got.MatchConditions {
		if !slices.ContainsFunc(want.MatchConditions, func(w admissionregistrationv1.MatchCondition) bool {
			return strings.TrimSpace(w.Expression) == strings.TrimSpace(c.Expression)
		}) {
			out = append(out, fmt.Sprintf("matchConditions have %q, or an expression in it, that is not this version's", c.Name))
		}
	}
	if beyond(want.NamespaceSelector, got.NamespaceSelector) {
		out = append(out, "namespaceSelector leaves out more namespaces")
	}
	if beyond(want.ObjectSelector, got.ObjectSelector) {
		out = append(out, "objectSelector leaves out objects")
	}
	if got.MatchPolicy != nil && *got.MatchPolicy != *want.MatchPolicy {
		out = append(out, fmt.Sprintf("matchPolicy is %s, not %s", *got.MatchPolicy, *want.MatchPolicy))
	}
	if got.TimeoutSeconds != nil && *got.TimeoutSeconds < *want.TimeoutSeconds {
		out = append(out, fmt.Sprintf("timeoutSeconds is %d, not %d", *got.TimeoutSeconds, *want.TimeoutSeconds))
	}
	if !slices.Contains(got.AdmissionReviewVersions, "v1") {
		out = append(out, fmt.Sprintf("admissionReviewVersions are %q and lack v1, the only one that is answered", got.AdmissionReviewVersions))
	}
	if p := pathOf(&got.ClientConfig); p != Path {
		out = append(out, fmt.Sprintf("clientConfig has the path %q, not %q", p, Path))
	}
	return out
}

// uncovered names what no rule of got asks for, as "UPDATE pods/status".
func uncovered(want, got []admissionregistrationv1.RuleWithOperations) []string {
	var out []string
	for i := range want {
		w := &want[i]
		for _, resource := range w.Resources {
			for _, operation := range w.Operations {
				if !slices.ContainsFunc(got, func(r admissionregistrationv1.RuleWithOperations) bool {
					return hasOr(r.Operations, operation, admissionregistrationv1.OperationAll) && hasOr(r.APIGroups, w.APIGroups[0], "*") &&
						hasOr(r.APIVersions, w.APIVersions[0], "*") && ruleHas(r.Resources, resource) &&
						(r.Scope == nil || *r.Scope == admissionregistrationv1.AllScopes || *r.Scope == *w.Scope)
				}) {
					out = append(out, string(operation)+" "+resource)
				}
			}
		}
	}
	return out
}

func hasOr[T comparable](list []T, wanted, all T) bool {
	return slices.Contains(list, wanted) || slices.Contains(list, all)
}

// ruleHas reports whether a rule's resources have one, such as "pods/status": "*" is all resources, "*/*" their subresources too,
// "pods/*" and "*/status" some of these. Source: admissionregistration/v1, Rule.resources.
func ruleHas(resources []string, resource string) bool {
	name, sub, isSub := strings.Cut(resource, "/")
	if slices.Contains(resources, resource) || slices.Contains(resources, "*/*") {
		return true
	}
	if !isSub {
		return slices.Contains(resources, "*")
	}
	return slices.Contains(resources, name+"/*") || slices.Contains(resources, "*/"+sub)
}

// beyond reports whether got demands something of labels that want does not.
func beyond(want, got *metav1.LabelSelector) bool {
	if got == nil {
		return false
	}
	if len(got.MatchLabels) > 0 {
		return true // no webhook of Bulkhead's has any
	}
	return slices.ContainsFunc(got.MatchExpressions, func(g metav1.LabelSelectorRequirement) bool {
		return want == nil || !slices.ContainsFunc(want.MatchExpressions, func(w metav1.LabelSelectorRequirement) bool {
			if g.Key != w.Key || g.Operator != w.Operator {
				return false
			}
			if g.Operator == metav1.LabelSelectorOpIn {
				g, w = w, g // to select from more values is to demand less
			}
			return !slices.ContainsFunc(g.Values, func(v string) bool { return !slices.Contains(w.Values, v) })
		})
	})
}

func pathOf(c *admissionregistrationv1.WebhookClientConfig) string {
	if c.Service != nil {
		if c.Service.Path == nil {
			return "/"
		}
		return *c.Service.Path
	}
	if c.URL == nil {
		return ""
	}
	u, err := url.Parse(*c.URL)
	if err != nil {
		return ""
	}
	return u.Path
}

// hostOf gives the name for which the API server demands a certificate.
func hostOf(c *admissionregistrationv1.WebhookClientConfig) string {
	if c.Service != nil {
		return c.Service.Name + "." + c.Service.Namespace + ".svc"
	}
	if c.URL == nil {
		return ""
	}
	u, err := url.Parse(*c.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// CompareTrust tells which webhooks of got the API server would not take the serving certificate for: because they name another
// server, or because their caBundle does not trust it. Where it is empty, the roots of the API server's machine decide.
func CompareTrust(want, got *admissionregistrationv1.ValidatingWebhookConfiguration, serving *tls.Certificate) []RegistrationProblem {
	if got == nil || serving == nil || len(serving.Certificate) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(serving.Certificate[0])
	if err != nil {
		return nil // the readiness check says so
	}
	between := x509.NewCertPool()
	for _, der := range serving.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	var out []RegistrationProblem
	for i := range got.Webhooks {
		h := &got.Webhooks[i]
		if !slices.ContainsFunc(want.Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool { return w.Name == h.Name }) {
			continue
		}
		host := hostOf(&h.ClientConfig)
		if err := leaf.VerifyHostname(host); err != nil {
			out = append(out, RegistrationProblem{h.Name, fmt.Sprintf("clientConfig names %q, for which the serving certificate is not", host)})
			continue
		}
		trusted := x509.NewCertPool()
		if len(bytes.TrimSpace(h.ClientConfig.CABundle)) == 0 {
			out = append(out, RegistrationProblem{h.Name, "caBundle is empty"})
			continue
		}
		trusted.AppendCertsFromPEM(h.ClientConfig.CABundle)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between}); err != nil {
			out = append(out, RegistrationProblem{h.Name, "caBundle does not trust the serving certificate: " + err.Error()})
		}
	}
	return out
}
