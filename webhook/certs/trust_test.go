package certs

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
)

// registered is a registration of two webhooks with these bundles.
func registered(bundles ...[]byte) *admissionv1.ValidatingWebhookConfiguration {
	c := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: testConfiguration}}
	for i, bundle := range bundles {
		c.Webhooks = append(c.Webhooks, admissionv1.ValidatingWebhook{
			Name: string(rune('a'+i)) + ".bulkhead.dev", ClientConfig: admissionv1.WebhookClientConfig{CABundle: bundle},
		})
	}
	return c
}

// register changes the registration to one with these bundles; without any it removes it.
func register(t *testing.T, api *fakeAPI, bundles [][]byte) {
	t.Helper()
	client := api.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	err := client.Delete(t.Context(), testConfiguration, metav1.DeleteOptions{})
	if err == nil && bundles != nil {
		_, err = client.Create(t.Context(), registered(bundles...), metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFilesHoldANewPairUntilItIsTrusted: a pair of a CA that the API servers do not know yet is not served as long as the old
// one works.
func TestFilesHoldANewPairUntilItIsTrusted(t *testing.T) {
	first := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	renewed := after(t, first, do(stepIssueLeaf, 2*time.Hour)) // by the same CA
	other := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 2*time.Hour))
	oldCA, newCA := first.bundle(), other.bundle()
	both := bytes.Join([][]byte{oldCA, newCA}, nil)
	const now, settled, never = 0, 1, 2 // after how many intervals the new pair is served
	tests := []struct {
		name    string
		next    state
		bundles [][]byte // nil where there is no registration
		down    bool
		served  int
		reason  string // why it is held at first
	}{
		{name: "renewed by the same CA", next: renewed, bundles: [][]byte{oldCA, oldCA}, served: now},
		{name: "renewed by the same CA beside another", next: renewed, bundles: [][]byte{both, both}, served: now},
		{name: "a new CA that nobody trusts yet", next: other, bundles: [][]byte{oldCA, oldCA}, served: never, reason: "caBundle of the webhook a.bulkhead.dev does not trust it yet: "},
		{name: "a new CA that one webhook trusts", next: other, bundles: [][]byte{both, oldCA}, served: never, reason: "caBundle of the webhook b.bulkhead.dev does not trust it yet: "},
		{name: "a new CA that is trusted beside the old one", next: other, bundles: [][]byte{both, both}, served: settled, reason: "the API servers are given 10s to see the new caBundle"},
		{name: "a new CA in the place of the old one", next: other, bundles: [][]byte{newCA, newCA}, served: now},
		{name: "no bundle", next: other, bundles: [][]byte{nil, nil}, served: now},
		{name: "a broken bundle", next: other, bundles: [][]byte{[]byte("x"), nil}, served: never, reason: "caBundle of the webhook a.bulkhead.dev does not trust it yet: it holds no certificate"},
		{name: "no registration", next: other, served: now},
		{name: "no answer", next: other, bundles: [][]byte{newCA}, down: true, served: never, reason: "whether the API servers trust it cannot be told (needs the verb get on ValidatingWebhookConfiguration bulkhead): the API server is down"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			api := newFakeAPI(registered(oldCA, oldCA))
			directory := t.TempDir()
			write(t, directory, first.serving.certPEM, first.serving.keyPEM)
			clock, seen, lines := clocktesting.NewFakeClock(testStart.Add(2*time.Hour)), &events{}, &bytes.Buffer{}
			files, err := NewFiles(FilesOptions{
				Directory: directory, Clock: clock, Logger: slog.New(slog.NewTextHandler(lines, nil)), Observer: seen.observer(),
				Client: api, Configuration: testConfiguration,
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := files.Ready(); err != nil || !files.trusted.Load() {
				t.Fatalf("with what is trusted: %v", err)
			}
			register(t, api, test.bundles)
			api.down = test.down
			write(t, directory, test.next.serving.certPEM, test.next.serving.keyPEM)
			served := func() bool { return serial(t, files) == test.next.serving.certificate().SerialNumber.String() }
			for look := range 5 {
				files.check(t.Context())
				if want := look >= test.served && test.served != never; served() != want {
					t.Errorf("look %d: served %t, want %t", look, served(), want)
				}
				if err := files.Ready(); err != nil {
					t.Errorf("look %d: not ready: %v", look, err)
				}
				clock.Step(DefaultFilesInterval)
			}
			if got := strings.Count(lines.String(), "not served yet"); got != min(test.served, 1) || !strings.Contains(lines.String(), test.reason) {
				t.Errorf("%d lines about it, want one that says %q:\n%s", got, test.reason, lines)
			}
			if len(seen.failures) > 0 {
				t.Errorf("what only waits was counted as failed: %v", seen.failures)
			}
			// Before the old one expires the new one is served in any case.
			clock.SetTime(first.serving.certificate().NotAfter.Add(-DefaultFilesInterval))
			files.check(t.Context())
			if !served() {
				t.Error("right before the expiry of the old pair, the new one is not served")
			}
		})
	}
}

// TestFilesForgetASettlingPair: the time for the API servers begins anew for another pair.
func TestFilesForgetASettlingPair(t *testing.T) {
	first := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	second := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	third := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	all := bytes.Join([][]byte{first.bundle(), second.bundle(), third.bundle()}, nil)
	api := newFakeAPI(registered(all))
	directory := t.TempDir()
	clock := clocktesting.NewFakeClock(testStart)
	write(t, directory, first.serving.certPEM, first.serving.keyPEM)
	files, err := NewFiles(FilesOptions{
		Directory: directory, Clock: clock, Logger: slog.New(slog.DiscardHandler), Client: api, Configuration: testConfiguration,
	})
	if err != nil {
		t.Fatal(err)
	}
	look := func(s state, want state) {
		t.Helper()
		write(t, directory, s.serving.certPEM, s.serving.keyPEM)
		files.check(t.Context())
		if serial(t, files) != want.serving.certificate().SerialNumber.String() {
			t.Error("another pair is served than wanted")
		}
		clock.Step(DefaultFilesInterval)
	}
	look(second, first) // seen, settles
	look(third, first)  // another one: settles from now on
	look(first, first)  // taken back
	look(third, first)  // settles again
	look(third, third)
}

// TestFilesAreReadyOnceTrusted: a replica that starts with a pair which the API servers do not trust leaves the requests to others.
func TestFilesAreReadyOnceTrusted(t *testing.T) {
	own := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	other := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	tests := []struct {
		name    string
		bundles [][]byte
		down    bool
		want    string
		latched bool
	}{
		{name: "trusted", bundles: [][]byte{own.bundle(), own.bundle()}, latched: true},
		{name: "not filled in", bundles: [][]byte{own.bundle(), nil}, want: "caBundle of the webhook b.bulkhead.dev is empty: cert-manager's cainjector has not filled it in, or does not run"},
		{name: "another CA", bundles: [][]byte{other.bundle()}, want: "caBundle of the webhook a.bulkhead.dev does not trust it yet: x509: certificate signed by unknown authority"},
		{name: "no registration", latched: true},
		{name: "no answer", bundles: [][]byte{own.bundle()}, down: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			api, directory := newFakeAPI(registered()), t.TempDir()
			register(t, api, test.bundles)
			api.down = test.down
			write(t, directory, own.serving.certPEM, own.serving.keyPEM)
			seen := &events{}
			files, err := NewFiles(FilesOptions{
				Directory: directory, Clock: clocktesting.NewFakeClock(testStart), Logger: slog.New(slog.DiscardHandler),
				Observer: seen.observer(), Client: api, Configuration: testConfiguration,
			})
			if err != nil {
				t.Fatal(err)
			}
			files.check(t.Context())
			if err := files.Ready(); test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
				t.Errorf("Ready = %v, want %q", err, test.want)
			}
			if files.trusted.Load() != test.latched || len(seen.failures) > 0 {
				t.Errorf("trusted for good: %t, want %t; failures %v", files.trusted.Load(), test.latched, seen.failures)
			}
			api.down = false
			if test.bundles == nil {
				return
			}
			register(t, api, [][]byte{own.bundle()})
			files.check(t.Context())
			if err := files.Ready(); err != nil || !files.trusted.Load() {
				t.Errorf("once it is trusted: %v", err)
			}
			register(t, api, [][]byte{other.bundle()})
			files.check(t.Context())
			if err := files.Ready(); err != nil {
				t.Errorf("what all replicas have in common is no reason to be unready: %v", err)
			}
		})
	}
}

// TestFilesLookOftenUntilTrusted: a replica that waits for cainjector alone does not wait any longer than that.
func TestFilesLookOftenUntilTrusted(t *testing.T) {
	own := after(t, state{}, do(stepAddAuthority, 0), do(stepIssueLeaf, 0))
	api, directory, now := newFakeAPI(registered(nil)), t.TempDir(), clocktesting.NewFakeClock(testStart)
	write(t, directory, own.serving.certPEM, own.serving.keyPEM)
	files, err := NewFiles(FilesOptions{
		Directory: directory, Clock: now, Logger: slog.New(slog.DiscardHandler), Client: api, Configuration: testConfiguration,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- files.Run(ctx) }()
	eventually(t, "the first look to be due", now.HasWaiters)
	if err := files.Ready(); err == nil {
		t.Error("ready although caBundle is empty")
	}
	register(t, api, [][]byte{own.bundle()})
	now.Step(awaitInterval)
	eventually(t, "readiness within one more look", func() bool { return files.Ready() == nil })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}
