package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
)

// step is one command of the demo.
type step struct {
	// says introduces the step.
	says string
	// command is what is typed: kubectl's, unless it begins with "bulkhead".
	command []string
	// ok says whether it is to succeed, and has what it is to print: the demo fails where it turns out otherwise.
	ok  bool
	has string
}

// bulkhead in place of kubectl; live stands for the flag that names the demo's cluster.
const (
	bulkhead = "bulkhead"
	live     = "$LIVE"
)

// apiPod stands for the name of a running pod of api.
const apiPod = "$API_POD"

var story = []step{
	{"a default-deny on running pods, DNS not allowed: denied, with the policy to apply first",
		[]string{"apply", "-f", "default-deny.yaml"}, false, "dns-cut: 6 live pods would lose DNS"},
	{"that policy first", []string{"apply", "-f", "allow-dns.yaml"}, true, "created"},
	{"now the same default-deny is fine", []string{"apply", "-f", "default-deny.yaml"}, true, "default-deny created"},
	{"what the tiers of the shop would open, before they are applied", []string{bulkhead, "diff", "-f", "tiers.yaml", live}, true, "shop/web"},
	{"the tiers of the shop: fine", []string{"apply", "-f", "tiers.yaml"}, true, "db created"},
	{"who can reach whom now", []string{bulkhead, "connections", live, "--focus", "shop"}, true, "TCP 5432"},
	{"and why the web pods do not reach the database", []string{bulkhead, "explain-connection", live, "--from", "shop/web", "--to", "shop/db", "--port", "5432"}, true, "denied"},
	{"DNS over UDP alone: allowed, with a warning", []string{"apply", "-f", "udp-only.yaml"}, true, "Warning: dns-tcp:"},
	{"a typo in a selector: allowed, with the near match", []string{"apply", "-f", "typo.yaml"}, true, "did you mean app=api"},
	{"a label that no namespace has: allowed, with the one that it has", []string{"apply", "-f", "scrape.yaml"}, true, "kubernetes.io/metadata.name"},
	{"a range that holds the cloud's metadata service: allowed, with a warning", []string{"apply", "-f", "payments-api.yaml"}, true, "Warning: metadata-open:"},
	{"rules that policyTypes switches off: denied", []string{"apply", "-f", "ignored.yaml"}, false, "rules-ignored:"},
	{"deleting the policy that gives everybody DNS: denied", []string{"delete", "networkpolicy", "allow-dns", "-n", "shop"}, false, "would lose DNS"},
	{"relabelling a running pod out of its policy: denied", []string{"label", "pod", apiPod, "-n", "shop", "tier=be", "--overwrite"}, false, "label-drops-policy:"},
	{"the same in the Deployment: allowed, but its author is warned now and not by the next rollout", []string{"apply", "-f", "api-renamed.yaml"}, true, "Warning: label-drops-policy:"},
	{"a dry run is judged like the real thing", []string{"delete", "networkpolicy", "default-deny", "-n", "shop", "--dry-run=server"}, false, "isolation-lost:"},
}

// tell walks through the story, then shows what the platform team sees of it.
func (d *demo) tell(ctx context.Context) error {
	if out, ok := d.kubectl(ctx, "apply", "-f", "shop.yaml"); !ok {
		return fmt.Errorf("kubectl apply -f shop.yaml:\n%s", out)
	}
	if err := d.awaitPods(ctx); err != nil {
		return err
	}
	d.show("a shop in three tiers, running, without any policy", "kubectl get pods -n shop --show-labels")
	out, _ := d.kubectl(ctx, "get", "pods", "-n", "shop", "--show-labels")
	fmt.Fprintln(d.out, out)
	pod, ok := d.kubectl(ctx, "get", "pods", "-n", "shop", "-l", "app=api", "-o", "jsonpath={.items[0].metadata.name}")
	if !ok {
		return fmt.Errorf("looking for a pod of api:\n%s", pod)
	}
	for i, s := range story {
		command := slices.Clone(s.command)
		if at := slices.Index(command, apiPod); at >= 0 {
			command[at] = pod
		}
		out, ok := d.run(ctx, fmt.Sprintf("%d. %s", i+1, s.says), command)
		fmt.Fprintln(d.out, out)
		if ok != s.ok || !strings.Contains(out, s.has) {
			return fmt.Errorf("step %d was to succeed: %t, and to print %q", i+1, s.ok, s.has)
		}
	}
	return d.showTraces(ctx)
}

// run shows a command and gives what it prints and whether it succeeded.
func (d *demo) run(ctx context.Context, title string, command []string) (string, bool) {
	if command[0] != bulkhead {
		d.show(title, "kubectl "+strings.Join(command, " "))
		return d.execute(ctx, d.plane.KubectlPath(), command...)
	}
	d.show(title, strings.ReplaceAll(strings.Join(command, " "), live, "--context "+controlplane.Context))
	args := slices.Clone(command[1:])
	if at := slices.Index(args, live); at >= 0 {
		args = slices.Replace(args, at, at+1, "--context", controlplane.Context)
	}
	return d.execute(ctx, d.binary, args...)
}

func (d *demo) show(title, command string) {
	fmt.Fprintf(d.out, "── %s\n$ %s\n", title, command)
}

// awaitPods waits until the shop runs and Bulkhead knows it.
func (d *demo) awaitPods(ctx context.Context) error {
	for _, workload := range []string{"deployment/web", "deployment/api", "statefulset/db"} {
		if out, ok := d.kubectl(ctx, "rollout", "status", workload, "-n", "shop", "--timeout=60s"); !ok {
			return fmt.Errorf("%s does not run:\n%s", workload, out)
		}
	}
	if out, ok := d.kubectl(ctx, "rollout", "status", "deployment/prometheus", "-n", "monitoring", "--timeout=60s"); !ok {
		return fmt.Errorf("prometheus does not run:\n%s", out)
	}
	return nil
}

// showTraces prints what the demo left in the API server's audit log and in Bulkhead's own log and metrics.
func (d *demo) showTraces(ctx context.Context) error {
	event, err := d.auditEvent(ctx)
	if err != nil {
		return err
	}
	d.show("what the API server's audit log keeps of the first denial", "grep networkpolicies.bulkhead.dev audit.log")
	fmt.Fprintln(d.out, event)
	fmt.Fprintln(d.out)
	d.show("what Bulkhead logged about it", "grep denied bulkhead.log | grep default-deny | head -1")
	log, err := os.ReadFile(d.replica.LogPath)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"decision":"denied"`) && strings.Contains(line, `"name":"default-deny"`) {
			fmt.Fprintln(d.out, line)
			break
		}
	}
	d.show("and what Prometheus would scrape", "curl -s "+d.replica.ProbeURL+"/metrics | grep -E 'decisions|violations'")
	metrics, err := d.replica.Metrics(ctx)
	if err != nil {
		return err
	}
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "bulkhead_decisions_total") || strings.HasPrefix(line, "bulkhead_violations_total") {
			fmt.Fprint(d.out, line)
		}
	}
	return nil
}

// auditEvent finds the first denial in the audit log, which the API server writes a moment after it answers.
func (d *demo) auditEvent(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := os.Open(d.plane.AuditLogPath())
		if err != nil {
			return "", err
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var event struct {
				Verb        string            `json:"verb"`
				RequestURI  string            `json:"requestURI"`
				User        map[string]any    `json:"user"`
				Annotations map[string]string `json:"annotations"`
			}
			if json.Unmarshal(lines.Bytes(), &event) == nil && !strings.Contains(event.RequestURI, "dryRun") &&
				event.Annotations["networkpolicies.bulkhead.dev/decision"] == "denied" {
				f.Close()
				out, err := json.MarshalIndent(map[string]any{
					"verb": event.Verb, "requestURI": event.RequestURI, "user": event.User["username"], "annotations": event.Annotations,
				}, "", "  ")
				return string(out), err
			}
		}
		f.Close()
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no denial in %s", d.plane.AuditLogPath())
		case <-tick.C:
		}
	}
}
