package controlplane

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func TestPKI(t *testing.T) {
	p, err := newPKI(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		files string
		ca    *authority
		host  string // "" for a client certificate
		valid bool
	}{
		{apiServerFiles, p.ca, "127.0.0.1", true},
		{apiServerFiles, p.ca, "kubernetes.default.svc", true},
		{apiServerFiles, p.ca, apiServiceIP, true},
		{apiServerFiles, p.ca, "example.com", false},
		{apiServerFiles, p.ca, "", false}, // a server's, not a client's
		{controllerFiles, p.ca, "127.0.0.1", true},
		{schedulerFiles, p.ca, "127.0.0.1", true},
		{etcdServerFiles, p.etcd, "127.0.0.1", true},
		{etcdServerFiles, p.etcd, "", true},
		{etcdServerFiles, p.ca, "127.0.0.1", false},
		{etcdClientFiles, p.etcd, "", true},
		{etcdClientFiles, p.ca, "", false},
		{frontProxyClientFiles, p.ca, "", false},
	} {
		certificate := loadPair(t, p.crt(c.files), p.key(c.files))
		options := x509.VerifyOptions{Roots: x509.NewCertPool(), DNSName: c.host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		if c.host == "" {
			options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}
		options.Roots.AddCert(c.ca.certificate)
		if _, err := certificate.Verify(options); (err == nil) != c.valid {
			t.Errorf("%s for %q against %s: %v, want valid: %t", c.files, c.host, c.ca.certificate.Subject.CommonName, err, c.valid)
		}
	}

	entries, err := os.ReadDir(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %s", entry.Name(), info.Mode())
		}
	}
}

func TestServiceAccountKeysBelongTogether(t *testing.T) {
	p, err := newPKI(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(decodePEM(t, filepath.Join(p.dir, serviceAccountKey)))
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(decodePEM(t, filepath.Join(p.dir, serviceAccountPublic)))
	if err != nil {
		t.Fatal(err)
	}
	if !private.(*ecdsa.PrivateKey).PublicKey.Equal(public) {
		t.Error("the public key is not the private one's")
	}
}

func TestKubeconfigFor(t *testing.T) {
	dir := t.TempDir()
	p, err := newPKI(filepath.Join(dir, pkiDir))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, kubeconfigDir), 0o700); err != nil {
		t.Fatal(err)
	}
	c := &ControlPlane{dir: dir, pki: p, ports: ports{apiServer: port{number: 12345}}}
	path, err := c.KubeconfigFor("alice@example.com", "dev", "ops")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:12345" {
		t.Errorf("the server is %s", config.Host)
	}
	pair, err := tls.X509KeyPair(config.CertData, config.KeyData)
	if err != nil {
		t.Fatal(err)
	}
	subject := pair.Leaf.Subject
	if groups := slices.Sorted(slices.Values(subject.Organization)); subject.CommonName != "alice@example.com" || !slices.Equal(groups, []string{"dev", "ops"}) {
		t.Errorf("the subject is %s", subject)
	}

	other, err := c.KubeconfigFor("alice@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if other == path {
		t.Errorf("two identities share the file %s", path)
	}
	if _, err := c.KubeconfigFor(""); err == nil {
		t.Error("an identity without a user got a file")
	}
}

func TestKubeconfigFileIsAFileName(t *testing.T) {
	for _, user := range []string{"system:serviceaccount:a:b", "../../etc/passwd", "a/b", "üser", ""} {
		if name := kubeconfigFile(user, nil); filepath.Base(name) != name || filepath.Ext(name) != ".kubeconfig" {
			t.Errorf("%q becomes the file name %q", user, name)
		}
	}
}

func loadPair(t *testing.T, crt, key string) *x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(crt, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func decodePEM(t *testing.T, path string) []byte {
	t.Helper()
	block, rest := pem.Decode([]byte(readFile(t, path)))
	if block == nil || len(rest) > 0 {
		t.Fatalf("%s is not one PEM block", path)
	}
	return block.Bytes
}
