package guardrails

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// dependencyLoss collects the connections that one side of them refuses.
type dependencyLoss struct {
	clients []*cluster.Workload // by connection
	lost    []*dependency
}

func (l *dependencyLoss) add(client *cluster.Workload, d *dependency) {
	l.clients = append(l.clients, client)
	l.lost = append(l.lost, d)
}

// violation tells of the connections that are refused on the side d.
func (l *dependencyLoss) violation(c *policy.Change, d netpol.Direction) policy.Violation {
	var told, others []int // places in the lists: of pods that a message may name, and of those that it may not
	seen := map[*cluster.Workload]bool{}
	var clients []*cluster.Workload
	otherPods := 0
	for i, w := range l.clients {
		if !c.MayName(w.Namespace) {
			if others = append(others, i); !seen[w] {
				otherPods += w.Pods
			}
		} else if told = append(told, i); !seen[w] {
			clients = append(clients, w)
		}
		seen[w] = true
	}
	v := policy.Violation{Affected: policy.Affect(clients), Detail: l.words(c, d, told, others, otherPods)}
	switch {
	case c.NewWorkload != nil:
		v.Field, v.Fix = l.workloadFix(c, d)
	case d == netpol.Egress:
		v.Field, v.Fix = lossField(c, clients, d), l.egressFix(c)
	default:
		subjects := l.behind(c)
		v.Field = lossField(c, workloadsOf(subjects), d)
		if len(others) == 0 {
			v.Fix = l.ingressFix(c, subjects)
		}
	}
	if c.Operation == policy.Delete {
		v.Detail = fmt.Sprintf("deleting %s: %s", c.Name, v.Detail)
	}
	return v
}

// words tells of the first connection, and how many more there are.
func (l *dependencyLoss) words(c *policy.Change, d netpol.Direction, told, others []int, otherPods int) string {
	first := append(told, others...)[0]
	dep, client := l.lost[first], l.clients[first]
	why := "no egress to " + dep.place(c)
	if d == netpol.Ingress {
		why = "no ingress at " + dep.place(c)
	}
	pods := policy.Plural(otherPods, "pod")
	if len(told) == 0 {
		return fmt.Sprintf("%s of other namespaces that name %s would be blocked (%s)", pods, dep.service.Name, why)
	}
	name := client.Label()
	if client.Namespace != c.Namespace {
		name = client.Namespace + "/" + name
	}
	says := fmt.Sprintf("%s %s would be blocked (%s)", name, dep.written(), why)
	if n := len(told) - 1; n > 0 {
		says += fmt.Sprintf(", +%d more", n)
	}
	if otherPods > 0 {
		says += fmt.Sprintf(" and %s of other namespaces", pods)
	}
	return says
}

// workloadFix keeps the labels of a pod or template that is blocked because it changes them, and else allows the egress.
func (l *dependencyLoss) workloadFix(c *policy.Change, d netpol.Direction) (field string, fix *policy.Fix) {
	if c.OldWorkload != nil && !maps.Equal(c.OldWorkload.Labels, c.NewWorkload.Labels) {
		return labelsField(c), keepLabels(c)
	}
	if d == netpol.Egress {
		fix = l.egressFix(c)
	}
	return specField(c), fix
}

// specField is where the reviewed pod or pod template has its containers.
func specField(c *policy.Change) string {
	switch {
	case c.Trigger == policy.PodWrite:
		return "spec.containers"
	case c.Kind == "CronJob":
		return "spec.jobTemplate.spec.template.spec.containers"
	}
	return "spec.template.spec.containers"
}

// egressFix allows the pods behind the Services. It is shown only where the request may be told of all of them.
func (l *dependencyLoss) egressFix(c *policy.Change) *policy.Fix {
	var rules []networkingv1.NetworkPolicyEgressRule
	have := map[*cluster.Service]int{}
	for _, d := range l.lost {
		if !c.MayName(d.service.Namespace) {
			return nil
		}
		i, known := have[d.service]
		if !known {
			i = len(rules)
			have[d.service] = i
			peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: d.service.Selector}}
			if d.service.Namespace != c.Namespace {
				peer.NamespaceSelector = named(d.service.Namespace)
			}
			rules = append(rules, networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{peer}})
		}
		rules[i].Ports = withTargets(rules[i].Ports, d)
	}
	var cut []*policy.Subject
	for i := range c.Subjects {
		if slices.Contains(l.clients, c.Subjects[i].Workload) {
			cut = append(cut, &c.Subjects[i])
		}
	}
	return restoreEgress(c, cut, narrowSelector(c, cut, netpol.Egress), "allow-dependencies", rules)
}

// ingressFix admits the clients to the pods behind the one Service that they lose; where they lose several there is no small one.
func (l *dependencyLoss) ingressFix(c *policy.Change, subjects []*policy.Subject) *policy.Fix {
	rule := networkingv1.NetworkPolicyIngressRule{}
	byNamespace := map[string][]*cluster.Workload{}
	for i, d := range l.lost {
		if d.service != l.lost[0].service {
			return nil
		}
		rule.Ports = withTargets(rule.Ports, d)
		n := l.clients[i].Namespace
		byNamespace[n] = append(byNamespace[n], l.clients[i])
	}
	for _, n := range slices.Sorted(maps.Keys(byNamespace)) {
		pods, ok := identifyAll(byNamespace[n])
		if !ok {
			return nil
		}
		peer := networkingv1.NetworkPolicyPeer{PodSelector: &pods}
		if n != c.Namespace {
			peer.NamespaceSelector = named(n)
		}
		rule.From = append(rule.From, peer)
	}
	return restoreIngress(c, subjects, narrowSelector(c, subjects, netpol.Ingress), "allow-dependents",
		[]networkingv1.NetworkPolicyIngressRule{rule})
}

// behind lists the subjects behind the lost Services.
func (l *dependencyLoss) behind(c *policy.Change) []*policy.Subject {
	var out []*policy.Subject
	for _, s := range c.LiveSubjects() {
		if slices.ContainsFunc(l.lost, func(d *dependency) bool { return slices.Contains(d.pods, s.Workload) }) {
			out = append(out, s)
		}
	}
	return out
}

// named selects a namespace by its name.
func named(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

// withTargets adds the ports on which the dependency answers.
func withTargets(ports []networkingv1.NetworkPolicyPort, d *dependency) []networkingv1.NetworkPolicyPort {
	for _, t := range d.targets() {
		port := policyPort(t.port.Protocol, t.port.Number)
		if !slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
			return *p.Protocol == *port.Protocol && *p.Port == *port.Port
		}) {
			ports = append(ports, port)
		}
	}
	return ports
}
