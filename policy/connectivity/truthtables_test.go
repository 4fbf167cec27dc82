package connectivity_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// truthTables are upstream's cases as policy/netpol has them: a cluster of nine pods, changed step by step, and who
// reaches whom then. policy/netpol checks the fixtures themselves; unknown fields are ignored here.
const truthTables = "../netpol/testdata/truthtables/*.yaml"

// upstreamCases is how many there are.
const upstreamCases = 50

// upstreamCase is one fixture.
type upstreamCase struct {
	Model struct {
		Namespaces []string              `json:"namespaces"`
		Pods       []string              `json:"pods"`
		Ports      []uint16              `json:"ports"`
		Protocols  []corev1.Protocol     `json:"protocols"`
		Addresses  map[string]netip.Addr `json:"addresses"`
	} `json:"model"`
	Steps []upstreamStep `json:"steps"`
}

type upstreamStep struct {
	Name            string                        `json:"name"`
	Apply           []*networkingv1.NetworkPolicy `json:"apply"`
	Delete          []string                      `json:"delete"`
	NamespaceLabels map[string]labels.Set         `json:"namespaceLabels"`
	PodLabels       map[string]labels.Set         `json:"podLabels"`
	Expect          []expectation                 `json:"expect"`
}

// expectation names ports as 80/TCP; "others" means those that no other expectation of the step names, "all" means all.
type expectation struct {
	Ports []string `json:"ports"`
	Deny  []string `json:"deny"`
	Allow []string `json:"allow"`
}

func TestTruthTables(t *testing.T) {
	files, err := filepath.Glob(truthTables)
	if err != nil || len(files) != upstreamCases {
		t.Fatalf("%d fixtures (%v), want %d", len(files), err, upstreamCases)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := upstreamCase{}
			if err := yaml.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			c.run(t)
		})
	}
}

// run keeps one Builder through all steps, as a watch does.
func (c *upstreamCase) run(t *testing.T) {
	b := cluster.NewBuilder(cluster.Options{})
	pods := c.pods()
	for _, p := range pods {
		b.SetNamespace(namespaceObject(p.namespace, nil))
		b.SetPod(cluster.PodOf(p.object()))
	}
	namespaces := map[string]labels.Set{}
	o := connectivity.Options{Addresses: func(w *cluster.Workload) []netip.Addr {
		if a, ok := c.Model.Addresses[w.Namespace+"/"+w.Name]; ok {
			return []netip.Addr{a}
		}
		return nil
	}}
	for _, s := range c.Steps {
		t.Run(s.Name, func(t *testing.T) {
			s.change(t, b, pods, namespaces)
			g := connectivity.Connections(context.Background(), b.Snapshot(), o)
			if len(g.Nodes) != len(pods) {
				t.Fatalf("%d nodes, want one for each of %d pods", len(g.Nodes), len(pods))
			}
			s.check(t, c, pods, tableOf(slices.Collect(g.Edges)))
		})
	}
}

// pods gives each pod a label of its own, as upstream does, and all ports under the name serve-PORT-PROTOCOL.
func (c *upstreamCase) pods() map[string]*podSpec {
	m := &c.Model
	if m.Namespaces == nil {
		m.Namespaces = []string{"x", "y", "z"}
	}
	if m.Pods == nil {
		m.Pods = []string{"a", "b", "c"}
	}
	if m.Ports == nil {
		m.Ports = []uint16{80, 81}
	}
	if m.Protocols == nil {
		m.Protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	}
	out := map[string]*podSpec{}
	for _, ns := range m.Namespaces {
		for _, pod := range m.Pods {
			p := &podSpec{namespace: ns, name: pod, labels: labels.Set{"pod": pod}}
			for _, n := range m.Ports {
				for _, protocol := range m.Protocols {
					name := fmt.Sprintf("serve-%d-%s", n, strings.ToLower(string(protocol)))
					p.ports = append(p.ports, netpol.ContainerPort{Name: name, Protocol: protocol, Number: n})
				}
			}
			out[ns+"/"+pod] = p
		}
	}
	return out
}

func (s *upstreamStep) change(t *testing.T, b *cluster.Builder, pods map[string]*podSpec, namespaces map[string]labels.Set) {
	t.Helper()
	for _, np := range s.Apply {
		p, err := netpol.Compile(np)
		if err != nil {
			t.Fatal(err)
		}
		b.SetPolicy(p)
	}
	for _, key := range s.Delete {
		namespace, name, _ := strings.Cut(key, "/")
		b.DeletePolicy(namespace, name)
	}
	for key, added := range s.PodLabels {
		p := pods[key]
		p.labels = labels.Merge(p.labels, added)
		b.SetPod(cluster.PodOf(p.object()))
	}
	for ns, added := range s.NamespaceLabels {
		namespaces[ns] = labels.Merge(namespaces[ns], added)
		b.SetNamespace(namespaceObject(ns, namespaces[ns]))
	}
}

func (s *upstreamStep) check(t *testing.T, c *upstreamCase, pods map[string]*podSpec, got *table) {
	t.Helper()
	for _, n := range c.Model.Ports {
		for _, protocol := range c.Model.Protocols {
			port := netpol.Port{Protocol: protocol, Number: n}
			want := s.truth(t, fmt.Sprintf("%d/%s", n, protocol), slices.Sorted(maps.Keys(pods)))
			for pair, connects := range want {
				edge := got.between[[2]string{pods[pair[0]].ownerKey(), pods[pair[1]].ownerKey()}]
				if edge.Contains(port) != connects && pair[0] != pair[1] {
					t.Errorf("%s -> %s on %d/%s: the edge has %s, want %v", pair[0], pair[1], n, protocol, edge, connects)
				}
			}
		}
	}
}

// truth spells out the table of one port: everything connects, except what deny lists, except what allow lists.
func (s *upstreamStep) truth(t *testing.T, port string, pods []string) map[[2]string]bool {
	t.Helper()
	out := map[[2]string]bool{}
	for _, from := range pods {
		for _, to := range pods {
			out[[2]string{from, to}] = true
		}
	}
	x := s.expectation(port)
	if x == nil {
		t.Fatal("no expectation for " + port)
	}
	set := func(patterns []string, value bool) {
		for _, pattern := range patterns {
			from, to, _ := strings.Cut(pattern, " -> ")
			for pair := range out {
				if podMatches(from, pair[0]) && podMatches(to, pair[1]) {
					out[pair] = value
				}
			}
		}
	}
	set(x.Deny, false)
	set(x.Allow, true)
	return out
}

func (s *upstreamStep) expectation(port string) *expectation {
	for _, name := range []string{port, "others", "all"} {
		for i := range s.Expect {
			if slices.Contains(s.Expect[i].Ports, name) {
				return &s.Expect[i]
			}
		}
	}
	return nil
}

// podMatches matches "*", "x/*", "*/a" and "x/a".
func podMatches(pattern, pod string) bool {
	ok, err := filepath.Match(pattern, pod)
	return pattern == "*" || ok && err == nil
}
