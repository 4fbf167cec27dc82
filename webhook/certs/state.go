package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Keys of the Secret. tls.crt, tls.key and authorities.json are the state;
// ca.crt is written for people and scrapers and never read back.
const (
	keyServingCert = corev1.TLSCertKey
	keyServingKey  = corev1.TLSPrivateKeyKey
	keyBundle      = "ca.crt"
	keyAuthorities = "authorities.json"
)

// state is what all replicas share: the trusted authorities, oldest first, and
// the one certificate that all of them serve. A state is never changed; each
// step makes a new one.
type state struct {
	authorities []authority
	serving     *serving
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// published is when this CA was first seen in the webhook configuration;
	// zero before.
	published time.Time
	// lastLeafExpiry is the latest NotAfter of all leaves that it signed.
	lastLeafExpiry time.Time
}

type serving struct {
	pair            *tls.Certificate
	certPEM, keyPEM []byte
}

func (s *serving) certificate() *x509.Certificate { return s.pair.Leaf }

// issuer is the index of the authority that signed the serving certificate, -1
// when there is none.
func (s state) issuer() int {
	if s.serving == nil {
		return -1
	}
	return slices.IndexFunc(s.authorities, func(a authority) bool {
		return s.serving.certificate().CheckSignatureFrom(a.cert) == nil
	})
}

// bundle is the PEM of all trusted authorities, in a stable order.
func (s state) bundle() []byte {
	var bundle bytes.Buffer
	for _, a := range s.authorities {
		bundle.Write(encodeCertificate(a.cert.Raw))
	}
	return bundle.Bytes()
}

// retirable lists the authorities that nothing valid rests on: expired ones, and
// those older than the issuer in use whose last leaf has expired.
func (s state) retirable(now time.Time) []int {
	issuer := s.issuer()
	var gone []int
	for i, a := range s.authorities {
		expired := !now.Before(a.cert.NotAfter)
		superseded := i < issuer && !now.Before(a.lastLeafExpiry)
		if i != issuer && (expired || superseded) {
			gone = append(gone, i)
		}
	}
	return gone
}

// withoutRetirable drops what retirable lists.
func (s state) withoutRetirable(now time.Time) state {
	gone := s.retirable(now)
	kept := state{serving: s.serving}
	for i, a := range s.authorities {
		if !slices.Contains(gone, i) {
			kept.authorities = append(kept.authorities, a)
		}
	}
	return kept
}

// withPublished notes which authorities the webhook configuration holds. One
// that is missing there and does not sign yet starts its overlap again, because
// API servers may have dropped it.
func (s state) withPublished(now time.Time, holds func(certPEM []byte) bool) (state, bool) {
	noted := state{authorities: slices.Clone(s.authorities), serving: s.serving}
	changed := false
	issuer := s.issuer()
	for i := range noted.authorities {
		a := &noted.authorities[i]
		held := holds(encodeCertificate(a.cert.Raw))
		switch {
		case held && a.published.IsZero():
			a.published, changed = now.UTC(), true
		case !held && i > issuer && !a.published.IsZero():
			a.published, changed = time.Time{}, true
		}
	}
	return noted, changed
}

type storedAuthority struct {
	Certificate    string    `json:"certificate"`
	Key            string    `json:"key"`
	Published      time.Time `json:"published,omitzero"`
	LastLeafExpiry time.Time `json:"lastLeafExpiry,omitzero"`
}

// encode renders the data of the Secret.
func (s state) encode() (map[string][]byte, error) {
	stored := make([]storedAuthority, 0, len(s.authorities))
	for _, a := range s.authorities {
		keyPEM, err := encodeKey(a.key)
		if err != nil {
			return nil, err
		}
		stored = append(stored, storedAuthority{
			Certificate:    string(encodeCertificate(a.cert.Raw)),
			Key:            string(keyPEM),
			Published:      a.published,
			LastLeafExpiry: a.lastLeafExpiry,
		})
	}
	authorities, err := json.Marshal(stored)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", keyAuthorities, err)
	}
	return map[string][]byte{
		keyServingCert: s.serving.certPEM,
		keyServingKey:  s.serving.keyPEM,
		keyBundle:      s.bundle(),
		keyAuthorities: authorities,
	}, nil
}

// decodeState reads the data of the Secret. No data at all is an empty state. A
// serving pair that is broken or that no stored CA signed is left out, so that a
// new one gets issued; broken authorities are an error.
func decodeState(data map[string][]byte) (state, error) {
	if len(data[keyAuthorities]) == 0 {
		if len(data) == 0 {
			return state{}, nil
		}
		return state{}, fmt.Errorf("key %s is missing", keyAuthorities)
	}
	var stored []storedAuthority
	if err := json.Unmarshal(data[keyAuthorities], &stored); err != nil {
		return state{}, fmt.Errorf("key %s: %w", keyAuthorities, err)
	}
	var s state
	for i, a := range stored {
		pair, err := tls.X509KeyPair([]byte(a.Certificate), []byte(a.Key))
		if err != nil {
			return state{}, fmt.Errorf("key %s, authority %d: %w", keyAuthorities, i, err)
		}
		key, isECDSA := pair.PrivateKey.(*ecdsa.PrivateKey)
		if !isECDSA || !pair.Leaf.IsCA {
			return state{}, fmt.Errorf("key %s, authority %d is no ECDSA certificate authority", keyAuthorities, i)
		}
		s.authorities = append(s.authorities, authority{
			cert: pair.Leaf, key: key, published: a.Published, lastLeafExpiry: a.LastLeafExpiry,
		})
	}
	if len(s.authorities) == 0 {
		return state{}, errors.New("key " + keyAuthorities + " lists no authority")
	}
	if pair, err := tls.X509KeyPair(data[keyServingCert], data[keyServingKey]); err == nil {
		s.serving = &serving{pair: &pair, certPEM: data[keyServingCert], keyPEM: data[keyServingKey]}
		if s.issuer() < 0 {
			s.serving = nil
		}
	}
	return s, nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
