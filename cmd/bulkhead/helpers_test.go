package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fatih/color"
	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// TestCut: the pieces of a range are the range again, and no block begins or ends within a piece.
func TestCut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if env := os.Getenv("BULKHEAD_SEED"); env != "" {
		var err error
		if seed, err = strconv.ParseUint(env, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		first := rng.IntN(200)
		r := connectivity.Range{First: netip.AddrFrom4([4]byte{10, 0, 0, byte(first)}), Last: netip.AddrFrom4([4]byte{10, 0, 0, byte(first + rng.IntN(56))})}
		var blocks []netip.Prefix
		for range rng.IntN(5) {
			blocks = append(blocks, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(256))}), 22+rng.IntN(11)).Masked())
		}
		blocks = append(blocks, netip.MustParsePrefix("::/0"), netip.MustParsePrefix("0.0.0.0/0"))
		next := r.First
		for _, piece := range cut(r, blocks) {
			if piece.First != next {
				t.Fatalf("BULKHEAD_SEED=%d: cut(%s, %s): a piece begins at %s, want %s", seed, r, blocks, piece.First, next)
			}
			for _, b := range blocks {
				for a := piece.First; a != piece.Last.Next(); a = a.Next() {
					if b.Contains(a) != b.Contains(piece.First) {
						t.Fatalf("BULKHEAD_SEED=%d: cut(%s, %s): %s tells the addresses of %s apart", seed, r, blocks, b, piece)
					}
				}
			}
			next = piece.Last.Next()
		}
		if next != r.Last.Next() {
			t.Fatalf("BULKHEAD_SEED=%d: cut(%s, %s) ends before %s", seed, r, blocks, next)
		}
	}
}

func TestParseRange(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"10.0.0.0/8", "10.0.0.0/8"}, {"10.1.2.3/8", "10.0.0.0/8"}, {"1.1.1.1", "1.1.1.1"}, {"::/0", "::/0"}, {"::ffff:1.1.1.1", "1.1.1.1"},
		{"1.1.1.1-1.1.1.3", "1.1.1.1-1.1.1.3"}, {"1.1.1.0-1.1.1.3", "1.1.1.0/30"}, {"fd00::1", "fd00::1"},
		{"1.1.1.3-1.1.1.1", ""}, {"1.1.1.1-::1", ""}, {"fe80::1%eth0", ""}, {"shop/web", ""}, {"10.0.0.0/99", ""}, {"", ""}, {"1.1.1.1-", ""},
	} {
		r, ok := parseRange(tt.in)
		got := ""
		if ok {
			got = rangeText(r)
		}
		if got != tt.want {
			t.Errorf("parseRange(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// TestWriteFile: a result that fails half-way leaves the old file, and no other one.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "result")
	write := func(text string, fail error) error {
		return writeFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, fail)
		})
	}
	if err := write("old", nil); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := write("new", broken); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	data, err := os.ReadFile(path)
	entries, dirErr := os.ReadDir(dir)
	if err != nil || dirErr != nil || string(data) != "old" || len(entries) != 1 {
		t.Errorf("the file holds %q beside %d others (%v, %v), want the old one alone", data, len(entries)-1, err, dirErr)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(link, func(w io.Writer) error { _, err := io.WriteString(w, "linked"); return err }); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "linked" {
		t.Errorf("the link's target holds %q (%v), want what was written through the link", data, err)
	}
}

func TestPainter(t *testing.T) {
	marks := map[string]color.Attribute{"- ": color.FgRed}
	for _, tt := range []struct {
		enabled bool
		want    string
	}{{false, "- a\nb\n"}, {true, "\x1b[31m- a\x1b[0m\nb\n"}} {
		var out bytes.Buffer
		w := painter{tt.enabled}.lines(&out, marks)
		for _, s := range []string{"- ", "a\nb", "\n"} {
			if _, err := io.WriteString(w, s); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(tt.want, strings.ReplaceAll(out.String(), "\x1b[0;39m", "\x1b[0m")); diff != "" {
			t.Errorf("enabled %t (-want +got):\n%s", tt.enabled, diff)
		}
	}
}

// TestProgress: nothing for a file, nothing for work that is quick, a bar that goes away for work that lasts.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.since = time.Now().Add(-time.Hour)
	p.step("working", 1, 2)
	p.terminal, p.since = true, time.Time{}
	p.step("working", 1, 2)
	p.clear()
	if out.Len() > 0 {
		t.Errorf("%q was drawn, want nothing", out.String())
	}
	p.since = time.Now().Add(-progressDelay)
	p.step("listing pods", 1, 0)
	p.step("working", 1, 2)
	p.clear()
	if !strings.Contains(out.String(), "listing pods") || !strings.Contains(out.String(), "working") || !strings.HasSuffix(out.String(), "\r") {
		t.Errorf("%q was drawn, want both labels and an empty line at the end", out.String())
	}
}

func TestForeignPolicies(t *testing.T) {
	got := foreignPolicies(map[string]int{"CiliumNetworkPolicy": 1, "NetworkPolicy.projectcalico.org": 2, "StagedNetworkPolicy": 3, "ConfigMap": 4})
	want := []string{
		"left out: 1 policy of the kind CiliumNetworkPolicy, which is a network plugin's own",
		"left out: 2 policies of the kind NetworkPolicy.projectcalico.org, which is a network plugin's own",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
