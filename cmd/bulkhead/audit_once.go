package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/audit/openreports"
	"github.com/bulkhead-dev/bulkhead/policy/audit/render"
	"github.com/bulkhead-dev/bulkhead/policy/audit/render/html"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// read gives the cluster that the flags name and completes what it is judged by; partial says what the cluster lacks. In manifests
// no pod need run: those of the pod templates count as running.
func (o *auditOptions) read(ctx context.Context, cmd *cobra.Command, scan *audit.Options, p *progress) (s *cluster.Snapshot, partial []string, err error) {
	o.input.needs = policy.Needs(scan.Guardrails, scan.Config)
	w, err := o.input.read(ctx, cmd, p)
	if err != nil {
		return nil, nil, err
	}
	stored := map[string]*networkingv1.NetworkPolicy{}
	for i := range w.objects {
		if np := w.objects[i].NetworkPolicy(); np != nil {
			stored[np.Namespace+"/"+np.Name] = np
		}
	}
	scan.Policies = func(namespace, name string) *networkingv1.NetworkPolicy { return stored[namespace+"/"+name] }
	scan.Groups = w.groups
	options := policy.SnapshotOptions(scan.Config)
	if !o.input.live() {
		options.Partial = true
		w = assumeResolver(w, scan)
	}
	return manifest.Build(w.objects, options), w.partial, nil
}

// assumeResolver completes manifests: their pods run, and where they have no DNS they get the one that clusters have. Manifests
// that do not speak of its namespace are not audited for that.
func assumeResolver(w *world, scan *audit.Options) *world {
	const home = "kube-system"
	out := *w
	objects, assumed := lint.WithResolver(w.objects, scan.Config)
	out.objects = manifest.Running(objects)
	if !assumed {
		return &out
	}
	out.partial = append(slices.Clip(w.partial), "no DNS Service is among the manifests: "+home+"/kube-dns with one pod is taken for the resolver; the config can name another")
	if !slices.ContainsFunc(w.objects, func(m manifest.Object) bool { return m.Namespace == home || m.Kind == "Namespace" && m.Name == home }) {
		scan.Only = func(namespace string) bool { return namespace != home }
	}
	return &out
}

// onlyNamespace audits one namespace, which has to be there.
func onlyNamespace(s *cluster.Snapshot, name string) (func(string) bool, error) {
	if s.Namespace(name) == nil {
		var all []string
		for n := range s.All() {
			all = append(all, n.Name)
		}
		if near := manifest.Nearest(name, all); near != "" {
			return nil, fmt.Errorf("no namespace %q; did you mean %q?", name, near)
		}
		return nil, fmt.Errorf("no namespace %q in the cluster", name)
	}
	return func(namespace string) bool { return namespace == name }, nil
}

func (o *auditOptions) write(cmd *cobra.Command, r *audit.Report, cfg *config.Config) error {
	if o.output.format != "table" { // which ends with the same words
		reportPartial(cmd.ErrOrStderr(), r.Partial)
	}
	options := render.Options{DocsURL: cfg.DocsURL, Namespace: o.input.namespace}
	if p := (painter{o.output.colored(cmd)}); p.enabled {
		options.Paint = func(text string, s render.Style) string { return p.paint(text, auditColor(s)) }
	}
	return o.output.write(cmd, func(w io.Writer) error {
		switch o.output.format {
		case "json":
			return render.JSON(w, r, options)
		case "html":
			return html.Write(w, r, html.Meta{Title: o.input.context, Time: time.Now().UTC().Format("2006-01-02 15:04 MST"), Version: webhook.Version(), DocsURL: cfg.DocsURL})
		case "openreports":
			return writeReports(w, r, time.Now())
		}
		return render.Table(w, r, options)
	})
}

// writeReports writes the report as objects of the OpenReports API, as "kubectl apply" takes them: one for each namespace in which
// something is wrong, and one for the cluster.
func writeReports(w io.Writer, r *audit.Report, now time.Time) error {
	var objects []any
	if report := openreports.Cluster(r.Cluster, openreports.At(now)); report != nil {
		objects = append(objects, report)
	}
	for i := range r.Namespaces {
		if report := openreports.Namespace(&r.Namespaces[i], openreports.At(now)); report != nil {
			objects = append(objects, report)
		}
	}
	for _, object := range objects {
		data, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", data); err != nil {
			return err
		}
	}
	return nil
}

func auditColor(s render.Style) color.Attribute {
	switch s {
	case render.Denied:
		return color.FgRed
	case render.Warned:
		return color.FgYellow
	case render.Counted:
		return color.FgBlue
	case render.Quiet:
		return color.Faint
	}
	return color.Bold
}
