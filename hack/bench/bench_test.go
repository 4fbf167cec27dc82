package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

func small() *policytest.Scaled { return policytest.Scale(30, 1500, 150, seedOf) }

func TestReviewsAreWhatAnAPIServerSends(t *testing.T) {
	reviews, err := makeReviews(small(), seedOf)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, r := range reviews {
		seen[r.kind]++
		got := admissionv1.AdmissionReview{}
		if err := json.Unmarshal(r.body, &got); err != nil {
			t.Fatalf("%s: %v", r.kind, err)
		}
		q := got.Request
		if q == nil || q.UID == "" || q.Namespace == "" || q.Name == "" || q.Resource.Resource == "" || q.Kind.Kind == "" {
			t.Fatalf("%s: incomplete request %+v", r.kind, q)
		}
		if (len(q.Object.Raw) > 0) != (q.Operation != admissionv1.Delete) || (len(q.OldObject.Raw) > 0) != (q.Operation != admissionv1.Create) {
			t.Errorf("%s: %s with an object of %d bytes and an old one of %d", r.kind, q.Operation, len(q.Object.Raw), len(q.OldObject.Raw))
		}
	}
	for _, m := range mix {
		if share := 100 * seen[m.kind] / len(reviews); share != m.share {
			t.Errorf("%s is %d %% of the mix, want %d %%", m.kind, share, m.share)
		}
	}
}

// TestStoredPodsAreRealistic checks the size and that the API server's own codec reads what is written.
func TestStoredPodsAreRealistic(t *testing.T) {
	pods := small().Pods(3)
	fillPod(pods[0], 1)
	value, err := encode(pods[0])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(value, "k8s\x00") {
		t.Errorf("the value begins with %q", value[:4])
	}
	if n := len(value); n < 3000 || n > 6000 {
		t.Errorf("a pod takes %d bytes in etcd, want 3 to 6 KB as real ones do", n)
	}
	got, err := runtime.Decode(scheme.Codecs.UniversalDeserializer(), []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := got.(*corev1.Pod); !ok || p.Name != pods[0].Name || p.Status.PodIP == "" || len(p.ManagedFields) != 2 {
		t.Errorf("read back as %T %+v", got, got)
	}
}

func TestDriveCountsDenialsAndStopsAtErrors(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case bytes.Contains(body, []byte("broken")):
			http.Error(w, "no", http.StatusInternalServerError)
		case bytes.Contains(body, []byte("deny")):
			_, _ = w.Write([]byte(`{"response":{"allowed":false}}`))
		default:
			_, _ = w.Write([]byte(`{"response":{"allowed":true}}`))
		}
	}))
	defer server.Close()
	client := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	client.ServerName, client.NextProtos = "example.com", []string{"http/1.1"}
	to := target{name: "test", address: strings.TrimPrefix(server.URL, "https://"), tls: client}
	mixed := [][]byte{request(to.address, []byte("allow")), request(to.address, []byte("deny"))}
	l, err := drive(t.Context(), to, mixed, 4, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if l.requests == 0 || int64(len(l.latencies)) != l.requests || l.denied == 0 || l.denied == l.requests {
		t.Errorf("%d requests, %d latencies, %d denied", l.requests, len(l.latencies), l.denied)
	}
	if _, err := drive(t.Context(), to, [][]byte{request(to.address, []byte("broken"))}, 2, time.Minute); err == nil || !strings.Contains(err.Error(), "HTTP 500") {
		t.Errorf("a failing webhook gives %v", err)
	}
}

func TestConclude(t *testing.T) {
	r := &result{}
	for _, x := range [][4]float64{{90, 100, 13, 10}, {50, 100, 20, 10}, {110, 100, 11, 10}} {
		r.Rounds = append(r.Rounds, round{Bulkhead: figures{PerSecond: x[0], P99: x[2]}, Noop: figures{PerSecond: x[1], P99: x[3]}})
	}
	if r.conclude(); r.Throughput != .9 || r.P99 != 1.3 {
		t.Errorf("throughput %v, p99 %v", r.Throughput, r.P99)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("the median of four is %v", got)
	}
}

func TestParseResidence(t *testing.T) {
	got, err := parseResidence(bufio.NewScanner(strings.NewReader("Name:\tx\nVmHWM:\t  20 kB\nVmRSS:\t  10 kB\nRssAnon:\t 5 kB\n")))
	if err != nil || got != (residence{RSS: 10 << 10, Peak: 20 << 10, Anon: 5 << 10}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseResidence(bufio.NewScanner(strings.NewReader("VmRSS:\t10 kB\n"))); err == nil {
		t.Error("missing lines go unnoticed")
	}
}
