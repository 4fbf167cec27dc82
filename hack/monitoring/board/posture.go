package board

// Posture is about what is stored: how far the cluster is from zero trust. It needs the audit mode.
func Posture() Dashboard {
	return Dashboard{
		UID: "bulkhead-posture", Title: "Bulkhead: posture", Guardrails: true,
		Description: "How much of the cluster its NetworkPolicies protect, and which stored objects break a guardrail. It needs bulkhead audit serve " +
			"(the chart's audit.enabled).",
		Rows: []Row{
			{"Now", postureNow()},
			{"Isolation", postureIsolation()},
			{"Violations by what is stored", postureViolations()},
			{"The audit itself", postureAudit()},
		},
	}
}

// isolatedShare gives the share of pods that are isolated in a direction.
func isolatedShare(direction string) string {
	of := `sum(bulkhead_audit_pods{direction="` + direction + `"`
	return of + `,isolated="true"}) / (` + of + `}) > 0)`
}

func postureNow() []Panel {
	share := func(title, description, expr string) Panel {
		return Panel{Title: title, Description: description, Kind: Stat, Unit: "percentunit", Width: 4, Height: 4, Warn: 0.9, Bad: 0.5, Queries: []Query{{expr, ""}}}
	}
	count := func(title, description, expr string) Panel {
		return Panel{Title: title, Description: description, Kind: Stat, Width: 4, Height: 4, Warn: 1, Bad: 10, Queries: []Query{{expr, ""}}}
	}
	return []Panel{
		share("Pods isolated for ingress", "Share of pods that some policy isolates for ingress: only what a rule allows reaches them. The rest is open to every pod.",
			isolatedShare("ingress")),
		share("Pods isolated for egress", "Share of pods that some policy isolates for egress: they reach only what a rule allows. The rest reaches everything.",
			isolatedShare("egress")),
		share("Namespaces with a default-deny", "Share of namespaces where a policy denies ingress for all pods, those of tomorrow included; egress may still be open.",
			`sum(bulkhead_audit_namespaces{default_deny=~"ingress|both"}) / (sum(bulkhead_audit_namespaces) > 0)`),
		count("Pods without DNS", "Pods that are isolated for egress and reach no DNS resolver: most of what they do fails.",
			`sum(bulkhead_audit_pods_without_dns)`),
		count("Policies that select nothing", "NetworkPolicies that select no pod and no pod template: a typo, or left over.",
			`sum(bulkhead_audit_policies_selecting_nothing)`),
		{
			Title: "Last scanned", Kind: Stat, Unit: "s", Width: 4, Height: 4, Warn: 1800, Bad: 3600, Runbook: "BulkheadAuditNotScanning",
			Description: "How long ago the last sweep over all namespaces ended. All of this page is of then.",
			Queries:     []Query{{`time() - max(bulkhead_audit_last_scan_timestamp_seconds > 0)`, ""}},
		},
	}
}

func postureIsolation() []Panel {
	return []Panel{
		{
			Title: "Namespaces by default-deny", Kind: Lines, Stacked: true, Axis: "namespaces", Width: 8, Height: 8,
			Description: "Namespaces by the directions that they deny by default. Zero trust is when all are both.",
			Queries:     []Query{{`sum by (default_deny) (bulkhead_audit_namespaces)`, "{{default_deny}}"}},
		},
		{
			Title: "Isolated pods", Kind: Lines, Unit: "percentunit", Most: 1, Width: 8, Height: 8,
			Description: "Share of pods that policies isolate, by direction. It should only grow.",
			Queries:     []Query{{isolatedShare("ingress"), "ingress"}, {isolatedShare("egress"), "egress"}},
		},
		{
			Title: "Pods", Kind: Lines, Stacked: true, Axis: "pods", Width: 8, Height: 8,
			Description: "Pods that NetworkPolicies govern, by whether they are isolated for ingress.",
			Queries:     []Query{{`sum by (isolated) (bulkhead_audit_pods{direction="ingress"})`, "isolated: {{isolated}}"}},
		},
	}
}

func postureViolations() []Panel {
	return []Panel{
		{
			Title: "Violations", Kind: Lines, Stacked: true, Axis: "violations", Width: 12, Height: 8,
			Description: "Violations by stored objects, by guardrail. They were there before the guardrail, were only warned of, or came while nobody judged.",
			Queries:     []Query{{`sum by (guardrail) (bulkhead_audit_violations{guardrail=~"$guardrail"}) > 0`, "{{guardrail}}"}},
		},
		{
			Title: "Objects that could not be applied again", Kind: Bars, Width: 12, Height: 8,
			Description: "Stored objects that would be refused if the guardrail's action were Deny: mend these before it is. " +
				"bulkhead audit --if-denied NAME lists them.",
			Queries: []Query{{`topk(12, sum by (guardrail) (bulkhead_audit_would_deny{guardrail=~"$guardrail"}) > 0)`, "{{guardrail}}"}},
		},
		{
			Title: "Violations by namespace", Kind: Table, Width: 12, Height: 9,
			Description: "The namespaces with most violations, by guardrail; the line without a namespace is all beyond the 200 worst. Empty unless " +
				"metrics.namespaceLabel is true in Bulkhead's config.",
			Queries: []Query{{`topk(50, sum by (namespace, guardrail) (bulkhead_audit_namespace_violations{guardrail=~"$guardrail"}))`, "violations"}},
		},
		{
			Title: "Violations by action", Kind: Table, Width: 12, Height: 9,
			Description: "What would be done about who applied the objects again now. Deny: they can be kept but not changed.",
			Queries:     []Query{{`sum by (action, guardrail) (bulkhead_audit_violations{guardrail=~"$guardrail"}) > 0`, "violations"}},
		},
	}
}

func postureAudit() []Panel {
	return []Panel{
		{
			Title: "Leader", Kind: Lines, Width: 6, Height: 7, Most: 1, Runbook: "BulkheadAuditNoLeader",
			Description: "1 for the replica of the audit that scans; the others wait to take over.",
			Queries:     []Query{{`sum by (instance) (bulkhead_audit_leader)`, "{{instance}}"}},
		},
		{
			Title: "Scans", Kind: Lines, Axis: "namespaces a minute", Width: 6, Height: 7, Runbook: "BulkheadAuditNotScanning",
			Description: "Namespaces that are scanned: each after a change, and all of them in each sweep.",
			Queries:     []Query{{`sum(rate(bulkhead_audit_namespaces_scanned_total[$__rate_interval])) * 60`, "scans"}},
		},
		{
			Title: "Time of a sweep", Kind: Lines, Unit: "s", Width: 6, Height: 7,
			Description: "How long the last sweep over all namespaces took, with the rests that it takes so as not to use a whole processor.",
			Queries:     []Query{{`max(bulkhead_audit_scan_duration_seconds)`, "sweep"}},
		},
		{
			Title: "Reports", Kind: Lines, Axis: "reports a minute", Width: 6, Height: 7, Runbook: "BulkheadAuditReportsFail",
			Description: "OpenReports reports by what became of them; most are unchanged. All 0 where reports are not switched on.",
			Queries:     []Query{{`sum by (result) (rate(bulkhead_audit_reports_total[$__rate_interval])) * 60`, "{{result}}"}},
		},
	}
}
