package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/fatih/color"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// maxOthers bounds how many policies are listed that do not apply.
const maxOthers = 10

// writeText writes the answer for people: the verdict on the first line, then what decides it.
func (q *question) writeText(out io.Writer, p painter, parts []part) error {
	w := &explainer{question: q, painter: p, Writer: bufio.NewWriter(out)}
	if len(parts) > 1 {
		w.line(0, w.heading(q.from.text, q.to.text)+w.summary(parts))
	}
	for i := range parts {
		if len(parts) > 1 {
			w.line(0, "")
		}
		w.part(&parts[i])
	}
	if len(q.partial) > 0 {
		w.line(0, "")
	}
	for _, sentence := range q.partial {
		w.line(0, "incomplete: "+sentence)
	}
	return w.Flush()
}

type explainer struct {
	*question
	painter
	*bufio.Writer
}

// line writes an indented line; errors stay with the writer until Flush.
func (w *explainer) line(depth int, text string) {
	fmt.Fprintf(w, "%s%s\n", strings.Repeat("  ", depth), text)
}

// heading is the connection asked about.
func (w *explainer) heading(from, to string) string {
	if w.port == nil {
		return from + " -> " + to + ": "
	}
	return fmt.Sprintf("%s -> %s %s %d: ", from, to, w.port.Protocol, w.port.Number)
}

// verdict is the answer in a word or two.
func (w *explainer) verdict(allowed connectivity.Ports) string {
	switch {
	case allowed.Empty():
		return w.paint("denied", color.FgRed)
	case w.port == nil:
		return w.paint("allowed", color.FgGreen) + " on " + allowed.String()
	}
	return w.paint("allowed", color.FgGreen)
}

// summary is the answer for several parts together.
func (w *explainer) summary(parts []part) string {
	for i := range parts {
		if !parts[i].Allowed.Equal(parts[0].Allowed) {
			return fmt.Sprintf("%s, part by part (%d parts)", w.paint("depends", color.FgYellow), len(parts))
		}
	}
	return w.verdict(parts[0].Allowed) + fmt.Sprintf(", for %d reasons", len(parts))
}

func (w *explainer) part(p *part) {
	w.line(0, w.heading(p.from, p.to)+w.verdict(p.Allowed))
	w.side(p, netpol.Egress, p.From, p.from)
	w.side(p, netpol.Ingress, p.To, p.to)
	if !p.Allowed.Empty() {
		return
	}
	w.line(0, "")
	for _, sentence := range w.missing(p) {
		w.line(0, "missing: "+sentence)
	}
}

// side writes what one end says.
func (w *explainer) side(p *part, d netpol.Direction, e connectivity.Endpoint, name string) {
	side := &p.Sides[d]
	w.line(0, "")
	w.line(0, fmt.Sprintf("%s of %s: %s", d.Field(), name, w.sideVerdict(side, e)))
	for _, v := range side.Policies {
		title := v.Kind + " " + qualified(v.Namespace, v.Name)
		if v.Tier != "NetworkPolicy" {
			title += " (tier " + v.Tier + ")"
		}
		w.line(1, title)
		if len(v.Rules) == 0 {
			w.line(2, "no "+d.Field()+" rules, so it allows nothing")
		}
		for _, r := range v.Rules {
			w.line(2, w.rule(&r))
		}
	}
	if e.Node != nil && side.Governed {
		w.others(side, d, e.Node.Workloads[0])
	}
}

func (w *explainer) sideVerdict(s *connectivity.Side, e connectivity.Endpoint) string {
	switch {
	case e.Node == nil:
		return "outside the cluster, where no policy applies"
	case !s.Governed:
		return "on the host's network, where no policy applies"
	case !s.Isolated && len(s.Policies) == 0:
		return w.verdict(s.Allowed) + ", because no policy isolates these pods"
	}
	return w.verdict(s.Allowed)
}

// rule writes a rule with what it does; one that matches nothing says why.
func (w *explainer) rule(r *connectivity.RuleVerdict) string {
	field := r.Field
	if r.Name != "" {
		field += fmt.Sprintf(" %q", r.Name)
	}
	action := r.Action
	switch {
	case r.Matched.Empty():
		action = "-"
	case action == "Deny":
		action = w.paint(action, color.FgRed)
	case action != "Pass":
		action = w.paint(action, color.FgGreen)
	}
	return fmt.Sprintf("%s  %s  %s", field, action, r.Why)
}

// others lists the namespace's policies that say nothing here, and why.
func (w *explainer) others(s *connectivity.Side, d netpol.Direction, of *cluster.Workload) {
	asked := map[string]bool{}
	for _, v := range s.Policies {
		if v.Kind == "NetworkPolicy" {
			asked[v.Name] = true
		}
	}
	n := 0
	for _, p := range w.snapshot.Policies(of.Namespace) {
		if asked[p.Name] {
			continue
		}
		if n++; n > maxOthers {
			continue
		}
		why := "its podSelector " + p.Subject.String() + " does not select these pods"
		if p.Selects(w.snapshot.Endpoint(of)) {
			why = "its policyTypes leave out " + d.String()
		}
		w.line(1, "NetworkPolicy "+qualified(p.Namespace, p.Name)+" does not apply: "+why)
	}
	if n > maxOthers {
		w.line(1, fmt.Sprintf("+%d more that do not apply", n-maxOthers))
	}
}

// missing says what would have to change for a denied connection to be allowed.
func (w *explainer) missing(p *part) []string {
	var out []string
	for _, d := range []netpol.Direction{netpol.Egress, netpol.Ingress} {
		self, peer, verb := p.From, p.To, "to"
		if d == netpol.Ingress {
			self, peer, verb = p.To, p.From, "from"
		}
		side := &p.Sides[d]
		if !side.Allowed.Empty() {
			continue
		}
		by, left := deniedBy(side, w.asked())
		if by != "" {
			out = append(out, by+" would have to let it pass")
		}
		if side.Isolated && !left.Empty() {
			out = append(out, fmt.Sprintf("a NetworkPolicy in %s that selects %s and allows %s %s %s%s", self.Node.Namespace,
				self.Node.Workloads[0].Label(), d.Field(), verb, peerText(peer, self), w.portText()))
		}
	}
	if len(out) == 0 { // each side allows something
		out = append(out, fmt.Sprintf("ports that both sides allow: egress allows %s, ingress %s",
			p.Sides[netpol.Egress].Allowed, p.Sides[netpol.Ingress].Allowed))
	}
	return out
}

// asked are the ports that the question is about.
func (w *explainer) asked() connectivity.Ports {
	if w.port == nil {
		return connectivity.AllPorts()
	}
	return connectivity.PortsOf(connectivity.PortRange{Protocol: w.port.Protocol, First: w.port.Number, Last: w.port.Number})
}

// deniedBy names the first rule of a tier that denies some of the ports asked about, and gives those that no such rule
// denies.
func deniedBy(s *connectivity.Side, asked connectivity.Ports) (by string, left connectivity.Ports) {
	for _, v := range s.Policies {
		for _, r := range v.Rules {
			if r.Action != string(netpol.Deny) || r.Matched.Empty() {
				continue
			}
			asked = asked.Minus(r.Matched)
			if by == "" {
				by = fmt.Sprintf("%s of %s %s, which denies it,", r.Field, v.Kind, qualified(v.Namespace, v.Name))
			}
		}
	}
	return by, asked
}

func peerText(peer, self connectivity.Endpoint) string {
	switch {
	case peer.Node == nil:
		return rangeText(peer.Range)
	case peer.Node.Namespace == self.Node.Namespace:
		return "pods with " + peer.Node.Workloads[0].Label()
	}
	return fmt.Sprintf("pods with %s in namespace %s", peer.Node.Workloads[0].Label(), peer.Node.Namespace)
}

func (w *explainer) portText() string {
	if w.port == nil {
		return ""
	}
	return fmt.Sprintf(" on %s %d", w.port.Protocol, w.port.Number)
}

func qualified(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}
