// Package audit keeps an audit of the cluster current: "bulkhead audit serve". It runs in a process of its own, beside the
// webhook and never on the path of a request, on a snapshot that the same watches keep up.
//
// Of several replicas one leads, by a Lease, and only that one scans, writes reports and exports what it found; the others
// watch the cluster, so that any of them can take over at once. On taking over, the leader scans all namespaces, those
// without a report and those with the oldest one first. From then on it scans what a change may have touched, and now and
// then everything, as a net. It works at most half of the time of one processor.
package audit
