package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"time"
)

// apply carries out one step and returns the state after it.
func (l Lifetimes) apply(due step, now time.Time, s state, want names) (state, error) {
	switch due {
	case stepAddAuthority:
		return l.addAuthority(now, s)
	case stepIssueLeaf:
		return l.issueLeaf(now, s, want)
	case stepRetire:
		return s.withoutRetirable(now), nil
	default:
		return s, nil
	}
}

func (l Lifetimes) addAuthority(now time.Time, s state) (state, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return s, fmt.Errorf("generating a CA key: %w", err)
	}
	template := &x509.Certificate{
		// A name of its own for each CA, so that verifiers that look the issuer
		// up by name never try the wrong one of two.
		Subject:               pkix.Name{CommonName: "bulkhead-webhook-ca-" + rand.Text()[:8]},
		NotBefore:             now.Add(-l.Backdate),
		NotAfter:              now.Add(l.CA),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	cert, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return s, fmt.Errorf("creating a CA: %w", err)
	}
	grown := state{authorities: slices.Clone(s.authorities), serving: s.serving}
	grown.authorities = append(grown.authorities, authority{cert: cert, key: key})
	return grown, nil
}

func (l Lifetimes) issueLeaf(now time.Time, s state, want names) (state, error) {
	signer := l.signer(now, s)
	if s.serving != nil && now.Before(l.leafRenewal(s.serving)) {
		want = want.union(s.serving)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return s, fmt.Errorf("generating a serving key: %w", err)
	}
	issued := state{authorities: slices.Clone(s.authorities)}
	ca := &issued.authorities[signer]
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "bulkhead-webhook"},
		NotBefore:             now.Add(-l.Backdate),
		NotAfter:              l.leafExpiry(now, *ca),
		DNSNames:              want.dns,
		IPAddresses:           want.ips,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := sign(template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return s, fmt.Errorf("signing a serving certificate: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return s, err
	}
	certPEM := encodeCertificate(cert.Raw)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return s, fmt.Errorf("reading the new serving certificate back: %w", err)
	}
	issued.serving = &serving{pair: &pair, certPEM: certPEM, keyPEM: keyPEM}
	if cert.NotAfter.After(ca.lastLeafExpiry) {
		ca.lastLeafExpiry = cert.NotAfter
	}
	return issued, nil
}

// sign leaves the serial number to crypto/x509, which draws a random one.
func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
