package browser

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

const rows = "document.querySelectorAll('details.decision').length"

// TestFilters: a filter is an address that can be shared; what it leaves is counted, and another one goes on from there.
func TestFilters(t *testing.T) {
	browser := launch(t)
	base := serve(t, options(t, decisions(300, ""), report(3, 1, "")))
	b := open(t, browser)
	b.look(base + "/")
	want(b, rows, 50)
	b.do(chromedp.SetValue("select[name=decision]", "warned", chromedp.ByQuery))
	b.await("location.search === '?decision=warned' && document.readyState === 'complete'")
	want(b, "[...document.querySelectorAll('summary .act')].every((e) => e.textContent === 'warned')", true)
	want(b, "document.querySelector('.counts').textContent.replace(/\\s+/g, ' ').trim()", "0 denied 60 warned 0 audited of 300 decisions")
	b.do(chromedp.SendKeys("input[name=q]", "alice apii"+kb.Enter, chromedp.ByQuery))
	b.await("location.search.includes('q=alice+apii') && document.readyState === 'complete'")
	want(b, "location.search.includes('user=') || location.search.includes('page=')", false)
	want(b, "[...document.querySelectorAll('summary .user')].every((e) => e.textContent === 'alice@example.com')", true)
	want(b, "document.querySelector('input[name=q]').value", "alice apii")
	shared := eval[string](b, "location.href")
	count := eval[int](b, rows)
	if count == 0 || count == 50 {
		t.Errorf("%d decisions are left", count)
	}
	other := open(t, browser)
	other.look(shared)
	want(other, rows, count)
	other.do(chromedp.Click("//a[text()='Clear']", chromedp.BySearch))
	other.await("location.search === '' && document.readyState === 'complete' && " + rows + " === 50")
}

// TestDetails: a decision says why, and how the request is found in the audit log; the link leads to the map with its difference.
func TestDetails(t *testing.T) {
	browser := launch(t)
	base := serve(t, options(t, decisions(60, ""), report(3, 1, "")))
	b := open(t, browser)
	b.look(base + "/")
	b.do(chromedp.Click("details.decision summary", chromedp.ByQuery))
	text := eval[string](b, "document.querySelector('details.decision[open]').innerText")
	for _, part := range []string{"6 live pods would lose DNS", "grep 00000000-9c1f-4d1e-8a53-c0ffee000000 audit.log", "shop/app=web → shop/app=api TCP 8080", "would open"} {
		if !strings.Contains(text, part) {
			t.Errorf("the details lack %q:\n%s", part, text)
		}
	}
	b.do(chromedp.Click("//a[starts-with(text(), 'Show it in the map')]", chromedp.BySearch))
	b.await("location.pathname === '/namespaces/shop' && document.readyState === 'complete'")
	// Cut and opened are told apart by stroke and sign, not by colour alone.
	for expression, n := range map[string]int{
		"document.querySelectorAll('svg.map .line.cut').length": 2, "document.querySelectorAll('svg.map .line.opened').length": 1,
		"[...document.querySelectorAll('svg.map .sign.cut text')].filter((e) => e.textContent.startsWith('✕ ')).length":         2,
		"[...document.querySelectorAll('svg.map .sign.opened text')].filter((e) => e.textContent === '+ all ports').length":     1,
		"document.querySelectorAll('.words tbody tr').length - document.querySelectorAll('svg.map .line').length":               0,
		"[...document.querySelectorAll('.legend li')].filter((e) => /would be cut|would be opened/.test(e.textContent)).length": 2,
	} {
		want(b, expression, n)
	}
	want(b, "getComputedStyle(document.querySelector('svg.map .line.cut')).strokeDasharray", "6px, 4px")
	want(b, "getComputedStyle(document.querySelector('svg.map .line.opened')).strokeDasharray", "none")
}

// TestLive: what is denied appears by itself; a reader stays where they are, and Pause stops it.
func TestLive(t *testing.T) {
	browser := launch(t)
	all := decisions(80, "")
	var shown atomic.Pointer[[]denials.Record]
	set := func(first int) { list := all[first:]; shown.Store(&list) }
	set(10)
	o := options(t, nil, nil)
	o.Denials = func() []denials.Record { return *shown.Load() }
	b := open(t, browser)
	b.look(serve(t, o) + "/")
	b.do(chromedp.Focus("details.decision summary", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter))
	first := eval[string](b, "document.querySelector('details.decision').id")
	set(8)
	b.await("document.querySelector('details.decision').id !== '" + first + "'")
	want(b, "document.getElementById('"+first+"').open", true)
	want(b, "document.activeElement === document.querySelector('#"+first+" summary')", true)
	want(b, "document.querySelectorAll('details.new').length", 2)
	b.do(chromedp.Click("[data-pause]", chromedp.ByQuery))
	want(b, "document.querySelector('[data-status]').textContent + ' ' + document.querySelector('[data-pause]').textContent", "paused Resume")
	paused := eval[string](b, "document.querySelector('details.decision').id")
	set(0)
	// The same event refreshes a page that goes on, see below; it does nothing to one that is paused.
	asked := b.count("/")
	b.do(chromedp.Evaluate("document.dispatchEvent(new Event('visibilitychange'))", nil))
	want(b, "document.querySelector('details.decision').id", paused)
	if b.count("/") != asked {
		t.Error("a paused page asks for what is new")
	}
	b.do(chromedp.Click("[data-pause]", chromedp.ByQuery))
	b.await("document.querySelector('details.decision').id !== '" + paused + "'")
}

// TestKeyboard: everything is reached with Tab, shows that it has the focus, and does what it says with Enter or space.
func TestKeyboard(t *testing.T) {
	browser := launch(t)
	base := serve(t, options(t, decisions(3, ""), report(3, 1, "")))
	b := open(t, browser)
	b.look(base + "/")
	const focused = `(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
		const seen = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1 && r.width > 0 && r.left >= 0;
		return (e.name || e.id && e.tagName === 'DETAILS' && e.id || e.textContent.trim().split(/\s+/).slice(0, 2).join(' ')) + (seen ? '' : ' UNSEEN'); })()`
	var walked []string
	for range 16 {
		b.do(chromedp.KeyEvent(kb.Tab))
		walked = append(walked, eval[string](b, focused))
	}
	order := []string{
		"Skip to", "Bulkhead production", "Denied changes", "Posture", "Report", "Pause", "q", "decision", "guardrail", "namespace", "user", "Apply",
		"21 Nov", "21 Nov", "21 Nov",
	}
	if got := strings.Join(walked[:len(order)], ", "); got != strings.Join(order, ", ") {
		t.Errorf("Tab leads over %s\nwant %s", got, strings.Join(order, ", "))
	}
	b.do(chromedp.Focus("details.decision summary", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter))
	want(b, "document.querySelector('details.decision').open", true)
	b.do(chromedp.KeyEvent(kb.Enter))
	want(b, "document.querySelector('details.decision').open", false)
	b.look(base + "/posture")
	b.do(chromedp.Focus("table.namespaces thead th:nth-child(3) button", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter))
	want(b, "document.querySelector('table.namespaces thead th:nth-child(3)').getAttribute('aria-sort')", "descending")
	want(b, "document.querySelector('table.namespaces tbody tr').cells[2].textContent", "24")
	b.do(chromedp.KeyEvent(" "))
	want(b, "document.querySelector('table.namespaces tbody tr').cells[2].textContent", "10")
	b.look(base + "/")
	b.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	want(b, "document.activeElement.id", "main")
}

// TestPosture: the table of namespaces filters and sorts, in the console and in the report alike.
func TestPosture(t *testing.T) {
	browser := launch(t)
	base := serve(t, options(t, nil, report(40, 1, "")))
	for name, address := range map[string]string{"console": base + "/posture", "report": reportFile(t, report(40, 1, ""))} {
		t.Run(name, func(t *testing.T) {
			b := open(t, browser)
			b.look(address)
			const left = "document.querySelectorAll('table.namespaces tbody tr:not([hidden])').length"
			want(b, left, 40)
			b.do(chromedp.SendKeys("[data-filter=names]", "TEAM-03", chromedp.ByQuery))
			b.await(left + " === 10")
			b.do(chromedp.Evaluate("(() => { const s = document.querySelector('[data-filter=denies]'); s.value = 'both'; s.dispatchEvent(new Event('input', { bubbles: true })); })()", nil))
			b.await(left + " === 2")
			want(b, "document.querySelector('[data-count]').textContent", "2 of 40 namespaces")
			b.do(chromedp.SendKeys("[data-filter=names]", "zzz", chromedp.ByQuery))
			b.await("!document.querySelector('[data-none]').hidden")
			b.look(address)
			b.do(chromedp.Click("//th//button[text()='Namespace']", chromedp.BySearch))
			want(b, "document.querySelector('table.namespaces tbody tr').dataset.name", "shop")
			b.do(chromedp.Click("//th//button[text()='Namespace']", chromedp.BySearch))
			want(b, "document.querySelector('table.namespaces tbody tr').dataset.name", "team-039")
		})
	}
}

// TestReportLinks: a namespace in the table leads to its findings, which unfold.
func TestReportLinks(t *testing.T) {
	browser := launch(t)
	b := open(t, browser)
	b.look(reportFile(t, report(10, 2, "")))
	want(b, "document.querySelectorAll('details.group[open]').length", 0)
	b.do(chromedp.Click("//th/a[text()='team-004']", chromedp.BySearch))
	b.await("document.querySelector('details.group[open] .title')?.textContent === 'team-004'")
	b.onlyTo("file://")
}
