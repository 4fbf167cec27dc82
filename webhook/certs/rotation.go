package certs

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// Lifetimes say how long self-signed certificates live. A zero field takes its
// default.
type Lifetimes struct {
	// CA is the validity of a certificate authority; default 365 days. Its
	// successor joins the bundle when a third of it is left.
	CA time.Duration
	// Leaf is the validity of a serving certificate; default 30 days. It is
	// replaced when a third of it is left.
	Leaf time.Duration
	// Overlap is how long a new CA is trusted, counted from the moment it was
	// seen in the webhook configuration, before it signs; default 1 hour. API
	// servers learn it within seconds, so the rest is for clock skew and for a
	// human to react to the metrics.
	Overlap time.Duration
	// Backdate moves NotBefore into the past for verifiers whose clock is slow;
	// default 1 hour.
	Backdate time.Duration
}

func (l Lifetimes) withDefaults() Lifetimes {
	set := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	set(&l.CA, 365*24*time.Hour)
	set(&l.Leaf, 30*24*time.Hour)
	set(&l.Overlap, time.Hour)
	set(&l.Backdate, time.Hour)
	return l
}

// validate refuses lifetimes with which the last third of a CA could not hold
// the overlap and a whole leaf, and those that X.509's seconds cannot express.
func (l Lifetimes) validate() error {
	switch {
	case l.CA < 0 || l.Leaf < 0 || l.Overlap < 0 || l.Backdate < 0:
		return errors.New("certificate lifetimes must not be negative")
	case l.Leaf < 3*time.Second:
		return fmt.Errorf("leaf lifetime %s is under 3s", l.Leaf)
	case l.CA < 3*(l.Leaf+l.Overlap):
		return fmt.Errorf("CA lifetime %s must be at least three times leaf lifetime and overlap together (%s)",
			l.CA, 3*(l.Leaf+l.Overlap))
	}
	return nil
}

// names are the subject alternative names that a serving certificate needs.
type names struct {
	dns []string
	ips []net.IP
}

func (n names) covered(s *serving) bool {
	for _, name := range n.dns {
		if !slices.Contains(s.certificate().DNSNames, name) {
			return false
		}
	}
	for _, ip := range n.ips {
		if !slices.ContainsFunc(s.certificate().IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}

// union adds the names that s has, so that replicas of two versions that want
// different names do not overwrite each other's certificate for ever.
func (n names) union(s *serving) names {
	merged := names{dns: slices.Clone(n.dns), ips: slices.Clone(n.ips)}
	for _, name := range s.certificate().DNSNames {
		if !slices.Contains(merged.dns, name) {
			merged.dns = append(merged.dns, name)
		}
	}
	for _, ip := range s.certificate().IPAddresses {
		if !slices.ContainsFunc(merged.ips, ip.Equal) {
			merged.ips = append(merged.ips, ip)
		}
	}
	return merged
}

// step is what the rotation does next.
type step int

const (
	stepNone step = iota
	stepAddAuthority
	stepIssueLeaf
	stepRetire
)

// next decides the one step that is due, and for stepNone when to ask again. It
// is pure; the caller applies the step and asks again until nothing is due.
func (l Lifetimes) next(now time.Time, s state, want names) (step, time.Time) {
	signer := l.signer(now, s)
	switch {
	case signer < 0:
		return stepAddAuthority, now
	case l.leafDue(now, s, signer, want):
		return stepIssueLeaf, now
	case len(s.retirable(now)) > 0:
		return stepRetire, now
	}
	newest := len(s.authorities) - 1
	addAt := s.authorities[signer].cert.NotAfter.Add(-l.CA / 3)
	if signer == newest && !now.Before(addAt) {
		return stepAddAuthority, now
	}
	return stepNone, l.due(now, s, signer, addAt)
}

// signer is the index of the authority that signs at this moment, -1 when none
// can. NotBefore is not looked at: a replica whose clock is slow must not throw
// away a CA that works for everybody else.
func (l Lifetimes) signer(now time.Time, s state) int {
	for i, a := range slices.Backward(s.authorities) {
		if now.Before(a.cert.NotAfter) && !a.published.IsZero() && !now.Before(a.published.Add(l.Overlap)) {
			return i
		}
	}
	// Nothing has been trusted for long enough, as at the first start: the oldest
	// is the one most likely to be known.
	for i, a := range s.authorities {
		if now.Before(a.cert.NotAfter) {
			return i
		}
	}
	return -1
}

func (l Lifetimes) leafDue(now time.Time, s state, signer int, want names) bool {
	if s.serving == nil || !want.covered(s.serving) {
		return true
	}
	issuer := s.issuer()
	if issuer < signer {
		return true // a newer CA may sign now, or the issuer is gone
	}
	// A leaf that the end of its CA has cut short is replaced only by a longer one.
	longer := l.leafExpiry(now, s.authorities[signer]).After(s.serving.certificate().NotAfter)
	return longer && !now.Before(l.leafRenewal(s.serving))
}

// leafExpiry is the NotAfter of a leaf that authority a signs now, in the whole
// seconds that X.509 knows.
func (l Lifetimes) leafExpiry(now time.Time, a authority) time.Time {
	expiry := now.Add(l.Leaf).Truncate(time.Second)
	if expiry.After(a.cert.NotAfter) {
		return a.cert.NotAfter
	}
	return expiry
}

func (l Lifetimes) leafRenewal(s *serving) time.Time {
	return s.certificate().NotAfter.Add(-l.Leaf / 3)
}

// due is the first moment after now at which another step may be due.
func (l Lifetimes) due(now time.Time, s state, signer int, addAt time.Time) time.Time {
	at := s.authorities[signer].cert.NotAfter
	consider := func(t time.Time) {
		if t.After(now) && t.Before(at) {
			at = t
		}
	}
	consider(addAt)
	consider(l.leafRenewal(s.serving))
	for i, a := range s.authorities {
		if i > signer && !a.published.IsZero() {
			consider(a.published.Add(l.Overlap))
		}
		if i < signer {
			consider(a.lastLeafExpiry)
		}
	}
	return at
}
