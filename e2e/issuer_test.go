package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// issuer is a certificate authority of somebody else's, as an organization's own PKI.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := signed(&x509.Certificate{
		Subject: pkix.Name{CommonName: "bulkhead-e2e"}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, key, key)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert: cert, key: key}
}

// signed makes a certificate; parent is nil for one that signs itself.
func signed(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (i *issuer) pem() []byte { return certificatePEM(i.cert) }

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// servingPair is what tls.crt and tls.key hold.
type servingPair struct {
	leaf      *x509.Certificate
	cert, key []byte
}

// issue signs a serving certificate that is valid until then.
func (i *issuer) issue(t *testing.T, notAfter time.Time) servingPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := signed(&x509.Certificate{
		Subject: pkix.Name{CommonName: "bulkhead"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: notAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}, i.cert, key, i.key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return servingPair{leaf: leaf, cert: certificatePEM(leaf), key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
}

// mount is a directory that is updated as the kubelet updates that of a mounted Secret: the files are links into a
// directory of one version, and another version is put in its place in one step.
type mount struct {
	path    string
	version int
}

func newMount(t *testing.T, p servingPair) *mount {
	t.Helper()
	m := &mount{path: t.TempDir()}
	m.put(t, p.cert, p.key)
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(m.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// put replaces both files at once.
func (m *mount) put(t *testing.T, cert, key []byte) {
	t.Helper()
	m.version++
	version := "..version-" + strconv.Itoa(m.version)
	data := filepath.Join(m.path, version)
	next := filepath.Join(m.path, "..next")
	err := errors.Join(
		os.Mkdir(data, 0o700),
		os.WriteFile(filepath.Join(data, "tls.crt"), cert, 0o600),
		os.WriteFile(filepath.Join(data, "tls.key"), key, 0o600),
		os.Symlink(version, next),
		os.Rename(next, filepath.Join(m.path, "..data")),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// trusting is the TLS configuration of a client that trusts the authorities of a bundle.
func trusting(bundle []byte) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, errors.New("the bundle holds no certificate")
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
