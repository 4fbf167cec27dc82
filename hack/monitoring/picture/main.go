// Command picture draws the dashboards as HTML from what their queries gave in the end-to-end test, for people to look at where no
// Grafana is at hand:
//
//	mkdir pictures
//	(cd e2e && BULKHEAD_PICTURES=$PWD/../pictures go test -run TestMonitoring .)
//	go run ./hack/monitoring/picture pictures
package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"os"
	"path/filepath"

	"github.com/bulkhead-dev/bulkhead/hack/monitoring/board"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// shown is what a panel has shown; the end-to-end test writes a list of these.
type shown struct {
	Dashboard, Row string
	Panel          board.Panel
	Results        [][]series
}

// series is one series of Prometheus' range API.
type series struct {
	Metric map[string]string
	Values [][2]any
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name the directory with panels.json")
	}
	text, err := os.ReadFile(filepath.Join(args[0], "panels.json"))
	if err != nil {
		return err
	}
	var all []shown
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for _, d := range board.All() {
		file, err := os.Create(filepath.Join(args[0], d.UID+".html"))
		if err != nil {
			return err
		}
		err = draw(file, &d, all)
		if closed := file.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// card is a panel on the page.
type card struct {
	Panel board.Panel
	Body  template.HTML
}

// section is a row on the page.
type section struct {
	Title string
	Cards []card
}

func draw(file *os.File, d *board.Dashboard, all []shown) error {
	var sections []section
	from, to := spanOf(all)
	for _, s := range all {
		if s.Dashboard != d.Title {
			continue
		}
		if n := len(sections); n == 0 || sections[n-1].Title != s.Row {
			sections = append(sections, section{Title: s.Row})
		}
		last := &sections[len(sections)-1]
		last.Cards = append(last.Cards, card{s.Panel, body(&s, from, to)})
	}
	return page.Execute(file, map[string]any{"Title": d.Title, "Sections": sections})
}

func body(s *shown, from, to float64) template.HTML {
	lines := linesOf(s)
	switch s.Panel.Kind {
	case board.Stat:
		return stat(&s.Panel, lines)
	case board.Bars:
		return bars(&s.Panel, lines)
	case board.Table:
		return table(s)
	}
	return chart(&s.Panel, lines, from, to)
}

var page = template.Must(template.New("page").Parse(`<!doctype html><meta charset="utf-8"><title>{{.Title}}</title>
<style>
body{background:#f4f5f5;color:#24292e;font:13px Inter,Helvetica,Arial,sans-serif;margin:12px;width:1400px}
h1{font-size:18px;margin:4px 0 10px}h2{font-size:14px;font-weight:500;margin:14px 0 6px}
.row{display:grid;grid-template-columns:repeat(24,1fr);gap:8px}
.card{background:#fff;border:1px solid #e0e2e5;border-radius:3px;padding:6px 8px;overflow:hidden;box-sizing:border-box}
.card h3{font-size:13px;font-weight:500;margin:0 0 4px}.stat{font-size:30px;font-weight:500;text-align:center;margin-top:14px}
.legend{font-size:11px;line-height:1.5}.legend i{display:inline-block;width:10px;height:3px;margin:0 4px 3px 8px}
table{border-collapse:collapse;width:100%;font-size:12px}td,th{text-align:left;border-bottom:1px solid #eee;padding:2px 6px}
td.n,th.n{text-align:right}.bar{display:grid;grid-template-columns:190px 1fr 60px;gap:6px;font-size:12px;margin:3px 0}.bar b{display:block;background:#5794f2;height:14px}
</style><h1>{{.Title}}</h1>
{{range .Sections}}<h2>{{.Title}}</h2><div class="row">{{range .Cards}}
<div class="card" style="grid-column:span {{.Panel.Width}};height:calc({{.Panel.Height}}*30px)"><h3>{{.Panel.Title}}</h3>{{.Body}}</div>{{end}}
</div>{{end}}`))
