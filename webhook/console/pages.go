package console

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy/audit/render/html"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// fragmentHeader is sent by the script that refreshes a page: it wants no frame around it.
const fragmentHeader = "X-Bulkhead-Refresh"

// pages are the templates, and what else a browser loads.
type pages struct {
	templates map[string]*template.Template
	assets    map[string][]byte
}

func newPages() (*pages, error) {
	p := &pages{templates: map[string]*template.Template{}, assets: map[string][]byte{
		"style.css": []byte(html.Style()), "table.js": []byte(html.Script()),
	}}
	for _, name := range []string{"console.css", "feed.js", "icon.svg"} {
		data, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			return nil, err
		}
		p.assets[name] = data
	}
	for _, name := range []string{"feed", "posture", "namespace", "problem", "signin"} {
		t, err := html.Templates()
		if err != nil {
			return nil, err
		}
		t, err = t.New("frame.html").Funcs(funcs()).ParseFS(pageFiles, "pages/frame.html", "pages/decision.html", "pages/"+name+".html")
		if err != nil {
			return nil, err
		}
		p.templates[name] = t
	}
	return p, nil
}

func funcs() template.FuncMap {
	return template.FuncMap{
		"clock":   func(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05") },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"text":    html.Printable, "segment": url.PathEscape,
	}
}

// frame is what stands around every page.
type frame struct {
	Title, At, Cluster, Version, User string
	Auth                              bool
	// Data is the page's own.
	Data any
}

func (c *Console) frame(r *http.Request, title, at string) frame {
	return frame{
		Title: title, At: at, Cluster: html.Printable(c.o.Cluster), Version: c.o.Version, User: html.Printable(userOf(r)), Auth: c.o.Auth,
	}
}

// write answers with a page; part names a block of it that is sent alone.
func (p *pages) write(w http.ResponseWriter, status int, name string, f frame, data any) {
	p.writePart(w, status, name, "frame.html", f, data)
}

func (p *pages) writePart(w http.ResponseWriter, status int, name, part string, f frame, data any) {
	f.Data = data
	var b bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&b, part, f); err != nil {
		http.Error(w, "this page could not be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // whoever asked has gone
}

// asset answers with a file that pages load. They are the program's own and no secret.
func (p *pages) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	data, found := p.assets[name]
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}[path.Ext(name)])
	_, _ = w.Write(data)
}

// problem answers with what is wrong and what to do.
func (c *Console) problem(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	if accept := r.Header.Get("Accept"); r.Header.Get(fragmentHeader) != "" || accept != "" && !strings.Contains(accept, "html") && !strings.Contains(accept, "*/*") {
		http.Error(w, title+": "+text, status)
		return
	}
	c.pages.write(w, status, "problem", c.frame(r, title, ""), map[string]any{"Text": html.Printable(text), "Status": status})
}
