package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// validity of every certificate; a control plane that serves a demo or a test lives for hours at most.
	validity = 365 * 24 * time.Hour
	// clockSkew backdates certificates, as kubeadm does.
	clockSkew = 5 * time.Minute
)

// authority is a certificate authority whose key stays with this control plane.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pair        keyPair
}

// keyPair is a certificate and its private key in PEM.
type keyPair struct{ cert, key []byte }

func newAuthority(commonName string) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(pkix.Name{CommonName: commonName})
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority %s: %w", commonName, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pair, err := encodePair(der, key)
	return &authority{certificate: certificate, key: key, pair: pair}, err
}

// server issues a serving certificate for hosts: DNS names and IP addresses.
func (a *authority) server(commonName string, hosts ...string) (keyPair, error) {
	return a.serving(commonName, hosts, x509.ExtKeyUsageServerAuth)
}

// member issues a serving certificate that is a client certificate too: etcd calls itself with its own.
func (a *authority) member(commonName string, hosts ...string) (keyPair, error) {
	return a.serving(commonName, hosts, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

func (a *authority) serving(commonName string, hosts []string, usages ...x509.ExtKeyUsage) (keyPair, error) {
	template, err := newTemplate(pkix.Name{CommonName: commonName})
	if err != nil {
		return keyPair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = usages
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.sign(template)
}

// client issues a client certificate. kube-apiserver takes the common name as the user and the organizations as the
// groups (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates).
func (a *authority) client(user string, groups ...string) (keyPair, error) {
	if user == "" {
		return keyPair{}, errors.New("a client certificate needs a user name")
	}
	template, err := newTemplate(pkix.Name{CommonName: user, Organization: groups})
	if err != nil {
		return keyPair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(template)
}

func (a *authority) sign(template *x509.Certificate) (keyPair, error) {
	key, err := newKey()
	if err != nil {
		return keyPair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("issue the certificate of %s: %w", template.Subject, err)
	}
	return encodePair(der, key)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func newTemplate(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-clockSkew), NotAfter: now.Add(validity),
	}, nil
}

func encodePair(der []byte, key *ecdsa.PrivateKey) (keyPair, error) {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// pki is the control plane's certificates. As in a kubeadm cluster, etcd and the aggregation layer have authorities of
// their own: a user of the API is to reach neither etcd nor, past authentication, an extension API server.
type pki struct {
	dir  string
	ca   *authority
	etcd *authority
}

// Names of certificate and key files under pki.dir, without .crt and .key.
const (
	caFiles               = "ca"
	etcdCAFiles           = "etcd-ca"
	frontProxyCAFiles     = "front-proxy-ca"
	etcdServerFiles       = "etcd-server"
	etcdClientFiles       = "etcd-client"
	frontProxyClientFiles = "front-proxy-client"
	apiServerFiles        = "apiserver"
	kubeletClientFiles    = "apiserver-kubelet-client"
	controllerFiles       = "controller-manager"
	schedulerFiles        = "scheduler"
	serviceAccountPublic  = "service-account.pub"
	serviceAccountKey     = "service-account.key"
)

// frontProxyClient is the name by which extension API servers know kube-apiserver.
const frontProxyClient = "front-proxy-client"

func (p *pki) crt(name string) string { return filepath.Join(p.dir, name+".crt") }
func (p *pki) key(name string) string { return filepath.Join(p.dir, name+".key") }

// newPKI makes the authorities and every certificate that a component serves or presents from a file.
func newPKI(dir string) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ca, err := newAuthority("kubernetes-ca")
	if err != nil {
		return nil, err
	}
	etcd, err := newAuthority("etcd-ca")
	if err != nil {
		return nil, err
	}
	frontProxy, err := newAuthority("front-proxy-ca")
	if err != nil {
		return nil, err
	}
	p := &pki{dir: dir, ca: ca, etcd: etcd}
	loopback := []string{"localhost", "127.0.0.1"}
	apiServerHosts := append([]string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		apiServiceIP, AdvertiseAddress,
	}, loopback...)
	for _, wanted := range []struct {
		name  string
		issue func() (keyPair, error)
	}{
		{caFiles, func() (keyPair, error) { return ca.pair, nil }},
		{etcdCAFiles, func() (keyPair, error) { return etcd.pair, nil }},
		{frontProxyCAFiles, func() (keyPair, error) { return frontProxy.pair, nil }},
		{frontProxyClientFiles, func() (keyPair, error) { return frontProxy.client(frontProxyClient) }},
		{etcdServerFiles, func() (keyPair, error) { return etcd.member("etcd", loopback...) }},
		{etcdClientFiles, func() (keyPair, error) { return etcd.client("kube-apiserver-etcd-client") }},
		{apiServerFiles, func() (keyPair, error) { return ca.server("kube-apiserver", apiServerHosts...) }},
		{kubeletClientFiles, func() (keyPair, error) { return ca.client("kube-apiserver-kubelet-client", mastersGroup) }},
		{controllerFiles, func() (keyPair, error) { return ca.server("kube-controller-manager", loopback...) }},
		{schedulerFiles, func() (keyPair, error) { return ca.server("kube-scheduler", loopback...) }},
	} {
		pair, err := wanted.issue()
		if err != nil {
			return nil, err
		}
		if err := p.write(wanted.name, pair); err != nil {
			return nil, err
		}
	}
	return p, p.writeServiceAccountKeys()
}

func (p *pki) write(name string, pair keyPair) error {
	if err := os.WriteFile(p.crt(name), pair.cert, 0o600); err != nil {
		return err
	}
	return os.WriteFile(p.key(name), pair.key, 0o600)
}

// writeServiceAccountKeys makes the pair that signs and verifies service account tokens.
func (p *pki) writeServiceAccountKeys() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(p.dir, serviceAccountKey), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.dir, serviceAccountPublic), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600)
}
