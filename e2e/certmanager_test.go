package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCertManager leads the chart's release through its life with cert-manager: the real kinds, controllers and cainjector.
func TestCertManager(t *testing.T) {
	if os.Getenv("BULKHEAD_E2E_KUBECONFIG") != "" {
		t.Skip("another cluster may have a cert-manager of its own")
	}
	c := newCertManaged(t)
	if !t.Run("NotReady", c.testNotReady) {
		t.FailNow() // all that follows needs the certificate
	}
	t.Run("Injected", c.testInjected)
	t.Run("Renewals", c.testRenewals)
	t.Run("FailingRenewal", c.testFailingRenewal)
}

// certManaged is an installation whose certificate cert-manager issues. Two replicas are behind its Service; what the kubelets
// would mount into them is written by mountPair.
type certManaged struct {
	*installation
	parent  *testing.T // what lives through all subtests ends with it
	chart   string     // the path of the chart
	objects []rendered // of the release
	live    []*mountedReplica
}

// chartValues are those of the release: it judges, and nothing gets past it.
var chartValues = []string{"--set", "certificates.mode=certManager,config.maximumAction=Deny,failurePolicy=Fail,networkPolicy.enabled=false"}

func newCertManaged(t *testing.T) *certManaged {
	t.Helper()
	c := &certManaged{parent: t, installation: newInstallation(t), chart: filepath.Join("..", "deploy", "chart")}
	c.must(t, "create", "namespace", releaseNamespace)
	c.render(t)
	return c
}

// testNotReady brings up, piece by piece, what a certificate takes. A replica runs from the start, with the rights that the chart
// gives it, and says each time what is missing: in its readiness and in its log.
func (c *certManaged) testNotReady(t *testing.T) {
	c.apply(t, "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ConfigMap", "Service", "Deployment")
	r := c.startMounted(t)
	says := func(when, want string) {
		t.Helper()
		eventually(t, "the replica to say why it is not ready "+when, func(ctx context.Context) error {
			status, body, err := r.readiness(ctx)
			if err != nil {
				return err
			}
			if line := "[-] certificate: there is no serving certificate yet: "; status != 503 || !strings.Contains(body, line) || !strings.Contains(body, want) {
				return fmt.Errorf("status %d, want %q in\n%s", status, want, body)
			}
			return nil
		})
		logged, err := os.ReadFile(r.LogPath)
		if err != nil {
			t.Fatal(err)
		}
		if quoted := strings.ReplaceAll(want, `"`, `\"`); !strings.Contains(string(logged), quoted) {
			t.Errorf("%s the log does not hold %s:\n%s", when, quoted, lastLines(r.LogPath, 5))
		}
	}
	says("without cert-manager", "cert-manager is not installed: the API server has no certificates.cert-manager.io")
	c.installIssuance(t)
	says("without a Certificate", "Certificate bulkhead-system/bulkhead not found")
	c.apply(t, "Certificate/bulkhead")
	says("without controllers", "Certificate bulkhead-system/bulkhead has no condition yet: cert-manager's controller has not seen it, or does not run")
	c.must(t, "delete", "rolebinding", release, "-n", releaseNamespace)
	says("without a right", "this identity lacks a right; grant it with RBAC: get certificates.cert-manager.io bulkhead in namespace bulkhead-system")
	c.apply(t, "RoleBinding")

	// What was denied is to stay so until it has been seen.
	c.startCertManager(t, "--without=certificaterequests-approver", "--certificate-request-minimum-backoff-duration=1h")
	const issuing = "Certificate bulkhead-system/bulkhead is not Ready (DoesNotExist: Issuing certificate as Secret does not exist), and is being issued; "
	says("without an approval", issuing+"CertificateRequest bulkhead-1 is not Approved yet; Issuer bulkhead of the namespace bulkhead-system not found")
	c.deny(t, "bulkhead-1")
	says("after a denial", "; CertificateRequest bulkhead-1 is Denied (policy.example.org: no policy allows this)")

	c.startCertManager(t)
	says("without an Issuer", issuing+`CertificateRequest bulkhead-1 is not Ready (Pending: Referenced "Issuer" not found: issuer.cert-manager.io "bulkhead" not found)`+
		"; Issuer bulkhead of the namespace bulkhead-system not found")
	c.apply(t, "Issuer/bulkhead")
	says("without the issuer's Secret", `Issuer bulkhead is not Ready (ErrGetKeyPair: Error getting keypair for CA issuer: secrets "bulkhead-ca" not found)`)

	begun := time.Now()
	c.apply(t, "Issuer", "Certificate")
	c.awaitPair(t, nil)
	t.Logf("from the last Issuer to the Secret of a Certificate: %.1f s", time.Since(begun).Seconds())
	c.mountPair(t, r)
	r.awaitReady(t)
	eventually(t, "the metric to say that the certificate is issued", func(ctx context.Context) error { return r.wantIssued(ctx, 1) })
}

// testInjected registers the chart's webhooks without a caBundle, and has the tenant denied by way of what cainjector fills in.
func (c *certManaged) testInjected(t *testing.T) {
	c.apply(t, "ValidatingWebhookConfiguration")
	c.publish(t)
	c.denied(t, "with cert-manager's certificate")
	if got, want := c.bundle(t), string(c.pair(t).Data["ca.crt"]); got != want {
		t.Errorf("caBundle is\n%s\nand the Secret's ca.crt\n%s", got, want)
	}
	c.owners(t, "with certManager", "cert-manager-cainjector")
	for _, r := range c.live {
		if got, want := r.served(t), serialOf(t, c.pair(t)); got != want {
			t.Errorf("a certificate with the serial %s is served, and %s was issued", got, want)
		}
	}
}

// testFailingRenewal breaks the issuer. What is served stays, and a metric and the log tell long before it expires. A replica looks
// once a minute while all is well, so one that starts is looked at.
func (c *certManaged) testFailingRenewal(t *testing.T) {
	if err := c.clients.CoreV1().Secrets(clusterResources).Delete(t.Context(), corporateCA, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ClusterIssuer to fail", func(context.Context) error {
		if said := c.must(t, "get", "clusterissuer", corporateIssuer, "-o", "jsonpath={.status.conditions[0].status}"); said != "False" {
			return errors.New(said)
		}
		return nil
	})
	r := c.startMounted(t)
	c.mountPair(t, r)
	r.awaitReady(t)
	eventually(t, "the metric to say that something is wrong", func(ctx context.Context) error { return r.wantIssued(ctx, 0) })
	logged, err := os.ReadFile(r.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"level":"WARN","msg":"cert-manager does not issue the serving certificate","certificate":"bulkhead-system/bulkhead"`,
		`ClusterIssuer ` + corporateIssuer + ` is not Ready (ErrGetKeyPair: Error getting keypair for CA issuer: secrets \"` + corporateCA + `\" not found)`,
	} {
		if !strings.Contains(string(logged), want) {
			t.Errorf("the log does not hold %s:\n%s", want, lastLines(r.LogPath, 5))
		}
	}
}

// startCertManager starts cert-manager, in the place of the one that runs. What failed before is tried again soon: a test does not
// wait for the hour that is the default.
func (c *certManaged) startCertManager(t *testing.T, flags ...string) {
	t.Helper()
	flags = append([]string{"--cluster-resource-namespace=" + clusterResources, "--certificate-request-minimum-backoff-duration=1s"}, flags...)
	if err := c.plane.StartCertManager(flags...); err != nil {
		t.Fatal(err)
	}
}
