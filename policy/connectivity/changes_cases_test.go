package connectivity_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// twoTeams is the cluster of the cases: a pod in each of three namespaces, and a database that lets pods in by their own
// labels and by their namespaces'.
const twoTeams = `
{kind: Namespace, metadata: {name: data}}
---
{kind: Namespace, metadata: {name: shop, labels: {team: red}}}
---
{kind: Namespace, metadata: {name: web, labels: {team: blue}}}
---
{kind: Pod, metadata: {namespace: data, name: db, labels: {app: db}}}
---
{kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}}
---
{kind: Pod, metadata: {namespace: shop, name: job, labels: {app: job}}}
---
{kind: Pod, metadata: {namespace: web, name: front, labels: {app: front}}}
---
kind: NetworkPolicy
metadata: {namespace: data, name: db}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}]
    ports: [{port: 5432}]
  - from: [{namespaceSelector: {matchLabels: {team: red}}}]
    ports: [{port: 9187}]
---
kind: NetworkPolicy
metadata: {namespace: web, name: front}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}`

// relabel gives a pod of shop with other labels.
func relabel(s *cluster.Snapshot, name string, l labels.Set) connectivity.Touched {
	for _, w := range s.Live(s.Namespace("shop")) {
		if w.Name == name {
			after := *w
			after.Labels = l
			return connectivity.Touched{Before: w, After: &after, Directions: [2]bool{true, true}}
		}
	}
	panic("no such pod: " + name)
}

func TestChanges(t *testing.T) {
	s := snapshotOf(t, twoTeams)
	blue := s.WithNamespace(namespaceObject("shop", labels.Set{"team": "blue"}))
	var shop []connectivity.Touched
	for _, w := range s.Live(s.Namespace("shop")) {
		shop = append(shop, connectivity.Touched{Before: w, After: w, Directions: [2]bool{true, true}})
	}
	for _, x := range []struct {
		name    string
		after   *cluster.Snapshot
		touched []connectivity.Touched
		want    string
	}{
		{"nothing", s, shop, ``},
		{"a pod loses the label by which another namespace lets it in", s, []connectivity.Touched{relabel(s, "api", labels.Set{"app": "old"})},
			`shop/api Egress data/db cut TCP 5432 opened none`},
		{"a pod gains it", s, []connectivity.Touched{relabel(s, "job", labels.Set{"app": "api"})},
			`shop/job Egress data/db cut none opened TCP 5432`},
		{"a label that nobody asks for", s, []connectivity.Touched{relabel(s, "api", labels.Set{"app": "api", "more": "x"})}, ``},
		{"a namespace changes teams", blue, shop, `
			shop/api Egress data/db cut TCP 9187 opened none
			shop/job Egress data/db cut TCP 9187 opened none`},
		{"a policy isolates one pod", s.WithPolicy(netpolOf(t, `
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  egress: [{to: [{namespaceSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 5432}]}]
  ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: "::/0"}}]}]`)), shop[:1], `
			shop/api Ingress data/db cut all ports opened none
			shop/api Ingress web/front cut all ports opened none
			shop/api Ingress 0.0.0.0-255.255.255.255 cut all ports opened none
			shop/api Egress data/db cut TCP 9187 opened none
			shop/api Egress shop/job cut TCP 1-5431, 5433-65535, UDP, SCTP opened none
			shop/api Egress 0.0.0.0-9.255.255.255 cut all ports opened none
			shop/api Egress 10.0.0.0-10.255.255.255 cut TCP 1-5431, 5433-65535, UDP, SCTP opened none
			shop/api Egress 11.0.0.0-255.255.255.255 cut all ports opened none
			shop/api Egress ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff cut all ports opened none`},
	} {
		t.Run(x.name, func(t *testing.T) {
			var got []string
			extent := connectivity.Changes(s, x.after, x.touched, 1000, func(p *connectivity.Pair) {
				peer := p.Range.String()
				if p.Peer != nil {
					peer = p.Peer.Namespace + "/" + p.Peer.Name
				}
				w := x.touched[p.Touched].After
				got = append(got, fmt.Sprintf("%s/%s %s %s cut %s opened %s", w.Namespace, w.Name, p.Direction, peer, p.Cut, p.Opened))
			})
			compareLines(t, "pairs", got, x.want)
			if !extent.Complete() || extent.Total == 0 {
				t.Errorf("extent %+v", extent)
			}
		})
	}
}

func netpolOf(t *testing.T, doc string) *netpol.Policy {
	t.Helper()
	b := cluster.NewBuilder(cluster.Options{})
	decode(t, b, "kind: NetworkPolicy\n"+doc)
	for n := range b.Snapshot().All() {
		return n.Policies[0]
	}
	return nil
}
