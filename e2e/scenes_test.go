package e2e

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// scene is a situation with the fixtures that are about it. Their requests are dry runs, which leave it as it is.
type scene struct {
	config  string
	objects []*unstructured.Unstructured
	replays []*replay
	// texts are the objects as they are asked for, by key.
	texts map[string]string
	// played says that the replays have been made.
	played bool
}

// scenesOf brings together the fixtures of one situation and config.
func scenesOf(replays []*replay) []*scene {
	var out []*scene
	known := map[string]*scene{}
	for _, r := range replays {
		texts := map[string]string{}
		for _, o := range r.objects {
			texts[key(o)] = text(o)
		}
		same := fmt.Sprint(r.config, texts) // in the order of the keys
		if known[same] == nil {
			known[same] = &scene{config: r.config, objects: r.objects, texts: texts}
			out = append(out, known[same])
		}
		known[same].replays = append(known[same].replays, r)
	}
	return out
}

// inOrder has each scene follow one from which it is made quickly: most of what neighbours share stays as it is.
func inOrder(scenes []*scene) []*scene {
	var out []*scene
	last, left := &scene{config: baseConfig}, slices.Clone(scenes)
	for len(left) > 0 {
		next, least := 0, last.effort(left[0])
		for i, sc := range left {
			if n := last.effort(sc); n < least {
				next, least = i, n
			}
		}
		last = left[next]
		out, left = append(out, last), slices.Delete(left, next, next+1)
	}
	return out
}

// effort estimates how long it takes to make next of sc, in hundredths of a second: each object is a request or two, but
// what takes long is to wait for the controllers, which work on all objects at once.
func (sc *scene) effort(next *scene) int {
	gone, come := sc.without(next), next.without(sc)
	n := gone.objects + come.objects
	for _, c := range []changes{gone, come} {
		if c.objects > 0 {
			n += 3
		}
		if c.workloads > 0 {
			n += 15
		}
		if c.namespaces > 0 {
			n += 30
		}
	}
	if sc.config != next.config {
		n += 10
	}
	return n
}

// changes counts objects that come or go, and those among them for which there are controllers to wait for.
type changes struct{ objects, namespaces, workloads int }

// without counts what sc has and other has not, or not in the same form.
func (sc *scene) without(other *scene) changes {
	var c changes
	for key, text := range sc.texts {
		if other.texts[key] == text {
			continue
		}
		c.objects++
		kind, _, _ := strings.Cut(key, "/")
		if isNamespace(kind) {
			c.namespaces++
		}
		if hasPods(kind) {
			c.workloads++
		}
	}
	return c
}

// play makes the situation and asks what the fixtures ask, all at once but for those whose findings are looked for in
// the logs: there, one request is not to be taken for another.
func (w *world) play(t *testing.T, sc *scene) {
	t.Helper()
	w.make(t, sc.config, sc.objects)
	commands := make([]command, len(sc.replays))
	for i, r := range sc.replays {
		commands[i] = w.suite.command(t, &r.Request)
	}
	var asking sync.WaitGroup
	turns := make(chan struct{}, 2*runtime.NumCPU()) // some start while others wait for the API server
	for i, r := range sc.replays {
		if r.audits() {
			continue
		}
		asking.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			r.answer, r.failure = w.suite.runKubectl(t.Context(), commands[i])
		})
	}
	asking.Wait()
	for i, r := range sc.replays {
		if !r.audits() {
			continue
		}
		before := w.suite.audited(t, r)
		r.answer, r.failure = w.suite.runKubectl(t.Context(), commands[i])
		r.logged = w.suite.audited(t, r)
		for detail, n := range before {
			r.logged[detail] -= n
		}
	}
	sc.played = true
}
