package render

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// Options are about the page as a whole.
type Options struct {
	// Title stands at the top of the page and in the browser's tab; empty means a plain description of what is drawn.
	Title string
}

//go:embed page
var files embed.FS

// scripts are the parts of the page's program in the order in which they build on each other.
var scripts = [...]string{"model", "lists", "layout", "lines", "draw", "view", "panel", "overview", "app", "keys"}

// HTML writes a graph as one page that needs nothing but a browser: no server, no network. The page links to its own
// states: #focus=shop/api, #focus=ns:shop, #q=8080, #theme=dark. A graph that is too large for a browser is drawn by
// namespace, and the page says so.
func HTML(w io.Writer, g *connectivity.Graph, o Options) error {
	return writePage(w, newPage(g), titleOr(o.Title, "Who can reach whom"))
}

// DiffHTML writes a difference as a page like HTML's: what is cut and opened first, and behind it, faint, the cluster
// after the change.
func DiffHTML(w io.Writer, d *connectivity.Difference, after *connectivity.Graph, o Options) error {
	return writePage(w, newDiffPage(d, after), titleOr(o.Title, "What the change cuts and opens"))
}

func titleOr(title, otherwise string) string {
	if title == "" {
		return otherwise
	}
	return printable(title)
}

func writePage(w io.Writer, p *page, title string) error {
	frame, err := template.ParseFS(files, "page/page.html")
	if err != nil {
		return err
	}
	style, err := files.ReadFile("page/page.css")
	if err != nil {
		return err
	}
	script, err := program()
	if err != nil {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return frame.Execute(w, map[string]any{
		"Title":  title,
		"Policy": securityPolicy(style, script),
		"Style":  template.CSS(style), // our own file
		"Script": template.JS(script), // our own files
		"Data":   json.RawMessage(data),
	})
}

func program() ([]byte, error) {
	var parts [][]byte
	for _, name := range scripts {
		part, err := files.ReadFile("page/" + name + ".js")
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return slices.Concat(parts...), nil
}

// securityPolicy lets the page use its own style and program and nothing else: no network, and no code that a name
// might smuggle in. Source: Content Security Policy Level 3, hash-source.
func securityPolicy(style, script []byte) string {
	return strings.Join([]string{
		"default-src 'none'", "style-src " + hashSource(style), "script-src " + hashSource(script), "base-uri 'none'",
		"form-action 'none'",
	}, "; ")
}

func hashSource(content []byte) string {
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
