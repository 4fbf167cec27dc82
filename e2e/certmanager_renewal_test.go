package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// clusterResources is where cert-manager looks for the Secrets of ClusterIssuers.
	clusterResources = "cert-manager"
	corporateIssuer  = "corporate"
	corporateCA      = "corporate-ca"
	// plainRenewals is how often the certificate is renewed with nothing else changing.
	plainRenewals = 3
)

// testRenewals renews the certificate, then its CA, then changes the issuer and at last the issuer's key, all under load and with
// NetworkPolicies failing closed: no request fails.
func (c *certManaged) testRenewals(t *testing.T) {
	second := c.startMounted(t)
	c.mountPair(t, second)
	second.awaitReady(t)
	c.publish(t)
	load := c.startLoad(t)

	renewals := 0
	everywhere := func(t *testing.T) {
		t.Helper()
		renewals++
		for _, r := range c.live {
			c.mountPair(t, r)
		}
		for _, r := range c.live {
			c.awaitServed(t, r)
		}
	}
	for range plainRenewals {
		before := c.pair(t)
		c.renew(t, release)
		c.awaitPair(t, before)
		everywhere(t)
	}
	if got, want := c.bundle(t), string(c.pair(t).Data["ca.crt"]); got != want {
		t.Errorf("after renewals by the same CA caBundle is\n%s\nand ca.crt\n%s", got, want)
	}

	// The release's own CA. With rotationPolicy Never its key stays, and so does all that it signed.
	oldCA := string(c.pair(t).Data["ca.crt"])
	c.renew(t, release+"-ca")
	eventually(t, "a new certificate of the CA", func(ctx context.Context) error {
		secret, err := c.clients.CoreV1().Secrets(releaseNamespace).Get(ctx, release+"-ca", metav1.GetOptions{})
		if err == nil && string(secret.Data[corev1.TLSCertKey]) == oldCA {
			err = errors.New("it is still the old one")
		}
		return err
	})
	if got := string(c.pair(t).Data["ca.crt"]); got != oldCA {
		t.Errorf("the serving certificate was issued anew along with its CA: ca.crt is\n%s", got)
	}
	before := c.pair(t)
	c.renew(t, release)
	c.awaitPair(t, before)
	everywhere(t)
	if got := c.bundle(t); !strings.Contains(got, oldCA) || !strings.Contains(got, string(c.pair(t).Data["ca.crt"])) {
		t.Errorf("after the renewal of the CA caBundle does not hold both:\n%s", got)
	}

	// Another issuer, as by helm upgrade; the kubelet of the second replica is late.
	c.makeClusterIssuer(t)
	before = c.pair(t)
	c.render(t, "--set", "certificates.certManager.issuerRef.kind=ClusterIssuer,certificates.certManager.issuerRef.name="+corporateIssuer)
	c.apply(t)
	c.awaitPair(t, before)
	renewals++
	for _, r := range c.live {
		c.mountPair(t, r)
		c.awaitServed(t, r)
	}

	c.testUntrusted(t)
	everywhere(t)
	load.stop(t, renewals)
}

// testUntrusted gives the issuer another key while cainjector is down. The new pair reaches the replicas long before the API servers
// can trust it, and waits.
func (c *certManaged) testUntrusted(t *testing.T) {
	const distrust = "caBundle of the webhook networkpolicies.bulkhead.dev does not trust it yet: x509: "
	said := func(r *mountedReplica) int {
		logged, err := os.ReadFile(r.LogPath)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(logged, []byte(distrust))
	}
	c.startCertManager(t, "--without=cainjector")
	c.writeCorporateCA(t)
	before := c.pair(t)
	c.renew(t, release)
	c.awaitPair(t, before)
	old := c.live
	saidBefore := map[*mountedReplica]int{}
	for _, r := range old {
		saidBefore[r] = said(r)
		c.mountPair(t, r)
	}
	fresh := c.startMounted(t) // it has no other pair
	c.mountPair(t, fresh)
	eventually(t, "a new replica to say why it is not ready", func(ctx context.Context) error {
		status, body, err := fresh.readiness(ctx)
		if err == nil && (status != 503 || !strings.Contains(body, "[-] certificate: "+distrust)) {
			err = errors.New(body)
		}
		return err
	})
	for _, r := range old {
		eventually(t, "the replica to say that the new certificate waits", func(context.Context) error {
			if said(r) == saidBefore[r] {
				return errors.New(lastLines(r.LogPath, 3))
			}
			return nil
		})
		if got, want := r.served(t), serialOf(t, before); got != want {
			t.Errorf("%s is served and not trusted; it was to be %s", got, want)
		}
	}
	c.startCertManager(t)
	fresh.awaitReady(t)
}

// renew does what "cmctl renew" does.
func (c *certManaged) renew(t *testing.T, name string) {
	t.Helper()
	certificates := c.author.Resource(schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "certificates"}).Namespace(releaseNamespace)
	eventually(t, "the renewal to begin", func(ctx context.Context) error {
		now, err := certificates.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(now.Object, "status", "conditions")
		if err != nil {
			return err
		}
		conditions = append(conditions, map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "Certificate re-issuance manually triggered",
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339), "observedGeneration": now.GetGeneration(),
		})
		if err := unstructured.SetNestedSlice(now.Object, conditions, "status", "conditions"); err != nil {
			return err
		}
		_, err = certificates.UpdateStatus(ctx, now, metav1.UpdateOptions{})
		return err
	})
}

// makeClusterIssuer makes an issuer that the release does not bring along, with a CA of its own.
func (c *certManaged) makeClusterIssuer(t *testing.T) {
	t.Helper()
	c.writeCorporateCA(t)
	a := c.kubectlAs(t, nil, fmt.Sprintf("apiVersion: cert-manager.io/v1\nkind: ClusterIssuer\nmetadata: {name: %s}\nspec: {ca: {secretName: %s}}\n", corporateIssuer, corporateCA),
		"apply", "--server-side", "-f", "-")
	if !a.ok {
		t.Fatal(a.text())
	}
}

// writeCorporateCA writes a new CA, key and all, into the Secret of the ClusterIssuer.
func (c *certManaged) writeCorporateCA(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "corporate"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: corporateCA, Namespace: clusterResources}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		},
	}
	secrets := c.clients.CoreV1().Secrets(clusterResources)
	if _, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		_, err = secrets.Create(t.Context(), secret, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}
