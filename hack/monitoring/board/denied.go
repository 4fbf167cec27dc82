package board

// Denied is about what was denied, to whom and why, and whether a guardrail can be tightened.
func Denied() Dashboard {
	return Dashboard{
		UID: "bulkhead-denied", Title: "Bulkhead: denied changes", Guardrails: true,
		Description: "What Bulkhead denied and warned of, by guardrail, namespace and kind, and which guardrails could be tightened.",
		Rows: []Row{
			{"In this span of time", deniedNumbers()},
			{"Over time", deniedOverTime()},
			{"Guardrails", deniedGuardrails()},
			{"Not judged, and not meant", deniedBesides()},
		},
	}
}

// number is a stat of the first row.
func number(title, description, expr string) Panel {
	return Panel{Title: title, Description: description, Kind: Stat, Width: 6, Height: 4, Queries: []Query{{expr, ""}}}
}

func deniedNumbers() []Panel {
	return []Panel{
		number("Denied", "Requests that were refused. Dry runs do not count. A request that several guardrails deny counts once.",
			`round(sum(increase(bulkhead_decisions_total{decision="denied",dry_run="false"}[$__range])) or vector(0))`),
		number("Allowed with a warning", "Requests that went ahead and showed their author a warning. Dry runs do not count.",
			`round(sum(increase(bulkhead_decisions_total{decision="warned",dry_run="false"}[$__range])) or vector(0))`),
		number("Would be denied at Deny", "Requests that no guardrail denied and that one would have denied if its action were Deny, counted for "+
			"each such guardrail. The table below says which.",
			`round(sum(increase(bulkhead_would_deny_total[$__range])) or vector(0))`),
		number("Judged", "All requests that were judged, dry runs included: the others were exempt or changed nothing that a guardrail reads.",
			`round(sum(increase(bulkhead_decisions_total{decision=~"allowed|warned|denied"}[$__range])) or vector(0))`),
	}
}

func deniedOverTime() []Panel {
	return []Panel{
		{
			Title: "Decisions", Kind: Lines, Stacked: true, Axis: "requests a minute", Width: 12, Height: 8, Runbook: "BulkheadDenialSpike",
			Description: "Requests by what was decided. failed ones could not be judged and got an HTTP error. Dry runs, and requests that " +
				"change nothing a guardrail reads, are left out.",
			Queries: []Query{{`sum by (decision) (rate(bulkhead_decisions_total{decision!="skipped",dry_run="false"}[$__rate_interval])) * 60`, "{{decision}}"}},
		},
		{
			Title: "Denied by guardrail", Kind: Lines, Stacked: true, Axis: "violations a minute", Width: 12, Height: 8,
			Description: "Violations that were denied, by the guardrail that found them. One request can have several.",
			Queries:     []Query{{`sum by (guardrail) (rate(bulkhead_violations_total{action="Deny",guardrail=~"$guardrail"}[$__rate_interval])) * 60`, "{{guardrail}}"}},
		},
		{
			Title: "Denied by namespace", Kind: Lines, Stacked: true, Axis: "violations a minute", Width: 12, Height: 8,
			Description: "Violations that were denied, in the ten namespaces that have most. Empty unless metrics.namespaceLabel is true in " +
				"Bulkhead's config, because it makes series for each namespace.",
			Queries: []Query{{
				`topk(10, sum by (namespace) (rate(bulkhead_namespace_violations_total{action="Deny",guardrail=~"$guardrail"}[$__rate_interval])) * 60)`,
				"{{namespace}}",
			}},
		},
		{
			Title: "Denied by kind of object", Kind: Lines, Stacked: true, Axis: "requests a minute", Width: 12, Height: 8,
			Description: "Requests that were denied, by what they were about. templates are Deployments and all else with a pod template.",
			Queries: []Query{{
				`sum by (resource, operation) (rate(bulkhead_decisions_total{decision="denied",dry_run="false"}[$__rate_interval])) * 60`,
				"{{operation}} {{resource}}",
			}},
		},
	}
}

func deniedGuardrails() []Panel {
	return []Panel{
		{
			Title: "Top guardrails", Kind: Bars, Width: 10, Height: 11,
			Description: "The guardrails that found most in this span of time, and what was done about it.",
			Queries: []Query{{
				`topk(12, round(sum by (guardrail, action) (increase(bulkhead_violations_total{guardrail=~"$guardrail"}[$__range]))) > 0)`,
				"{{guardrail}} ({{action}})",
			}},
		},
		{
			Title: "Candidates for Deny", Kind: Table, Width: 14, Height: 11,
			Description: "What would become of a guardrail whose action is Warn or Audit if it were Deny: how many requests of this span of time " +
				"it would have refused, and which share of all that were judged. 0 means that nobody would have noticed. " +
				"bulkhead audit --if-denied NAME tells which stored objects it is about.",
			Queries: []Query{
				{`round(sum by (guardrail) (increase(bulkhead_would_deny_total{guardrail=~"$guardrail"}[$__range])))`, "would be denied"},
				{`sum by (guardrail) (increase(bulkhead_would_deny_total{guardrail=~"$guardrail"}[$__range]))
  / on () group_left () (sum(increase(bulkhead_decisions_total{decision=~"allowed|warned|denied",dry_run="false"}[$__range])) > 0) * 100`, "% of judged"},
				{`round(sum by (guardrail) (increase(bulkhead_violations_total{action=~"Warn|Audit",guardrail=~"$guardrail"}[$__range])))`, "warned or audited"},
				{`round(sum by (guardrail) (increase(bulkhead_violations_total{action="Deny",guardrail=~"$guardrail"}[$__range])))`, "denied already"},
			},
		},
	}
}

func deniedBesides() []Panel {
	return []Panel{
		{
			Title: "Exemptions", Kind: Lines, Stacked: true, Axis: "requests a minute", Width: 8, Height: 8,
			Description: "Requests that were not judged, by why. config-... are exemptions of Bulkhead's config, the others are Kubernetes' own " +
				"components. Much more of config-user or config-group than usual may be somebody who goes round the guardrails.",
			Queries: []Query{{`sum by (reason) (rate(bulkhead_exemptions_total[$__rate_interval])) * 60`, "{{reason}}"}},
		},
		{
			Title: "Dry runs", Kind: Lines, Stacked: true, Axis: "requests a minute", Width: 8, Height: 8,
			Description: "Requests that were to change nothing, such as kubectl diff or apply --dry-run=server, by what was decided. They are in no other panel.",
			Queries:     []Query{{`sum by (decision) (rate(bulkhead_decisions_total{decision!="skipped",dry_run="true"}[$__rate_interval])) * 60`, "{{decision}}"}},
		},
		{
			Title: "Events", Kind: Lines, Stacked: true, Axis: "events a minute", Width: 8, Height: 8, Runbook: "BulkheadEventsLost",
			Description: "Events of decisions in the namespaces concerned, by what became of them; aggregated ones were counted in an Event that is there. " +
				"Empty unless events.decisions in Bulkhead's config names any.",
			Queries: []Query{{`sum by (result) (rate(bulkhead_events_total[$__rate_interval])) * 60`, "{{result}}"}},
		},
	}
}
