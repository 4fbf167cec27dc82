package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// hostile is a request that no API server sends.
type hostile struct {
	attack string
	method string // POST where empty
	header map[string]string
	body   io.Reader
	status []int // what may come back; 0 stands for a connection that is closed without an answer
}

// review writes an AdmissionReview; request has all members of it but the uid.
func review(request string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"e2e",` + request + `}}`
}

// about writes the members of a request that say what it is about.
func about(operation, group, resource, subresource, kind string) string {
	return fmt.Sprintf(`"operation":%q,"namespace":"default","name":"x","userInfo":{"username":"e2e"},"subResource":%q,`+
		`"resource":{"group":%q,"version":"v1","resource":%q},"kind":{"group":%q,"version":"v1","kind":%q}`,
		operation, subresource, group, resource, group, kind)
}

// aboutPolicies is about a NetworkPolicy.
func aboutPolicies(operation string) string {
	return about(operation, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy")
}

// policyWith writes a NetworkPolicy with the spec.
func policyWith(metadata, spec string) string {
	return `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"x","namespace":"default"` + metadata + `},"spec":{` + spec + `}}`
}

const emptyPolicy = `"podSelector":{},"policyTypes":["Ingress"]`

// yamlOf writes a review as YAML of at least size bytes.
func yamlOf(size int) string {
	const head = "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\nrequest:\n  uid: e2e\n  object:\n    data:\n"
	const line = "    - {name: a, value: [1, 2, 3], other: {b: c}}\n"
	return head + strings.Repeat(line, size/len(line)+1)
}

func gzipped(t *testing.T, text string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// unsized hides the length of a body, which is then sent in chunks.
type unsized struct{ io.Reader }

// hostileRequests are those that need one request each.
func hostileRequests(t *testing.T) []hostile {
	text := func(s string) io.Reader { return strings.NewReader(s) }
	json := func(request string) io.Reader { return text(review(request)) }
	media := func(s string) map[string]string { return map[string]string{"Content-Type": s} }
	const large = 6_300_000
	list := func(part string, size int) string {
		return strings.TrimSuffix(strings.Repeat(part+",", size/(len(part)+1)), ",")
	}
	rules := func(rule string, size int) string {
		return aboutPolicies("CREATE") + `,"object":` + policyWith("", emptyPolicy+`,"ingress":[`+list(rule, size)+`]`)
	}
	numbers := func(size int) string {
		return about("CREATE", "", "pods", "", "Pod") + `,"object":{"metadata":{"name":"x"},"spec":{"containers":[` + list("1", size) + `]}}`
	}
	valid := aboutPolicies("CREATE") + `,"object":` + policyWith("", emptyPolicy)
	return []hostile{
		{attack: "GET", method: http.MethodGet, status: []int{405}},
		{attack: "PUT", method: http.MethodPut, body: text(emptyReview), status: []int{405}},
		{attack: "8 MiB, declared", body: bytes.NewReader(make([]byte, 8<<20)), status: []int{413, 0}},
		{attack: "8 MiB, in chunks", body: unsized{text(`{"a":"` + strings.Repeat("x", 8<<20))}, status: []int{413, 0}},
		{attack: "JSON 100,000 deep", body: json(`"object":` + strings.Repeat(`{"a":`, 100_000) + strings.Repeat("}", 100_000)), status: []int{400}},
		{attack: "6.3 million open brackets", body: text(strings.Repeat("[", large)), status: []int{400}},
		{attack: "6.3 million open braces in a review", body: json(`"object":` + strings.Repeat(`{"":`, large/4)), status: []int{400}},
		{attack: "gzip", header: map[string]string{"Content-Encoding": "gzip"}, body: gzipped(t, emptyReview), status: []int{415}},
		{attack: "gzip of 1 GiB", header: map[string]string{"Content-Encoding": "gzip"}, body: gzipped(t, strings.Repeat("x", 64<<20)), status: []int{415}},
		{attack: "YAML by its type", header: media("application/yaml"), body: text(yamlOf(100)), status: []int{415}},
		{attack: "YAML under application/json", body: text(yamlOf(100)), status: []int{400}},
		{attack: "YAML of 6.3 MB", body: text(yamlOf(large)), status: []int{400}},
		{attack: "protobuf", header: media("application/vnd.kubernetes.protobuf"), body: text("k8s\x00"), status: []int{415}},
		{attack: "no content type", header: media(""), body: text(emptyReview), status: []int{415}},
		{attack: "nothing", body: text(""), status: []int{400}},
		{attack: "{}", body: text("{}"), status: []int{400}},
		{attack: "null", body: text("null"), status: []int{400}},
		{attack: "null request", body: text(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`), status: []int{400}},
		{attack: "no uid", body: text(strings.Replace(emptyReview, `"uid":"e2e",`, "", 1)), status: []int{400}},
		{attack: "another version of reviews", body: text(strings.Replace(emptyReview, "k8s.io/v1", "k8s.io/v1beta1", 1)), status: []int{400}},
		{attack: "unknown resource", body: json(about("CREATE", "", "secrets", "", "Secret") + `,"object":{}`), status: []int{500}},
		{attack: "unknown subresource", body: json(about("UPDATE", "", "pods", "teapot", "Pod") + `,"object":{},"oldObject":{}`), status: []int{500}},
		{attack: "unknown kind of a resource", body: json(strings.Replace(valid, `"kind":"NetworkPolicy"}`, `"kind":"Teapot"}`, 1)), status: []int{500}},
		{attack: "unknown operation", body: json(strings.Replace(valid, "CREATE", "CONNECT", 1)), status: []int{500}},
		{attack: "DELETE without oldObject", body: json(aboutPolicies("DELETE")), status: []int{500}},
		{attack: "CREATE with a null object", body: json(aboutPolicies("CREATE") + `,"object":null`), status: []int{500}},
		{attack: "an object of numbers", body: json(aboutPolicies("CREATE") + `,"object":[1,2,3]`), status: []int{400}},
		{attack: "a name of 6 MB", body: json(strings.Replace(valid, `"name":"x"`, `"name":"`+strings.Repeat("n", 6<<20)+`"`, 1)), status: []int{200, 400, 500}},
		{attack: "a policy of 2.3 million empty rules", body: json(rules("{}", 6_900_000)), status: []int{413}},
		{attack: "a policy of 100,000 rules", body: json(rules(`{"ports":[{"port":80}],"from":[{"podSelector":{"matchLabels":{}}}]}`, 6_900_000)), status: []int{413}},
		{attack: "a policy of 140,000 empty rules", body: json(rules("{}", 420_000)), status: []int{200, 500}},
		{attack: "a pod of 3 million containers that are numbers", body: json(numbers(6_000_000)), status: []int{413}},
		{attack: "a pod of 290,000 containers that are numbers", body: json(numbers(580_000)), status: []int{400}},
		{attack: "a header of 64 KiB", header: map[string]string{"X-Long": strings.Repeat("x", 64<<10)}, body: text(emptyReview), status: []int{431, 0}},
		{attack: "another path", header: map[string]string{"X-Path": "/nowhere"}, body: text(emptyReview), status: []int{404}},
	}
}

func testHostileRequests(t *testing.T, g *siege) {
	for _, h := range hostileRequests(t) {
		g.against(t, h.attack, func() string {
			status, body := g.send(t, h)
			if !slices.Contains(h.status, status) {
				t.Errorf("%s: HTTP %d %s, want one of %v", h.attack, status, body, h.status)
			}
			if strings.Contains(body, "panic") || strings.Contains(body, "goroutine") {
				t.Errorf("%s: the answer shows what is inside: %s", h.attack, body)
			}
			if status == 0 {
				return "closed"
			}
			return fmt.Sprint(status)
		})
	}
	g.against(t, "garbage after a review", func() string { return g.pipelined(t) })
	testHostileNames(t, g)
	log, err := os.ReadFile(g.replica.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(log, []byte(`"msg":"panic while serving`)) {
		t.Errorf("a request made it panic:\n%s", lastLines(g.replica.LogPath, 10))
	}
	for line := range bytes.Lines(log) {
		if len(line) > 64<<10 {
			t.Errorf("a line of the log has %d bytes: %.200s…", len(line), line)
		}
	}
}

// send gives the status, 0 where the connection was closed without one, and the body.
func (g *siege) send(t *testing.T, h hostile) (int, string) {
	t.Helper()
	method, url := h.method, g.url()
	if method == "" {
		method = http.MethodPost
	}
	if path := h.header["X-Path"]; path != "" {
		url = g.replica.URL + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, h.body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range h.header {
		req.Header.Set(name, value)
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %v", h.attack, err)
	}
	return resp.StatusCode, string(body)
}

// pipelined sends a review and garbage behind it at once: the review is answered, the garbage refused, the connection
// closed.
func (g *siege) pipelined(t *testing.T) string {
	t.Helper()
	conn, err := g.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /validate HTTP/1.1\r\nHost: e2e\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s\x00\x01 garbage\r\n\r\n",
		len(emptyReview), emptyReview); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	var statuses []string
	for {
		resp, err := http.ReadResponse(reader, nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		statuses = append(statuses, fmt.Sprint(resp.StatusCode))
	}
	got := strings.Join(statuses, ", ")
	if got != "200, 400" {
		t.Errorf("a review and garbage behind it were answered with %s", got)
	}
	return got
}

// testHostileNames sends names with line breaks, escape sequences and bidirectional characters, which no API server would
// let through, and a change that is denied: neither the answer nor the log has them as they are.
func testHostileNames(t *testing.T, g *siege) {
	const odd = `a\n\u001b[31mred\u202e\u0000`
	request := strings.NewReplacer(`"name":"x"`, `"name":"`+odd+`"`, `"username":"e2e"`, `"username":"`+odd+`"`).Replace(
		review(aboutPolicies("CREATE") + `,"object":` + policyWith(`,"labels":{"`+odd+`":"`+odd+`"}`, emptyPolicy+`,"egress":[{}]`)))
	g.against(t, "names with line breaks, colours, bidi", func() string {
		status, body := g.send(t, hostile{attack: "names", body: strings.NewReader(request)})
		log, err := os.ReadFile(g.replica.LogPath)
		if err != nil {
			t.Fatal(err)
		}
		for where, text := range map[string]string{"answer": body, "log": string(log)} {
			wantPrintable(t, "the "+where, text)
		}
		return fmt.Sprint(status)
	})
}
