package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// apiServerName is the name that the API server's client certificate has.
const apiServerName = "kube-apiserver"

// clientCA signs client certificates.
type clientCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newClientCA(name string) (*clientCA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &clientCA{cert: cert, key: key}, err
}

func (ca *clientCA) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// issue gives a client certificate and its key as PEM.
func (ca *clientCA) issue(name string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca.cert, &private.PublicKey, ca.key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

func (ca *clientCA) pair(name string) (tls.Certificate, error) {
	cert, key, err := ca.issue(name)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// shownCertificate is the client certificate that the API server shows to one address, and to no other.
type shownCertificate struct {
	ca *clientCA
	// address is held by a listener until a replica takes it.
	address net.Listener
	// config is the path of the AdmissionConfiguration.
	config string
}

// showCertificate writes what the API server has to be started with, as docs/operations.md describes it.
func showCertificate(dir, host string) (*shownCertificate, error) {
	ca, err := newClientCA("webhook-client-ca")
	if err != nil {
		return nil, err
	}
	cert, key, err := ca.issue(apiServerName)
	if err != nil {
		return nil, err
	}
	address, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.AuthInfos[address.Addr().String()] = &clientcmdapi.AuthInfo{
		ClientCertificate: file("webhook-client.crt"), ClientKey: file("webhook-client.key"),
	}
	if err := clientcmd.WriteToFile(*kubeconfig, file("webhook-client.kubeconfig")); err != nil {
		return nil, err
	}
	configuration := fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %s
`, file("webhook-client.kubeconfig"))
	for name, content := range map[string][]byte{
		"webhook-client.crt": cert, "webhook-client.key": key, "admission.yaml": []byte(configuration),
	} {
		if err := os.WriteFile(file(name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return &shownCertificate{ca: ca, address: address, config: file("admission.yaml")}, nil
}
