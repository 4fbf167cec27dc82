package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

// events collects what an Observer is told.
type events struct {
	mu        sync.Mutex
	rotations map[Rotation]int
	repairs   map[Repair]int
	failures  []error
	served    int
}

func (e *events) observer() Observer {
	e.rotations, e.repairs = map[Rotation]int{}, map[Repair]int{}
	locked := func(f func()) {
		e.mu.Lock()
		defer e.mu.Unlock()
		f()
	}
	return Observer{
		Serving:  func(time.Time) { locked(func() { e.served++ }) },
		Rotated:  func(r Rotation) { locked(func() { e.rotations[r]++ }) },
		Repaired: func(r Repair) { locked(func() { e.repairs[r]++ }) },
		Failed:   func(err error) { locked(func() { e.failures = append(e.failures, err) }) },
	}
}

func (e *events) repaired(r Repair) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.repairs[r]
}

func newReplica(t *testing.T, api *fakeAPI, now clock.Clock) (*SelfSigned, *events) {
	t.Helper()
	return newReplicaWith(t, api.client(nil), now)
}

func newReplicaWith(t *testing.T, client kubernetes.Interface, now clock.Clock) (*SelfSigned, *events) {
	t.Helper()
	seen := &events{}
	replica, err := NewSelfSigned(SelfSignedOptions{
		Client: client, Namespace: testNamespace, SecretName: testSecret, Configuration: testConfiguration,
		DNSNames: testNames.dns, IPs: testNames.ips, Lifetimes: testLives, Clock: now,
		Logger: slog.New(slog.DiscardHandler), Observer: seen.observer(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return replica, seen
}

func mustReconcile(t *testing.T, replicas ...*SelfSigned) {
	t.Helper()
	for _, replica := range replicas {
		if _, err := replica.reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func wantBundles(t *testing.T, api *fakeAPI, want []byte) {
	t.Helper()
	for _, hook := range api.configuration(t).Webhooks {
		if !bytes.Equal(hook.ClientConfig.CABundle, want) {
			t.Errorf("webhook %s: caBundle is not the CA bundle", hook.Name)
		}
	}
}

func TestFirstStart(t *testing.T) {
	api := newFakeAPI(testConfigurationObject())
	replica, seen := newReplica(t, api, clocktesting.NewFakeClock(testStart))
	if _, err := replica.GetCertificate(nil); err == nil {
		t.Error("a certificate before the first reconciliation")
	}
	if replica.CABundle() != nil || !replica.NotAfter().IsZero() {
		t.Error("a bundle or an expiry before the first reconciliation")
	}
	mustReconcile(t, replica)
	wantBundles(t, api, replica.CABundle())
	if got, want := replica.NotAfter(), testStart.Add(testLives.Leaf); !got.Equal(want) {
		t.Errorf("NotAfter = %s, want %s", got, want)
	}
	if seen.repaired(RepairBundle) != 0 {
		t.Error("the first publication counts as a repair")
	}
	if strings.Contains(string(api.secret(t).Data[keyBundle]), "PRIVATE") {
		t.Error("ca.crt holds a private key")
	}
}

func TestReplicasThatStartTogetherShareOneAuthority(t *testing.T) {
	api := newFakeAPI(testConfigurationObject())
	now := clocktesting.NewFakeClock(testStart)
	b, _ := newReplica(t, api, now)
	// b creates the Secret in the moment between a's read and a's create.
	a, _ := newReplicaWith(t, api.client(func() bool { mustReconcile(t, b); return false }), now)
	mustReconcile(t, a)
	if !bytes.Equal(a.CABundle(), b.CABundle()) {
		t.Error("two replicas, two bundles")
	}
	certA, _ := a.GetCertificate(nil)
	certB, _ := b.GetCertificate(nil)
	if !certA.Leaf.Equal(certB.Leaf) {
		t.Error("two replicas, two leaves")
	}
	wantBundles(t, api, a.CABundle())
}

func TestConflictsAreResolvedByReadingAgain(t *testing.T) {
	api := newFakeAPI(testConfigurationObject())
	now := clocktesting.NewFakeClock(testStart)
	b, _ := newReplica(t, api, now)
	// b gets in before each write of a.
	a, _ := newReplicaWith(t, api.client(func() bool { mustReconcile(t, b); return true }), now)
	mustReconcile(t, a, b)
	for _, at := range []time.Duration{2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour, 9 * time.Hour} {
		now.SetTime(testStart.Add(at))
		mustReconcile(t, a, b)
		certA, _ := a.GetCertificate(nil)
		certB, _ := b.GetCertificate(nil)
		if !certA.Leaf.Equal(certB.Leaf) || !bytes.Equal(a.CABundle(), b.CABundle()) {
			t.Fatalf("replicas differ after %s", at)
		}
		wantBundles(t, api, a.CABundle())
	}
}

func TestConstantConflictEndsInAnError(t *testing.T) {
	api := newFakeAPI(testConfigurationObject())
	meddling := api.client(func() bool {
		api.setBundle(t, 0, []byte("garbage"))
		return true
	})
	replica, _ := newReplicaWith(t, meddling, clocktesting.NewFakeClock(testStart))
	if _, err := replica.reconcile(t.Context()); err == nil || !strings.Contains(err.Error(), "another writer") {
		t.Errorf("error %v, want one that names another writer", err)
	}
}

func TestForeignEditsAreRepairedAndReported(t *testing.T) {
	tests := []struct {
		name   string
		bundle func(own []byte) []byte
	}{
		{"removed", func([]byte) []byte { return nil }},
		{"garbage", func([]byte) []byte { return []byte("no PEM") }},
		{"another CA", func([]byte) []byte { return alienBundle(t) }},
		{"another CA added", func(own []byte) []byte { return append(slices.Clone(own), alienBundle(t)...) }},
		{"text added", func(own []byte) []byte { return append(slices.Clone(own), "# note"...) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			api := newFakeAPI(testConfigurationObject())
			replica, seen := newReplica(t, api, clocktesting.NewFakeClock(testStart))
			mustReconcile(t, replica)
			api.setBundle(t, 1, test.bundle(replica.CABundle()))
			mustReconcile(t, replica)
			wantBundles(t, api, replica.CABundle())
			if got := seen.repaired(RepairBundle); got != 1 {
				t.Errorf("%d repairs reported, want 1", got)
			}
		})
	}
}

func alienBundle(t *testing.T) []byte {
	return after(t, state{}, do(stepAddAuthority, 0)).bundle()
}

func TestLostOrSpoiltSecretIsWrittenBack(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*testing.T, *fakeAPI)
	}{
		{"deleted", func(t *testing.T, api *fakeAPI) { api.deleteSecret(t) }},
		{"emptied", func(t *testing.T, api *fakeAPI) { api.setSecret(t, nil) }},
		{"half written", func(t *testing.T, api *fakeAPI) {
			data := api.secret(t).Data
			data[keyAuthorities] = data[keyAuthorities][:100]
			api.setSecret(t, data)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			api := newFakeAPI(testConfigurationObject())
			replica, seen := newReplica(t, api, clocktesting.NewFakeClock(testStart))
			mustReconcile(t, replica)
			before, bundle := replica.NotAfter(), replica.CABundle()
			test.spoil(t, api)
			mustReconcile(t, replica)
			if !replica.NotAfter().Equal(before) || !bytes.Equal(replica.CABundle(), bundle) {
				t.Error("the certificate changed although the old one was good")
			}
			if !bytes.Equal(api.secret(t).Data[keyBundle], bundle) {
				t.Error("the Secret was not written back")
			}
			if got := seen.repaired(RepairSecret); got != 1 {
				t.Errorf("%d repairs reported, want 1", got)
			}
		})
	}
}

func TestUnreadableSecretAtStartIsReplaced(t *testing.T) {
	api := newFakeAPI(testConfigurationObject())
	now := clocktesting.NewFakeClock(testStart)
	first, _ := newReplica(t, api, now)
	mustReconcile(t, first)
	api.setSecret(t, map[string][]byte{"authorities.json": []byte("garbage")})
	second, seen := newReplica(t, api, now)
	mustReconcile(t, second)
	wantBundles(t, api, second.CABundle())
	if seen.repaired(RepairSecret) != 1 {
		t.Error("the replaced Secret was not reported")
	}
}

func TestWithoutConfigurationNothingIsPublished(t *testing.T) {
	api := newFakeAPI()
	replica, seen := newReplica(t, api, clocktesting.NewFakeClock(testStart))
	mustReconcile(t, replica)
	if got := replica.current.Load().authorities[0].published; !got.IsZero() {
		t.Error("a CA counts as published without a configuration")
	}
	if _, err := api.AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Create(t.Context(), testConfigurationObject(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	mustReconcile(t, replica)
	wantBundles(t, api, replica.CABundle())
	if seen.repaired(RepairBundle) != 0 {
		t.Error("the first publication counts as a repair")
	}
}

func TestAPIServerDownKeepsTheLastGood(t *testing.T) {
	api := newFakeAPI(testConfigurationObject())
	now := clocktesting.NewFakeClock(testStart)
	replica, _ := newReplica(t, api, now)
	mustReconcile(t, replica)
	want := replica.NotAfter()
	api.setDown(true)
	now.SetTime(testStart.Add(150 * time.Minute))
	if _, err := replica.reconcile(t.Context()); err == nil {
		t.Fatal("no error while the API server is down")
	}
	if !replica.NotAfter().Equal(want) {
		t.Error("a certificate that was never stored is served")
	}
}

func TestRunReactsToChangesAndToTheClock(t *testing.T) {
	api := newFakeAPI(testConfigurationObject())
	now := clocktesting.NewFakeClock(testStart)
	replica, seen := newReplica(t, api, now)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- replica.Run(ctx) }()

	eventually(t, "the bundle to be published", func() bool { return published(t, api, replica) })
	api.setBundle(t, 0, []byte("garbage"))
	eventually(t, "the bundle to be repaired", func() bool {
		return seen.repaired(RepairBundle) > 0 && published(t, api, replica)
	})
	first := replica.NotAfter()
	eventually(t, "the leaf to be renewed", func() bool {
		if now.HasWaiters() && now.Now().Before(testStart.Add(150*time.Minute)) {
			now.Step(maxWait)
		}
		return replica.NotAfter().After(first)
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func published(t *testing.T, api *fakeAPI, replica *SelfSigned) bool {
	bundle := replica.CABundle()
	return bundle != nil && !slices.ContainsFunc(api.configuration(t).Webhooks, func(hook admissionv1.ValidatingWebhook) bool {
		return !bytes.Equal(hook.ClientConfig.CABundle, bundle)
	})
}

// eventually polls until condition holds or ten seconds are over.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		case <-ticker.C:
		}
	}
}

// TestTwentyRotationsUnderLoad lets two replicas rotate their CA 20 times while
// clients shake hands all the time: one trusts the caBundle of this moment, one
// that of a step ago, as an API server does whose informer is late.
func TestTwentyRotationsUnderLoad(t *testing.T) {
	const wanted, stepLength = 20, 30 * time.Minute
	// While the replicas take step n, the late view is that of step n-2. With less
	// overlap than these two steps the handshakes fail, as they should.
	lives := testLives
	lives.Overlap = 2 * stepLength
	api := newFakeAPI(testConfigurationObject())
	now := clocktesting.NewFakeClock(testStart)
	a, seenA := newReplica(t, api, now)
	b, seenB := newReplica(t, api, now)
	a.lifetimes, b.lifetimes = lives, lives
	mustReconcile(t, a, b)
	servers := []string{serveTLS(t, a), serveTLS(t, b)}

	var current, late atomic.Pointer[x509.CertPool]
	look := func() {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(api.configuration(t).Webhooks[0].ClientConfig.CABundle)
		late.Store(current.Swap(pool))
	}
	look()
	look()

	// A handshake holds still the clock, not the rotation.
	var still sync.RWMutex
	var handshakes atomic.Int64
	stop := make(chan struct{})
	failures := make(chan error, 16)
	var load sync.WaitGroup
	for worker := range 2 {
		load.Go(func() {
			view := []*atomic.Pointer[x509.CertPool]{&current, &late}[worker]
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				still.RLock()
				err := shakeHands(servers[i%2], view.Load(), now)
				still.RUnlock()
				handshakes.Add(1)
				if err != nil {
					select {
					case failures <- err:
					default:
					}
				}
			}
		})
	}
	added := func() int {
		return seenA.rotations[RotationAuthorityAdded] + seenB.rotations[RotationAuthorityAdded]
	}
	for i := 0; added() <= wanted && !t.Failed(); i++ {
		still.Lock()
		now.Step(stepLength)
		still.Unlock()
		// They take turns; the other one gets its certificate from the Secret.
		if i%2 == 0 {
			mustReconcile(t, a, b)
		} else {
			mustReconcile(t, b, a)
		}
		look()
	}
	close(stop)
	load.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	if handshakes.Load() < wanted {
		t.Errorf("only %d handshakes", handshakes.Load())
	}
	if seenA.repaired(RepairBundle)+seenB.repaired(RepairBundle) != 0 {
		t.Error("a rotation was reported as a foreign edit")
	}
	t.Logf("%d CA rotations, %d leaves, %d handshakes", added()-1,
		seenA.rotations[RotationLeafIssued]+seenB.rotations[RotationLeafIssued], handshakes.Load())
}

func serveTLS(t *testing.T, replica *SelfSigned) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: replica.GetCertificate, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepting.Go(func() {
				defer conn.Close()
				// The client judges; what the server sees of a broken handshake is no more than that.
				_ = conn.(*tls.Conn).HandshakeContext(context.Background())
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		accepting.Wait()
	})
	return listener.Addr().String()
}

func shakeHands(address string, roots *x509.CertPool, now clock.PassiveClock) error {
	raw, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: testNames.dns[0], Time: now.Now, MinVersion: tls.VersionTLS12})
	defer conn.Close()
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("handshake with %s: %w", address, err)
	}
	return nil
}
