package certmanager

import (
	"fmt"
	"strings"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// overdueAfter is how long after its renewal time a certificate may be renewed without anybody being told.
const overdueAfter = 10 * time.Minute

// report is what was read of one Certificate: each object, or why it could not be read.
type report struct {
	namespace, name string

	certificate    *certmanagerv1.Certificate
	certificateErr error
	// request is the CertificateRequest of the issuance under way; nil where there is none.
	request    *certmanagerv1.CertificateRequest
	requestErr error
	// issuer is nil where it could not be read, and where it is of a group that is not cert-manager's own.
	issuer    certmanagerv1.GenericIssuer
	issuerErr error
}

// problem says in cert-manager's words why there is no certificate, or will be no next one; "" where all is well.
func (r *report) problem(now time.Time) string {
	if r.certificateErr != nil {
		return r.certificateErr.Error()
	}
	parts := r.certificateProblems(now)
	issuer := r.issuerProblem()
	if len(parts) == 0 && issuer == "" {
		return ""
	}
	if len(parts) > 0 {
		parts = append(parts, r.requestProblem())
	}
	var said []string
	for _, part := range append(parts, issuer) {
		if part != "" {
			said = append(said, part)
		}
	}
	return strings.Join(said, "; ")
}

// certificateProblems tells what the Certificate says about itself. Of a failed renewal its condition Ready says nothing as
// long as the certificate is valid: the failure is in the condition Issuing and in lastFailureTime.
func (r *report) certificateProblems(now time.Time) []string {
	what := fmt.Sprintf("Certificate %s/%s", r.namespace, r.name)
	status := &r.certificate.Status
	var ready, issuing *certmanagerv1.CertificateCondition
	for i := range status.Conditions {
		switch c := &status.Conditions[i]; c.Type {
		case certmanagerv1.CertificateConditionReady:
			ready = c
		case certmanagerv1.CertificateConditionIssuing:
			issuing = c
		}
	}
	if ready == nil && issuing == nil {
		return []string{what + " has no condition yet: cert-manager's controller has not seen it, or does not run"}
	}
	var out []string
	if ready == nil {
		out = append(out, what+" has no condition Ready yet")
	} else if ready.Status != cmmeta.ConditionTrue {
		out = append(out, what+" is not Ready"+words(ready.Reason, ready.Message))
	}
	switch {
	case issuing != nil && issuing.Status == cmmeta.ConditionTrue && len(out) > 0:
		out[0] += ", and is being issued"
		if ready == nil || ready.Message != issuing.Message {
			out[0] += words(issuing.Reason, issuing.Message)
		}
	case status.LastFailureTime != nil:
		failed := fmt.Sprintf("%s could not be issued at %s", what, written(status.LastFailureTime))
		if len(out) > 0 {
			failed = "it could not be issued at " + written(status.LastFailureTime)
		}
		if issuing != nil {
			failed += words(issuing.Reason, issuing.Message)
		}
		out = append(out, failed)
	case status.RenewalTime != nil && now.After(status.RenewalTime.Add(overdueAfter)):
		out = append(out, fmt.Sprintf("%s was to be renewed at %s", what, written(status.RenewalTime)))
	}
	return out
}

// requestProblem tells what became of the CertificateRequest of the issuance under way. That it was denied or is invalid is
// said rather than that it is not Ready, which follows from it.
func (r *report) requestProblem() string {
	if r.requestErr != nil {
		return r.requestErr.Error()
	}
	if r.request == nil {
		return ""
	}
	what := "CertificateRequest " + r.request.Name
	conditions := map[certmanagerv1.CertificateRequestConditionType]certmanagerv1.CertificateRequestCondition{}
	for _, c := range r.request.Status.Conditions {
		conditions[c.Type] = c
	}
	for _, kind := range []certmanagerv1.CertificateRequestConditionType{
		certmanagerv1.CertificateRequestConditionDenied, certmanagerv1.CertificateRequestConditionInvalidRequest,
	} {
		if c := conditions[kind]; c.Status == cmmeta.ConditionTrue {
			return fmt.Sprintf("%s is %s%s", what, kind, words(c.Reason, c.Message))
		}
	}
	ready, said := conditions[certmanagerv1.CertificateRequestConditionReady]
	switch {
	case said && ready.Status != cmmeta.ConditionTrue:
		return what + " is not Ready" + words(ready.Reason, ready.Message)
	case conditions[certmanagerv1.CertificateRequestConditionApproved].Status != cmmeta.ConditionTrue:
		return what + " is not Approved yet"
	case !said:
		return what + " has no condition Ready yet: nothing signs for its issuer"
	}
	return ""
}

// issuerProblem tells why the issuer cannot sign.
func (r *report) issuerProblem() string {
	if r.issuerErr != nil {
		return r.issuerErr.Error()
	}
	if r.issuer == nil {
		return ""
	}
	what := issuerName(r.certificate.Spec.IssuerRef)
	for _, c := range r.issuer.GetStatus().Conditions {
		if c.Type != certmanagerv1.IssuerConditionReady {
			continue
		}
		if c.Status == cmmeta.ConditionTrue {
			return ""
		}
		return what + " is not Ready" + words(c.Reason, c.Message)
	}
	return what + " has no condition yet: cert-manager's controller has not seen it, or does not run"
}

// issuerName writes a reference as "Issuer internal" or "ClusterIssuer internal"; an empty kind means Issuer.
func issuerName(ref cmmeta.IssuerReference) string {
	if ref.Kind == "" {
		ref.Kind = certmanagerv1.IssuerKind
	}
	return ref.Kind + " " + ref.Name
}

// words writes a condition's reason and message.
func words(reason, message string) string {
	switch {
	case reason == "" && message == "":
		return ""
	case message == "":
		return " (" + reason + ")"
	}
	return fmt.Sprintf(" (%s: %s)", reason, message)
}

func written(t *metav1.Time) string { return t.UTC().Format(time.RFC3339) }
