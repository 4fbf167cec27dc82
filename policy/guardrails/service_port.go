package guardrails

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// servicePortUsed: a rule has the number of a Service's port, its pods listen on another one, and none of the rule's
// destinations is known to listen on that number.
var servicePortUsed = policy.Guardrail{
	Slug:          "service-port",
	Summary:       "a rule has a Service's port where its pods listen on another one",
	On:            []policy.Trigger{policy.PolicyWrite},
	Needs:         []cluster.Resource{cluster.Nodes}, // their version tells the plugin of some distributions
	DefaultAction: config.Warn,
	NotYet:        true,
	NewParameters: func() any { return &servicePortParameters{} },
	Check:         checkServicePort,
	Documentation: policy.Documentation{
		Why: `Clients call the port of a Service, and the Service translates it to the ` + "`targetPort`" + ` on which the pods listen. A rule
governs the connection to the pod, after the translation: a rule for the Service's port allows nothing.`,
		Judged: `Each single numeric port, in the directions that ` + "`policyTypes`" + ` names, on the live pods that are the rule's destinations,
or on pod templates where nothing runs: is it the port of a Service that selects some of them and sends it to another port? Nothing
is said where one of the destinations declares the number as a ` + "`containerPort`" + `, where some Service sends a port to it, and where
the rule allows the ` + "`targetPort`" + ` as well. Left alone are rules with an ` + "`ipBlock`" + ` among the peers, for DNS, for every pod of the
cluster, and items that the stored policy had for the same pods. The Service of another namespace is named only where the config
discloses it. Nothing is said where the network plugin is known to govern the Service's port, as the agent of the AWS VPC CNI
does; set ` + "`pluginMatchesBeforeTranslation`" + ` where another one does.`,
		Bad: `# the Service api has port 80 and targetPort 8080
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{protocol: TCP, port: 80}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{protocol: TCP, port: 8080}]
`,
		Fix: "Use the Service's `targetPort`, or the name of the container port.",
	},
}

// servicePortParameters are what the config may set for service-port.
type servicePortParameters struct {
	// PluginMatchesBeforeTranslation says that the cluster's network plugin compares the Service's own port with the rules.
	PluginMatchesBeforeTranslation bool `json:"pluginMatchesBeforeTranslation"`
}

// translated is a Service's port that a rule has, and the ports to which Services translate it.
type translated struct {
	service *cluster.Service // the first of them
	targets []uint16
	pods    []*cluster.Workload
}

func checkServicePort(c *policy.Change, parameters any) []policy.Violation {
	if parameters.(*servicePortParameters).PluginMatchesBeforeTranslation || c.After.Network().AfterTranslation == cluster.No {
		return nil
	}
	var out []policy.Violation
	for _, item := range portItems(c, isOnePort) {
		if len(out) == maxDeadPeers {
			break
		}
		t := item.translated(c)
		behind := func(p *portPod) bool { return slices.Contains(t.pods, p.Workload) }
		if len(t.pods) == 0 || !item.fresh(behind) {
			continue
		}
		v := policy.Violation{Field: item.field(), Headline: "a rule would allow a port on which no pod listens"}
		if item.direction == netpol.Ingress {
			v.Affected = policy.Affect(t.pods)
		}
		port := fmt.Sprintf("port %d", item.match.Number)
		if item.match.Protocol != corev1.ProtocolTCP {
			port = fmt.Sprintf("%s port %d", item.match.Protocol, item.match.Number)
		}
		if c.MayName(t.service.Namespace) {
			numbers := numberWords(t.targets)
			v.Reason = fmt.Sprintf("%s is Service %s's port; its pods listen on %s. Use %s", port, t.service.Name, numbers, numbers)
			if len(t.targets) == 1 {
				v.Fix = item.replacedBy(c, intstr.FromInt32(int32(t.targets[0])))
			}
		} else {
			v.Reason = port + " is a Service's port there and not one of its pods. Use the Service's targetPort"
		}
		v.Detail = item.String() + " " + v.Reason
		out = append(out, v)
	}
	return out
}

// isOnePort reports whether the item is a single numeric port.
func isOnePort(m *netpol.PortMatch) bool { return m.Number != 0 && m.Number == m.End }

// translated looks for Services that translate the item's port to another one. It finds none where some destination may listen
// on the port itself, or the rule allows what the port is translated to.
func (i *portItem) translated(c *policy.Change) translated {
	var t translated
	rule := &c.NewPolicy.Rules[i.direction][i.rule]
	port := netpol.Port{Protocol: i.match.Protocol, Number: i.match.Number}
	for j := range i.pods {
		p := &i.pods[j]
		if p.listensOn.Contains(port) {
			return translated{}
		}
		for _, s := range p.services {
			if s.port.Protocol != port.Protocol || s.port.Number != port.Number || s.target == 0 {
				continue
			}
			if rule.MatchesPort(c.After.Endpoint(p.Workload), netpol.Port{Protocol: port.Protocol, Number: s.target}) {
				return translated{}
			}
			if t.service == nil {
				t.service = s.service
			}
			t.targets = append(t.targets, s.target)
			t.pods = append(t.pods, p.Workload)
		}
	}
	slices.Sort(t.targets)
	t.targets = slices.Compact(t.targets)
	t.pods = slices.Compact(t.pods)
	return t
}

// maxNumbers bounds how many ports one line lists.
const maxNumbers = 5

// numberWords lists sorted ports: "8080, 8443".
func numberWords(numbers []uint16) string {
	var words []string
	for _, n := range numbers[:min(len(numbers), maxNumbers)] {
		words = append(words, fmt.Sprint(n))
	}
	if n := len(numbers) - len(words); n > 0 {
		words = append(words, fmt.Sprintf("+%d", n))
	}
	return strings.Join(words, ", ")
}
