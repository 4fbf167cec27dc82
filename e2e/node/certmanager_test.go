//go:build node && linux

package node

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/bulkhead-dev/bulkhead/hack/node"
)

// issuing is what "cmctl renew" does: the condition has cert-manager issue the certificate now.
const issuing = `{"status": {"conditions": [{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "renewal asked for",
  "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}`

// testCertManager installs once more, with a certificate of cert-manager's: its controllers issue it, its cainjector registers its CA,
// the kubelet brings it to the replicas. Then it is renewed under load.
func (s *suite) testCertManager(t *testing.T) {
	s.kubectl(t, "", "apply", "--server-side", "-f", filepath.Join(node.Dir(), definitionsDir))
	s.kubectl(t, "", "wait", "--for=condition=Established", "customresourcedefinition", "--all", "--timeout=1m")
	program, err := certManagerPath()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.node.Run(program, "--kubeconfig", s.node.Plane.KubeconfigPath()); err != nil {
		t.Fatal(err)
	}
	s.runHelm(t, "install", release, chart(), "--namespace", namespace, "--create-namespace", "--wait", "--timeout", "2m",
		"--set", "config.maximumAction=Deny,failurePolicy=Fail,certificates.mode=certManager")
	var first *x509.Certificate
	eventually(t, "cert-manager's certificate and CA", func(ctx context.Context) (err error) {
		first, err = s.served(ctx)
		return err
	})
	if first.Issuer.CommonName != "bulkhead-ca" {
		t.Errorf("the certificate was issued by %s", first.Issuer)
	}
	s.openShop(t)
	wantWords(t, "the denial", s.refused(t, "", "apply", "-f", example("default-deny")), "denied the request: dns-cut: 6 live pods would lose DNS")

	old := s.mustPods(t)
	l := s.startLoad(t)
	s.kubectl(t, "", "patch", "certificate", release, "-n", namespace, "--subresource=status", "--type=merge", "-p", issuing)
	eventually(t, "the renewed certificate to be served", func(ctx context.Context) error {
		leaf, err := s.served(ctx)
		if err == nil && leaf.SerialNumber.Cmp(first.SerialNumber) == 0 {
			err = fmt.Errorf("%s is served still", leaf.SerialNumber)
		}
		return err
	})
	l.end(t, "the renewal", 100)
	for i, p := range s.mustPods(t) {
		if p.UID != old[i].UID || p.Status.ContainerStatuses[0].RestartCount > 0 {
			t.Errorf("%s has served the first certificate and %s the second: the pods were to stay", old[i].Name, p.Name)
		}
	}
	s.testUninstall(t)
}
