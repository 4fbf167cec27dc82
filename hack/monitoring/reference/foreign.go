package reference

// Foreign gives the metrics of others that the dashboards and alerts use. The end-to-end test compares their names, types and
// labels with what a real replica, API server and Prometheus have.
func Foreign() []Metric {
	return slicesOf(
		Metric{"apiserver_admission_webhook_admission_duration_seconds", Histogram, []string{"name", "type", "operation", "rejected"},
			"The API server's: time that calls of a webhook took, the network and its own work included."},
		Metric{"apiserver_admission_webhook_request_total", Counter, []string{"name", "type", "operation", "code", "rejected"},
			"The API server's: calls of a webhook."},
		Metric{"apiserver_admission_webhook_rejection_count", Counter, []string{"name", "type", "operation", "error_type", "rejection_code"},
			"The API server's: requests that it refused because of a webhook; error_type no_error is a denial."},
		Metric{"apiserver_admission_webhook_fail_open_count", Counter, []string{"name", "type"},
			"The API server's: requests that it let through because a webhook failed whose failurePolicy is Ignore."},
		Metric{"controller_runtime_webhook_requests_total", Counter, []string{"webhook", "code"}, "Answers to reviews by HTTP status."},
		Metric{"controller_runtime_webhook_requests_in_flight", Gauge, []string{"webhook"}, "Reviews that are being answered."},
		Metric{"controller_runtime_webhook_latency_seconds", Histogram, []string{"webhook"},
			"Time to answer a review, live reads included. Its buckets are powers of ten."},
		Metric{"go_gc_gomemlimit_bytes", Gauge, nil, "GOMEMLIMIT: what the garbage collector keeps memory below."},
		Metric{"go_goroutines", Gauge, nil, "Goroutines that there are."},
		Metric{"process_cpu_seconds_total", Counter, nil, "Processor time used."},
		Metric{"process_open_fds", Gauge, nil, "Open file descriptors, connections among them."},
		Metric{"process_resident_memory_bytes", Gauge, nil, "Resident memory."},
		Metric{"process_start_time_seconds", Gauge, nil, "When the process began."},
		Metric{"up", Gauge, nil, "Prometheus' own: 1 where a target was scraped, 0 where it could not be."},
	)
}

func slicesOf(m ...Metric) []Metric { return m }
