// Package guardrails holds the guardrails, one a file, and the list of them.
package guardrails

import "github.com/bulkhead-dev/bulkhead/policy"

// All gives every guardrail, sorted by slug.
func All() []policy.Guardrail {
	return []policy.Guardrail{
		allowAllRule,
		andOr,
		anyNamespaceIn,
		baselineHalf,
		baselineNullified,
		cniInert,
		connectivityDiff,
		dnsCut,
		dnsDeadPeer,
		dnsPortUsed,
		dnsResolver,
		dnsTCP,
		dualStackGap,
		endPort,
		exceptDefeated,
		forbiddenCIDR,
		gatewayCut,
		hostNetworkBypass,
		hostNetworkPeer,
		ipBlockInCluster,
		ipBlockSNAT,
		isolationLost,
		isolationSideEffect,
		labelDropsPolicy,
		labelGainsAccess,
		labelNotInTemplate,
		metadataOpen,
		namedPort,
		nsLabelImpact,
		oneSided,
		peerNoNamespace,
		peerNoPods,
		podUncovered,
		policyMetadata,
		portUndeclared,
		protectedPolicy,
		redundant,
		rulesIgnored,
		scrapeCut,
		selectorEphemeral,
		selectorNoPods,
		servicePortUsed,
		tenantCrossing,
		worldCIDR,
	}
}
