package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// listing is what the benchmark says about listing a large cluster; see hack/bench.
type listing struct {
	Settings struct {
		Pods        int    `json:"pods"`
		MemoryLimit string `json:"GOMEMLIMIT"`
	} `json:"settings"`
	Relisting struct {
		FirstSeconds float64 `json:"firstSeconds"`
		First        answers `json:"first"`
		FirstPeak    int64   `json:"firstPeak"`
		Received     int64   `json:"receivedAtFirst"`
		Before       int64   `json:"peakBefore"`
		Relists      []struct {
			Seconds  float64 `json:"seconds"`
			Received int64   `json:"received"`
			Peak     int64   `json:"peak"`
			Answers  answers `json:"answers"`
		} `json:"relists"`
	} `json:"relisting"`
}

// answers counts those that were put off, right and wrong.
type answers struct {
	NotYet int64 `json:"notYet"`
	Right  int64 `json:"right"`
	Wrong  int64 `json:"wrong"`
}

// mayPeakMiB is the memory limit of the chart's container.
const mayPeakMiB = 300

// testScale has the benchmark do at 150,000 pods what testRelist does with few: a first list and lists of everything anew,
// while reviews are asked whose answers are wrong on any part of the cluster.
func (a *availability) testScale(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", "-C", "../hack/bench", ".", "-rounds", "0", "-settle", "10s", "-relists", "2", "-gomemlimit", chartMemoryLimit, "-o", "json")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("go run -C hack/bench . -relists 2: %v", err)
	}
	got := listing{}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	const mib = 1 << 20
	r := got.Relisting
	a.report.figure(t, "first list", "%d pods, ready after %.1f s; highest resident memory %d MiB with GOMEMLIMIT=%s; %d reviews put off, %d answered, %d wrong",
		got.Settings.Pods, r.FirstSeconds, r.FirstPeak/mib, got.Settings.MemoryLimit, r.First.NotYet, r.First.Right, r.First.Wrong)
	if r.First.Wrong > 0 || r.First.Right == 0 || r.First.NotYet == 0 || len(r.Relists) != 2 {
		t.Errorf("the first list: %+v; %d relists", r.First, len(r.Relists))
	}
	for _, one := range r.Relists {
		a.report.figure(t, "relist", "%.1f s, %d MiB received; highest resident memory %d MiB, %d MiB before the first; %d reviews put off, %d answered, %d wrong",
			one.Seconds, one.Received/mib, one.Peak/mib, r.Before/mib, one.Answers.NotYet, one.Answers.Right, one.Answers.Wrong)
		if one.Answers.Wrong > 0 || one.Answers.NotYet > 0 || one.Answers.Right == 0 {
			t.Errorf("a relist: %+v", one.Answers)
		}
		if one.Received < r.Received/2 {
			t.Errorf("%d MiB came after the API server was restarted, %d MiB at first: this was no relist", one.Received/mib, r.Received/mib)
		}
		if one.Peak > mayPeakMiB*mib {
			t.Errorf("a relist took %d MiB, want at most %d", one.Peak/mib, mayPeakMiB)
		}
	}
}
