package webhook

import (
	"fmt"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy"
)

func created(t testing.TB, name string) *policy.Change { return changeOf(t, name) }

func gone(t testing.TB, name string) *policy.Change {
	t.Helper()
	c, err := policy.PolicyChange(shop().Snapshot(), policyOf(name), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRecentRemembersForAWhile(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newRecent()
	s := shop().Snapshot()
	if _, some := r.apply(now, s, "shop"); some {
		t.Error("something is remembered before anything happened")
	}
	r.remember(now, created(t, "a"))
	r.remember(now, created(t, "b"))
	r.remember(now.Add(time.Second), gone(t, "a"))
	for _, tt := range []struct {
		after      time.Duration
		a, b, some bool
	}{{time.Second, false, true, true}, {recentFor, false, false, true}, {recentFor + time.Second, false, false, false}} {
		got, some := r.apply(now.Add(tt.after), s, "shop")
		if (got.Policy("shop", "a") != nil) != tt.a || (got.Policy("shop", "b") != nil) != tt.b || some != tt.some {
			t.Errorf("after %s: a %v, b %v, some %v", tt.after, got.Policy("shop", "a"), got.Policy("shop", "b"), some)
		}
	}
	if _, some := r.apply(now, s, "kube-system"); some {
		t.Error("another namespace sees it")
	}
	if len(s.Policies("shop")) != 0 {
		t.Error("the snapshot itself changed")
	}
}

func TestRecentIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newRecent()
	for i := range 3 * recentMost {
		r.remember(now, created(t, fmt.Sprintf("p-%d", i)))
	}
	got, _ := r.apply(now, shop().Snapshot(), "shop")
	if n := len(got.Policies("shop")); n != recentMost || got.Policy("shop", fmt.Sprintf("p-%d", 3*recentMost-1)) == nil {
		t.Errorf("%d changes, the newest is %v", n, got.Policy("shop", fmt.Sprintf("p-%d", 3*recentMost-1)))
	}
	c := created(t, "a")
	for i := range 1000 {
		c.Namespace = fmt.Sprintf("ns-%d", i)
		r.remember(now.Add(time.Duration(i)*recentFor/10), c)
	}
	if n := len(r.changes); n > 25 {
		t.Errorf("%d namespaces are remembered", n)
	}
}
