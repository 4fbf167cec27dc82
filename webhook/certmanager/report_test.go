package certmanager

import (
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestProblem: what cert-manager says of each object is told in its words, and nothing where nothing is wrong. Reasons and
// messages are those that cert-manager v1.21.2 writes.
func TestProblem(t *testing.T) {
	const firstRequest, fourthRequest = "namespaces/bulkhead-system/certificaterequests/bulkhead-1", "namespaces/bulkhead-system/certificaterequests/bulkhead-4"
	const waiting = "Certificate bulkhead-system/bulkhead is not Ready (DoesNotExist: Issuing certificate as Secret does not exist)" +
		", and is being issued"
	failedAt := metav1.NewTime(testStart.Add(-time.Minute))
	failed := func(c *certmanagerv1.Certificate) { c.Status.LastFailureTime = &failedAt }
	ofClusterIssuer := func(c *certmanagerv1.Certificate) {
		c.Spec.IssuerRef = cmmeta.IssuerReference{Group: "cert-manager.io", Kind: "ClusterIssuer", Name: "corporate"}
	}
	renewing := func(message string) *certmanagerv1.Certificate {
		c := issued()
		c.Status.Conditions = append(c.Status.Conditions, condition("Issuing", cmmeta.ConditionTrue, "Renewing", message))
		return c
	}
	due := func(c *certmanagerv1.Certificate, ago time.Duration) *certmanagerv1.Certificate {
		at := metav1.NewTime(testStart.Add(-ago))
		c.Status.RenewalTime = &at
		return c
	}
	tests := []struct {
		name      string
		objects   map[string]any
		forbidden string
		want      string
	}{
		{name: "issued", objects: map[string]any{certificatePath: issued(), issuerPath: readyIssuer()}},
		{name: "no Certificate", want: "Certificate bulkhead-system/bulkhead not found"},
		{
			name: "no right to read the Certificate", forbidden: certificatePath,
			want: "Certificate bulkhead-system/bulkhead cannot be read: this identity lacks a right; " +
				"grant it with RBAC: get certificates.cert-manager.io bulkhead in namespace bulkhead-system",
		},
		{
			name: "controllers do not run", objects: map[string]any{certificatePath: certificate(nil), issuerPath: &certmanagerv1.Issuer{}},
			want: "Certificate bulkhead-system/bulkhead has no condition yet: cert-manager's controller has not seen it, or does not run; " +
				"Issuer internal has no condition yet: cert-manager's controller has not seen it, or does not run",
		},
		{
			name: "no Issuer", objects: map[string]any{
				certificatePath: issuing(),
				firstRequest: request("bulkhead-1", requestCondition("Approved", cmmeta.ConditionTrue, "cert-manager.io", "Certificate request has been approved by cert-manager.io"),
					requestCondition("Ready", cmmeta.ConditionFalse, "Pending", `Referenced "Issuer" not found: issuer.cert-manager.io "internal" not found`)),
			},
			want: waiting + `; CertificateRequest bulkhead-1 is not Ready (Pending: Referenced "Issuer" not found: issuer.cert-manager.io "internal" not found)` +
				"; Issuer internal of the namespace bulkhead-system not found",
		},
		{
			name: "the Issuer has no Secret", objects: map[string]any{
				certificatePath: issuing(),
				issuerPath:      &certmanagerv1.Issuer{Status: issuerStatus(cmmeta.ConditionFalse, "ErrGetKeyPair", `Error getting keypair for CA issuer: secrets "internal-ca" not found`)},
			},
			want: waiting + `; Issuer internal is not Ready (ErrGetKeyPair: Error getting keypair for CA issuer: secrets "internal-ca" not found)`,
		},
		{
			name: "denied", objects: map[string]any{
				certificatePath: certificate(failed, condition("Ready", cmmeta.ConditionFalse, "DoesNotExist", "Issuing certificate as Secret does not exist"),
					condition("Issuing", cmmeta.ConditionFalse, "Denied", "The CertificateRequest was denied by an approval controller")),
				firstRequest: request("bulkhead-1", requestCondition("Denied", cmmeta.ConditionTrue, "policy.cert-manager.io", "no policy allows this"),
					requestCondition("Ready", cmmeta.ConditionFalse, "Denied", "The CertificateRequest was denied by an approval controller")),
				issuerPath: readyIssuer(),
			},
			want: "Certificate bulkhead-system/bulkhead is not Ready (DoesNotExist: Issuing certificate as Secret does not exist); " +
				"it could not be issued at 2026-03-01T11:59:00Z (Denied: The CertificateRequest was denied by an approval controller); " +
				"CertificateRequest bulkhead-1 is Denied (policy.cert-manager.io: no policy allows this)",
		},
		{
			name: "invalid", objects: map[string]any{
				certificatePath: issuing(), issuerPath: readyIssuer(),
				firstRequest: request("bulkhead-1", requestCondition("InvalidRequest", cmmeta.ConditionTrue, "Bad", "no such usage")),
			},
			want: waiting + "; CertificateRequest bulkhead-1 is InvalidRequest (Bad: no such usage)",
		},
		{
			name:    "nobody approves",
			objects: map[string]any{certificatePath: issuing(), issuerPath: readyIssuer(), firstRequest: request("bulkhead-1")},
			want:    waiting + "; CertificateRequest bulkhead-1 is not Approved yet",
		},
		{
			name: "nobody signs", objects: map[string]any{
				certificatePath: issuing(), issuerPath: readyIssuer(),
				firstRequest: request("bulkhead-1", requestCondition("Approved", cmmeta.ConditionTrue, "a", "b")),
			},
			want: waiting + "; CertificateRequest bulkhead-1 has no condition Ready yet: nothing signs for its issuer",
		},
		{
			name: "no ClusterIssuer", objects: map[string]any{certificatePath: certificate(ofClusterIssuer, issuing().Status.Conditions...)},
			want: waiting + "; ClusterIssuer corporate not found",
		},
		{
			name: "no right to read the ClusterIssuer", forbidden: "clusterissuers/corporate",
			objects: map[string]any{certificatePath: certificate(ofClusterIssuer, issued().Status.Conditions...)},
			want: "ClusterIssuer corporate cannot be read: this identity lacks a right; " +
				"grant it with RBAC: get clusterissuers.cert-manager.io corporate",
		},
		{
			name: "the ClusterIssuer broke after the issuance", objects: map[string]any{
				certificatePath:            certificate(ofClusterIssuer, issued().Status.Conditions...),
				"clusterissuers/corporate": &certmanagerv1.ClusterIssuer{Status: issuerStatus(cmmeta.ConditionFalse, "VaultError", "permission denied")},
			},
			want: "ClusterIssuer corporate is not Ready (VaultError: permission denied)",
		},
		{
			name: "another project's issuer is not read", objects: map[string]any{certificatePath: certificate(func(c *certmanagerv1.Certificate) {
				c.Spec.IssuerRef = cmmeta.IssuerReference{Group: "awspca.cert-manager.io", Kind: "AWSPCAClusterIssuer", Name: "corporate"}
			}, issued().Status.Conditions...)},
		},
		{name: "a renewal under way", objects: map[string]any{certificatePath: due(renewing("Renewing certificate"), time.Minute), issuerPath: readyIssuer()}},
		{
			name: "a renewal takes too long", objects: map[string]any{
				certificatePath: due(renewing("Renewing certificate"), time.Hour), issuerPath: readyIssuer(),
				fourthRequest: request("bulkhead-4", requestCondition("Approved", cmmeta.ConditionTrue, "a", "b"),
					requestCondition("Ready", cmmeta.ConditionFalse, "Pending", "Waiting on the order")),
			},
			want: "Certificate bulkhead-system/bulkhead was to be renewed at 2026-03-01T11:00:00Z; " +
				"CertificateRequest bulkhead-4 is not Ready (Pending: Waiting on the order)",
		},
		{
			name: "a renewal failed", objects: map[string]any{
				certificatePath: func() *certmanagerv1.Certificate {
					c := issued()
					c.Status.LastFailureTime = &failedAt
					c.Status.Conditions = append(c.Status.Conditions, condition("Issuing", cmmeta.ConditionFalse, "Failed", "The certificate request has failed to complete and will be retried: signing failed"))
					return c
				}(), issuerPath: readyIssuer(),
			},
			want: "Certificate bulkhead-system/bulkhead could not be issued at 2026-03-01T11:59:00Z " +
				"(Failed: The certificate request has failed to complete and will be retried: signing failed)",
		},
		{
			name: "expired", objects: map[string]any{
				certificatePath: certificate(nil, condition("Ready", cmmeta.ConditionFalse, "Expired", "Certificate expired on Sun, 01 Mar 2026 11:00:00 UTC")),
				issuerPath:      readyIssuer(),
			},
			want: "Certificate bulkhead-system/bulkhead is not Ready (Expired: Certificate expired on Sun, 01 Mar 2026 11:00:00 UTC)",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, client := newAPI(t, test.objects)
			a.forbidden[test.forbidden] = true
			if got := read(t.Context(), client, "bulkhead-system", "bulkhead").problem(testStart); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			for _, request := range a.requests {
				if !strings.HasPrefix(request, "GET ") {
					t.Errorf("it sent %s", request)
				}
			}
		})
	}
}

func TestProblemWithoutCertManager(t *testing.T) {
	a, client := newAPI(t, nil)
	a.noKinds = true
	const want = "cert-manager is not installed: the API server has no certificates.cert-manager.io"
	if got := read(t.Context(), client, "bulkhead-system", "bulkhead").problem(testStart); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
