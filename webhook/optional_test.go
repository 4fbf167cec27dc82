package webhook

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
)

const routesPath = "/apis/gateway.networking.k8s.io/v1"

// route writes an HTTPRoute to a Service of the namespace shop.
func route(name, service string) string {
	return fmt.Sprintf(`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute",
		"metadata":{"namespace":"shop","name":%q,"resourceVersion":"2"},
		"spec":{"parentRefs":[{"name":"edge","namespace":"infra"}],"rules":[{"backendRefs":[{"name":%q,"port":80}]}]}}`, name, service)
}

// servicesOf lists the Services of shop to which routes lead.
func servicesOf(s *cluster.Snapshot) string {
	var out []string
	for _, r := range s.HTTPRoutes("shop") {
		for _, b := range r.Backends {
			out = append(out, r.Name+">"+b.Service)
		}
	}
	return strings.Join(out, " ")
}

func TestNeedsComeAndGo(t *testing.T) {
	a := newTierAPI(t)
	a.install("httproutes")
	a.put("httproutes", "a", route("a", "web"))
	s, log := watchTiers(t, a)
	<-s.Ready()
	if n := a.count("GET " + routesPath); n != 0 || servicesOf(s.Snapshot()) != "" {
		t.Errorf("%d requests for what nobody needs", n)
	}

	s.SetNeeds([]cluster.Resource{cluster.HTTPRoutes, cluster.Issuers})
	eventually(t, "the route is seen", func() bool { return servicesOf(s.Snapshot()) == "a>web" })
	a.put("httproutes", "b", route("b", "api"))
	eventually(t, "another one is seen", func() bool { return servicesOf(s.Snapshot()) == "a>web b>api" })
	a.remove("httproutes", "a")
	eventually(t, "it is gone", func() bool { return servicesOf(s.Snapshot()) == "b>api" })
	if a.count("GET /apis/cert-manager.io/v1/") != 0 {
		t.Error("a kind was listed that the cluster has not")
	}

	s.SetNeeds(nil)
	eventually(t, "nothing is left of what nobody needs", func() bool { return servicesOf(s.Snapshot()) == "" && len(s.Age(time.Now())) == 0 })
	asked := a.count("GET " + routesPath)
	eventually(t, "other kinds have been asked for again", func() bool { return a.count("GET /apis/policy.networking.k8s.io/v1alpha2") > 5 })
	if n := a.count("GET " + routesPath); n > asked+1 {
		t.Errorf("%d requests for what nobody needs any more", n-asked)
	}
	if strings.Contains(log.String(), "WARN") || strings.Contains(log.String(), "ERROR") {
		t.Errorf("log %s", log)
	}
}

// TestFirstSnapshotHasTheNeeds starts with needs: no decision is made before what they name has been listed.
func TestFirstSnapshotHasTheNeeds(t *testing.T) {
	a := newTierAPI(t)
	a.install("httproutes")
	a.put("httproutes", "a", route("a", "web"))
	a.put("httproutes", "strange", `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute",
		"metadata":{"namespace":"shop","name":"strange","resourceVersion":"2"},"spec":"none"}`)
	w, _ := tierWatchOf(t, a)
	w.store.SetNeeds([]cluster.Resource{cluster.HTTPRoutes})
	w = newOptionalWatch(w.store, a.client(), w.objects, oftenEnough)
	go w.store.Run(t.Context())
	go w.run(t.Context())
	<-w.store.Ready()
	if got := servicesOf(w.store.Snapshot()); got != "a>web" {
		t.Errorf("the first snapshot has %q", got)
	}
}

func TestForbiddenNeedIsNamed(t *testing.T) {
	a := newTierAPI(t)
	a.forbidden["httproutes"] = true
	a.install("httproutes")
	s, log := watchTiers(t, a)
	s.SetNeeds([]cluster.Resource{cluster.HTTPRoutes})
	<-s.Ready()
	eventually(t, "the missing right is said", func() bool {
		return strings.Contains(log.String(), "list httproutes.gateway.networking.k8s.io")
	})
}

func TestNeedRights(t *testing.T) {
	got := fmt.Sprint(NeedRights([]cluster.Resource{cluster.EndpointSlices, cluster.Nodes}))
	const want = "[list endpointslices.discovery.k8s.io in namespace default watch endpointslices.discovery.k8s.io in namespace default list nodes watch nodes]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, k := range resources.Kinds() {
		if len(NeedRights([]cluster.Resource{k.Resource})) != 2 {
			t.Errorf("%s cannot be watched", k.Resource)
		}
		if string(k.Resource) != k.GroupVersionResource.GroupResource().String() {
			t.Errorf("%s is %s", k.Resource, k.GroupVersionResource)
		}
	}
}

// TestNeedDroppedBeforeItsAnswer reloads the config before the first question: the first snapshot does not wait for what nobody
// needs any more.
func TestNeedDroppedBeforeItsAnswer(t *testing.T) {
	a := newTierAPI(t)
	a.install("httproutes")
	w, _ := tierWatchOf(t, a)
	w.store.SetNeeds([]cluster.Resource{cluster.HTTPRoutes})
	w = newOptionalWatch(w.store, a.client(), w.objects, oftenEnough)
	w.store.SetNeeds(nil)
	go w.store.Run(t.Context())
	go w.run(t.Context())
	<-w.store.Ready()
}

// TestStopIsNoFinding stops in the middle of the questions: those that were cut off are no reason to warn.
func TestStopIsNoFinding(t *testing.T) {
	a := newTierAPI(t)
	w, log := tierWatchOf(t, a)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	w.poll(stopped)
	if strings.Contains(log.String(), "WARN") {
		t.Errorf("log %s", log)
	}
}
