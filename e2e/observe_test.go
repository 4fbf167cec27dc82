package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

// sum adds up the series of a metric that have the labels, each written as `name="value"`; found says whether any has.
func sum(metrics, name string, labels ...string) (total float64, found bool) {
	for line := range strings.Lines(metrics) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		bare, set, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		matches := bare == name
		for _, label := range labels {
			matches = matches && strings.Contains(","+set+",", ","+label+",")
		}
		if v, err := strconv.ParseFloat(value, 64); matches && err == nil {
			total, found = total+v, true
		}
	}
	return total, found
}

// metric adds up a metric over the replicas.
func (s *suite) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	total := 0.0
	for _, r := range s.replicas {
		metrics, err := r.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, _ := sum(metrics, name, labels...)
		total += n
	}
	return total
}

// setConfig puts a BulkheadConfig into force in both replicas.
func (s *suite) setConfig(t *testing.T, text string) {
	t.Helper()
	s.writeConfig(t, text)
	s.awaitConfig(t, text)
}

// awaitConfig waits until what writeConfig wrote is in force in both replicas.
func (s *suite) awaitConfig(t *testing.T, text string) {
	t.Helper()
	cfg, err := config.Parse([]byte(text), policy.Specs(guardrails.All()))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "both replicas to take the config", func(ctx context.Context) error {
		return s.everyReplica(ctx, func(metrics string) error {
			if _, in := sum(metrics, "bulkhead_config_info", `hash="`+cfg.Hash()+`"`); !in {
				return fmt.Errorf("the config %s is not in force", cfg.Hash())
			}
			return nil
		})
	})
}

// writeConfig replaces the file of the BulkheadConfig in one step, as the kubelet does.
func (s *suite) writeConfig(t *testing.T, text string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(s.config), "next.yaml")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, s.config); err != nil {
		t.Fatal(err)
	}
}

func (s *suite) everyReplica(ctx context.Context, check func(metrics string) error) error {
	for i, r := range s.replicas {
		metrics, err := r.Metrics(ctx)
		if err != nil {
			return err
		}
		if err := check(metrics); err != nil {
			return fmt.Errorf("replica %d: %w", i, err)
		}
	}
	return nil
}

// settle waits until both replicas know all objects that the cluster has, and no others.
func (s *suite) settle(t *testing.T) {
	t.Helper()
	eventually(t, "Bulkhead to see the cluster as it is", func(ctx context.Context) error {
		want, err := s.countObjects(ctx)
		if err != nil {
			return err
		}
		return s.seen(ctx, want)
	})
}

// seen compares the numbers of objects that the replicas know with those wanted.
func (s *suite) seen(ctx context.Context, want map[string]int) error {
	return s.everyReplica(ctx, func(metrics string) error {
		for kind, n := range want {
			if got, _ := sum(metrics, "bulkhead_snapshot_objects", `kind="`+kind+`"`); int(got) != n {
				return fmt.Errorf("it has %d of kind %s, the cluster %d", int(got), kind, n)
			}
		}
		return nil
	})
}

// countObjects counts what the snapshot is to hold, by the names that the metric gives the kinds.
func (s *suite) countObjects(ctx context.Context) (map[string]int, error) {
	all := metav1.ListOptions{}
	namespaces, err := s.clients.CoreV1().Namespaces().List(ctx, all)
	if err != nil {
		return nil, err
	}
	policies, err := s.clients.NetworkingV1().NetworkPolicies("").List(ctx, all)
	if err != nil {
		return nil, err
	}
	pods, err := s.clients.CoreV1().Pods("").List(ctx, all)
	if err != nil {
		return nil, err
	}
	services, err := s.clients.CoreV1().Services("").List(ctx, all)
	if err != nil {
		return nil, err
	}
	templates, err := s.countTemplates(ctx)
	if err != nil {
		return nil, err
	}
	tiers, err := s.countTiers(ctx)
	if err != nil {
		return nil, err
	}
	extras, err := s.countExtras(ctx)
	if err != nil {
		return nil, err
	}
	governed := 0
	for i := range pods.Items {
		if cluster.Governed(&pods.Items[i]) {
			governed++
		}
	}
	return map[string]int{
		"namespace": len(namespaces.Items), "networkpolicy": len(policies.Items), "pod": governed,
		"service": len(services.Items), "template": templates, "clusternetworkpolicy": tiers,
		"other": extras,
	}, nil
}

// countTemplates counts pod templates but for those that a controller made from another one.
func (s *suite) countTemplates(ctx context.Context) (int, error) {
	n := 0
	for _, kind := range cluster.TemplateKinds {
		list, err := s.author.Resource(resources[kind]).List(ctx, metav1.ListOptions{})
		if err != nil {
			return 0, err
		}
		for i := range list.Items {
			if metav1.GetControllerOfNoCopy(&list.Items[i]) == nil {
				n++
			}
		}
	}
	return n, nil
}

// logged is a line of a replica's log about a decision.
type logged struct {
	UID          string `json:"uid"`
	Operation    string `json:"operation"`
	Resource     string `json:"resource"`
	Subresource  string `json:"subresource"`
	Name         string `json:"name"`
	User         string `json:"user"`
	Decision     string `json:"decision"`
	Reason       string `json:"reason"`
	Confirmation string `json:"confirmation"`
	Guardrails   string `json:"guardrails"`
	Violations   string `json:"violations"`
	WouldDeny    string `json:"wouldDeny"`
	DryRun       bool   `json:"dryRun"`
	// Duration is in seconds.
	Duration float64 `json:"duration"`
}

// decisions gives what a replica logged about requests in a namespace.
func decisions(t *testing.T, r *replica.Replica, namespace string) []logged {
	t.Helper()
	file, err := os.Open(r.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out []logged
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var about struct {
			Message   string `json:"msg"`
			Namespace string `json:"namespace"`
		}
		if err := json.Unmarshal(lines.Bytes(), &about); err != nil {
			t.Fatalf("a line of the log is no JSON: %v: %s", err, lines.Text())
		}
		if about.Message != "decision" || about.Namespace != namespace {
			continue
		}
		var l logged
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		out = append(out, l)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// allDecisions gives what both replicas logged about requests in a namespace, the first replica's first.
func (s *suite) allDecisions(t *testing.T, namespace string) []logged {
	t.Helper()
	var out []logged
	for _, r := range s.replicas {
		out = append(out, decisions(t, r, namespace)...)
	}
	return out
}
