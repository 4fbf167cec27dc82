package certs

import (
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	testNames = names{dns: []string{"bulkhead.bulkhead-system.svc"}, ips: []net.IP{net.IPv4(127, 0, 0, 1)}}
	testLives = Lifetimes{CA: 12 * time.Hour, Leaf: 3 * time.Hour, Overlap: 30 * time.Minute, Backdate: 5 * time.Minute}
)

// after applies steps at the moments given and returns the state.
func after(t *testing.T, from state, steps ...func(state) (state, error)) state {
	t.Helper()
	for _, step := range steps {
		var err error
		if from, err = step(from); err != nil {
			t.Fatal(err)
		}
	}
	return from
}

func do(due step, at time.Duration) func(state) (state, error) {
	return func(s state) (state, error) { return testLives.apply(due, testStart.Add(at), s, testNames) }
}

func publish(at time.Duration, authorities ...int) func(state) (state, error) {
	return func(s state) (state, error) {
		noted, _ := s.withPublished(testStart.Add(at), func(certPEM []byte) bool {
			return slices.ContainsFunc(authorities, func(i int) bool {
				return string(certPEM) == string(encodeCertificate(s.authorities[i].cert.Raw))
			})
		})
		return noted, nil
	}
}

func TestNextOverTheWholeLife(t *testing.T) {
	first := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	settled := after(t, first, publish(time.Minute, 0))
	// At 8 h a third of the CA is left; the leaf was renewed at 7 h.
	renewed := after(t, settled, do(stepIssueLeaf, 7*time.Hour))
	joined := after(t, renewed, do(stepAddAuthority, 8*time.Hour))
	seen := after(t, joined, publish(8*time.Hour+time.Minute, 0, 1))
	promoted := after(t, seen, do(stepIssueLeaf, 8*time.Hour+31*time.Minute))
	retired := after(t, promoted, do(stepRetire, 10*time.Hour))
	lostLeaf := settled
	lostLeaf.serving = nil
	wider := names{dns: append(slices.Clone(testNames.dns), "bulkhead"), ips: testNames.ips}

	tests := []struct {
		name  string
		at    time.Duration
		state state
		want  names
		step  step
		due   time.Duration
	}{
		{"nothing yet", 0, state{}, testNames, stepAddAuthority, 0},
		{"a CA without a leaf", 0, state{authorities: first.authorities}, testNames, stepIssueLeaf, 0},
		{"first leaf, unpublished", time.Minute, first, testNames, stepNone, 2 * time.Hour},
		{"published", 2 * time.Minute, settled, testNames, stepNone, 2 * time.Hour},
		{"just before two thirds of the leaf", 2*time.Hour - time.Second, settled, testNames, stepNone, 2 * time.Hour},
		{"two thirds of the leaf", 2 * time.Hour, settled, testNames, stepIssueLeaf, 2 * time.Hour},
		{"leaf long expired", 6 * time.Hour, settled, testNames, stepIssueLeaf, 6 * time.Hour},
		{"serving pair lost", time.Hour, lostLeaf, testNames, stepIssueLeaf, time.Hour},
		{"a name is missing", time.Hour, settled, wider, stepIssueLeaf, time.Hour},
		{"before two thirds of the CA", 8*time.Hour - time.Second, renewed, testNames, stepNone, 8 * time.Hour},
		{"two thirds of the CA", 8 * time.Hour, renewed, testNames, stepAddAuthority, 8 * time.Hour},
		{"new CA not published: never signs", 8*time.Hour + 59*time.Minute, joined, testNames, stepNone, 9 * time.Hour},
		{"new CA not published: the old one goes on signing", 9 * time.Hour, joined, testNames, stepIssueLeaf, 9 * time.Hour},
		{"new CA within its overlap", 8*time.Hour + 30*time.Minute, seen, testNames, stepNone, 8*time.Hour + 31*time.Minute},
		{"overlap over: the new CA signs", 8*time.Hour + 31*time.Minute, seen, testNames, stepIssueLeaf, 8*time.Hour + 31*time.Minute},
		{"old CA stays while its last leaf is valid", 10*time.Hour - time.Second, promoted, testNames, stepNone, 10 * time.Hour},
		{"old CA goes with its last leaf", 10 * time.Hour, promoted, testNames, stepRetire, 10 * time.Hour},
		{"one CA again", 10 * time.Hour, retired, testNames, stepNone, 10*time.Hour + 31*time.Minute},
		{"everything expired: a new CA", 30 * time.Hour, renewed, testNames, stepAddAuthority, 30 * time.Hour},
		{"clock behind the CA's start: nothing is thrown away", -24 * time.Hour, settled, testNames, stepNone, 2 * time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, due := testLives.next(testStart.Add(test.at), test.state, test.want)
			if got != test.step || !due.Equal(testStart.Add(test.due)) {
				t.Errorf("next = step %d at %s, want step %d at %s", got, due.Sub(testStart), test.step, test.due)
			}
		})
	}
}

func TestLeafNearTheEndOfItsAuthorityIsNotReissuedForEver(t *testing.T) {
	s := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0), publish(0, 0),
		do(stepAddAuthority, 8*time.Hour), do(stepIssueLeaf, 11*time.Hour+30*time.Minute))
	if !s.serving.certificate().NotAfter.Equal(testStart.Add(12 * time.Hour)) {
		t.Fatalf("leaf expires at %s, want with its CA", s.serving.certificate().NotAfter)
	}
	if got, _ := testLives.next(testStart.Add(11*time.Hour+45*time.Minute), s, testNames); got != stepNone {
		t.Errorf("next = step %d, want none: a new leaf would not live longer", got)
	}
}

func TestMissingAuthorityStartsItsOverlapAgain(t *testing.T) {
	s := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0), publish(0, 0),
		do(stepAddAuthority, 8*time.Hour), publish(8*time.Hour, 0, 1), publish(8*time.Hour+10*time.Minute))
	if !s.authorities[1].published.IsZero() {
		t.Error("a CA that was taken out of the configuration still counts as published")
	}
	if s.authorities[0].published.IsZero() {
		t.Error("the signing CA must keep its mark")
	}
}

func TestNewNamesJoinTheOldOnesUntilTheLeafIsRenewed(t *testing.T) {
	s := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0), publish(0, 0))
	other := names{dns: []string{"other.svc"}}
	early, err := testLives.apply(stepIssueLeaf, testStart.Add(time.Hour), s, other)
	if err != nil {
		t.Fatal(err)
	}
	if !testNames.covered(early.serving) || !other.covered(early.serving) {
		t.Errorf("names %v: replicas that want different names would take turns for ever", early.serving.certificate().DNSNames)
	}
	late, err := testLives.apply(stepIssueLeaf, testStart.Add(3*time.Hour), early, other)
	if err != nil {
		t.Fatal(err)
	}
	if testNames.covered(late.serving) {
		t.Error("names that nobody wants any more must go with the next regular leaf")
	}
}

// TestEveryMomentOfManyLivesVerifies steps through 12 CA lives in small steps.
// At each, the leaf must verify against the bundle of this moment and against
// the one that a verifier learned up to one overlap ago.
func TestEveryMomentOfManyLivesVerifies(t *testing.T) {
	s, now := state{}, testStart
	var lagging []byte
	lives, most := 0, 0
	for step := 10 * time.Minute; lives < 12; now = now.Add(step) {
		s, _ = s.withPublished(now, func([]byte) bool { return true })
		for {
			due, _ := testLives.next(now, s, testNames)
			if due == stepNone {
				break
			}
			s = after(t, s, func(s state) (state, error) { return testLives.apply(due, now, s, testNames) })
			if due == stepAddAuthority {
				lives++
			}
		}
		verify(t, now, s, s.bundle())
		if lagging != nil {
			verify(t, now, s, lagging)
		}
		lagging = s.bundle()
		most = max(most, len(s.authorities))
	}
	if most != 2 {
		t.Errorf("the bundle held up to %d CAs, want 2", most)
	}
}

func verify(t *testing.T, now time.Time, s state, bundle []byte) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err := s.serving.certificate().Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, DNSName: testNames.dns[0],
	})
	if err != nil {
		t.Fatalf("at %s: %v", now.Sub(testStart), err)
	}
}

func TestStateSurvivesItsSecret(t *testing.T) {
	s := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0), publish(time.Minute, 0), do(stepAddAuthority, 8*time.Hour))
	data, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeState(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.encode()
	if err != nil {
		t.Fatal(err)
	}
	for key := range data {
		if string(data[key]) != string(again[key]) {
			t.Errorf("key %s differs after a round trip", key)
		}
	}
	if string(data[keyBundle]) != string(s.bundle()) {
		t.Error("ca.crt is not the bundle")
	}
}

func TestDecodeBrokenState(t *testing.T) {
	good := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	alien := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	tests := []struct {
		name    string
		edit    func(map[string][]byte)
		err     string
		serving bool
	}{
		{"authorities missing", func(d map[string][]byte) { delete(d, keyAuthorities) }, "authorities.json is missing", false},
		{"authorities garbage", func(d map[string][]byte) { d[keyAuthorities] = []byte("{") }, "authorities.json", false},
		{"authorities empty", func(d map[string][]byte) { d[keyAuthorities] = []byte("[]") }, "lists no authority", false},
		{"authority garbage", func(d map[string][]byte) { d[keyAuthorities] = []byte(`[{"certificate":"x"}]`) }, "authority 0", false},
		{"a leaf as authority", func(d map[string][]byte) {
			d[keyAuthorities] = []byte(`[{"certificate":` + quote(d[keyServingCert]) + `,"key":` + quote(d[keyServingKey]) + `}]`)
		}, "no ECDSA certificate authority", false},
		{"serving pair half written", func(d map[string][]byte) { d[keyServingCert] = d[keyServingCert][:40] }, "", false},
		{"serving pair of another CA", func(d map[string][]byte) {
			d[keyServingCert], d[keyServingKey] = alien.serving.certPEM, alien.serving.keyPEM
		}, "", false},
		{"intact", func(map[string][]byte) {}, "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data, err := good.encode()
			if err != nil {
				t.Fatal(err)
			}
			test.edit(data)
			got, err := decodeState(data)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one that says %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if (got.serving != nil) != test.serving {
				t.Errorf("serving pair kept: %t, want %t", got.serving != nil, test.serving)
			}
		})
	}
}

func quote(pemData []byte) string {
	return `"` + strings.ReplaceAll(string(pemData), "\n", `\n`) + `"`
}

func TestLifetimesValidation(t *testing.T) {
	tests := []struct {
		lifetimes Lifetimes
		err       string
	}{
		{Lifetimes{}, ""},
		{testLives, ""},
		{Lifetimes{Leaf: -1}, "negative"},
		{Lifetimes{Leaf: time.Second}, "under 3s"},
		{Lifetimes{CA: 24 * time.Hour, Leaf: 12 * time.Hour}, "three times"},
	}
	for _, test := range tests {
		err := test.lifetimes.withDefaults().validate()
		if (test.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%+v: error %v, want %q", test.lifetimes, err, test.err)
		}
	}
}
