package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// auditing is what the audit costs: itself, and the webhook beside it.
type auditing struct {
	SecondsToReady float64   `json:"secondsToReady"`
	SweepSeconds   float64   `json:"firstSweepSeconds"` // its rests included
	Sweep          residence `json:"afterFirstSweep"`
	Violations     int       `json:"violations"`
	Rounds         []beside  `json:"rounds"`
	// P99 is the median of the rounds' ratios, with the audit to without.
	P99 float64 `json:"p99Ratio"`
}

// beside are the webhook's figures while the audit works, and while it is stopped.
type beside struct {
	With    figures `json:"with"`
	Without figures `json:"without"`
}

const (
	// auditMemoryLimit is the chart's: 86% of audit.resources.limits.memory.
	auditMemoryLimit = "430MiB"
	// auditNever is longer than any run: a stopped process renews no Lease.
	auditNever = "24h"
	// sweepWithin is how long the first sweep may take.
	sweepWithin = 10 * time.Minute
)

// measureAudit has "bulkhead audit serve" sweep the cluster over and over, and sends the webhook reviews at a steady rate while it does
// and while it is stopped. What it is compared with is then the same webhook in the same minutes.
func (b *bench) measureAudit(ctx context.Context) (err error) {
	if !b.Audit {
		return nil
	}
	out := &auditing{}
	b.result.Auditing = out
	b.say("starting the audit")
	start := time.Now()
	startCtx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	audit, err := replica.StartAudit(startCtx, replica.Options{
		// As an administrator: deploy/install.yaml has no rights for it, because it is off there.
		Binary: b.binary, Kubeconfig: b.plane.KubeconfigPath(), Config: b.config(), Log: filepath.Join(b.dir, "audit.log"),
		Args: []string{"--sweep=1s", "--lease-duration=" + auditNever}, Env: []string{"GOMEMLIMIT=" + auditMemoryLimit},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, audit.Stop()) }()
	out.SecondsToReady = time.Since(start).Seconds()
	if err := b.awaitSweep(ctx, audit, out); err != nil {
		return err
	}
	b.say("the first sweep took %.1f s; resident %d MiB, at most %d MiB", out.SweepSeconds, mib(out.Sweep.RSS), mib(out.Sweep.Peak))
	defer func() { err = errors.Join(err, syscall.Kill(audit.PID(), syscall.SIGCONT)) }() // or it would not hear that it is to stop
	return b.compareAudit(ctx, audit, out)
}

// awaitSweep waits until the audit has judged everything once.
func (b *bench) awaitSweep(ctx context.Context, audit *replica.Replica, out *auditing) error {
	ctx, cancel := context.WithTimeout(ctx, sweepWithin)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		metrics, err := audit.Metrics(ctx)
		if err != nil {
			return err
		}
		if strings.Contains(metrics, "\nbulkhead_audit_pods_without_dns ") {
			out.SweepSeconds = total(metrics, "bulkhead_audit_scan_duration_seconds")
			out.Violations = int(total(metrics, "bulkhead_audit_violations"))
			out.Sweep, err = readResidence(audit.PID())
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the first sweep does not end: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// total adds up the series of a metric.
func total(metrics, name string) float64 {
	sum := 0.0
	for line := range strings.Lines(metrics) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err == nil {
			sum += v
		}
	}
	return sum
}

// compareAudit measures the webhook in rounds with and without the audit; which comes first changes from one to the next.
func (b *bench) compareAudit(ctx context.Context, audit *replica.Replica, out *auditing) error {
	reviews, err := makeReviews(b.scaled, seedOf)
	if err != nil {
		return err
	}
	to := target{"bulkhead", strings.TrimPrefix(b.replica.URL, "https://"), b.certificates.client()}
	if len(b.result.Reviews) > 0 {
		b.result.Reviews = nil // sift counts them anew
	}
	if reviews, err = b.sift(ctx, to, reviews); err != nil {
		return err
	}
	var requests [][]byte
	for _, r := range reviews {
		requests = append(requests, request(to.address, r.body))
	}
	one := func(signal syscall.Signal) (figures, error) {
		if err := syscall.Kill(audit.PID(), signal); err != nil {
			return figures{}, err
		}
		before, err := cpuSeconds(b.replica.PID())
		if err != nil {
			return figures{}, err
		}
		l, err := driveSteadily(ctx, to, requests, b.Connections, b.AuditRate, b.Round)
		if err != nil {
			return figures{}, err
		}
		after, err := cpuSeconds(b.replica.PID())
		return figuresOf(l, after-before), err
	}
	var ratios []float64
	for i := -1; i < b.AuditRounds; i++ { // the first round warms up
		var r beside
		first := func() (err error) { r.With, err = one(syscall.SIGCONT); return err }
		second := func() (err error) { r.Without, err = one(syscall.SIGSTOP); return err }
		if i%2 == 0 {
			first, second = second, first
		}
		if err := first(); err != nil {
			return err
		}
		if err := second(); err != nil {
			return err
		}
		if i < 0 {
			continue
		}
		out.Rounds = append(out.Rounds, r)
		ratios = append(ratios, r.With.P99/r.Without.P99)
		b.say("audit round %d: p99 %.2f ms with, %.2f ms without", i+1, r.With.P99, r.Without.P99)
	}
	out.P99 = median(ratios)
	return nil
}

// driveSteadily sends the requests at a rate a second in all, on connections that take turns. An answer that is late makes its own
// connection's next request late, and nobody else's.
func driveSteadily(ctx context.Context, t target, requests [][]byte, connections, rate int, during time.Duration) (*load, error) {
	var mu sync.Mutex
	out := &load{}
	var errs []error
	var group sync.WaitGroup
	start := time.Now()
	every := time.Second * time.Duration(connections) / time.Duration(rate)
	for k := range connections {
		group.Go(func() {
			latencies, denied, err := sendSteadily(ctx, t, requests, k, every, every*time.Duration(k)/time.Duration(connections), start.Add(during))
			mu.Lock()
			defer mu.Unlock()
			out.latencies, out.denied, errs = append(out.latencies, latencies...), out.denied+denied, append(errs, err)
		})
	}
	group.Wait()
	out.took, out.requests = time.Since(start), int64(len(out.latencies))
	return out, errors.Join(append(errs, ctx.Err())...)
}

// sendSteadily sends requests on one connection, one each time that every has passed.
func sendSteadily(ctx context.Context, t target, requests [][]byte, from int, every, first time.Duration, end time.Time) ([]time.Duration, int64, error) {
	c, err := dial(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	defer c.conn.Close()
	var latencies []time.Duration
	var denied int64
	at := time.Now().Add(first)
	for i := from; ; i++ {
		time.Sleep(time.Until(at))
		at = at.Add(every)
		now := time.Now()
		if !now.Before(end) || ctx.Err() != nil {
			return latencies, denied, nil
		}
		o, err := c.send(requests[(i*7919)%len(requests)])
		if err != nil {
			return latencies, denied, fmt.Errorf("%s: %w", t.name, err)
		}
		if o.status != 200 {
			return latencies, denied, fmt.Errorf("%s: HTTP %d: %s", t.name, o.status, o.body)
		}
		if !o.allowed {
			denied++
		}
		latencies = append(latencies, time.Since(now))
	}
}

// table writes what the audit costs.
func (a *auditing) table(line func(format string, args ...any), s settings) {
	line("\naudit\tready after %.1f s, first sweep %.1f s (it rests half of the time), %d violations; resident %d MiB, peak %d MiB (GOMEMLIMIT=%s)",
		a.SecondsToReady, a.SweepSeconds, a.Violations, mib(a.Sweep.RSS), mib(a.Sweep.Peak), auditMemoryLimit)
	line("\nround of %s at %d/s\trequests/s\tp50 ms\tp99 ms\tp99.9 ms\tmax ms\tCPU µs/request", s.Round, s.AuditRate)
	for i, x := range a.Rounds {
		for _, f := range []struct {
			name string
			figures
		}{{"sweeping", x.With}, {"stopped", x.Without}} {
			line("%d %s\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f", i+1, f.name, f.PerSecond, f.P50, f.P99, f.P999, f.Max, f.CPUPerQuery)
		}
	}
	line("p99 of the webhook, sweeping to stopped, median\t%.2f", a.P99)
}
