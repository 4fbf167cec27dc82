package main

import (
	"encoding/json"
	"io"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// The shapes of the JSON that explain-connection writes; docs/connectivity.md has their schema. Endpoints and ports are
// written as in the JSON of connections.
type (
	explanationJSON struct {
		From string `json:"from"`
		To   string `json:"to"`
		// Port is left out where all ports are asked about.
		Port  *portJSON  `json:"port,omitempty"`
		Parts []partJSON `json:"parts"`
		// Partial says what could not be read.
		Partial []string `json:"partial,omitempty"`
	}
	partJSON struct {
		From    endpointJSON `json:"from"`
		To      endpointJSON `json:"to"`
		Allowed any          `json:"allowed"` // "all" or []portJSON
		Egress  sideJSON     `json:"egress"`
		Ingress sideJSON     `json:"ingress"`
	}
	endpointJSON struct {
		Namespace string            `json:"namespace,omitempty"`
		Kind      string            `json:"kind,omitempty"`
		Name      string            `json:"name,omitempty"`
		Labels    map[string]string `json:"labels,omitempty"`
		CIDR      string            `json:"cidr,omitempty"`
	}
	portJSON struct {
		Protocol corev1.Protocol `json:"protocol"`
		Port     uint16          `json:"port"`
		EndPort  uint16          `json:"endPort,omitempty"`
	}
	sideJSON struct {
		Governed bool         `json:"governed"`
		Isolated bool         `json:"isolated"`
		Allowed  any          `json:"allowed"`
		Policies []policyJSON `json:"policies"`
	}
	policyJSON struct {
		Tier      string     `json:"tier"`
		Kind      string     `json:"kind"`
		Namespace string     `json:"namespace,omitempty"`
		Name      string     `json:"name"`
		Rules     []ruleJSON `json:"rules"`
	}
	ruleJSON struct {
		Field   string `json:"field"`
		Name    string `json:"name,omitempty"`
		Action  string `json:"action"`
		Matched any    `json:"matched"`
		Why     string `json:"why"`
	}
)

// writeJSON writes the answer for programs.
func (q *question) writeJSON(w io.Writer, parts []part) error {
	out := explanationJSON{From: q.from.text, To: q.to.text, Parts: make([]partJSON, 0, len(parts)), Partial: q.partial}
	if q.port != nil {
		out.Port = &portJSON{Protocol: q.port.Protocol, Port: q.port.Number}
	}
	for _, p := range parts {
		out.Parts = append(out.Parts, partJSON{
			From: jsonEndpoint(p.From), To: jsonEndpoint(p.To), Allowed: jsonPorts(p.Allowed),
			Egress: jsonSide(&p.Sides[netpol.Egress]), Ingress: jsonSide(&p.Sides[netpol.Ingress]),
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}

func jsonEndpoint(e connectivity.Endpoint) endpointJSON {
	if e.Node == nil {
		return endpointJSON{CIDR: e.Range.String()}
	}
	return endpointJSON{Namespace: e.Node.Namespace, Kind: e.Node.Kind, Name: e.Node.Name, Labels: e.Node.Workloads[0].Labels}
}

func jsonPorts(p connectivity.Ports) any {
	if p.All() {
		return "all"
	}
	out := []portJSON{}
	for _, r := range p.Ranges() {
		one := portJSON{Protocol: r.Protocol, Port: r.First}
		if r.Last != r.First {
			one.EndPort = r.Last
		}
		out = append(out, one)
	}
	return out
}

func jsonSide(s *connectivity.Side) sideJSON {
	out := sideJSON{Governed: s.Governed, Isolated: s.Isolated, Allowed: jsonPorts(s.Allowed), Policies: []policyJSON{}}
	for _, v := range s.Policies {
		p := policyJSON{Tier: v.Tier, Kind: v.Kind, Namespace: v.Namespace, Name: v.Name, Rules: []ruleJSON{}}
		for _, r := range v.Rules {
			p.Rules = append(p.Rules, ruleJSON{Field: r.Field, Name: r.Name, Action: r.Action, Matched: jsonPorts(r.Matched), Why: r.Why})
		}
		out.Policies = append(out.Policies, p)
	}
	return out
}
