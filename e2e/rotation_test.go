package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// storedAuthority is how the replicas keep an authority in their Secret, as the package webhook/certs writes it.
type storedAuthority struct {
	Certificate    string    `json:"certificate"`
	Key            string    `json:"key"`
	Published      time.Time `json:"published,omitzero"`
	LastLeafExpiry time.Time `json:"lastLeafExpiry,omitzero"`
}

// authorityEvery is how many serving certificates are replaced for each turn of the authorities.
const authorityEvery = 10

// seenAfter is how many requests show that the API server has seen a change of its registration.
const seenAfter = 20

// testRotation lets time pass in the Secret that the replicas share: the certificate there becomes an old one of the same
// authority, so that the next is due. Every few times it is the authority's turn: the next one joins, signs once it has
// been known for long enough, and the old one leaves. The load goes on meanwhile, and new connections are made all the time.
func (a *availability) testRotation(t *testing.T, s *site, to *target) {
	repairs := s.metric(t, rotations, `step="repaired-secret"`)
	l := startLoad(to, a.extent.calm)
	handshakes := s.startHandshakes(t)
	turns := 0
	for i := range a.extent.rotations {
		l.awaitRequests(t, a.extent.between)
		issued := s.metric(t, rotations, `step="leaf-issued"`)
		if i%authorityEvery == authorityEvery-1 {
			s.turnAuthority(t, l)
			turns++
		} else {
			s.editSecret(t, "the certificate to become old", ageLeaf)
		}
		s.awaitRotated(t, issued)
	}
	l.awaitRequests(t, a.extent.calm)
	made := handshakes(t)
	r := l.stop()
	a.report.figure(t, fmt.Sprintf("%d rotations, %d of them of the authority", a.extent.rotations, turns), "%s; %d handshakes beside, none failed", r, made)
	r.wantNoFailures(t)
	if n := s.metric(t, rotations, `step="failed"`); n != 0 {
		t.Errorf("%.0f attempts to rotate failed", n)
	}
	if n := s.metric(t, rotations, `step="repaired-secret"`); n != repairs {
		t.Errorf("the Secret was repaired %.0f times, and was never broken", n-repairs)
	}
}

const rotations = "bulkhead_certificate_rotations_total"

// editSecret changes the shared Secret, as often as a replica is quicker.
func (s *site) editSecret(t *testing.T, what string, change func(*corev1.Secret, []storedAuthority) error) {
	t.Helper()
	eventually(t, what, func(ctx context.Context) error {
		secret, err := s.secret(ctx)
		if err != nil {
			return err
		}
		var authorities []storedAuthority
		if err := json.Unmarshal(secret.Data["authorities.json"], &authorities); err != nil {
			return err
		}
		if err := change(secret, authorities); err != nil {
			return err
		}
		if secret.Data["authorities.json"], err = json.Marshal(authorities); err != nil {
			return err
		}
		_, err = s.clients.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{})
		return err
	})
}

// ageLeaf makes the serving certificate one that has two days left.
func ageLeaf(secret *corev1.Secret, authorities []storedAuthority) error {
	newest := authorities[len(authorities)-1]
	by, err := tls.X509KeyPair([]byte(newest.Certificate), []byte(newest.Key))
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return err
	}
	old, err := redated(pair.Leaf, by.Leaf, pair.PrivateKey, by.PrivateKey, 48*time.Hour)
	secret.Data[corev1.TLSCertKey] = old
	return err
}

// redated signs a certificate anew, with another end.
func redated(c, parent *x509.Certificate, key, signer any, left time.Duration) ([]byte, error) {
	template := *c
	template.NotAfter, template.SerialNumber = time.Now().Add(left), nil
	public, private := key.(*ecdsa.PrivateKey), signer.(*ecdsa.PrivateKey)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, public.Public(), private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// turnAuthority lets a year pass for the authority: it becomes old, its successor becomes known, and once that has signed,
// all that the old one signed becomes worthless. In between, requests show that the API server has seen each step, for
// which it has an hour otherwise.
func (s *site) turnAuthority(t *testing.T, l *load) {
	t.Helper()
	s.editSecret(t, "the authority to become old", func(_ *corev1.Secret, all []storedAuthority) error {
		if len(all) != 1 {
			return fmt.Errorf("there are %d authorities", len(all))
		}
		pair, err := tls.X509KeyPair([]byte(all[0].Certificate), []byte(all[0].Key))
		if err != nil {
			return err
		}
		old, err := redated(pair.Leaf, pair.Leaf, pair.PrivateKey, pair.PrivateKey, 90*24*time.Hour)
		all[0].Certificate = string(old)
		return err
	})
	s.awaitAuthorities(t, 2)
	l.awaitRequests(t, seenAfter)
	issued := s.metric(t, rotations, `step="leaf-issued"`)
	s.editSecret(t, "the new authority to have been known for long enough", func(_ *corev1.Secret, all []storedAuthority) error {
		if len(all) != 2 || all[1].Published.IsZero() {
			return fmt.Errorf("there are %d authorities, and the last is not known yet", len(all))
		}
		for i := range all {
			all[i].Published = all[i].Published.Add(-2 * time.Hour)
		}
		return nil
	})
	s.awaitRotated(t, issued)
	l.awaitRequests(t, seenAfter)
	s.editSecret(t, "what the old authority signed to be worthless", func(_ *corev1.Secret, all []storedAuthority) error {
		if len(all) != 2 || all[1].LastLeafExpiry.IsZero() {
			return fmt.Errorf("of %d authorities the new one has signed nothing yet", len(all))
		}
		all[0].LastLeafExpiry = time.Now().Add(-time.Hour)
		return nil
	})
	s.awaitAuthorities(t, 1)
}

// awaitAuthorities waits until so many authorities are kept in the Secret, and the API server is told to trust them.
func (s *site) awaitAuthorities(t *testing.T, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d authorities", want), func(ctx context.Context) error {
		secret, err := s.secret(ctx)
		if err != nil {
			return err
		}
		if n := strings.Count(string(secret.Data["ca.crt"]), "BEGIN CERTIFICATE"); n != want {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	s.awaitBundle(t)
}

// awaitRotated waits until a certificate more has been issued, which both replicas serve, whose end both say, and with
// which both are ready.
func (s *site) awaitRotated(t *testing.T, issued float64) {
	t.Helper()
	eventually(t, "both replicas to serve the next certificate", func(ctx context.Context) error {
		if n := s.metric(t, rotations, `step="leaf-issued"`); n != issued+1 {
			return fmt.Errorf("%.0f certificates were issued, want %.0f", n, issued+1)
		}
		secret, err := s.secret(ctx)
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
		if err != nil {
			return err
		}
		return s.everyServes(ctx, pair.Leaf)
	})
}

// everyServes says whether each replica serves a certificate, exports its end, and is ready.
func (s *site) everyServes(ctx context.Context, leaf *x509.Certificate) error {
	trust, err := s.trust(ctx)
	if err != nil {
		return err
	}
	for i, r := range s.replicas {
		conn, err := (&tls.Dialer{Config: trust}).DialContext(ctx, "tcp", strings.TrimPrefix(r.URL, "https://"))
		if err != nil {
			return fmt.Errorf("replica %d: %w", i, err)
		}
		shown := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
		if err := conn.Close(); err != nil {
			return err
		}
		metrics, err := r.Metrics(ctx)
		if err != nil {
			return err
		}
		end, _ := sum(metrics, "bulkhead_certificate_expiry_timestamp_seconds")
		switch {
		case !shown.Equal(leaf):
			return fmt.Errorf("replica %d shows another certificate", i)
		case int64(end) != leaf.NotAfter.Unix():
			return fmt.Errorf("replica %d exports %.0f as the end of a certificate that ends at %d", i, end, leaf.NotAfter.Unix())
		}
		if err := readyNow(ctx, r); err != nil {
			return fmt.Errorf("replica %d: %w", i, err)
		}
	}
	return nil
}

// startHandshakes makes a new connection to the Service again and again, trusting what the API server is to trust at that
// moment. What it gives ends that, fails where any was refused, and says how many were made.
func (s *site) startHandshakes(t *testing.T) func(*testing.T) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, made := make(chan error, 1), 0
	go func() {
		var failed error
		for ctx.Err() == nil {
			trust, err := s.trust(ctx)
			if err == nil {
				var conn interface{ Close() error }
				if conn, err = (&tls.Dialer{Config: trust}).DialContext(ctx, "tcp", strings.TrimPrefix(s.service.URL, "https://")); err == nil {
					made++
					err = conn.Close()
				}
			}
			if err != nil && ctx.Err() == nil {
				failed = errors.Join(failed, err)
			}
		}
		done <- failed
	}()
	return func(t *testing.T) int {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("handshakes that failed: %v", err)
		}
		return made
	}
}
