// Package certmanager tells what cert-manager says about the serving certificate that it is to issue: why there is none
// yet, and why there may be no next one. It reads a few objects with cert-manager's own typed client and changes nothing;
// the certificate itself comes from files (package certs), into which the kubelet puts cert-manager's Secret.
//
// It stands apart because of the weight of cert-manager's client.
package certmanager

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	certmanagerclient "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/typed/certmanager/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
)

const (
	// troubledInterval is the pause between two looks while something is wrong: somebody is at it and watches.
	troubledInterval = 5 * time.Second
	// calmInterval is the pause while nothing is. A renewal begins weeks before the expiry.
	calmInterval = time.Minute
	// readTimeout bounds one look.
	readTimeout = 10 * time.Second
)

// Options say which Certificate is looked at.
type Options struct {
	Client certmanagerclient.CertmanagerV1Interface
	// Namespace and Name are those of the Certificate.
	Namespace, Name string
	// Clock is the real one when nil.
	Clock clock.WithTicker
	// Logger is slog.Default() when nil.
	Logger *slog.Logger
}

// Monitor looks at one Certificate again and again.
type Monitor struct {
	options Options
	last    atomic.Pointer[string]
}

// NewMonitor makes a Monitor, which knows nothing before Run.
func NewMonitor(o Options) *Monitor {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Monitor{options: o}
}

// Name is that of the Certificate, with its namespace.
func (m *Monitor) Name() string { return m.options.Namespace + "/" + m.options.Name }

// Problem says, in cert-manager's words, why the certificate or its renewal is not issued; "" where nothing is wrong.
func (m *Monitor) Problem() string {
	if last := m.last.Load(); last != nil {
		return *last
	}
	return fmt.Sprintf("Certificate %s has not been read yet", m.Name())
}

// Run looks until ctx ends. A problem is logged once, until it changes or is gone.
func (m *Monitor) Run(ctx context.Context) error {
	for {
		m.look(ctx)
		pause := calmInterval
		if m.Problem() != "" {
			pause = troubledInterval
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.options.Clock.After(wait.Jitter(pause, 0.2)): // replicas are not to ask together
		}
	}
}

func (m *Monitor) look(ctx context.Context) {
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now := read(reading, m.options.Client, m.options.Namespace, m.options.Name).problem(m.options.Clock.Now())
	if ctx.Err() != nil {
		return // what failed then is no news
	}
	before := m.last.Swap(&now)
	switch {
	case now != "" && (before == nil || *before != now):
		m.options.Logger.Warn("cert-manager does not issue the serving certificate", "certificate", m.Name(), "problem", now)
	case now == "" && (before == nil || *before != ""):
		m.options.Logger.Info("cert-manager has issued the serving certificate", "certificate", m.Name())
	}
}
