package cluster

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

var seedFlag = flag.Uint64("cluster.seed", 0, "seed of the property tests; 0 takes another one each time")

// eachSequence runs check on many random clusters, each with a seed that the failure names.
func eachSequence(t *testing.T, sequences int, check func(t *testing.T, rng *rand.Rand)) {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for i := range uint64(sequences) {
		check(t, rand.New(rand.NewPCG(seed+i, 0)))
		if t.Failed() {
			t.Fatalf("repeat with -cluster.seed=%d", seed+i)
		}
	}
}

func sameDump(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestIncrementalEqualsFromScratch: whatever happened on the way, a snapshot is what the objects that are left make it,
// in whatever order they come; and a snapshot that was given out never changes.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	type given struct {
		snapshot *Snapshot
		dump     string
	}
	eachSequence(t, 40, func(t *testing.T, rng *rand.Rand) {
		m := newModel(rng)
		m.options = randomOptions(rng)
		b := NewBuilder(m.options)
		var history []given
		for range 60 {
			for range rng.IntN(5) {
				m.event(b)
			}
			s := b.Snapshot()
			got := dump(s)
			history = append(history, given{s, got})
			sameDump(t, "snapshot after events against one from scratch", dump(m.build(rng)), got)
			if t.Failed() {
				return
			}
		}
		for _, g := range history {
			sameDump(t, "a snapshot after later events", g.dump, dump(g.snapshot))
		}
	})
}

// randomCluster gives a model in which every namespace exists whatever is taken from it.
func randomCluster(rng *rand.Rand) *model {
	m := newModel(rng)
	b := NewBuilder(Options{})
	for range 80 {
		m.event(b)
	}
	for _, name := range []string{"shop", "web", systemNamespace, openshiftDNS, "own-dns"} {
		s := &corev1.Service{}
		s.Namespace, s.Name = name, "anchor"
		m.services[name+"/anchor"] = ServiceOf(s)
	}
	return m
}

// TestWithEqualsRebuilt: the cluster with or without one object is what a cluster built that way is. Only the
// workloads may be finer than needed after a policy has gone.
func TestWithEqualsRebuilt(t *testing.T) {
	eachSequence(t, 300, func(t *testing.T, rng *rand.Rand) {
		m := randomCluster(rng)
		s := m.build(rng)
		first, before := s, dump(s)
		for range 4 {
			step, changed := m.with(s)
			want := m.build(rng)
			sameDump(t, step+": contents against rebuilt", dumpContents(want), dumpContents(changed))
			if want.Stats() != changed.Stats() {
				t.Errorf("%s: stats %+v, rebuilt %+v", step, changed.Stats(), want.Stats())
			}
			if sameKeys(want, changed) {
				sameDump(t, step+" against rebuilt", dump(want), dump(changed))
			} else if !finer(want, changed) {
				t.Errorf("%s: workloads are less fine than rebuilt", step)
			}
			if t.Failed() {
				return
			}
			s = changed
		}
		sameDump(t, "the first snapshot after others were made of it", before, dump(first))
	})
}

// with does one random change to the model and, as With or Without, to the snapshot.
func (m *model) with(s *Snapshot) (step string, changed *Snapshot) {
	switch m.rng.IntN(5) {
	case 0:
		p := m.randomPolicy()
		m.policies[p.Namespace+"/"+p.Name] = p
		return "WithPolicy", s.WithPolicy(p)
	case 1:
		namespace, name := m.namespace(), policyName(m.rng)
		delete(m.policies, namespace+"/"+name)
		return "WithoutPolicy", s.WithoutPolicy(namespace, name)
	case 2:
		p := m.randomPod()
		key := p.Namespace + "/" + p.Name
		if old := m.pods[key]; old != nil {
			s = s.WithoutPod(old)
		}
		m.pods[key] = p
		return "WithPod", s.WithPod(p)
	case 3:
		keys := slices.Sorted(maps.Keys(m.pods))
		if len(keys) == 0 {
			return "nothing", s
		}
		key := pick(m.rng, keys...)
		p := m.pods[key]
		delete(m.pods, key)
		return "WithoutPod", s.WithoutPod(p)
	}
	namespace := m.namespace()
	other := randomCluster(m.rng)
	maps.DeleteFunc(m.pods, func(_ string, p *Pod) bool { return p.Namespace == namespace })
	maps.DeleteFunc(m.policies, func(key string, _ *netpol.Policy) bool { return strings.HasPrefix(key, namespace+"/") })
	c := other.contents(namespace)
	for _, p := range c.Pods {
		m.pods[p.Namespace+"/"+p.Name] = p
	}
	for _, p := range c.Policies {
		m.policies[p.Namespace+"/"+p.Name] = p
	}
	return "WithContents", s.WithContents(namespace, c)
}

// finer reports whether got tells workloads apart at least as finely as want.
func finer(want, got *Snapshot) bool {
	for n := range want.All() {
		if !covers(union(got.Namespace(n.Name).ownKeys, got.foreignKeys), union(n.ownKeys, want.foreignKeys)) {
			return false
		}
	}
	return true
}

// TestSplitForOnlySplits: telling workloads apart more finely changes nothing else, and adds up to the same pods.
func TestSplitForOnlySplits(t *testing.T) {
	eachSequence(t, 200, func(t *testing.T, rng *rand.Rand) {
		m := randomCluster(rng)
		s := m.build(rng)
		p := m.randomPolicy()
		split := s.SplitFor(p)
		sameDump(t, "contents after SplitFor", dumpContents(s), dumpContents(split))
		if !sameKeys(split, split.WithPolicy(p)) {
			t.Error("WithPolicy tells workloads apart more finely than SplitFor of the same policy")
		}
		for n := range s.All() {
			pods := 0
			for _, w := range split.Live(split.Namespace(n.Name)) {
				pods += w.Pods
			}
			if pods != n.pods {
				t.Errorf("%s has %d pods after SplitFor, want %d", n.Name, pods, n.pods)
			}
		}
	})
}

// TestConcurrentReaders: readers of one snapshot, the lazily made index included, and the Builder that goes on do not
// race. It proves something under -race.
func TestConcurrentReaders(t *testing.T) {
	eachSequence(t, 5, func(t *testing.T, rng *rand.Rand) {
		m := newModel(rng)
		b := NewBuilder(Options{})
		for range 100 {
			m.event(b)
		}
		var wg sync.WaitGroup
		for range 20 {
			s, p := b.Snapshot(), m.randomPolicy()
			want := make(chan string, 2)
			for range cap(want) {
				wg.Go(func() { want <- dump(s.WithPolicy(p)) })
			}
			wg.Go(func() {
				if a, b := <-want, <-want; a != b {
					t.Error("two readers of one snapshot see different clusters")
				}
			})
			for range 10 {
				m.event(b)
			}
		}
		wg.Wait()
	})
}
