package board

// jobs selects the targets of Bulkhead; Prometheus' operator names a job after the Service.
const jobs = `job=~".*bulkhead.*"`

// ours selects the entries of Bulkhead's registration in the API server's metrics.
const ours = `name=~".+[.]bulkhead[.]dev"`

// Health is about Bulkhead itself: whether it answers, how fast, and on what.
func Health() Dashboard {
	return Dashboard{
		UID: "bulkhead-health", Title: "Bulkhead: health",
		Description: "Whether Bulkhead answers, how fast, how fresh what it knows is, and what is about to break.",
		Rows: []Row{
			{"Now", healthNow()},
			{"Answers", healthAnswers()},
			{"Speed", healthSpeed()},
			{"As the API server sees it", healthCalls()},
			{"What it knows", healthSnapshot()},
			{"Config and certificate", healthKept()},
			{"Processes", healthProcesses()},
		},
	}
}

func healthNow() []Panel {
	return []Panel{
		{
			Title: "Replicas that are ready to judge", Kind: Stat, Width: 4, Height: 4, Warn: 2, Bad: 1, Runbook: "BulkheadDown",
			Description: "Replicas of the webhook that have read the whole cluster. With none the API server's failurePolicy decides.",
			Queries:     []Query{{`count(bulkhead_evaluation_seconds_count and on (instance) bulkhead_snapshot_ready == 1) or vector(0)`, ""}},
		},
		{
			Title: "Config", Kind: Stat, Width: 4, Height: 4, Warn: 1, Bad: 0.5, Words: map[string]string{"0": "rejected", "1": "in force"}, Runbook: "BulkheadConfigRejected",
			Description: "Whether the config file as it is now is in force in every replica. When it is rejected, the last good one stays.",
			Queries:     []Query{{`min(bulkhead_config_last_reload_successful)`, ""}},
		},
		{
			Title: "Registration problems", Kind: Stat, Width: 4, Height: 4, Warn: 1, Bad: 1, Runbook: "BulkheadRegistrationBroken",
			Description: "In how many ways the ValidatingWebhookConfiguration sends less than Bulkhead should judge, in all its webhooks together. 0 is right.",
			Queries:     []Query{{`sum(max by (webhook) (bulkhead_registration_problems))`, ""}},
		},
		{
			Title: "Certificate expires in", Kind: Stat, Unit: "s", Width: 4, Height: 4, Warn: 7 * 86400, Bad: 86400, Runbook: "BulkheadCertificateExpires",
			Description: "How long the serving certificate is still valid, of the replica whose one ends first. It is renewed weeks before that by itself.",
			Queries:     []Query{{`min(bulkhead_certificate_expiry_timestamp_seconds > 0) - time()`, ""}},
		},
		{
			Title: "cert-manager", Kind: Stat, Width: 4, Height: 4, Warn: 1, Bad: 0.5, Words: map[string]string{"0": "not issued", "1": "issued"}, Runbook: "BulkheadCertificateNotIssued",
			Description: "Whether cert-manager has issued the certificate and no renewal fails. Empty where cert-manager is not used.",
			Queries:     []Query{{`min(bulkhead_certificate_issued)`, ""}},
		},
		{
			Title: "Longest silence of a watch", Kind: Stat, Unit: "s", Width: 4, Height: 4, Warn: 120, Bad: 300, Runbook: "BulkheadSnapshotStale",
			Description: "How long ago the API server last said anything about the resource that was silent longest. Up to a minute and a half is usual.",
			Queries:     []Query{{`max(bulkhead_snapshot_age_seconds)`, ""}},
		},
	}
}

func healthAnswers() []Panel {
	return []Panel{
		{
			Title: "Reviews by HTTP status", Kind: Lines, Unit: "reqps", Stacked: true, Width: 8, Height: 8, Runbook: "BulkheadErrors",
			Description: "Answers to reviews that reached a handler. A denial is a 200: to the API server everything else is an error.",
			Queries:     []Query{{`sum by (code) (rate(controller_runtime_webhook_requests_total[$__rate_interval]))`, "{{code}}"}},
		},
		{
			Title: "Refusals", Kind: Lines, Unit: "reqps", Stacked: true, Width: 8, Height: 8, Runbook: "BulkheadErrors",
			Description: "Requests that were refused before a guardrail saw them, by why. not-ready during a start is normal, body or method " +
				"means that somebody other than the API server calls.",
			Queries: []Query{{`sum by (reason) (rate(bulkhead_http_refusals_total[$__rate_interval]))`, "{{reason}}"}},
		},
		{
			Title: "Denials judged again", Kind: Lines, Axis: "denials a minute", Stacked: true, Width: 8, Height: 8, Runbook: "BulkheadConfirmationsFail",
			Description: "Each denial is judged again on objects read from the API server. overturned: a newer object changed the answer. failed: " +
				"the API server could not be read, and the denial stood.",
			Queries: []Query{{`sum by (result) (rate(bulkhead_confirmations_total[$__rate_interval])) * 60`, "{{result}}"}},
		},
		{
			Title: "Guardrails that failed", Kind: Lines, Axis: "failures a minute", Stacked: true, Width: 12, Height: 8, Runbook: "BulkheadGuardrailFails",
			Description: "Guardrails that panicked or did not finish in time. The others decided; errorAction of the config says what became of the change.",
			Queries:     []Query{{`sum by (guardrail) (rate(bulkhead_guardrail_failures_total[$__rate_interval])) * 60`, "{{guardrail}}"}},
		},
		{
			Title: "Runs that were given up and go on", Kind: Lines, Width: 12, Height: 8, Runbook: "BulkheadGuardrailOverruns",
			Description: "Runs of guardrails that took too long and cannot be stopped. Each uses a processor until it ends. 0 is right.",
			Queries:     []Query{{`sum by (instance) (bulkhead_guardrail_overruns_running)`, "{{instance}}"}},
		},
	}
}

func healthSpeed() []Panel {
	return []Panel{
		{
			Title: "Time to judge", Kind: Lines, Unit: "s", Width: 12, Height: 8, Runbook: "BulkheadSlow",
			Description: "Time that the guardrails took for one change, all together, without live reads: of a hundred changes 50, 90 and 99 took no longer.",
			Queries: []Query{
				{`histogram_quantile(0.5, sum by (le) (rate(bulkhead_evaluation_seconds_bucket[$__rate_interval])))`, "half"},
				{`histogram_quantile(0.9, sum by (le) (rate(bulkhead_evaluation_seconds_bucket[$__rate_interval])))`, "90%"},
				{`histogram_quantile(0.99, sum by (le) (rate(bulkhead_evaluation_seconds_bucket[$__rate_interval])))`, "99%"},
			},
		},
		{
			Title: "Time by guardrail", Kind: Lines, Unit: "s", Width: 12, Height: 8,
			Description: "Mean time of one run of the ten slowest guardrails. One that stands out grows with the cluster or meets large policies.",
			Queries: []Query{{
				`topk(10, sum by (guardrail) (rate(bulkhead_guardrail_evaluation_seconds_total[$__rate_interval]))
  / (sum by (guardrail) (rate(bulkhead_guardrail_evaluations_total[$__rate_interval])) > 0))`, "{{guardrail}}",
			}},
		},
	}
}

func healthCalls() []Panel {
	return []Panel{
		{
			Title: "Time of a call against its timeout", Kind: Lines, Unit: "s", Width: 12, Height: 8, Runbook: "BulkheadCallsSlow",
			Description: "Of a hundred calls by the API server 99 took no longer, by webhook, network included. At the line named timeout it gives up.",
			Queries: []Query{
				{`histogram_quantile(0.99, sum by (name, le) (rate(apiserver_admission_webhook_admission_duration_seconds_bucket{` + ours + `}[$__rate_interval])))`, "{{name}}"},
				{`min(bulkhead_registration_timeout_seconds)`, "timeout"},
			},
		},
		{
			Title: "Calls", Kind: Lines, Unit: "reqps", Stacked: true, Width: 12, Height: 8,
			Description: "How often the API server asks, by webhook and by whether the request was refused.",
			Queries: []Query{{
				`sum by (name, rejected) (rate(apiserver_admission_webhook_request_total{` + ours + `}[$__rate_interval]))`, "{{name}}, refused: {{rejected}}",
			}},
		},
		{
			Title: "Refused because of Bulkhead", Kind: Lines, Axis: "requests a minute", Stacked: true, Width: 8, Height: 8, Runbook: "BulkheadCallsFail",
			Description: "Requests that the API server refused. no_error is a denial; calling_webhook_error is that no answer came and failurePolicy is Fail.",
			Queries: []Query{{
				`sum by (error_type) (rate(apiserver_admission_webhook_rejection_count{` + ours + `}[$__rate_interval])) * 60`, "{{error_type}}",
			}},
		},
		{
			Title: "Let through unjudged", Kind: Lines, Axis: "requests a minute", Stacked: true, Width: 8, Height: 8, Runbook: "BulkheadFailOpen",
			Description: "Requests that went ahead because no answer came and failurePolicy is Ignore. None is right.",
			Queries: []Query{{
				`sum by (name) (rate(apiserver_admission_webhook_fail_open_count{` + ours + `}[$__rate_interval])) * 60`, "{{name}}",
			}},
		},
		{
			Title: "Registered failurePolicy", Kind: Table, Width: 8, Height: 8,
			Description: "What happens to requests while no replica answers: Fail refuses them, Ignore lets them through. Only networkpolicies can be Fail.",
			Queries:     []Query{{`max by (webhook, policy) (bulkhead_registration_failure_policy)`, "registered"}},
		},
	}
}

func healthSnapshot() []Panel {
	return []Panel{
		{
			Title: "Objects", Kind: Lines, Width: 8, Height: 8,
			Description: "Objects in the snapshot that decisions are made on, by kind. workload counts pods that no policy can tell apart as one.",
			Queries:     []Query{{`max by (kind) (bulkhead_snapshot_objects)`, "{{kind}}"}},
		},
		{
			Title: "Silence of the watches", Kind: Lines, Unit: "s", Width: 8, Height: 8, Runbook: "BulkheadSnapshotStale",
			Description: "How long the API server has said nothing about a resource. Its bookmarks come about once a minute, so a saw below 90 s is right.",
			Queries:     []Query{{`max by (resource) (bulkhead_snapshot_age_seconds)`, "{{resource}}"}},
		},
		{
			Title: "Policies that do not parse", Kind: Lines, Width: 8, Height: 8,
			Description: "Stored policies that Bulkhead cannot read and treats as selecting nothing. The log names them.",
			Queries:     []Query{{`max(bulkhead_snapshot_invalid_policies)`, "invalid"}},
		},
	}
}

func healthKept() []Panel {
	return []Panel{
		{
			Title: "Configs in force", Kind: Table, Width: 8, Height: 7,
			Description: "Replicas by the config that they have. More than one line for longer than a minute means that some have not got the new one.",
			Queries:     []Query{{`count by (hash, maximum_action) (bulkhead_config_info)`, "replicas"}},
		},
		{
			Title: "Config loads", Kind: Lines, Axis: "in an hour", Width: 8, Height: 7, Runbook: "BulkheadConfigRejected",
			Description: "Attempts to load the config file, whatever became of them.",
			Queries:     []Query{{`sum by (result) (increase(bulkhead_config_reloads_total[1h]))`, "{{result}}"}},
		},
		{
			Title: "Steps of the certificate", Kind: Lines, Axis: "since start", Width: 8, Height: 7,
			Description: "Rotations of the self-signed certificate and foreign edits put right. repaired-... again and again means that something " +
				"else writes the registration or the Secret; failed that a rotation does not succeed.",
			Queries: []Query{{`sum by (step) (bulkhead_certificate_rotations_total)`, "{{step}}"}},
		},
	}
}

func healthProcesses() []Panel {
	return []Panel{
		{
			Title: "Memory", Kind: Lines, Unit: "bytes", Width: 8, Height: 8,
			Description: "Resident memory by replica, and GOMEMLIMIT, which is 86% of the container's limit in the chart. Close to it the garbage " +
				"collector works all the time: raise resources.limits.memory.",
			Queries: []Query{
				{`process_resident_memory_bytes{` + jobs + `}`, "{{instance}}"},
				{`min(go_gc_gomemlimit_bytes{` + jobs + `})`, "GOMEMLIMIT"},
			},
		},
		{
			Title: "Processor", Kind: Lines, Axis: "processors", Width: 8, Height: 8,
			Description: "Processors that each replica uses. It follows the number of changes in the cluster.",
			Queries:     []Query{{`rate(process_cpu_seconds_total{` + jobs + `}[$__rate_interval])`, "{{instance}}"}},
		},
		{
			Title: "Reviews at a time", Kind: Lines, Width: 8, Height: 8,
			Description: "Reviews that a replica is working on. Beyond --max-concurrent (256) more are told to come back in a second.",
			Queries:     []Query{{`sum by (instance) (controller_runtime_webhook_requests_in_flight)`, "{{instance}}"}},
		},
		{
			Title: "Versions", Kind: Table, Width: 8, Height: 6,
			Description: "Replicas by their version. Two lines for longer than a rollout takes means that it has stopped half way.",
			Queries:     []Query{{`count by (version) (bulkhead_build_info)`, "replicas"}},
		},
		{
			Title: "Up", Kind: Lines, Width: 8, Height: 6, Most: 1, Runbook: "BulkheadReplicaDown",
			Description: "1 where Prometheus could read the replica's metrics, 0 where it could not.",
			Queries:     []Query{{`up{` + jobs + `}`, "{{instance}}"}},
		},
		{
			Title: "Running for", Kind: Lines, Unit: "s", Width: 8, Height: 6,
			Description: "Time since the process began. A line that falls to 0 is a restart.",
			Queries:     []Query{{`time() - process_start_time_seconds{` + jobs + `}`, "{{instance}}"}},
		},
	}
}
