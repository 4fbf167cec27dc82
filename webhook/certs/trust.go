package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trustTimeout bounds the look at the webhook configuration.
const trustTimeout = 5 * time.Second

// heldError is why a pair is not served yet that is good in itself.
type heldError struct{ reason string }

func (e *heldError) Error() string { return e.reason }

// untrustedError is why the first pair may be no use yet although it is served.
type untrustedError struct {
	error
	// certain says that it is none.
	certain bool
}

// holding remembers since when the API servers can know the issuer of the pair
// that waits.
type holding struct {
	serial string
	since  time.Time
}

// hold says why next is not to be served in the place of old yet; nil where it
// is. Whoever renews a CA together with the certificate changes two things that
// API servers learn of independently: the Secret, by way of the kubelet, and the
// caBundle. The pair waits for the caBundle, and for an interval more in which
// every API server sees it.
func (f *Files) hold(ctx context.Context, now time.Time, old, next *tls.Certificate) error {
	if f.options.Configuration == "" {
		return nil
	}
	webhooks, err := f.webhooks(ctx)
	if err != nil {
		return &heldError{err.Error()}
	}
	switch known, err := trusted(webhooks, now, old, next); {
	case err != nil:
		f.held = holding{}
		return &heldError{err.Error()}
	case known:
		return nil
	}
	if serial := next.Leaf.SerialNumber.Text(16); f.held.serial != serial {
		f.held = holding{serial: serial, since: now}
	}
	if now.Before(f.held.since.Add(f.options.Interval)) {
		return &heldError{"the API servers are given " + f.options.Interval.String() + " to see the new caBundle"}
	}
	return nil
}

// firstTrust tells that the pair, the first of this process, is one that the API
// servers do not trust yet: a replica is not ready before, because others may
// still serve the pair that they do trust.
func (f *Files) firstTrust(ctx context.Context) error {
	if f.options.Configuration != "" {
		webhooks, err := f.webhooks(ctx)
		if err != nil {
			return &untrustedError{error: err}
		}
		for _, w := range webhooks {
			if len(w.ClientConfig.CABundle) == 0 {
				return &untrustedError{error: fmt.Errorf("caBundle of the webhook %s is empty: cert-manager's cainjector has not filled it in, or does not run", w.Name), certain: true}
			}
		}
		served := f.loaded.Load().certificate
		if _, err := trusted(webhooks, f.options.Clock.Now(), served, served); err != nil {
			return &untrustedError{error: err, certain: true}
		}
	}
	f.trusted.Store(true)
	return nil
}

// webhooks are those of the configuration; none where there is no configuration,
// because then nobody calls.
func (f *Files) webhooks(ctx context.Context) ([]admissionv1.ValidatingWebhook, error) {
	ctx, cancel := context.WithTimeout(ctx, trustTimeout)
	defer cancel()
	found, err := f.options.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Get(ctx, f.options.Configuration, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("whether the API servers trust it cannot be told (needs the verb get on ValidatingWebhookConfiguration %s): %w",
			f.options.Configuration, err)
	}
	return found.Webhooks, nil
}

// trusted says whether every webhook trusts next, by an error, and whether the
// API servers certainly do by now: those that accept old by a root that next has
// in common with it, and those that do not accept old any more.
func trusted(webhooks []admissionv1.ValidatingWebhook, now time.Time, old, next *tls.Certificate) (known bool, err error) {
	known = true
	for _, w := range webhooks {
		bundle := w.ClientConfig.CABundle
		if len(bundle) == 0 {
			continue // what the system of the API server trusts; nothing is known of that
		}
		nextRoots, err := rootsOf(next, bundle, now)
		if err != nil {
			return false, fmt.Errorf("caBundle of the webhook %s does not trust it yet: %w", w.Name, err)
		}
		if oldRoots, err := rootsOf(old, bundle, now); err == nil {
			known = known && common(oldRoots, nextRoots)
		}
	}
	return known, nil
}

// rootsOf gives the certificates of bundle that the pair's chains end at.
func rootsOf(pair *tls.Certificate, bundle []byte, now time.Time) ([]*x509.Certificate, error) {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, errors.New("it holds no certificate")
	}
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			intermediates.AddCert(c)
		}
	}
	chains, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now})
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for _, chain := range chains {
		out = append(out, chain[len(chain)-1])
	}
	return out, nil
}

func common(a, b []*x509.Certificate) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Equal(y) {
				return true
			}
		}
	}
	return false
}
