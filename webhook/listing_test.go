package webhook

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// TestListing follows lists from their first object to their end: the first snapshot, two lists at a time, one that breaks off.
func TestListing(t *testing.T) {
	s := NewStore(cluster.Options{}, ResourceNames(), slog.New(slog.DiscardHandler))
	var told []bool
	s.OnListing(func(busy bool) { told = append(told, busy) })
	want := func(what string, states ...bool) {
		t.Helper()
		if !slices.Equal(told, states) {
			t.Errorf("%s: told %v, want %v", what, told, states)
		}
		told = nil
	}
	want("no snapshot yet", true)
	pods, policies := sinkOf(s, "pods"), sinkOf(s, "networkpolicies")
	streamed := func(k *sink) {
		t.Helper()
		if _, err := k.Transformer()(exampleOf(k.feed.resource)); err != nil {
			t.Fatal(err)
		}
	}
	complete := func(k *sink) {
		t.Helper()
		if err := k.Replace(nil, "1"); err != nil {
			t.Fatal(err)
		}
	}
	streamed(pods)
	complete(pods)
	want("a list before the first snapshot")
	s.listing.end(firstSnapshot)
	want("the first snapshot", false)
	streamed(pods)
	streamed(pods)
	streamed(policies)
	want("two lists", true)
	complete(pods)
	streamed(policies) // begun again
	want("one list")
	complete(policies)
	want("no list", false)
}
