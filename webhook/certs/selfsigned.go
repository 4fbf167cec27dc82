package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// SelfSignedOptions configures a [SelfSigned].
type SelfSignedOptions struct {
	// Client reaches the API server. It needs get, list, watch and update on the
	// one Secret and create on Secrets of its namespace, and get, list, watch and
	// patch on the one webhook configuration.
	Client kubernetes.Interface
	// Namespace and SecretName say where the state is kept; Bulkhead's own namespace.
	Namespace, SecretName string
	// Configuration is the name of the ValidatingWebhookConfiguration whose
	// caBundle is kept up. When empty nothing is published and [SelfSigned.CABundle]
	// has to be carried to the API server by somebody else.
	Configuration string
	// DNSNames and IPs are the subject alternative names of the serving
	// certificate, such as bulkhead.bulkhead-system.svc.
	DNSNames []string
	IPs      []net.IP
	// Lifetimes of CA and leaf; defaults for what is zero.
	Lifetimes Lifetimes
	// Clock is the real one when nil.
	Clock clock.Clock
	// Logger is slog.Default() when nil.
	Logger   *slog.Logger
	Observer Observer
}

// SelfSigned serves a certificate that it signs itself. CA and serving pair live
// in one Secret that all replicas share; each of them may take the next step,
// and the API server's optimistic locking lets one of them win. There is no
// leader and nothing to elect.
type SelfSigned struct {
	options   SelfSignedOptions
	client    kubernetes.Interface
	lifetimes Lifetimes
	want      names
	// current is what was last stored in the Secret or read from it.
	current atomic.Pointer[state]
	// known holds, as DER, every CA that this process has seen in the Secret.
	known map[string]bool
}

// NewSelfSigned checks the options; it does not reach out to the API server,
// Run does.
func NewSelfSigned(options SelfSignedOptions) (*SelfSigned, error) {
	lifetimes := options.Lifetimes.withDefaults()
	if err := lifetimes.validate(); err != nil {
		return nil, err
	}
	switch {
	case options.Client == nil:
		return nil, errors.New("self-signed certificates need a Kubernetes client")
	case options.Namespace == "" || options.SecretName == "":
		return nil, errors.New("self-signed certificates need the namespace and the name of their Secret")
	case len(options.DNSNames) == 0 && len(options.IPs) == 0:
		return nil, errors.New("self-signed certificates need a DNS name or an IP address to be valid for")
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	return &SelfSigned{
		options:   options,
		client:    options.Client,
		lifetimes: lifetimes,
		want:      names{dns: options.DNSNames, ips: options.IPs},
		known:     map[string]bool{},
	}, nil
}

// GetCertificate answers tls.Config.GetCertificate. It fails until the first
// state was read or stored.
func (s *SelfSigned) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	current := s.current.Load()
	if current == nil {
		return nil, errors.New("there is no serving certificate yet: its Secret was neither read nor created")
	}
	return current.serving.pair, nil
}

// Ready tells that there is no certificate yet; nil where there is one.
func (s *SelfSigned) Ready() error {
	_, err := s.GetCertificate(nil)
	return err
}

// NotAfter is the expiry of the certificate in use; zero before the first.
func (s *SelfSigned) NotAfter() time.Time {
	current := s.current.Load()
	if current == nil {
		return time.Time{}
	}
	return current.serving.certificate().NotAfter
}

// CABundle is the PEM of all trusted CAs, what caBundle has to hold; nil before
// the first.
func (s *SelfSigned) CABundle() []byte {
	current := s.current.Load()
	if current == nil {
		return nil
	}
	return current.bundle()
}

// maxPasses bounds how often one reconciliation starts again because another
// replica wrote in between; with few replicas the second pass nearly always does.
const maxPasses = 20

// reconcile brings Secret, served certificate and webhook configuration in line
// and returns when the next step is due.
func (s *SelfSigned) reconcile(ctx context.Context) (time.Time, error) {
	for range maxPasses {
		due, again, err := s.pass(ctx)
		switch {
		case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
			continue
		case err != nil:
			return time.Time{}, err
		case !again:
			return due, nil
		}
	}
	return time.Time{}, fmt.Errorf("secret %s/%s or webhook configuration %q kept changing during %d attempts: look for another writer",
		s.options.Namespace, s.options.SecretName, s.options.Configuration, maxPasses)
}

// pass is one attempt; again means that it wrote something that the next pass
// has to take into account.
//
// The configuration is read before the Secret: whatever bundle stands in it was
// stored in the Secret earlier, so the state read here is at least as new, and a
// later write to the configuration makes the patch a Conflict. The other way
// round, a replica with an old state could take a new CA out again.
func (s *SelfSigned) pass(ctx context.Context) (due time.Time, again bool, err error) {
	config, err := s.configuration(ctx)
	if err != nil {
		return due, false, err
	}
	secret, stored, err := s.load(ctx)
	if err != nil {
		return due, false, err
	}
	planned, rotations, due, err := s.plan(stored, s.holds(config))
	if err != nil {
		return due, false, err
	}
	if planned.changed {
		if err := s.store(ctx, secret, planned.state); err != nil {
			return due, false, err
		}
		if stored.repair {
			s.options.Logger.Warn("the certificate Secret had been damaged or removed and was put right",
				"secret", s.options.Namespace+"/"+s.options.SecretName)
			s.options.Observer.repaired(RepairSecret)
		}
		for _, rotation := range rotations {
			s.options.Logger.Info("certificates rotated", "step", string(rotation))
			s.options.Observer.rotated(rotation)
		}
	}
	s.adopt(planned.state)
	published, err := s.publish(ctx, config, planned.state)
	return due, published, err
}

// draft is a state on its way to the Secret.
type draft struct {
	state
	// changed says that the Secret does not hold it.
	changed bool
	// repair says that the Secret had lost or spoilt what this process served.
	repair bool
}

// plan takes every step that is due, without touching the cluster.
func (s *SelfSigned) plan(from draft, holds func([]byte) bool) (draft, []Rotation, time.Time, error) {
	now := s.options.Clock.Now()
	planned, noted := from.withPublished(now, holds)
	changed := from.changed || noted
	var rotations []Rotation
	for {
		due, at := s.lifetimes.next(now, planned, s.want)
		if due == stepNone {
			return draft{state: planned, changed: changed}, rotations, at, nil
		}
		var err error
		if planned, err = s.lifetimes.apply(due, now, planned, s.want); err != nil {
			return draft{}, nil, at, err
		}
		changed = true
		rotations = append(rotations, map[step]Rotation{
			stepAddAuthority: RotationAuthorityAdded,
			stepIssueLeaf:    RotationLeafIssued,
			stepRetire:       RotationAuthorityRetired,
		}[due])
	}
}

// adopt serves next and remembers its authorities.
func (s *SelfSigned) adopt(next state) {
	previous := s.current.Swap(&next)
	for _, a := range next.authorities {
		s.known[string(a.cert.Raw)] = true
	}
	if previous == nil || !previous.serving.certificate().Equal(next.serving.certificate()) {
		leaf := next.serving.certificate()
		s.options.Logger.Info("serving certificate in use", "notAfter", leaf.NotAfter, "serial", leaf.SerialNumber.Text(16))
		s.options.Observer.serving(leaf.NotAfter)
	}
}
