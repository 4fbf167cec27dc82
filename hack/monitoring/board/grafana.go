package board

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// schemaVersion is that of Grafana 10; later ones bring it up to date when they load it.
const schemaVersion = 38

type object = map[string]any

// JSON gives the dashboard as Grafana imports it.
func (d *Dashboard) JSON() ([]byte, error) {
	var panels []object
	id, y := 1, 0
	for _, row := range d.Rows {
		panels = append(panels, object{
			"id": id, "type": "row", "title": row.Title, "collapsed": false, "panels": []object{},
			"gridPos": object{"x": 0, "y": y, "w": 24, "h": 1},
		})
		id++
		y++
		x, tallest := 0, 0
		for i := range row.Panels {
			p := &row.Panels[i]
			if x+p.Width > 24 {
				x, y, tallest = 0, y+tallest, 0
			}
			panels = append(panels, p.object(id, object{"x": x, "y": y, "w": p.Width, "h": p.Height}))
			id++
			x, tallest = x+p.Width, max(tallest, p.Height)
		}
		y += tallest
	}
	out, err := json.MarshalIndent(object{
		"uid": d.UID, "title": d.Title, "description": d.Description, "tags": []string{"bulkhead"},
		"schemaVersion": schemaVersion, "version": 1, "editable": true, "graphTooltip": 1, "timezone": "browser",
		"time": object{"from": "now-24h", "to": "now"}, "refresh": "1m",
		"templating": object{"list": d.variables()}, "annotations": object{"list": []object{}},
		"links": []object{{
			"type": "dashboards", "title": "Bulkhead", "tags": []string{"bulkhead"}, "asDropdown": false, "includeVars": false, "keepTime": true,
		}},
		"panels": panels,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	return append(out, '\n'), nil
}

func dataSource() object { return object{"type": "prometheus", "uid": "${datasource}"} }

func (d *Dashboard) variables() []object {
	list := []object{{
		"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": object{}, "hide": 0,
		"includeAll": false, "multi": false, "options": []object{}, "refresh": 1, "regex": "", "skipUrlSync": false,
	}}
	if d.Guardrails {
		query := "label_values(bulkhead_guardrail_evaluations_total, guardrail)"
		list = append(list, object{
			"name": "guardrail", "label": "Guardrail", "type": "query", "datasource": dataSource(), "definition": query,
			"query": object{"query": query, "refId": "guardrail"}, "current": object{"text": []string{"All"}, "value": []string{"$__all"}},
			"includeAll": true, "allValue": ".*", "multi": true, "options": []object{}, "refresh": 2, "regex": "", "sort": 1,
			"hide": 0, "skipUrlSync": false,
		})
	}
	return list
}

func (p *Panel) object(id int, position object) object {
	o := object{
		"id": id, "type": string(p.Kind), "title": p.Title, "description": p.Description, "datasource": dataSource(), "gridPos": position,
		"targets": p.targets(), "fieldConfig": object{"defaults": p.defaults(), "overrides": []object{}}, "options": p.options(),
	}
	if p.Runbook != "" {
		o["links"] = []object{{"title": "Runbook: " + p.Runbook, "url": runbooks + p.Runbook, "targetBlank": true}}
	}
	if p.Kind == Table {
		o["transformations"] = p.transformations()
	}
	return o
}

func (p *Panel) targets() []object {
	var out []object
	for i, q := range p.Queries {
		t := object{
			"refId": refID(i), "datasource": dataSource(), "expr": q.Expr, "editorMode": "code", "legendFormat": q.Legend,
			"range": !p.Instant(), "instant": p.Instant(), "format": "time_series",
		}
		if p.Kind == Table {
			t["format"] = "table"
		}
		out = append(out, t)
	}
	return out
}

func refID(i int) string { return string(rune('A' + i)) }

func (p *Panel) defaults() object {
	d := object{"unit": cmp.Or(p.Unit, "short"), "mappings": p.mappings(), "thresholds": p.thresholds(), "color": object{"mode": "palette-classic"}}
	if p.Kind == Stat {
		d["color"] = object{"mode": "thresholds"}
		d["noValue"] = "none"
	}
	if p.Kind == Lines {
		d["min"] = 0
		stacking, fill := "none", 8
		if p.Stacked {
			stacking, fill = "normal", 40
		}
		d["custom"] = object{
			"drawStyle": "line", "lineWidth": 1, "fillOpacity": fill, "showPoints": "auto", "spanNulls": false, "axisLabel": p.Axis,
			"stacking": object{"mode": stacking, "group": "A"},
		}
	}
	if p.Most > 0 {
		d["max"] = p.Most
	}
	return d
}

func (p *Panel) thresholds() object {
	good, bad := "green", "red"
	steps := []object{{"color": good, "value": nil}}
	switch {
	case p.Warn == 0 && p.Bad == 0:
		if p.Kind == Stat {
			steps[0]["color"] = "text"
		}
	case p.Bad < p.Warn:
		steps = []object{{"color": bad, "value": nil}, {"color": "yellow", "value": p.Bad}, {"color": good, "value": p.Warn}}
	default:
		steps = append(steps, object{"color": "yellow", "value": p.Warn}, object{"color": bad, "value": p.Bad})
	}
	return object{"mode": "absolute", "steps": steps}
}

func (p *Panel) mappings() []object {
	if len(p.Words) == 0 {
		return []object{}
	}
	words := object{}
	for i, value := range slices.Sorted(maps.Keys(p.Words)) {
		words[value] = object{"text": p.Words[value], "index": i}
	}
	return []object{{"type": "value", "options": words}}
}

func (p *Panel) options() object {
	last := object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	switch p.Kind {
	case Stat:
		return object{
			"reduceOptions": last, "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
		}
	case Bars:
		return object{"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": true, "valueMode": "text"}
	case Table:
		return object{"showHeader": true, "cellHeight": "sm", "footer": object{"show": false, "reducer": []string{"sum"}, "fields": ""}}
	}
	return object{
		"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}
}

// transformations join the queries of a table by their labels, one column each, the greatest of the first query on top.
func (p *Panel) transformations() []object {
	names := object{"Value": p.Queries[0].Legend} // what a single query's column is called
	for i, q := range p.Queries {
		names["Value #"+refID(i)] = q.Legend
	}
	return []object{
		{"id": "merge", "options": object{}},
		{"id": "organize", "options": object{"excludeByName": object{"Time": true}, "indexByName": object{}, "renameByName": names}},
		{"id": "sortBy", "options": object{"sort": []object{{"field": p.Queries[0].Legend, "desc": true}}}},
	}
}
