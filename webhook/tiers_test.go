package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

const (
	clusterPolicies  = "clusternetworkpolicies"
	adminPolicies    = "adminnetworkpolicies"
	baselinePolicies = "baselineadminnetworkpolicies"
)

// clusterPolicy writes a ClusterNetworkPolicy of the Admin tier with a priority.
func clusterPolicy(name string, priority int) string {
	return fmt.Sprintf(`{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicy",
		"metadata":{"name":%q,"resourceVersion":"2"},"spec":{"tier":"Admin","priority":%d,"subject":{"namespaces":{}},
		"egress":[{"action":"Accept","to":[{"namespaces":{}}]}]}}`, name, priority)
}

func adminPolicy(name string) string {
	return fmt.Sprintf(`{"apiVersion":"policy.networking.k8s.io/v1alpha1","kind":"AdminNetworkPolicy","metadata":{"name":%q,"resourceVersion":"2"},
		"spec":{"priority":7,"subject":{"namespaces":{}},"egress":[{"action":"Deny","to":[{"namespaces":{}}]}]}}`, name)
}

const baselinePolicy = `{"apiVersion":"policy.networking.k8s.io/v1alpha1","kind":"BaselineAdminNetworkPolicy",
	"metadata":{"name":"default","resourceVersion":"2"},"spec":{"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{}}]}]}}`

// oftenEnough is how often the tests ask for the kinds.
const oftenEnough = 10 * time.Millisecond

// watchTiers watches nothing but the cluster-wide policies of a, until the test ends.
func watchTiers(t testing.TB, a *tierAPI) (*Store, *safeBuffer) {
	t.Helper()
	w, log := tierWatchOf(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.store.Run(ctx) })
	running.Go(func() { w.run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return w.store, log
}

// tierWatchOf makes a watch that nobody runs yet.
func tierWatchOf(t testing.TB, a *tierAPI) (*optionalWatch, *safeBuffer) {
	t.Helper()
	log := &safeBuffer{}
	s := NewStore(cluster.Options{}, nil, slog.New(slog.NewTextHandler(log, nil)))
	client := a.client()
	objects, err := overConnection(client)
	if err != nil || objects == nil {
		t.Fatalf("no client over the connection: %v", err)
	}
	return newOptionalWatch(s, client, objects, oftenEnough), log
}

// tiersOf lists what a snapshot has, as "kind/name priority", the order in which it is asked.
func tiersOf(s *cluster.Snapshot) []string {
	out := []string{}
	if s.Tiers() == nil {
		return out
	}
	for _, p := range slices.Concat(s.Tiers().Policies[netpol.AdminTier], s.Tiers().Policies[netpol.BaselineTier]) {
		out = append(out, fmt.Sprintf("%s/%s %d", p.Kind, p.Name, p.Priority))
	}
	return out
}

func eventuallyTiers(t testing.TB, s *Store, want ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the snapshot has the tiers %v", want), func() bool { return slices.Equal(tiersOf(s.Snapshot()), want) })
}

func TestAbsentTiersCostNothing(t *testing.T) {
	a := newTierAPI(t)
	s, log := watchTiers(t, a)
	<-s.Ready()
	eventually(t, "the kinds have been asked for thrice", func() bool { return a.count("GET /apis/policy.networking.k8s.io/v1alpha1") == 3 })
	if n := a.count("") - a.count("GET /apis/policy.networking.k8s.io/v1alpha"); n != 0 || a.count("GET /apis/policy.networking.k8s.io/v1alpha2") > 4 {
		t.Errorf("requests %v", a.requests)
	}
	if len(tiersOf(s.Snapshot())) != 0 || len(s.Age(time.Now())) != 0 || s.ReadyCheck() != nil {
		t.Errorf("tiers %v, age %v, readiness %v", tiersOf(s.Snapshot()), s.Age(time.Now()), s.ReadyCheck())
	}
	if strings.Contains(log.String(), "WARN") || strings.Contains(log.String(), "ERROR") {
		t.Errorf("log %s", log)
	}
}

func TestTiersComeAndGo(t *testing.T) {
	a := newTierAPI(t)
	s, log := watchTiers(t, a)
	<-s.Ready()
	a.install(clusterPolicies)
	eventually(t, "the kind is watched", func() bool { return a.count("WATCH") >= 2 }) // the first tries to stream the list
	a.put(clusterPolicies, "b", clusterPolicy("b", 5))
	a.put(clusterPolicies, "a", clusterPolicy("a", 6))
	eventuallyTiers(t, s, "ClusterNetworkPolicy/b 5", "ClusterNetworkPolicy/a 6")
	a.put(clusterPolicies, "a", clusterPolicy("a", 4))
	eventuallyTiers(t, s, "ClusterNetworkPolicy/a 4", "ClusterNetworkPolicy/b 5")

	a.install(adminPolicies)
	a.install(baselinePolicies)
	a.put(adminPolicies, "old", adminPolicy("old"))
	a.put(baselinePolicies, "default", baselinePolicy)
	eventuallyTiers(t, s, "ClusterNetworkPolicy/a 4", "ClusterNetworkPolicy/b 5", "AdminNetworkPolicy/old 7", "BaselineAdminNetworkPolicy/default 1001")
	if got := s.Age(time.Now()); len(got) != 3 {
		t.Errorf("age of %v", got)
	}

	a.remove(clusterPolicies, "a")
	a.uninstall(adminPolicies)
	eventuallyTiers(t, s, "ClusterNetworkPolicy/b 5", "BaselineAdminNetworkPolicy/default 1001")
	a.uninstall(clusterPolicies)
	a.uninstall(baselinePolicies)
	eventuallyTiers(t, s)
	eventually(t, "nothing is heard of", func() bool { return len(s.Age(time.Now())) == 0 })
	lists := a.count("GET /apis/policy.networking.k8s.io/v1alpha2/")
	asked := a.count("GET /apis/policy.networking.k8s.io/v1alpha2")
	eventually(t, "the kinds have been asked for again", func() bool { return a.count("GET /apis/policy.networking.k8s.io/v1alpha2") > asked+3 })
	if n := a.count("GET /apis/policy.networking.k8s.io/v1alpha2/"); n != lists {
		t.Errorf("what is not there was listed %d times", n-lists)
	}

	a.install(clusterPolicies)
	a.put(clusterPolicies, "again", clusterPolicy("again", 1))
	eventuallyTiers(t, s, "ClusterNetworkPolicy/again 1")
	if strings.Contains(log.String(), "WARN") || strings.Contains(log.String(), "ERROR") {
		t.Errorf("log %s", log)
	}
}

// TestWatchNoticesThatTheKindIsGone asks for the kinds by hand: the watch of one that goes ends by itself, at once, and
// the next question finds the kind that is there again.
func TestWatchNoticesThatTheKindIsGone(t *testing.T) {
	const path = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies"
	a := newTierAPI(t)
	a.install(clusterPolicies)
	a.put(clusterPolicies, "a", clusterPolicy("a", 6))
	w, log := tierWatchOf(t, a)
	go w.store.Run(t.Context())
	for round := range 3 {
		w.poll(t.Context())
		eventually(t, "there is a snapshot", func() bool { return w.store.Snapshot() != nil })
		eventuallyTiers(t, w.store, "ClusterNetworkPolicy/a 6")
		eventually(t, "the kind is watched", func() bool { return a.count("WATCH "+path) >= 2 })
		before := a.count("")
		a.uninstall(clusterPolicies)
		<-w.running[clusterPolicies+".policy.networking.k8s.io"].done
		eventuallyTiers(t, w.store)
		if n := a.count("") - before; n > 3 {
			t.Errorf("round %d: %d requests to learn that the kind is gone", round, n)
		}
		a.install(clusterPolicies)
		a.put(clusterPolicies, "a", clusterPolicy("a", 6))
	}
	if strings.Contains(log.String(), "WARN") || strings.Contains(log.String(), "ERROR") {
		t.Errorf("log %s", log)
	}
}

func TestFirstSnapshotHasTheTiers(t *testing.T) {
	a := newTierAPI(t)
	a.install(clusterPolicies)
	a.put(clusterPolicies, "a", clusterPolicy("a", 6))
	s, _ := watchTiers(t, a)
	<-s.Ready()
	if got := tiersOf(s.Snapshot()); !slices.Equal(got, []string{"ClusterNetworkPolicy/a 6"}) {
		t.Errorf("the first snapshot has %v", got)
	}
}

func TestInvalidTiersAreCounted(t *testing.T) {
	a := newTierAPI(t)
	a.install(clusterPolicies)
	a.put(clusterPolicies, "bad", clusterPolicy("bad", -1))
	a.put(clusterPolicies, "strange", `{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicy",
		"metadata":{"name":"strange","resourceVersion":"2"},"spec":"none"}`)
	s, log := watchTiers(t, a)
	<-s.Ready()
	if s.Invalid() != 2 || len(tiersOf(s.Snapshot())) != 0 {
		t.Errorf("%d invalid, tiers %v", s.Invalid(), tiersOf(s.Snapshot()))
	}
	a.put(clusterPolicies, "bad", clusterPolicy("bad", -2))
	a.put(clusterPolicies, "good", clusterPolicy("good", 1))
	eventuallyTiers(t, s, "ClusterNetworkPolicy/good 1")
	for _, name := range []string{"bad", "strange"} {
		if n := strings.Count(log.String(), `"a stored ClusterNetworkPolicy does not parse and counts as selecting nothing" policy=`+name); n != 1 {
			t.Errorf("%s was logged %d times: %s", name, n, log)
		}
	}
	a.put(clusterPolicies, "bad", clusterPolicy("bad", 2))
	a.put(clusterPolicies, "good", clusterPolicy("good", 1001))
	eventuallyTiers(t, s, "ClusterNetworkPolicy/bad 2")
	if s.Invalid() != 2 {
		t.Errorf("%d invalid", s.Invalid())
	}
	a.remove(clusterPolicies, "good")
	eventually(t, "it is gone", func() bool { return s.Invalid() == 1 })
	a.uninstall(clusterPolicies)
	eventuallyTiers(t, s)
	if s.Invalid() != 0 {
		t.Errorf("%d invalid of a kind that is not there", s.Invalid())
	}
}

func TestForbiddenTiersAreNamed(t *testing.T) {
	a := newTierAPI(t)
	a.forbidden[clusterPolicies] = true
	a.install(clusterPolicies)
	a.put(clusterPolicies, "a", clusterPolicy("a", 6))
	s, log := watchTiers(t, a)
	<-s.Ready()
	const path = "GET /apis/policy.networking.k8s.io/v1alpha2"
	eventually(t, "the kinds have been asked for thrice", func() bool { return a.count(path) >= 3 })
	if a.count(path+"/") != 0 || a.count("WATCH") != 0 {
		t.Error("it was listed all the same")
	}
	for _, want := range []string{"level=WARN", "list clusternetworkpolicies.policy.networking.k8s.io", "watch clusternetworkpolicies.policy.networking.k8s.io"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%q was logged %d times: %s", want, n, log)
		}
	}
	a.change(func() { a.forbidden[clusterPolicies] = false })
	eventuallyTiers(t, s, "ClusterNetworkPolicy/a 6")
}

func TestUnknownTiersHoldNothingUp(t *testing.T) {
	for what, broken := range map[string]string{
		"discovery": "/apis/policy.networking.k8s.io/v1alpha2", "the list": "/clusternetworkpolicies", "the question for rights": "/selfsubjectaccessreviews",
	} {
		t.Run(what+" fails", func(t *testing.T) {
			a := newTierAPI(t)
			a.install(clusterPolicies)
			a.put(clusterPolicies, "a", clusterPolicy("a", 6))
			a.broken[broken] = true
			s, log := watchTiers(t, a)
			<-s.Ready()
			if what != "the list" { // the reflector says that
				eventually(t, "it is said", func() bool { return strings.Contains(log.String(), "level=WARN") })
			}
			a.change(func() { delete(a.broken, broken) })
			eventuallyTiers(t, s, "ClusterNetworkPolicy/a 6")
		})
	}
}

// TestFailingDiscoveryKeepsTheTiers has the API server fail to say which kinds there are: that is no reason to forget them.
func TestFailingDiscoveryKeepsTheTiers(t *testing.T) {
	a := newTierAPI(t)
	a.install(clusterPolicies)
	a.put(clusterPolicies, "a", clusterPolicy("a", 6))
	s, log := watchTiers(t, a)
	<-s.Ready()
	a.change(func() { a.broken["/apis/policy.networking.k8s.io/v1alpha2"] = true })
	eventually(t, "it is said", func() bool { return strings.Contains(log.String(), "level=WARN") })
	if got := tiersOf(s.Snapshot()); !slices.Equal(got, []string{"ClusterNetworkPolicy/a 6"}) {
		t.Errorf("the snapshot has %v", got)
	}
}

func TestNoConnectionNoTiers(t *testing.T) {
	if policies, err := overConnection(fake.NewClientset()); policies != nil || err != nil {
		t.Errorf("%v, %v", policies, err)
	}
}

func TestTierMetrics(t *testing.T) {
	a := newTierAPI(t)
	a.install(clusterPolicies)
	a.put(clusterPolicies, "a", clusterPolicy("a", 6))
	a.put(clusterPolicies, "b", clusterPolicy("b", 6))
	a.put(clusterPolicies, "bad", clusterPolicy("bad", -1))
	s, _ := watchTiers(t, a)
	<-s.Ready()
	b := &bench{TB: t, registry: prometheus.NewRegistry()}
	ObserveStore(b.registry, s)
	wantSeries(t, b, "bulkhead_snapshot_objects{kind=clusternetworkpolicy} 2")
	wantSeries(t, b, "bulkhead_snapshot_objects{kind=adminnetworkpolicy} 0")
	wantSeries(t, b, "bulkhead_snapshot_objects{kind=baselineadminnetworkpolicy} 0")
	wantSeries(t, b, "bulkhead_snapshot_invalid_policies{} 1")
	if got := b.series("bulkhead_snapshot_age_seconds"); len(got) != 1 || !strings.Contains(got[0], "{resource=clusternetworkpolicies.policy.networking.k8s.io}") {
		t.Errorf("age %v", got)
	}
}

func TestTierRightsAreOptional(t *testing.T) {
	needed := SnapshotRights()
	for _, r := range TierRights() {
		if slices.Contains(needed, r) || r.Group != "policy.networking.k8s.io" || r.Verb != "list" && r.Verb != "watch" {
			t.Errorf("right %s", r)
		}
	}
	if n := len(TierRights()); n != 6 {
		t.Errorf("%d rights", n)
	}
}
