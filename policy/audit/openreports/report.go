// Package openreports writes what an audit found as reports of the OpenReports API (openreports.io/v1alpha1), which
// Policy Reporter, Headlamp and others show.
//
// Reports hold what is wrong and nothing else: one for each namespace in which something is, and one for the cluster. A
// namespace in which all is well has none, so that the number of objects follows the number of problems. A report holds
// at most MaxResults results; its summary counts all.
package openreports

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

const (
	// Name is that of every report: there is one in a namespace.
	Name = "bulkhead"
	// Source is who found it, on each report and, for readers that look only there, on each result.
	Source = "bulkhead"
	// MaxResults is how many results a report holds.
	MaxResults = 500
	// ManagedByLabel is on every report, with the value ManagedBy.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of ManagedByLabel.
	ManagedBy = "bulkhead"
	// OmittedAnnotation says how many results were left out; it is there only where some were.
	OmittedAnnotation = "bulkhead.dev/omitted-results"
)

// Since tells when the result of that identity was first found.
type Since func(id string) time.Time

// At gives a Since for results that were all found at one time.
func At(t time.Time) Since { return func(string) time.Time { return t } }

// Namespace gives the report of a namespace, nil where nothing is wrong in it.
func Namespace(n *audit.Namespace, since Since) *v1alpha1.Report {
	c := contentOf(n.Name, n.Findings, n.Failures, since)
	if len(c.results) == 0 {
		return nil
	}
	return &v1alpha1.Report{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Report"}, ObjectMeta: c.meta(n.Name),
		Source: Source, Summary: c.summary, Configuration: limits(), Results: c.results,
		// Readers such as Headlamp expect a scope.
		Scope: &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: n.Name},
	}
}

// Cluster gives the report about the cluster as a whole, nil where nothing is wrong with it.
func Cluster(findings []audit.Finding, since Since) *v1alpha1.ClusterReport {
	c := contentOf("", findings, nil, since)
	if len(c.results) == 0 {
		return nil
	}
	return &v1alpha1.ClusterReport{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ClusterReport"}, ObjectMeta: c.meta(""),
		Source: Source, Summary: c.summary, Configuration: limits(), Results: c.results,
	}
}

// limits tells readers what reports leave out.
func limits() *v1alpha1.ReportConfiguration {
	return &v1alpha1.ReportConfiguration{Limits: v1alpha1.Limits{
		MaxResults:   MaxResults,
		StatusFilter: []v1alpha1.StatusFilter{v1alpha1.StatusFilter(resultFail), v1alpha1.StatusFilter(resultWarn), v1alpha1.StatusFilter(resultError)},
	}}
}

// content is what both kinds of report have.
type content struct {
	summary v1alpha1.ReportSummary
	results []v1alpha1.ReportResult
	omitted int
}

// contentOf writes the findings that deny or warn, the strictest first, and the failures before them all.
func contentOf(namespace string, findings []audit.Finding, failures []policy.Failure, since Since) content {
	out := content{summary: v1alpha1.ReportSummary{Error: len(failures)}}
	for _, f := range failures {
		out.results = append(out.results, failure(f, since))
	}
	ids := Identities(findings)
	var order []int
	for i := range findings {
		switch findings[i].Action {
		case config.Deny:
			out.summary.Fail++
		case config.Warn:
			out.summary.Warn++
		default:
			continue // only counted, as metrics
		}
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(findings[b].Action.Rank(), findings[a].Action.Rank())
	})
	for _, i := range order {
		if len(out.results) == MaxResults {
			out.omitted = len(failures) + len(order) - MaxResults
			break
		}
		out.results = append(out.results, result(namespace, ids[i], &findings[i], since))
	}
	return out
}

func (c *content) meta(namespace string) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Name: Name, Namespace: namespace, Labels: map[string]string{ManagedByLabel: ManagedBy}}
	if c.omitted > 0 {
		out.Annotations = map[string]string{OmittedAnnotation: strconv.Itoa(c.omitted)}
	}
	return out
}
