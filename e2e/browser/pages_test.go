package browser

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/audit/render/html"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// reportFile writes the HTML report of an audit and gives its file:// address.
func reportFile(t *testing.T, r *audit.Report) string {
	t.Helper()
	var b bytes.Buffer
	m := html.Meta{Title: "production", Time: "21 November 2026, 12:00 UTC", Version: "v0.1.0", Took: "3.2 s", DocsURL: "https://docs.example/guardrails"}
	if err := html.Write(&b, r, m); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// wide gives what makes a page wider than its window.
const wide = `document.documentElement.scrollWidth <= innerWidth ? '' : [...document.querySelectorAll('body *')].filter((e) =>
  e.getBoundingClientRect().right > innerWidth && !e.closest('.scroll, pre, svg')).map((e) => e.outerHTML.slice(0, 90)).join('; ') || 'something'`

// faint gives the texts of a page whose contrast to what is behind them is below 4.5, or 3 where they are large. Source: WCAG
// 2.2, success criterion 1.4.3.
const faint = `(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  canvas.canvas.width = canvas.canvas.height = 1;
  const rgba = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const f = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] / 255 + under[i] * (1 - top[3] / 255)).concat(255);
  const behind = (el) => {
    const layers = [];
    for (let e = el; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reduceRight((under, top) => over(top, under), matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18, 255] : [255, 255, 255, 255]);
  };
  const bad = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walk.nextNode() && seen < 4000) {
    const text = walk.currentNode.data.trim(), el = walk.currentNode.parentElement;
    if (!text || ['SCRIPT', 'STYLE', 'TITLE', 'OPTION', 'NOSCRIPT'].includes(el.tagName.toUpperCase()) || el.closest('svg') || !el.checkVisibility()) continue;
    seen++;
    const style = getComputedStyle(el), under = behind(el), a = light(over(rgba(style.color), under)), b = light(under);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), size = parseFloat(style.fontSize);
    if (ratio < (size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5)) bad.add(text.slice(0, 40) + ' ' + ratio.toFixed(2));
  }
  return seen < 5 ? 'only ' + seen + ' texts were seen' : [...bad].join('; ');
})()`

// unnamed gives what a screen reader could not name: controls without a label, images without a text, tables without heads.
const unnamed = `[...document.querySelectorAll('input:not([type=hidden]), select, button, a[href], summary, svg[role=img], img')].filter((e) =>
    e.checkVisibility() && e.tagName !== 'IMG' && !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels && e.labels.length))
  .concat([...document.querySelectorAll('table')].filter((e) => !e.querySelector('th[scope]')))
  .concat([...document.querySelectorAll('img:not([alt])')])
  .concat(document.querySelectorAll('h1').length === 1 && document.documentElement.lang && document.querySelector('main') ? [] : [document.documentElement])
  .map((e) => e.outerHTML.slice(0, 120)).join('; ')`

// TestEveryPage: in every width and colour a page fits, can be read, names its controls, complains of nothing, and loads from
// nowhere else.
func TestEveryPage(t *testing.T) {
	browser := launch(t)
	base := serve(t, options(t, decisions(300, ""), report(30, 4, "")))
	empty := serve(t, options(t, nil, nil))
	file := reportFile(t, report(30, 4, ""))
	for name, address := range map[string]string{
		"feed": base + "/", "feed with a filter": base + "/?decision=denied&q=dns", "posture": base + "/posture", "namespace": base + "/namespaces/shop",
		"no such page": base + "/nowhere", "empty feed": empty + "/", "no audit": empty + "/posture", "report": file, "empty report": reportFile(t, &audit.Report{}),
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, browser)
			if strings.Contains(name, "no such") {
				b.expected = []string{"404"}
			}
			for _, width := range []int64{360, 1400} {
				for _, mode := range []string{"light", "dark"} {
					b.do(emulation.SetDeviceMetricsOverride(width, 900, 1, false))
					if mode == "dark" {
						b.do(dark())
					} else {
						b.do(emulation.SetEmulatedMedia())
					}
					b.look(address)
					want(b, "matchMedia('(prefers-color-scheme: dark)').matches", mode == "dark")
					want(b, wide, "")
					b.do(chromedp.Evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })", nil))
					want(b, wide, "")
					want(b, faint, "")
					want(b, unnamed, "")
				}
			}
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			b.onlyTo(u.Scheme + "://" + u.Host + "/")
		})
	}
}

// TestWithoutScripts: all that matters can be read and used where scripts are off.
func TestWithoutScripts(t *testing.T) {
	browser := launch(t)
	base := serve(t, options(t, decisions(300, ""), report(30, 4, "")))
	b := open(t, browser)
	b.do(emulation.SetScriptExecutionDisabled(true))
	for address, text := range map[string]string{
		base + "/?decision=denied": "default-deny", base + "/posture": "team-001", base + "/namespaces/shop": "Who can reach whom", reportFile(t, report(5, 2, "")): "team-001",
	} {
		b.look(address)
		var body string
		b.do(chromedp.Text("main", &body, chromedp.ByQuery))
		if !strings.Contains(body, text) {
			t.Errorf("%s lacks %q", address, text)
		}
	}
}

// TestHostileText: whatever objects are called, the pages show it as text; nothing of it runs, steers, or breaks out.
func TestHostileText(t *testing.T) {
	browser := launch(t)
	for name, hostile := range map[string]string{
		"elements":   `<script>window.hacked=1</script><img src=x onerror="window.hacked=1"><svg onload=alert(1)>`,
		"attributes": `" onmouseover="window.hacked=1" autofocus onfocus="alert(1)" x='`,
		"closing":    `</title></style></script></textarea></select></details><!--`,
		"address":    `javascript:alert(1)//`,
		"direction":  "\u202egnorw\u2066\u200f", "terminal": "\x1b[31mred\x07\b",
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, decisions(60, hostile), report(6, 2, hostile))
			base := serve(t, o)
			b := open(t, browser)
			b.expected = []string{"404"}
			for _, address := range []string{
				base + "/", base + query("q", hostile), base + query("namespace", "shop"+hostile), base + "/posture",
				base + "/namespaces/" + url.PathEscape("shop"+hostile), base + "/" + url.PathEscape(hostile), reportFile(t, report(6, 2, hostile)),
			} {
				b.look(address)
				b.do(chromedp.Evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })", nil))
				want(b, "typeof window.hacked", "undefined")
				want(b, "document.querySelectorAll('img[src=x], [onerror], [onload], [onmouseover], [onfocus], a[href^=javascript]').length", 0)
				want(b, `/[\u0000-\u0008\u001b\u202a-\u202e\u2066-\u2069\u200f]/.test(document.documentElement.outerHTML)`, false)
			}
			b.look(base + "/")
			if printable := html.Printable(hostile); !strings.Contains(eval[string](b, "document.querySelector('.feed').textContent"), printable) {
				t.Errorf("the feed does not show %q as it is written", printable)
			}
		})
	}
}

// TestTenThousand: 10,000 denials are pages of fifty, and so many findings are groups that stay folded.
func TestTenThousand(t *testing.T) {
	browser := launch(t)
	base := serve(t, options(t, decisions(10_000, ""), report(200, 55, "")))
	b := open(t, browser)
	b.look(base + "/")
	want(b, "document.querySelectorAll('details.decision').length", 50)
	want(b, "document.querySelector('.pager span:nth-child(2)').textContent", "Page 1 of 200")
	b.do(chromedp.Click("//a[text()='Older']", chromedp.BySearch))
	b.await("document.querySelector('.pager span')?.textContent === 'Page 2 of 200'")
	b.look(base + query("q", "c0ffee009999"))
	want(b, "document.querySelectorAll('details.decision').length", 1)
	want(b, "document.querySelector('.counts').textContent.includes('of 10,000 decisions')", true)
	b.look(reportFile(t, report(200, 55, "")))
	want(b, "document.querySelectorAll('.findings > li').length", 5000)
	want(b, "document.querySelectorAll('details.group[open]').length", 0)
	want(b, "document.body.textContent.includes('5,000 of 11,000 findings in namespaces are on this page')", true)
	b.do(chromedp.SendKeys("[data-filter=names]", "team-150", chromedp.ByQuery))
	b.await("document.querySelectorAll('tbody tr:not([hidden]) th a[href^=\"#ns-\"]').length <= 1 && document.querySelector('[data-count]').textContent.startsWith('1 of 200')")
}

// TestNothing: pages without anything say what to do.
func TestNothing(t *testing.T) {
	browser := launch(t)
	base := serve(t, options(t, nil, nil))
	b := open(t, browser)
	b.look(base + "/")
	want(b, "document.querySelector('.empty h2').textContent", "Nothing was denied")
	want(b, "document.querySelector('.empty pre').textContent.includes('--dry-run=server')", true)
	b.look(base + "/posture")
	want(b, "document.querySelector('.empty h2').textContent", "The audit is not done yet")
	some := serve(t, options(t, []denials.Record{decisions(1, "")[0]}, nil))
	b.look(some + query("q", "nowhere"))
	want(b, "document.querySelector('.empty h2').textContent", "No decision matches the filter")
	b.do(chromedp.Click("//a[text()='Show all']", chromedp.BySearch))
	b.await("document.querySelectorAll('details.decision').length === 1")
}
