package console

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/audit/render/html"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity/render"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// noReport is said while there is no audit to show.
const noReport = "No audit is there yet. The first one takes some seconds after the start, or minutes in a large cluster. " +
	"Where the audit has several replicas, the one that leads shows it."

// posture answers with the posture of all namespaces.
func (c *Console) posture(w http.ResponseWriter, r *http.Request) {
	report := c.o.Report()
	if report == nil {
		c.pages.write(w, http.StatusOK, "posture", c.frame(r, "Posture", "posture"), map[string]any{"Waiting": noReport})
		return
	}
	c.pages.write(w, http.StatusOK, "posture", c.frame(r, "Posture", "posture"), map[string]any{"Summary": html.Summarize(report)})
}

// report answers with the report as one page to keep.
func (c *Console) report(w http.ResponseWriter, r *http.Request) {
	report := c.o.Report()
	if report == nil {
		c.problem(w, r, http.StatusServiceUnavailable, "No report yet", noReport)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="bulkhead-audit.html"`)
	meta := html.Meta{Title: c.o.Cluster, Time: c.o.Now().UTC().Format("2 January 2006, 15:04 UTC"), Version: c.o.Version}
	if cfg := c.o.Config(); cfg != nil {
		meta.DocsURL = cfg.DocsURL
	}
	_ = html.Write(w, report, meta) // whoever asked has gone
}

// namespacePage is what the page of one namespace shows.
type namespacePage struct {
	Name string
	// Summary is nil where there is no audit yet.
	Summary *html.NamespaceSummary
	Map     *render.Map
	// Difference is the decision whose difference is in the map, nil where none is known.
	Difference *feedRow
	Recent     []feedRow
	// More is the address of all decisions about the namespace.
	More    string
	Waiting string
}

// drawWithin bounds the work on one map.
const drawWithin = 10 * time.Second

// recent is how many decisions the page of a namespace shows.
const recent = 8

// namespace answers with one namespace: its map, its posture, its findings, and its denied changes.
func (c *Console) namespace(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	p := &namespacePage{Name: html.Printable(name), More: filter{Namespace: name}.query(1)}
	report, snapshot := c.o.Report(), c.o.Snapshot()
	if report == nil {
		p.Waiting = noReport
	} else if i, found := slices.BinarySearchFunc(report.Namespaces, name, func(n audit.Namespace, name string) int {
		if n.Name < name {
			return -1
		} else if n.Name > name {
			return 1
		}
		return 0
	}); found {
		one := html.Summarize(&audit.Report{Namespaces: report.Namespaces[i : i+1]})
		p.Summary = &one.Namespaces[0]
	}
	known := snapshot != nil && snapshot.Namespace(name) != nil
	all := c.about(name)
	if !known && p.Summary == nil && len(all) == 0 {
		c.problem(w, r, http.StatusNotFound, "There is no such namespace", "The cluster has no namespace of this name, and nothing was denied in it.")
		return
	}
	for _, record := range all[:min(len(all), recent)] {
		p.Recent = append(p.Recent, rowOf(record))
	}
	difference := differenceOf(all, r.URL.Query().Get("change"))
	if difference != nil {
		row := rowOf(difference)
		p.Difference = &row
	}
	if known {
		p.Map = c.draw(r.Context(), name, difference)
	}
	c.pages.write(w, http.StatusOK, "namespace", c.frame(r, p.Name, "posture"), p)
}

// about gives the decisions about a namespace, newest first.
func (c *Console) about(namespace string) []*denials.Record {
	var out []*denials.Record
	records := c.o.Denials()
	for i := range records {
		if records[i].Namespace == namespace {
			out = append(out, &records[i])
		}
	}
	return out
}

// differenceOf gives the decision to draw: the one that is asked for, else the last denied one whose difference is known.
func differenceOf(all []*denials.Record, id string) *denials.Record {
	for _, r := range all {
		if len(r.Cut)+len(r.Opened) == 0 {
			continue
		}
		if id == "" && r.Decision == denials.Denied || id != "" && recordID(r) == id {
			return r
		}
	}
	return nil
}

// draw makes the map of a namespace, one at a time.
func (c *Console) draw(ctx context.Context, name string, difference *denials.Record) *render.Map {
	ctx, cancel := context.WithTimeout(ctx, drawWithin)
	defer cancel()
	c.drawing.Lock()
	defer c.drawing.Unlock()
	snapshot := c.o.Snapshot()
	var cut, opened []render.Flow
	if difference != nil {
		cut, opened = flows(difference.Cut), flows(difference.Opened)
	}
	return render.NewMap(connectivity.Around(ctx, snapshot, name, connectivity.Options{}), cut, opened)
}

func flows(list []denials.Flow) []render.Flow {
	out := make([]render.Flow, 0, len(list))
	for _, f := range list {
		out = append(out, render.Flow{From: f.From, To: f.To, Ports: f.Port})
	}
	return out
}
