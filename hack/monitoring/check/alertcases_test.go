package check

import "time"

// unitTests gives by alert what makes it fire. Series are as promtool has them: a value every 30 seconds.
func unitTests() map[string]unitTest {
	const (
		rejected = `  apiserver_admission_webhook_rejection_count{instance="k",name="networkpolicies.bulkhead.dev",error_type="calling_webhook_error"} `
		open     = `  apiserver_admission_webhook_fail_open_count{instance="k",name="pods.bulkhead.dev",type="validating"} `
		failed   = `  bulkhead_guardrail_failures_total{instance="a",guardrail="dns-cut"} `
		expiry   = `  bulkhead_certificate_expiry_timestamp_seconds{instance="a"} `
		overruns = `  bulkhead_guardrail_overruns_running{instance="a"} `
		stale    = `  bulkhead_snapshot_age_seconds{instance="a",resource="pods"} `
		config   = `  bulkhead_config_last_reload_successful{instance="a"} `
		issued   = `  bulkhead_certificate_issued{instance="a"} `
		denied   = `  bulkhead_decisions_total{instance="a",decision="denied",dry_run="false"} `
		scanned  = `  bulkhead_audit_last_scan_timestamp_seconds{instance="x"} `
		leader   = `  bulkhead_audit_leader{instance="x"} `
		reports  = `  bulkhead_audit_reports_total{instance="x",result="failed"} `
		problems = `  bulkhead_registration_problems{instance="a",webhook="pods.bulkhead.dev"} `
		unseen   = `  bulkhead_evaluation_seconds_count{instance="a",job="bulkhead"} 1x400` + "\n"
	)
	return map[string]unitTest{
		"BulkheadDown":        {"  other 1x400\n", 10 * time.Minute, "no metrics of any replica", running},
		"BulkheadReplicaDown": {running + "  up{instance=\"b\",job=\"bulkhead\"} 0x400\n", 15 * time.Minute, "b (bulkhead)", "  up{instance=\"b\",job=\"other\"} 0x400\n"},
		"BulkheadSnapshotStale": {stale + "0+30x400\n", 10 * time.Minute, "a has heard nothing about pods for 10m",
			stale + "10 40 70 10 40 70 10 40 70 10 40 70 10 40 70 10 40 70 10 40 70\n"},
		"BulkheadErrors": {
			"  bulkhead_http_refusals_total{reason=\"body\",code=\"400\"} 0+2x400\n  bulkhead_decisions_total{decision=\"allowed\"} 0+18x400\n",
			15 * time.Minute, "10%", // and quiet: a tenth of all, but that is three
			"  bulkhead_http_refusals_total{reason=\"body\",code=\"400\"} 0x20 3x380\n  bulkhead_decisions_total{decision=\"allowed\"} 0x20 30x380\n",
		},
		"BulkheadGuardrailOverruns":  {overruns + "2x400\n", 10 * time.Minute, "2 runs in a", overruns + "0 4 0 0 0 0 0 0 0 0 4 0 0 0 0 0 0 0 0 0 4\n"},
		"BulkheadCallsFail":          {rejected + "_x30 1x30\n", 16 * time.Minute, "1 requests of the last 5 minutes failed at networkpolicies", rejected + "7x400\n"},
		"BulkheadFailOpen":           {open + "0x30 3x30\n", 16 * time.Minute, "requests of the last 5 minutes went ahead because pods.bulkhead.dev", open + "0x10 3x60\n"},
		"BulkheadCallsSlow":          {running + calls("2.5", "10"), 20 * time.Minute, "networkpolicies.bulkhead.dev takes", running + calls("1", "2.5")},
		"BulkheadSlow":               {running + reviews("1", "10"), 20 * time.Minute, "in Bulkhead itself", running + reviews("0.1", "1")},
		"BulkheadRegistrationBroken": {problems + "1x400\n", 10 * time.Minute, "pods.bulkhead.dev is missing", problems + "1x6 0x2 1x6 0x10\n"},
		"BulkheadRegistrationUnseen": {unseen, 20 * time.Minute, "No replica may read", running},
		"BulkheadDenialSpike": {denied + "0+1x120 120+5x60\n", 75 * time.Minute, "changes were denied in a quarter of an hour",
			denied + "0+60x100 6000+2x200\n"},
		"BulkheadGuardrailFails":    {failed + "_x30 1x30\n", 20 * time.Minute, "dns-cut panicked or did not finish in time 1 times", failed + "5x400\n"},
		"BulkheadConfirmationsFail": {"  bulkhead_confirmations_total{result=\"failed\"} _x10 1x400\n", 15 * time.Minute, "denials of the last 15 minutes", "  bulkhead_confirmations_total{result=\"confirmed\"} 0+1x400\n"},
		"BulkheadEventsLost":        {"  bulkhead_events_total{result=\"dropped\"} 0x10 0+1x60\n", 15 * time.Minute, "are lost (dropped)", "  bulkhead_events_total{result=\"sent\"} 0+1x400\n"},
		"BulkheadCertificateExpires": {expiry + "500000x400\n", 20 * time.Minute, "That of a is valid for another 5d",
			expiry + "700000x400\n"},
		"BulkheadCertificateExpiresSoon": {expiry + "80000x400\n", 20 * time.Minute, "another 21h", expiry + "0x400\n"},
		"BulkheadCertificateNotIssued":   {issued + "0x400\n", 20 * time.Minute, "a has waited for 15 minutes", issued + "0x20 1x400\n"},
		"BulkheadConfigRejected":         {config + "0x400\n", 10 * time.Minute, "a cannot take", config + "0x5 1x400\n"},
		"BulkheadAuditNotScanning":       {scanned + "60x20 _x400\n", 80 * time.Minute, "ended 1h", scanned + "0+30x400\n"},
		"BulkheadAuditNoLeader":          {leader + "1x20 _x400\n", 30 * time.Minute, "There were 1 replicas", leader + "0x20 1x400\n"},
		"BulkheadAuditReportsFail":       {reports + "0+1x400\n", 20 * time.Minute, "could not be written", reports + "4x400\n"},
	}
}

// calls are calls of a webhook of which 2 in 100 take more than the one bound and none more than the other.
func calls(most, all string) string {
	const of = `  apiserver_admission_webhook_admission_duration_seconds_bucket{instance="k",name="networkpolicies.bulkhead.dev",le="`
	return of + most + "\"} 0+98x400\n" + of + all + "\"} 0+100x400\n" + of + "+Inf\"} 0+100x400\n"
}

// reviews are the same of reviews.
func reviews(most, all string) string {
	const of = `  controller_runtime_webhook_latency_seconds_bucket{instance="a",job="bulkhead",webhook="/validate",le="`
	return of + most + "\"} 0+98x400\n" + of + all + "\"} 0+100x400\n" + of + "+Inf\"} 0+100x400\n"
}
