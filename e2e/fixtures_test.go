package e2e

import (
	"encoding/json"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// fixturesDir holds the situations, requests and exact words that the guardrails' own tests judge in memory.
const fixturesDir = "../policy/guardrails/testdata"

// notReplayed lists the fixtures that no real API server can be brought into, with the reason.
var notReplayed = map[string]string{
	"dualstack-gap/deny-by-config":     oneFamily,
	"dualstack-gap/warn-ingress":       oneFamily,
	"dualstack-gap/warn-ipv4-only":     oneFamily,
	"dualstack-gap/warn-ipv6-only":     oneFamily,
	"dualstack-gap/warn-other-port":    oneFamily,
	"dualstack-gap/warn-two-rules":     oneFamily,
	"dualstack-gap/warn-update-widens": oneFamily,
	"dualstack-gap/warn-with-except":   oneFamily,

	"apiserver-cut/allow-unknown-endpoints":                   "the API server lists itself",
	"dns-port/allow-service-address-of-unknown-plugin":        "the API server chooses the addresses of Services",
	"ipblock-in-cluster/allow-unknown-ranges":                 knownNodes,
	"ipblock-snat/allow-private-range-while-no-node-is-known": knownNodes,
}

// oneFamily is why fixtures about pods with addresses of both IP families are left out.
const oneFamily = "the test cluster gives its pods addresses of one IP family"

// ownKinds are kinds of which every real cluster has objects of its own, which would show beside the fixture's, or whose objects
// make the API server call somebody who is not there. TestE2E/Needs is about these.
var ownKinds = []string{"Node", "EndpointSlice", "ServiceCIDR", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService"}

func ownKind(o *unstructured.Unstructured) bool { return slices.Contains(ownKinds, o.GetKind()) }

// broughtAlong reports whether the object is of a kind that the test has to install.
func broughtAlong(o *unstructured.Unstructured) bool {
	k, _ := extraKind(o.GetKind())
	return o.GetKind() == "ClusterNetworkPolicy" ||
		slices.Contains([]string{"gateway.networking.k8s.io", "cert-manager.io", "monitoring.coreos.com"}, k.GroupVersionResource.Group)
}

// knownNodes is why fixtures about what is not known of nodes are left out.
const knownNodes = "the test cluster has nodes"

// replay is a fixture with what it needs of the cluster.
type replay struct {
	*policytest.Fixture
	config  string
	objects []*unstructured.Unstructured
	// answer is what kubectl printed, failure why it could not be run.
	answer  answer
	failure error
	// logged counts the decisions in the logs by the finding looked for there.
	logged map[string]int
}

// testFixtures replays every fixture through kubectl, with all guardrails on: the objects are created and their
// controllers run them, then the request is made as a dry run, so that the situation stays for the next fixture.
func (s *suite) testFixtures(t *testing.T) {
	fixtures, err := policytest.Load(fixturesDir)
	if err != nil {
		t.Fatal(err)
	}
	if s.plane != nil {
		defer s.installTiers(t)()
		defer s.installKinds(t)()
		s.settle(t)
	}
	w := newWorld(t, s)
	missing := map[string]bool{}
	for name := range notReplayed {
		missing[name] = true
	}
	var replays []*replay
	own := 0
	for _, f := range fixtures {
		name := f.Guardrail + "/" + f.Name
		if _, excepted := notReplayed[name]; excepted {
			delete(missing, name)
			continue
		}
		if s.plane == nil && f.Resolver == "none" {
			t.Logf("%s is not replayed: it needs another resolver than this cluster's", name)
			continue
		}
		r := newReplay(t, f, w.resolver)
		if slices.ContainsFunc(r.objects, ownKind) {
			own++
			continue
		}
		if s.plane == nil && slices.ContainsFunc(r.objects, broughtAlong) {
			t.Logf("%s is not replayed: it needs a kind that this cluster may lack", name)
			continue
		}
		replays = append(replays, r)
	}
	t.Logf("%d fixtures are replayed; %d have objects of which this cluster has its own, %d are left out by name", len(replays), own, len(notReplayed))
	for name := range missing {
		t.Errorf("notReplayed names %s, which is no fixture any more", name)
	}
	defer w.make(t, baseConfig, w.resolver)
	for _, sc := range inOrder(scenesOf(replays)) {
		for _, r := range sc.replays {
			t.Run(r.Guardrail+"/"+r.Name, func(t *testing.T) {
				if !sc.played { // the first that is wanted plays it for all
					w.play(t, sc)
				}
				if r.failure != nil {
					t.Fatal(r.failure)
				}
				checkReplay(t, r)
			})
		}
	}
}

// newReplay works out the objects of a fixture's cluster: those that it lists, the namespaces that it only names, and
// the resolver that every cluster has.
func newReplay(t *testing.T, f *policytest.Fixture, resolver []*unstructured.Unstructured) *replay {
	t.Helper()
	r := &replay{Fixture: f, config: configOf(t, f)}
	if f.Resolver != "none" {
		r.objects = append(r.objects, resolver...)
	}
	named, exist := map[string]bool{}, map[string]bool{"kube-system": true, "default": true}
	for i := range f.Cluster {
		o := object(t, &f.Cluster[i])
		r.objects = append(r.objects, o)
		if o.GetKind() == "Namespace" {
			exist[o.GetName()] = true
		} else {
			named[o.GetNamespace()] = true
		}
	}
	if f.Request.Object != nil {
		named[object(t, f.Request.Object).GetNamespace()] = true
	}
	delete(named, "") // of what is in no namespace
	for name := range named {
		if !exist[name] {
			o := &unstructured.Unstructured{}
			o.SetAPIVersion("v1")
			o.SetKind("Namespace")
			o.SetName(name)
			r.objects = append(r.objects, o)
		}
	}
	return r
}

// configOf gives the BulkheadConfig that the fixture is judged under, with author exempt as always.
func configOf(t *testing.T, f *policytest.Fixture) string {
	t.Helper()
	if len(f.Config) == 0 {
		return baseConfig
	}
	var c map[string]any
	if err := yaml.Unmarshal([]byte(baseConfig), &c); err != nil {
		t.Fatal(err)
	}
	for k, v := range f.Config {
		c[k] = v
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func object(t *testing.T, raw *runtime.RawExtension) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw.Raw, &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}
