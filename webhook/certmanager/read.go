package certmanager

import (
	"context"
	"fmt"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	certmanagerclient "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/typed/certmanager/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// read reads the Certificate and what it is waiting for. Nothing is listed or watched.
func read(ctx context.Context, client certmanagerclient.CertmanagerV1Interface, namespace, name string) *report {
	r := &report{namespace: namespace, name: name}
	var err error
	if r.certificate, err = client.Certificates(namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
		r.certificateErr = why(err, "certificates", fmt.Sprintf("Certificate %s/%s", namespace, name), name, namespace)
		return r
	}
	r.readRequest(ctx, client)
	r.readIssuer(ctx, client)
	return r
}

// readRequest reads the CertificateRequest of the issuance under way. cert-manager names it after the Certificate and the
// revision that it is for (its feature StableCertificateRequestName, on by default since v1.13); once that is issued there
// is none of the next revision.
func (r *report) readRequest(ctx context.Context, client certmanagerclient.CertmanagerV1Interface) {
	revision := 1
	if last := r.certificate.Status.Revision; last != nil {
		revision = *last + 1
	}
	name := fmt.Sprintf("%s-%d", r.name, revision)
	request, err := client.CertificateRequests(r.namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		r.request = request
	case !apierrors.IsNotFound(err):
		r.requestErr = why(err, "certificaterequests", "CertificateRequest "+name, "", r.namespace)
	}
}

// readIssuer reads the issuer unless it is another project's.
func (r *report) readIssuer(ctx context.Context, client certmanagerclient.CertmanagerV1Interface) {
	ref := r.certificate.Spec.IssuerRef
	if ref.Group != "" && ref.Group != certmanagerv1.SchemeGroupVersion.Group {
		return
	}
	if ref.Kind == certmanagerv1.ClusterIssuerKind {
		issuer, err := client.ClusterIssuers().Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			r.issuerErr = why(err, "clusterissuers", issuerName(ref), ref.Name, "")
			return
		}
		r.issuer = issuer
		return
	}
	issuer, err := client.Issuers(r.namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		r.issuerErr = why(err, "issuers", issuerName(ref)+" of the namespace "+r.namespace, ref.Name, r.namespace)
		return
	}
	r.issuer = issuer
}

// why puts the error of a read into words. That an API server knows no such kind is a 404 like that of a missing object; it
// comes without the API's own status, though, from which client-go makes one with a cause that says so.
func why(err error, resource, what, name, namespace string) error {
	switch {
	case apierrors.IsNotFound(err) && apierrors.IsUnexpectedServerError(err):
		return fmt.Errorf("cert-manager is not installed: the API server has no %s.%s", resource, certmanagerv1.SchemeGroupVersion.Group)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s not found", what)
	case apierrors.IsForbidden(err):
		right := fmt.Sprintf("get %s.%s", resource, certmanagerv1.SchemeGroupVersion.Group)
		if name != "" {
			right += " " + name
		}
		if namespace != "" {
			right += " in namespace " + namespace
		}
		return fmt.Errorf("%s cannot be read: this identity lacks a right; grant it with RBAC: %s", what, right)
	}
	return fmt.Errorf("%s cannot be read: %w", what, err)
}
