// Package browser looks at the console and at the HTML report of an audit in a real Chromium, as people meet them: with the
// mouse, with the keyboard alone, in the dark, and with data that somebody hostile has named. It is a module of its own, so that
// nothing of what drives the browser is near the product.
package browser

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/bulkhead-dev/bulkhead/webhook/console"
)

// patience bounds one test in the browser.
const patience = 90 * time.Second

// tab is a tab of the browser that minds what the page complains about and where its requests go.
type tab struct {
	context.Context
	t *testing.T

	mu       sync.Mutex
	problems []string
	requests []string
	expected []string // parts of problems that are no problem
}

// launch starts Chromium. Without one the tests fail: "make browser" installs it.
func launch(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("there is no Chromium; install Debian's package chromium, or run make browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1400, 900),
		chromedp.WSURLReadTimeout(patience))
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// open gives a new tab.
func open(t *testing.T, browser context.Context) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	b := &tab{Context: ctx, t: t}
	chromedp.ListenTarget(ctx, b.hear)
	b.do(network.Enable(), log.Enable(), runtime.Enable(), page.Enable())
	t.Cleanup(b.check)
	return b
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			b.problems = append(b.problems, string(e.Entry.Level)+": "+e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning || e.Type == runtime.APITypeAssert {
			b.problems = append(b.problems, fmt.Sprintf("console.%s: %v", e.Type, e.Args))
		}
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, "exception: "+e.ExceptionDetails.Error())
	case *page.EventJavascriptDialogOpening:
		b.problems = append(b.problems, "a dialog opened: "+e.Message)
		go func() { _ = chromedp.Run(b.Context, page.HandleJavaScriptDialog(true)) }() // or the page hangs
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

// check fails the test for what the pages complained about: errors, violations of the security policy, dialogs.
func (b *tab) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		known := false
		for _, part := range b.expected {
			known = known || strings.Contains(p, part)
		}
		if !known {
			b.t.Errorf("the browser says %s", p)
		}
	}
}

// onlyTo fails the test for requests that went anywhere else.
func (b *tab) onlyTo(prefix string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) == 0 {
		b.t.Error("no request was seen")
	}
	for _, r := range b.requests {
		if !strings.HasPrefix(r, prefix) {
			b.t.Errorf("a request went to %s", r)
		}
	}
}

// count tells how many requests went to addresses that end so.
func (b *tab) count(suffix string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.requests {
		if strings.HasSuffix(r, suffix) {
			n++
		}
	}
	return n
}

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.Context, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval gives the value of an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	var out T
	b.do(chromedp.Evaluate(expression, &out))
	return out
}

// want compares the value of an expression in the page.
func want[T comparable](b *tab, expression string, wanted T) {
	b.t.Helper()
	if got := eval[T](b, expression); got != wanted {
		b.t.Errorf("%s is %v, want %v", expression, got, wanted)
	}
}

// await waits until an expression in the page is true, over navigations: while one is under way nothing can be asked.
func (b *tab) await(expression string) {
	b.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		var done bool
		err := chromedp.Run(b.Context, chromedp.Evaluate("Boolean("+expression+")", &done))
		if err == nil && done {
			return
		}
		select {
		case <-b.Done():
			b.t.Fatalf("waiting for %s: %v", expression, err)
		case <-again.C:
		}
	}
}

// look opens a page.
func (b *tab) look(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(address))
}

func dark() chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}})
}

// serve serves a console until the test ends, and gives its address.
func serve(t *testing.T, o console.Options) string {
	t.Helper()
	c, err := console.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// query makes an address's query.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "/?" + q.Encode()
}
