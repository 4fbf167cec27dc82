package netpol_test

import (
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

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// fixture is one file of testdata/truthtables: a cluster of nine pods, changed step by step, and who reaches whom then.
// Namespace y is quoted in the files, because YAML 1.1 reads a bare y as true.
type fixture struct {
	Description string `json:"description"`
	Model       model  `json:"model"`
	Steps       []step `json:"steps"`
}

// model is the cluster. Every pod listens on every port in every protocol, under the name serve-PORT-PROTOCOL, and is
// labelled pod=NAME. Defaults: namespaces x, y, z; pods a, b, c; ports 80, 81; TCP, UDP, SCTP; no addresses.
type model struct {
	Namespaces []string              `json:"namespaces"`
	Pods       []string              `json:"pods"`
	Ports      []uint16              `json:"ports"`
	Protocols  []corev1.Protocol     `json:"protocols"`
	Addresses  map[string]netip.Addr `json:"addresses"`
}

// step changes the cluster and states the reachability that follows.
type step struct {
	Name            string                        `json:"name"`
	Apply           []*networkingv1.NetworkPolicy `json:"apply"`
	Delete          []string                      `json:"delete"`
	NamespaceLabels map[string]labels.Set         `json:"namespaceLabels"`
	PodLabels       map[string]labels.Set         `json:"podLabels"`
	Rejects         []rejection                   `json:"rejects"`
	Expect          []expectation                 `json:"expect"`
}

// rejection is a policy that must not compile, and a part of the error.
type rejection struct {
	Policy *networkingv1.NetworkPolicy `json:"policy"`
	Error  string                      `json:"error"`
}

// expectation is a truth table in short: everything connects, except what Deny lists, except what Allow lists. On names
// them as 80/TCP; "others" means those that no other expectation of the step names, "all" means all.
type expectation struct {
	Ports []string `json:"ports"`
	Deny  []string `json:"deny"`
	Allow []string `json:"allow"`
}

func TestTruthTables(t *testing.T) {
	files, err := filepath.Glob("testdata/truthtables/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			if upstreamCases[name] == "" {
				t.Errorf("orphan fixture: name the upstream case in upstreamCases or delete %s", file)
			}
			runFixture(t, file)
		})
	}
	for name := range upstreamCases {
		if !seen[name] {
			t.Errorf("upstream case %q has no fixture testdata/truthtables/%s.yaml", upstreamCases[name], name)
		}
	}
}

func runFixture(t *testing.T, file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{}
	if err := yaml.UnmarshalStrict(raw, &f); err != nil {
		t.Fatal(err)
	}
	if f.Description == "" || len(f.Steps) == 0 {
		t.Fatal("a fixture needs a description and steps")
	}
	pods := f.Model.endpoints()
	policies := map[string]*networkingv1.NetworkPolicy{}
	applied := 0
	for _, s := range f.Steps {
		applied += len(s.Apply)
		t.Run(s.Name, func(t *testing.T) {
			s.change(t, pods, policies)
			s.check(t, &f.Model, pods, slices.Collect(maps.Values(policies)))
		})
	}
	if applied == 0 {
		t.Error("a fixture needs policies")
	}
}

func (m *model) endpoints() map[string]*netpol.Endpoint {
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
	var ports []netpol.ContainerPort
	for _, n := range m.Ports {
		for _, p := range m.Protocols {
			ports = append(ports, netpol.ContainerPort{Name: fmt.Sprintf("serve-%d-%s", n, strings.ToLower(string(p))), Protocol: p, Number: n})
		}
	}
	out := map[string]*netpol.Endpoint{}
	for _, ns := range m.Namespaces {
		for _, pod := range m.Pods {
			e := &netpol.Endpoint{
				Namespace: ns, Pod: pod, Ports: ports,
				NamespaceLabels: labels.Set{nameLabel: ns},
				Labels:          labels.Set{"pod": pod},
			}
			if a, ok := m.Addresses[ns+"/"+pod]; ok {
				e.Addresses = []netip.Addr{a}
			}
			out[ns+"/"+pod] = e
		}
	}
	return out
}

func (s *step) change(t *testing.T, pods map[string]*netpol.Endpoint, policies map[string]*networkingv1.NetworkPolicy) {
	t.Helper()
	for _, np := range s.Apply {
		if !slices.ContainsFunc(slices.Collect(maps.Values(pods)), func(e *netpol.Endpoint) bool { return e.Namespace == np.Namespace }) {
			t.Errorf("apply: policy %s is in namespace %q, which the model lacks", np.Name, np.Namespace)
		}
		policies[np.Namespace+"/"+np.Name] = np
	}
	for _, key := range s.Delete {
		if policies[key] == nil {
			t.Errorf("delete: no policy %s", key)
		}
		delete(policies, key)
	}
	for key, added := range s.PodLabels {
		if pods[key] == nil {
			t.Fatalf("podLabels: no pod %s", key)
		}
		pods[key].Labels = labels.Merge(pods[key].Labels, added)
	}
	for ns, added := range s.NamespaceLabels {
		for _, e := range pods {
			if e.Namespace == ns {
				e.NamespaceLabels = labels.Merge(e.NamespaceLabels, added)
			}
		}
	}
	for _, r := range s.Rejects {
		if _, err := netpol.Compile(r.Policy); err == nil || r.Error == "" || !strings.Contains(err.Error(), r.Error) {
			t.Errorf("Compile: got error %v, want one that contains %q for\n%s", err, r.Error, printYAML(r.Policy))
		}
	}
}

// check probes every pair of pods on every port and protocol of the model.
func (s *step) check(t *testing.T, m *model, pods map[string]*netpol.Endpoint, nps []*networkingv1.NetworkPolicy) {
	t.Helper()
	compiled := compileAll(t, nps)
	s.checkPortNames(t, m)
	for _, n := range m.Ports {
		for _, p := range m.Protocols {
			port := netpol.Port{Protocol: p, Number: n}
			want := s.table(t, port, pods)
			for from, a := range pods {
				for to, b := range pods {
					cell := from + " -> " + to
					if got := netpol.Connects(*a, *b, port, compiled, compiled); got != want[cell] {
						t.Errorf("%s on %d/%s: got %v, want %v", cell, n, p, got, want[cell])
					}
					if got := oracle(nps).connects(*a, *b, port); got != want[cell] {
						t.Errorf("oracle: %s on %d/%s: got %v, want %v", cell, n, p, got, want[cell])
					}
				}
			}
		}
	}
}

// checkPortNames fails for expectations about ports that nobody probes.
func (s *step) checkPortNames(t *testing.T, m *model) {
	t.Helper()
	known := []string{"all", "others"}
	for _, n := range m.Ports {
		for _, p := range m.Protocols {
			known = append(known, fmt.Sprintf("%d/%s", n, p))
		}
	}
	for _, x := range s.Expect {
		for _, name := range x.Ports {
			if !slices.Contains(known, name) {
				t.Errorf("expect: port %q is not in the model, which has %v", name, known)
			}
		}
	}
}

// table spells out the truth table of one port. Loopback always connects, whatever upstream's tables say: upstream
// ignores those cells.
func (s *step) table(t *testing.T, port netpol.Port, pods map[string]*netpol.Endpoint) map[string]bool {
	t.Helper()
	x := s.expectation(t, fmt.Sprintf("%d/%s", port.Number, port.Protocol))
	out := map[string]bool{}
	for from := range pods {
		for to := range pods {
			out[from+" -> "+to] = true
		}
	}
	set := func(patterns []string, value bool) {
		for _, pattern := range patterns {
			from, to, _ := strings.Cut(pattern, " -> ")
			changed := 0
			for cell := range out {
				a, b, _ := strings.Cut(cell, " -> ")
				if podMatches(from, a) && podMatches(to, b) && out[cell] != value {
					out[cell] = value
					changed++
				}
			}
			if changed == 0 {
				t.Errorf("expectation %q changes nothing: check its spelling or delete it", pattern)
			}
		}
	}
	set(x.Deny, false)
	set(x.Allow, true)
	for key := range pods {
		out[key+" -> "+key] = true
	}
	return out
}

func (s *step) expectation(t *testing.T, port string) expectation {
	t.Helper()
	found := slices.DeleteFunc(slices.Clone(s.Expect), func(x expectation) bool { return !slices.Contains(x.Ports, port) })
	if len(found) == 0 {
		found = slices.DeleteFunc(slices.Clone(s.Expect), func(x expectation) bool {
			return !slices.Contains(x.Ports, "others") && !slices.Contains(x.Ports, "all")
		})
	}
	if len(found) != 1 {
		t.Fatalf("%d expectations for %s, want exactly one", len(found), port)
	}
	return found[0]
}

// podMatches matches "*", "x/*", "*/a" and "x/a".
func podMatches(pattern, pod string) bool {
	if pattern == "*" {
		return true
	}
	ok, err := filepath.Match(pattern, pod)
	return ok && err == nil
}
