package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/bulkhead-dev/bulkhead/policy/audit/openreports"
)

const (
	// fieldManager owns the fields that are written.
	fieldManager = "bulkhead-audit"
	// pageSize is how many reports are listed at a time: a report may be some hundred kilobytes.
	pageSize = 50
)

// errNoKind is why nothing is written where the cluster has no such kind.
var errNoKind = errors.New("the cluster does not have the kinds Report and ClusterReport of " + v1alpha1.GroupName +
	"; install OpenReports (https://github.com/openreports/reports-api), or run without --reports")

// document is a report as it is sent: its fields that are ours, in one order.
type document struct {
	text []byte
	// since is when each result was first found, by its identity.
	since map[string]time.Time
	// written is when the stored report was last changed.
	written time.Time
}

// same says whether other, which is what is stored, is the same. nil is no report.
func (d *document) same(other *document) bool {
	if d == nil || other == nil {
		return d == nil && other == nil
	}
	return bytes.Equal(d.text, other.text)
}

// newDocument writes a report, and drops what the API server sets itself.
func newDocument(report any, results []v1alpha1.ReportResult) (*document, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(report)
	if err != nil {
		return nil, err
	}
	unstructured.RemoveNestedField(object, "metadata", "creationTimestamp")
	out := &document{since: map[string]time.Time{}}
	for i := range results {
		out.since[results[i].Properties[openreports.PropertyID]] = time.Unix(results[i].Timestamp.Seconds, 0)
	}
	out.text, err = json.Marshal(object)
	return out, err
}

func resource(name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: v1alpha1.GroupName, Version: v1alpha1.GroupVersion.Version, Resource: name}
}

// kind gives the client for the reports of a namespace, or for that of the cluster.
func (r *Reports) kind(namespace string) dynamic.ResourceInterface {
	if namespace == clusterWide {
		return r.client.Resource(resource(clusterReports))
	}
	return r.client.Resource(resource(reports)).Namespace(namespace)
}

// apply writes a report. Nobody else is to own what it holds, so conflicts are won.
func (r *Reports) apply(ctx context.Context, namespace string, d *document) error {
	force := true
	_, err := r.kind(namespace).Patch(ctx, openreports.Name, types.ApplyPatchType, d.text,
		metav1.PatchOptions{FieldManager: fieldManager, Force: &force})
	return err
}

func (r *Reports) remove(ctx context.Context, namespace string) error {
	err := r.kind(namespace).Delete(ctx, openreports.Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) && !isMissing(err) {
		return nil
	}
	return err
}

// load reads what is stored.
func (r *Reports) load(ctx context.Context) error {
	stored := map[string]*document{}
	for _, name := range []string{clusterReports, reports} {
		options := metav1.ListOptions{LabelSelector: openreports.ManagedByLabel + "=" + openreports.ManagedBy, Limit: pageSize}
		for {
			page, err := r.client.Resource(resource(name)).List(ctx, options)
			if err != nil {
				return fmt.Errorf("listing %s.%s: %w", name, v1alpha1.GroupName, err)
			}
			for i := range page.Items {
				if page.Items[i].GetName() == openreports.Name {
					stored[page.Items[i].GetNamespace()] = read(&page.Items[i])
				}
			}
			if options.Continue = page.GetContinue(); options.Continue == "" {
				break
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored = stored
	return nil
}

// read takes of a stored report what is ours. One that does not read is another one than any that is wanted.
func read(u *unstructured.Unstructured) *document {
	out := &document{written: u.GetCreationTimestamp().Time}
	for _, m := range u.GetManagedFields() {
		if m.Manager == fieldManager && m.Time != nil {
			out.written = m.Time.Time
		}
	}
	var report v1alpha1.Report // a ClusterReport has the same fields
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &report); err != nil {
		return out
	}
	labels, annotations := map[string]string{}, map[string]string{}
	if v, has := report.Labels[openreports.ManagedByLabel]; has {
		labels[openreports.ManagedByLabel] = v
	}
	if v, has := report.Annotations[openreports.OmittedAnnotation]; has {
		annotations[openreports.OmittedAnnotation] = v
	}
	report.ObjectMeta = metav1.ObjectMeta{Name: report.Name, Namespace: report.Namespace, Labels: labels, Annotations: annotations}
	d, err := newDocument(&report, report.Results)
	if err != nil {
		return out
	}
	d.written = out.written
	return d
}

// isMissing says whether the API server knows no such kind, rather than no such object.
func isMissing(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// isOver says whether the namespace is gone or going.
func isOver(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return apierrors.IsNotFound(err) && details != nil && details.Kind == "namespaces" ||
		apierrors.HasStatusCause(err, "NamespaceTerminating")
}
