package guardrails

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// apiServerCut: pods that use the Kubernetes API could reach an API server before the change and cannot after, judged by the
// endpoints behind the Service default/kubernetes. Where no endpoint is known nothing is said.
var apiServerCut = policy.Guardrail{
	Slug:    "apiserver-cut",
	Summary: "pods that use the Kubernetes API lose it",
	On:      []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete},
	Needs: []cluster.Resource{
		cluster.EndpointSlices, cluster.RoleBindings, cluster.ClusterRoleBindings,
	},
	DefaultAction: config.Deny,
	LiveOnly:      true,
	Seeks:         seekAPIServers,
	Check:         checkAPIServerCut,
	Documentation: policy.Documentation{
		Why: `Operators, controllers and everything that elects a leader keep a connection to the API server. Without it they stop in
silence, or restart until nobody can tell why. The API server is no pod that a selector matches, so that allowing it is easily
forgotten.`,
		Judged: `Each pod whose policies the change touches, if a token for the API is mounted in it and a RoleBinding or
ClusterRoleBinding names its service account or the accounts of its namespace. A token without a binding is what every pod has by
default and says nothing; the roles that OpenShift binds for pulling images and for security context constraints do not count.
Before and after the change, does the union of the pod's policies let it reach each address and port of the endpoints of the
Service ` + "`default/kubernetes`" + `? To lose one of several API servers is a loss: the Service picks any of them. Pods that were cut off
before are left alone.

The Service's own address is translated before most plugins compare it with the rules. Where a rule allows only that address, or
only a selector that matches the API servers' pods on the host's network, it depends on the plugin whether the pods are cut off:
that warns and never denies.`,
		Bad: `# the pods app=operator run as serviceaccount op, which has a ClusterRoleBinding
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: operator}
spec:
  podSelector: {matchLabels: {app: operator}}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: operator}
spec:
  podSelector: {matchLabels: {app: operator}}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
  - to: [{ipBlock: {cidr: 10.0.0.1/32}}]
    ports: [{protocol: TCP, port: 6443}]
`,
		Fix: `Allow the addresses of the API servers, which ` + "`kubectl get endpointslices -n default`" + ` tells, on their port. Where they
come and go, allow the range that they are in. Cilium compares ipBlocks with nodes, and so with API servers that run on them, only with
` + "`policy-cidr-match-mode: nodes`" + `. If the pods do not use the API, set ` + "`automountServiceAccountToken: false`" + ` on them.`,
	},
}

func checkAPIServerCut(c *policy.Change, _ any) []policy.Violation {
	servers := apiServersOf(c.After)
	if len(servers.endpoints) == 0 {
		return nil
	}
	clients := apiClients{s: c.After, bound: map[cluster.NamespacedName]bool{}}
	sure, unsure := apiLoss{servers: &servers}, apiLoss{servers: &servers}
	for _, s := range toJudge(c) {
		lost := servers.lostBy(s)
		if len(lost) == 0 {
			continue
		}
		account := clients.account(s.Workload)
		if account == "" {
			continue
		}
		if how := servers.otherwise(&s.After); how != "" {
			unsure.otherwise = how
			unsure.add(s, account, lost)
		} else {
			sure.add(s, account, lost)
		}
	}
	return append(sure.violations(c), unsure.violations(c)...)
}

// apiLoss collects the subjects that lose the API.
type apiLoss struct {
	servers   *apiServers
	subjects  []*policy.Subject
	accounts  []string
	lost      []apiEndpoint
	otherwise string // how some plugins still let them reach it; empty where none does
}

func (l *apiLoss) add(s *policy.Subject, account string, lost []apiEndpoint) {
	l.subjects = append(l.subjects, s)
	l.accounts = append(l.accounts, account)
	l.lost = append(l.lost, lost...)
}

func (l *apiLoss) violations(c *policy.Change) []policy.Violation {
	if len(l.subjects) == 0 {
		return nil
	}
	workloads, live := policy.Worse(l.subjects)
	slices.SortFunc(l.lost, compareEndpoints)
	l.lost = slices.Compact(l.lost)
	lost := endpointWords(l.lost)
	uses := fmt.Sprintf("%s%s the API (%s)", policy.Count(workloads), agree(workloads, " uses", " use"), accountWords(l.accounts))
	v := policy.Violation{
		Field: lossField(c, workloads, netpol.Egress), Affected: policy.Affect(workloads),
		Detail: uses + " and would lose " + lost,
		Fix:    restoreEgress(c, l.subjects, narrowSelector(c, l.subjects, netpol.Egress), "allow-apiserver", l.servers.rules()),
	}
	switch {
	case l.otherwise != "":
		v.Detail = fmt.Sprintf("%s; %s, most plugins compare %s", uses, l.otherwise, lost)
	case live:
		v.Live = true
		v.Headline = policy.Plural(policy.LivePods(workloads), "live pod") + " would lose the Kubernetes API"
		if n, all := len(l.lost), len(l.servers.endpoints); n < all {
			v.Headline = fmt.Sprintf("%s would lose %d of %d API servers", policy.Plural(policy.LivePods(workloads), "live pod"), n, all)
		}
		if v.Field == "spec.egress" {
			v.Reason = fmt.Sprintf("%s %s, the API of %s", rulesThatMiss(len(c.NewPolicy.Rules[netpol.Egress])), lost, accountWords(l.accounts))
		}
	}
	if c.NewPolicy == nil {
		v.Detail = fmt.Sprintf("deleting %s: %s", c.Name, v.Detail)
	}
	return []policy.Violation{v}
}

// accountWords lists service accounts: "serviceaccount op", "serviceaccounts op, reader, +1".
func accountWords(accounts []string) string {
	slices.Sort(accounts)
	accounts = slices.Compact(accounts)
	if len(accounts) == 1 {
		return "serviceaccount " + accounts[0]
	}
	if n := len(accounts) - maxAccounts; n > 0 {
		accounts = append(accounts[:maxAccounts:maxAccounts], fmt.Sprintf("+%d", n))
	}
	return "serviceaccounts " + strings.Join(accounts, ", ")
}

// maxAccounts bounds how many service accounts one line names.
const maxAccounts = 2
