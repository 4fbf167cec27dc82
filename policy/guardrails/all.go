// Package guardrails holds the guardrails, one a file, and the list of them.
package guardrails

import "github.com/bulkhead-dev/bulkhead/policy"

// All gives every guardrail, sorted by slug.
func All() []policy.Guardrail {
	return []policy.Guardrail{
		dnsCut,
		dnsDeadPeer,
		dnsTCP,
		isolationLost,
		labelDropsPolicy,
		metadataOpen,
		peerNoNamespace,
		peerNoPods,
		rulesIgnored,
		selectorNoPods,
	}
}
