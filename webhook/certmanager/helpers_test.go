package certmanager

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	certmanagerclient "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/typed/certmanager/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

var testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// api answers as an API server does: by the path of an object, or that there is none, or that it may not be read. Without
// kinds it answers as one on which cert-manager's definitions are not installed.
type api struct {
	mu        sync.Mutex
	objects   map[string]any
	forbidden map[string]bool
	broken    bool
	noKinds   bool
	requests  []string
}

const (
	certificatePath = "namespaces/bulkhead-system/certificates/bulkhead"
	issuerPath      = "namespaces/bulkhead-system/issuers/internal"
)

// newAPI serves objects by their path below the group's version.
func newAPI(t *testing.T, objects map[string]any) (*api, certmanagerclient.CertmanagerV1Interface) {
	t.Helper()
	a := &api{objects: objects, forbidden: map[string]bool{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	client, err := certmanagerclient.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return a, client
}

// change edits what is served.
func (a *api) change(edit func(a *api)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	edit(a)
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r.Method+" "+r.URL.Path)
	path, served := strings.CutPrefix(r.URL.Path, "/apis/cert-manager.io/v1/")
	if a.noKinds || !served {
		http.NotFound(w, r)
		return
	}
	parts := strings.Split(path, "/")
	resource, name := schema.GroupResource{Group: "cert-manager.io", Resource: parts[len(parts)-2]}, parts[len(parts)-1]
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if s, failed := body.(metav1.Status); failed {
			s.Kind, s.APIVersion = "Status", "v1"
			body = s
		}
		_ = json.NewEncoder(w).Encode(body)
	}
	switch object, found := a.objects[path]; {
	case a.broken:
		answer(http.StatusInternalServerError, apierrors.NewInternalError(http.ErrAbortHandler).Status())
	case a.forbidden[path]:
		answer(http.StatusForbidden, apierrors.NewForbidden(resource, name, http.ErrNoCookie).Status())
	case found:
		answer(http.StatusOK, object)
	default:
		answer(http.StatusNotFound, apierrors.NewNotFound(resource, name).Status())
	}
}

// certificate makes the Certificate bulkhead-system/bulkhead of the issuer internal.
func certificate(edit func(c *certmanagerv1.Certificate), conditions ...certmanagerv1.CertificateCondition) *certmanagerv1.Certificate {
	c := &certmanagerv1.Certificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bulkhead-system", Name: "bulkhead"},
		Spec:       certmanagerv1.CertificateSpec{IssuerRef: cmmeta.IssuerReference{Name: "internal"}},
		Status:     certmanagerv1.CertificateStatus{Conditions: conditions},
	}
	if edit != nil {
		edit(c)
	}
	return c
}

func condition(kind certmanagerv1.CertificateConditionType, status cmmeta.ConditionStatus, reason, message string) certmanagerv1.CertificateCondition {
	return certmanagerv1.CertificateCondition{Type: kind, Status: status, Reason: reason, Message: message}
}

// issued is a Certificate in whose life nothing goes wrong.
func issued() *certmanagerv1.Certificate {
	return certificate(func(c *certmanagerv1.Certificate) {
		revision, renewal := 3, metav1.NewTime(testStart.Add(time.Hour))
		c.Status.Revision, c.Status.RenewalTime = &revision, &renewal
	}, condition("Ready", cmmeta.ConditionTrue, "Ready", "Certificate is up to date and has not expired"))
}

// issuing is a Certificate that is issued for the first time.
func issuing() *certmanagerv1.Certificate {
	const message = "Issuing certificate as Secret does not exist"
	return certificate(nil, condition("Ready", cmmeta.ConditionFalse, "DoesNotExist", message),
		condition("Issuing", cmmeta.ConditionTrue, "DoesNotExist", message))
}

// request makes a CertificateRequest.
func request(name string, conditions ...certmanagerv1.CertificateRequestCondition) *certmanagerv1.CertificateRequest {
	return &certmanagerv1.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bulkhead-system", Name: name},
		Status:     certmanagerv1.CertificateRequestStatus{Conditions: conditions},
	}
}

func requestCondition(kind certmanagerv1.CertificateRequestConditionType, status cmmeta.ConditionStatus, reason, message string) certmanagerv1.CertificateRequestCondition {
	return certmanagerv1.CertificateRequestCondition{Type: kind, Status: status, Reason: reason, Message: message}
}

func issuerStatus(status cmmeta.ConditionStatus, reason, message string) certmanagerv1.IssuerStatus {
	return certmanagerv1.IssuerStatus{Conditions: []certmanagerv1.IssuerCondition{
		{Type: certmanagerv1.IssuerConditionReady, Status: status, Reason: reason, Message: message},
	}}
}

func readyIssuer() *certmanagerv1.Issuer {
	return &certmanagerv1.Issuer{Status: issuerStatus(cmmeta.ConditionTrue, "KeyPairVerified", "Signing CA verified")}
}
