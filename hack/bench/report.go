package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// The bars that the figures are held against.
const (
	barThroughput = 0.9
	barP99        = 1.3
	barMemory     = 250 << 20
)

// result is everything that was measured. Sizes are in bytes.
type result struct {
	Machine        facts         `json:"machine"`
	Settings       settings      `json:"settings"`
	Seeding        *seeding      `json:"seeding"`
	SecondsToReady float64       `json:"secondsToReady"`
	Memory         memory        `json:"memory"`
	Relisting      *relisting    `json:"relisting,omitempty"`
	Auditing       *auditing     `json:"auditing,omitempty"`
	Reviews        []reviewCount `json:"reviews,omitempty"`
	DenialP50      float64       `json:"denialP50Milliseconds,omitempty"`
	Rounds         []round       `json:"rounds,omitempty"`
	// Throughput and P99 are the medians of the rounds' ratios, Bulkhead's to the no-op's.
	Throughput float64 `json:"throughputRatio,omitempty"`
	P99        float64 `json:"p99Ratio,omitempty"`
	CPU        float64 `json:"cpuRatio,omitempty"`
}

// memory is the webhook's, in the states in which it was read.
type memory struct {
	AtReady       residence `json:"atReady"`
	Steady        residence `json:"steady"`
	UnderLoad     residence `json:"underLoad"` // the highest of many samples
	Heap          heap      `json:"heap"`
	UnderLoadHeap heap      `json:"heapAfterLoad"`
}

// facts describe the machine.
type facts struct {
	Cores int    `json:"cores"`
	CPU   string `json:"cpu"`
	Go    string `json:"go"`
	OS    string `json:"os"`
	Load  string `json:"loadAverageAtStart"`
}

func machine() facts {
	f := facts{Cores: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH}
	info, _ := os.ReadFile("/proc/cpuinfo") // absent elsewhere than on Linux
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			f.CPU = strings.TrimSpace(value)
			break
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	f.Load = strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " ")
	return f
}

// conclude takes the medians of the rounds' ratios.
func (r *result) conclude() {
	ratio := func(of func(figures) float64) float64 {
		var all []float64
		for _, x := range r.Rounds {
			all = append(all, of(x.Bulkhead)/of(x.Noop))
		}
		return median(all)
	}
	r.Throughput = ratio(func(f figures) float64 { return f.PerSecond })
	r.P99 = ratio(func(f figures) float64 { return f.P99 })
	r.CPU = ratio(func(f figures) float64 { return f.CPUPerQuery })
}

func median(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	if n == 0 {
		return 0
	}
	return (all[(n-1)/2] + all[n/2]) / 2
}

// table writes the result for people.
func (r *result) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	line("machine\t%d cores, %s, %s, %s, load average at start %s", r.Machine.Cores, r.Machine.CPU, r.Machine.Go, r.Machine.OS, r.Machine.Load)
	o := r.Memory.Heap.Objects
	line("cluster\t%d namespaces, %d pods, %d policies, %d pod templates, %d Services; %d MiB in etcd, %d bytes a pod",
		o["namespace"], o["pod"], o["networkpolicy"], o["template"], o["service"], mib(r.Seeding.Bytes), r.Seeding.PodBytes)
	line("webhook\tGOMEMLIMIT=%s GOGC=%s, ready after %.1f s", r.Settings.MemoryLimit, r.Settings.GCPercent, r.SecondsToReady)
	line("\n\tresident MiB\tof it anonymous\tpeak so far")
	for _, m := range []struct {
		when string
		residence
	}{{"at ready", r.Memory.AtReady}, {"settled", r.Memory.Steady}, {"under load", r.Memory.UnderLoad}} {
		if m.RSS > 0 {
			line("%s\t%d\t%d\t%d", m.when, mib(m.RSS), mib(m.Anon), mib(m.Peak))
		}
	}
	h := r.Memory.Heap
	line("\nheap settled\t%d MiB allocated, next collection at %d MiB, stacks %d MiB", mib(h.Alloc), mib(h.NextGC), mib(h.Stacks))
	if h = r.Memory.UnderLoadHeap; h.Alloc > 0 {
		line("heap after load\t%d MiB allocated, next collection at %d MiB, stacks %d MiB", mib(h.Alloc), mib(h.NextGC), mib(h.Stacks))
	}
	if x := r.Relisting; x != nil {
		line("\nlist\tseconds\tMiB received\tpeak MiB\tput off\tright\twrong")
		line("first, another replica\t%.1f\t%d\t%d\t%d\t%d\t%d", x.FirstSeconds, mib(x.Received), mib(x.FirstPeak), x.First.NotYet, x.First.Right, x.First.Wrong)
		for i, one := range x.Relists {
			line("%d. relist\t%.1f\t%d\t%d (before %d)\t%d\t%d\t%d", i+1, one.Seconds, mib(one.Received), mib(one.Peak), mib(x.Before),
				one.Answers.NotYet, one.Answers.Right, one.Answers.Wrong)
		}
	}
	r.rounds(line)
	if r.Auditing != nil {
		r.Auditing.table(line, r.Settings)
	}
	return w.Flush()
}

func (r *result) rounds(line func(format string, args ...any)) {
	peak := max(r.Memory.Steady.Peak, r.Memory.UnderLoad.Peak)
	if len(r.Rounds) > 0 {
		line("\nreviews\tin the mix\twarned\tdenied\tmean bytes")
		for _, n := range r.Reviews {
			line("%s\t%d\t%d\t%d\t%d", n.Kind, n.Sent, n.Warned, n.Denied, n.MeanBytes)
		}
		if r.DenialP50 > 0 {
			line("denials are left out of the rounds; their median with live reads was %.1f ms", r.DenialP50)
		}
		line("\nround of %s\trequests/s\tp50 ms\tp99 ms\tp99.9 ms\tmax ms\tCPU µs/request", r.Settings.Round)
		for i, x := range r.Rounds {
			for _, f := range []struct {
				name string
				figures
			}{{"bulkhead", x.Bulkhead}, {"no-op", x.Noop}} {
				line("%d %s\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f", i+1, f.name, f.PerSecond, f.P50, f.P99, f.P999, f.Max, f.CPUPerQuery)
			}
		}
		line("\nmedian of the ratios to the no-op\t\tbar")
		line("throughput\t%.2f\t>= %.1f\t%s", r.Throughput, barThroughput, verdict(r.Throughput >= barThroughput))
		line("p99\t%.2f\t<= %.1f\t%s", r.P99, barP99, verdict(r.P99 <= barP99))
		line("CPU a request\t%.2f", r.CPU)
	}
	line("resident memory, peak\t%d MiB\t<= %d MiB\t%s", mib(peak), int64(barMemory)>>20, verdict(peak <= barMemory))
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}
