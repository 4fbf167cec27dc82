package board

import (
	"fmt"
	"slices"
)

// Alert is one alert.
type Alert struct {
	// Name is also that of its page in docs/runbooks.
	Name string
	// Severity is critical, which is for now, or warning, which is for working hours.
	Severity string
	// Expr is PromQL with spans of time as %5m%.
	Expr, For string
	// Summary is one line, Description has the value and what it means.
	Summary, Description string
}

const (
	critical = "critical"
	warning  = "warning"
)

// Alerts gives all alerts.
func Alerts(t Timing) []Alert {
	return slices.Concat(alertsOfReplicas(t), alertsOfCalls(), alertsOfJudging(), alertsOfKept(), alertsOfAudit())
}

// happened finds that a counter has grown within a span. A series that began within it, and was not there in the hour before, counts
// from 0: counters of rare events are not there before the first one, and increase does not see how they begin.
func happened(by, selector, span string) string {
	return fmt.Sprintf("sum by (%[1]s) (increase(%[2]s[%%%[3]s%%])) > 0\n  or sum by (%[1]s) (%[2]s unless last_over_time(%[2]s[%%1h%%] offset %%%[3]s%%)) > 0", by, selector, span)
}

func alertsOfReplicas(t Timing) []Alert {
	return []Alert{
		{
			"BulkheadDown", critical, `absent(bulkhead_evaluation_seconds_count)`, "%5m%",
			"No replica of Bulkhead is seen",
			"Prometheus has no metrics of any replica. While none answers, NetworkPolicies are refused or let through unjudged, as failurePolicy says.",
		},
		{
			"BulkheadReplicaDown", warning, `up{` + jobs + `} == 0`, "%10m%",
			"A replica of Bulkhead cannot be scraped",
			"{{ $labels.instance }} ({{ $labels.job }}) has not answered Prometheus for 10 minutes. It may answer the API server all the same.",
		},
		{
			"BulkheadSnapshotStale", warning, fmt.Sprintf(`max by (instance, resource) (bulkhead_snapshot_age_seconds) > %.0f`, t.Stale.Seconds()), "%2m%",
			"A watch of Bulkhead is silent",
			"{{ $labels.instance }} has heard nothing about {{ $labels.resource }} for {{ $value | humanizeDuration }}: it decides by how the cluster was then.",
		},
		{
			"BulkheadErrors", warning, `bulkhead:errors:ratio_rate5m > 0.01 and bulkhead:errors:rate5m * %5m:s% >= 5`, "%5m%",
			"Bulkhead answers requests with errors",
			"{{ $value | humanizePercentage }} of the requests of the last 5 minutes were answered with an HTTP error instead of a decision.",
		},
		{
			"BulkheadGuardrailOverruns", warning, `sum by (instance) (avg_over_time(bulkhead_guardrail_overruns_running[%5m%])) >= 1`, "%2m%",
			"Guardrails run on after they were given up",
			"On average of 5 minutes {{ $value | humanize }} runs in {{ $labels.instance }} that took too long went on. Each uses a processor.",
		},
	}
}

func alertsOfCalls() []Alert {
	return []Alert{
		{
			"BulkheadCallsFail", critical,
			happened("name", `apiserver_admission_webhook_rejection_count{`+ours+`,error_type!="no_error"}`, "5m"), "",
			"The API server refuses changes because Bulkhead does not answer",
			"{{ $value | humanize }} requests of the last 5 minutes failed at {{ $labels.name }}, whose failurePolicy is Fail. Who made them got an error that is no denial.",
		},
		{
			"BulkheadFailOpen", critical,
			happened("name", `apiserver_admission_webhook_fail_open_count{`+ours+`}`, "5m"), "",
			"Changes go ahead that Bulkhead has not judged",
			"{{ $value | humanize }} requests of the last 5 minutes went ahead because {{ $labels.name }} gave no answer and its failurePolicy is Ignore.",
		},
		{
			"BulkheadCallsSlow", warning,
			`webhook:bulkhead_call_seconds:p99_5m > on (webhook) group_left () (0.5 * min by (webhook) (bulkhead_registration_timeout_seconds))`, "%10m%",
			"The API server waits long for Bulkhead",
			"One call in a hundred of {{ $labels.webhook }} takes {{ $value | humanizeDuration }} or more, which is over half of its timeoutSeconds.",
		},
		{
			"BulkheadSlow", warning,
			`bulkhead:review_seconds:p99_5m > on () (0.5 * min(bulkhead_registration_timeout_seconds))`, "%10m%",
			"Bulkhead answers slowly",
			"One review in a hundred takes about {{ $value | humanizeDuration }} in Bulkhead itself, which is over half of the registered timeoutSeconds.",
		},
		{
			"BulkheadRegistrationBroken", critical, `max by (webhook) (bulkhead_registration_problems) > 0`, "%5m%",
			"The registration sends less than Bulkhead should judge",
			"{{ $labels.webhook }} is missing in the ValidatingWebhookConfiguration, or falls short in {{ $value }} ways: changes pass unjudged.",
		},
		{
			"BulkheadRegistrationUnseen", warning, `absent(bulkhead_registration_problems) and on () count(bulkhead_evaluation_seconds_count) > 0`, "%10m%",
			"Nobody watches the registration",
			"No replica may read its own ValidatingWebhookConfiguration, so that nobody would notice if it were deleted.",
		},
	}
}

func alertsOfJudging() []Alert {
	const quarters = 24 * 4 // of an hour in a day
	return []Alert{
		{
			"BulkheadDenialSpike", warning,
			fmt.Sprintf("bulkhead:denials:increase15m > 30\n  and bulkhead:denials:increase15m > 4 * bulkhead:denials:increase1d / %d", quarters), "",
			"Bulkhead denies far more than usual",
			"{{ $value | humanize }} changes were denied in a quarter of an hour: more than four times as many as in an average one of the last day.",
		},
		{
			"BulkheadGuardrailFails", warning,
			happened("guardrail", `bulkhead_guardrail_failures_total`, "15m") + "\n  or " + happened("guardrail", `bulkhead_audit_guardrail_failures_total`, "15m"), "",
			"A guardrail fails",
			"{{ $labels.guardrail }} panicked or did not finish in time {{ $value | humanize }} times in 15 minutes; changes were decided without it.",
		},
		{
			"BulkheadConfirmationsFail", warning,
			happened("result", `bulkhead_confirmations_total{result="failed"}`, "15m"), "%5m%",
			"Denials cannot be confirmed",
			"{{ $value | humanize }} denials of the last 15 minutes stood without a second look, because Bulkhead could not read from the API server in time.",
		},
		{
			"BulkheadEventsLost", warning, happened("result", `bulkhead_events_total{result=~"dropped|failed"}`, "15m"), "%5m%",
			"Events of decisions are lost",
			"{{ $value | humanize }} Events of the last 15 minutes are lost ({{ $labels.result }}). Decisions, log and metrics are not touched.",
		},
	}
}

func alertsOfKept() []Alert {
	left := `min by (instance) (bulkhead_certificate_expiry_timestamp_seconds > 0) - time()`
	return []Alert{
		{
			"BulkheadCertificateExpires", warning, left + ` < 7 * 86400`, "%10m%",
			"The serving certificate expires within a week",
			"That of {{ $labels.instance }} is valid for another {{ $value | humanizeDuration }}. It should have been renewed long before.",
		},
		{
			"BulkheadCertificateExpiresSoon", critical, left + ` < 86400`, "%5m%",
			"The serving certificate expires within a day",
			"That of {{ $labels.instance }} is valid for another {{ $value | humanizeDuration }}. After that the API server refuses to talk to it.",
		},
		{
			"BulkheadCertificateNotIssued", warning, `min by (instance) (bulkhead_certificate_issued) == 0`, "%15m%",
			"cert-manager does not issue the serving certificate",
			"{{ $labels.instance }} has waited for 15 minutes, or a renewal fails. Its log says why, in cert-manager's words.",
		},
		{
			"BulkheadConfigRejected", warning, `min by (instance) (bulkhead_config_last_reload_successful) == 0`, "%5m%",
			"The config file is not in force",
			"{{ $labels.instance }} cannot take the config file as it is now. The last good one stays until the replica restarts, which it then cannot.",
		},
	}
}

func alertsOfAudit() []Alert {
	return []Alert{
		{
			"BulkheadAuditNotScanning", warning,
			`time() - max(max_over_time(bulkhead_audit_last_scan_timestamp_seconds[%1d%]) > 0) > %1h:s%`, "%5m%",
			"The audit does not scan",
			"The last sweep over all namespaces ended {{ $value | humanizeDuration }} ago. Reports and posture are of then.",
		},
		{
			"BulkheadAuditNoLeader", warning,
			`count(max_over_time(bulkhead_audit_leader[%1h%])) unless on () (sum(bulkhead_audit_leader) > 0)`, "%5m%",
			"No replica leads the audit",
			"There were {{ $value }} replicas of the audit within the last hour, and none of them leads: nothing is scanned.",
		},
		{
			"BulkheadAuditReportsFail", warning, `sum(increase(bulkhead_audit_reports_total{result="failed"}[%15m%])) > 0`, "%5m%",
			"Reports cannot be written",
			"{{ $value | humanize }} reports could not be written in 15 minutes. The log says why; it is the rights or the missing kinds of OpenReports as a rule.",
		},
	}
}
