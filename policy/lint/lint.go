// Package lint judges manifests before anybody applies them: as if they were applied one after the other, in the order
// that hurts least, onto what is there.
//
// # What counts as running
//
// In manifests no pod runs, and most guardrails deny only what hurts pods that run. So the pod templates that the
// manifests or the cluster hold count as running, with as many pods as they ask for, unless they are scaled to zero,
// suspended or finished. A policy is therefore judged as the webhook would judge it once the pods run. A change of a
// template that runs is a change of its pods: the webhook only warns about it, because controllers change templates out of
// their author's sight, but here the author is who reads the finding. What a new template would be without from its first
// moment stays a warning, as in the webhook: nothing that works gets worse.
//
// # Order
//
// The objects that are no policies are all there from the start. The policies are applied one after the other, those
// first about which nothing is to be said in the cluster as it then is. Only when none of those left is clean are the ones
// with the least severe violations applied and reported. Other orders are tried too, with those in front, and the one in
// which least is to be said counts, but for what no longer holds once all are applied. So allow-dns and default-deny are fine
// whichever file comes first, and two policies that each cut DNS cannot hide behind each other. In the end every policy is
// judged as the last one too, so that neither can one that opens what another one shuts, nor half a connection that the other
// half refuses.
package lint

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// Input says what is judged and how.
type Input struct {
	// Objects are the manifests, read with manifest.Reader.KeepText so that findings have places.
	Objects []manifest.Object
	// Groups are the API groups of the custom resources beside them, as manifest.Reader.Groups gives them.
	Groups []string
	// Base is the cluster onto which they are applied.
	Base []manifest.Object
	// Alone says that nothing is known of a cluster: the manifests are judged by themselves, and what they name outside
	// themselves counts as there. Base is not read then.
	Alone bool
	// Live says that Base is all that a real cluster holds. Otherwise it counts as having the DNS resolver that clusters
	// have, where no manifest and no config names one.
	Live bool
	// Prune says that what Base has and Objects have not is deleted.
	Prune bool
	// Config gives actions, parameters, exempt namespaces and the resolver.
	Config *config.Config
	// Guardrails are what judges. Those whose action is Audit or Off do not run: their author would see nothing of them.
	Guardrails []policy.Guardrail
	// Accepted holds the fingerprints of findings that are not reported.
	Accepted map[string]bool
	// Progress is told how many of the objects have been judged; nil for nobody.
	Progress func(done, total int)
}

// Finding is one violation in the manifests.
type Finding struct {
	policy.Finding
	// Operation is what the manifests do to the object.
	Operation policy.Operation
	// Object is what the finding is about. The file of its source is empty where it is in a live cluster alone.
	Object *manifest.Object
	// Region is the place of the finding's field in the file; the zero value where that is not known.
	Region manifest.Region
	// Excerpt holds the first lines of Region.
	Excerpt []string
	// Fingerprint identifies the finding in later runs: it depends on the guardrail, the object and the field, and on no
	// line and no file.
	Fingerprint string
}

// Report is what was found.
type Report struct {
	// Findings are sorted by file and place, and warn or deny.
	Findings []Finding
	// Judged are the objects that were judged, sorted by file and place.
	Judged []*manifest.Object
	// Accepted counts the findings that were left out because they are accepted.
	Accepted int
	// All holds the findings with those that are accepted, without fixes and in no useful order, for a new baseline.
	All []Finding
	// Partial says what was not judged, a sentence each.
	Partial []string
}

// Count counts the findings with the action.
func (r *Report) Count(a config.Action) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Action == a {
			n++
		}
	}
	return n
}

// Run judges the manifests. It stops early when ctx ends, and Report.Partial says so.
func Run(ctx context.Context, in *Input) *Report {
	j := &judge{Input: in, ctx: ctx, base: map[manifest.Key]*manifest.Object{}}
	for i := range in.Guardrails {
		switch g := &in.Guardrails[i]; {
		case in.Config.Settings(g.Slug).Action.Rank() < config.Warn.Rank():
		case g.Once:
			j.once = append(j.once, *g)
		default:
			j.guardrails = append(j.guardrails, *g)
		}
	}
	for i := range in.Base {
		if !in.Alone {
			j.base[in.Base[i].Key()] = &in.Base[i]
		}
	}
	steps := j.steps()
	j.total = len(steps)
	for i := range in.Objects {
		if in.Objects[i].NetworkPolicy() == nil {
			j.total++
		}
	}
	final := j.inTurn(j.start(steps), steps)
	j.passing(final)
	j.asLast(final, steps)
	j.others(final)
	j.ofCluster(final, steps)
	j.dropRepeated()
	return j.report()
}

// judge is one run.
type judge struct {
	*Input
	ctx         context.Context
	guardrails  []policy.Guardrail
	once        []policy.Guardrail // that speak of the cluster
	base        map[manifest.Key]*manifest.Object
	outcomes    []*outcome
	done, total int
	stopped     bool
	failures    map[string]bool
}

// outcome is what was said about one object.
type outcome struct {
	object   *manifest.Object
	change   *policy.Change
	results  []policy.Result
	findings []policy.Finding
	// worst is the rank of the strictest action.
	worst int
	// again says that another outcome is about the same object.
	again bool
}

// evaluate judges a change without trying any fix.
func (j *judge) evaluate(object *manifest.Object, c *policy.Change) *outcome {
	return j.evaluateWith(j.guardrails, object, c)
}

func (j *judge) evaluateWith(guardrails []policy.Guardrail, object *manifest.Object, c *policy.Change) *outcome {
	c.Disclose = true // who lints has read all that there is
	c.Partial, c.Groups = j.Alone, j.Groups
	out := &outcome{object: object, change: c}
	for _, g := range policy.Applicable(j.Config, guardrails, c) {
		out.results = append(out.results, policy.Check(j.Config, g, c))
	}
	d := policy.Decide(j.Config, c, keepFixes(out.results, 0))
	for _, f := range d.Failures {
		if j.failures == nil {
			j.failures = map[string]bool{}
		}
		reason, _, _ := strings.Cut(f.Err.Error(), "\n")
		j.failures[fmt.Sprintf("%s could not be evaluated on %s: %s", f.Guardrail, object, reason)] = true
	}
	out.keep(d.Findings)
	return out
}

// keep keeps the findings that their author is to see.
func (o *outcome) keep(findings []policy.Finding) {
	o.findings, o.worst = nil, 0
	for i := range findings {
		if rank := findings[i].Action.Rank(); rank >= config.Warn.Rank() {
			o.findings, o.worst = append(o.findings, findings[i]), max(o.worst, rank)
		}
	}
}

// step reports progress, and whether there is time to go on.
func (j *judge) step() bool {
	if j.stopped = j.stopped || j.ctx.Err() != nil; j.stopped {
		return false
	}
	if j.Progress != nil {
		j.Progress(min(j.done, j.total), j.total)
	}
	j.done++
	return true
}

// exempt reports whether the config leaves the object's namespace alone.
func (j *judge) exempt(o *manifest.Object) bool {
	namespace := o.Namespace
	if o.Kind == "Namespace" {
		namespace = o.Name
	}
	return j.Config.ExemptedBy(namespace, "", nil) != ""
}

// start gives the cluster before the first policy is applied: everything but the policies as it will be, and the
// policies as they are.
func (j *judge) start(steps []step) *cluster.Snapshot {
	objects := j.Objects
	if !j.Alone {
		base := j.Base
		if j.Prune {
			base = j.kept()
		}
		objects = manifest.Apply(base, j.Objects)
	}
	objects = slices.Clone(objects)
	changed := map[manifest.Key]bool{}
	for i := range steps {
		changed[steps[i].object.Key()] = true
	}
	objects = slices.DeleteFunc(objects, func(o manifest.Object) bool { return changed[o.Key()] })
	for i := range steps {
		if old := j.base[steps[i].object.Key()]; old != nil {
			objects = append(objects, *old)
		}
	}
	if j.Alone {
		objects = append(objects, placeholders(j.Objects)...)
	}
	if !j.Live {
		objects, _ = WithResolver(objects, j.Config)
	}
	o := policy.SnapshotOptions(j.Config)
	o.Partial = !j.Live
	return manifest.Build(manifest.Running(objects), o)
}

// kept gives the objects of the base that pruning leaves.
func (j *judge) kept() []manifest.Object {
	named := map[manifest.Key]bool{}
	for i := range j.Objects {
		named[j.Objects[i].Key()] = true
	}
	var gone []manifest.Object
	for i := range j.Base {
		if o := &j.Base[i]; !named[o.Key()] && o.Kind != "Namespace" {
			gone = append(gone, *o)
		}
	}
	left, _ := manifest.Delete(j.Base, gone)
	return left
}

// compare sorts objects by where they were read, and those of a live cluster by what they are.
func compareObjects(a, b *manifest.Object) int {
	return cmp.Or(strings.Compare(a.Source.File, b.Source.File), cmp.Compare(a.Source.Line, b.Source.Line), compareKeys(a, b))
}

func compareKeys(a, b *manifest.Object) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
}
