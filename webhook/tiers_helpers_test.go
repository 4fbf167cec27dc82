package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
)

// tierAPI is an API server that knows nothing but optional kinds, and those only while they are installed.
type tierAPI struct {
	testing.TB
	server *httptest.Server

	mu        sync.Mutex
	changed   chan struct{}             // closed with each change
	objects   map[string]map[string]any // resource -> name -> object; resources that are not there are not installed
	events    map[string][]any          // resource -> all that happened to it
	forbidden map[string]bool           // resources that may not be listed
	broken    map[string]bool           // parts of paths that are answered 500
	requests  []string                  // verb and path, watches as WATCH
}

// basePath is where the API begins, as behind a proxy that serves several clusters.
const basePath = "/clusters/one"

func newTierAPI(t testing.TB) *tierAPI {
	a := &tierAPI{
		TB: t, changed: make(chan struct{}), objects: map[string]map[string]any{}, events: map[string][]any{},
		forbidden: map[string]bool{}, broken: map[string]bool{},
	}
	a.server = httptest.NewServer(http.StripPrefix(basePath, a))
	t.Cleanup(a.server.Close)
	return a
}

func (a *tierAPI) client() kubernetes.Interface {
	config := &rest.Config{Host: a.server.URL + basePath, QPS: -1}
	config.ContentType = "application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		a.Fatal(err)
	}
	return client
}

// change edits what the API server has, and tells the watches.
func (a *tierAPI) change(edit func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	edit()
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *tierAPI) install(resource string) {
	a.change(func() { a.objects[resource], a.events[resource] = map[string]any{}, nil })
}

func (a *tierAPI) uninstall(resource string) { a.change(func() { delete(a.objects, resource) }) }

// put stores an object, which is written as JSON.
func (a *tierAPI) put(resource, name, text string) {
	var obj map[string]any
	if err := json.Unmarshal([]byte(text), &obj); err != nil {
		a.Fatal(err)
	}
	a.change(func() {
		kind := "MODIFIED"
		if a.objects[resource][name] == nil {
			kind = "ADDED"
		}
		a.objects[resource][name] = obj
		a.events[resource] = append(a.events[resource], map[string]any{"type": kind, "object": obj})
	})
}

func (a *tierAPI) remove(resource, name string) {
	a.change(func() {
		a.events[resource] = append(a.events[resource], map[string]any{"type": "DELETED", "object": a.objects[resource][name]})
		delete(a.objects[resource], name)
	})
}

// count counts the requests that begin so.
func (a *tierAPI) count(prefix string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, r := range a.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func (a *tierAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	watching := r.URL.Query().Get("watch") != ""
	verb := r.Method
	if watching {
		verb = "WATCH"
	}
	a.mu.Lock()
	a.requests = append(a.requests, verb+" "+r.URL.Path)
	broken := false
	for part := range a.broken {
		broken = broken || strings.Contains(r.URL.Path, part)
	}
	a.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // apis, group, version, resource
	switch {
	case broken:
		refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError)
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		a.review(w, r)
	case len(parts) == 3:
		a.discover(w, parts[1], parts[2])
	case len(parts) != 4 || !a.has(parts[3]):
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
	case watching:
		a.watch(w, r, parts[3])
	default:
		a.list(w, parts[3])
	}
}

func (a *tierAPI) has(resource string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.objects[resource] != nil
}

func reply(w http.ResponseWriter, status int, obj any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(obj)
}

func refuse(w http.ResponseWriter, status int, reason metav1.StatusReason) {
	reply(w, status, metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(status), Reason: reason,
	})
}

func (a *tierAPI) review(w http.ResponseWriter, r *http.Request) {
	var review authorizationv1.SelfSubjectAccessReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
		return
	}
	a.mu.Lock()
	review.Status.Allowed = !a.forbidden[review.Spec.ResourceAttributes.Resource]
	a.mu.Unlock()
	review.TypeMeta = metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"}
	reply(w, http.StatusCreated, review)
}

// knownFeeds are the optional kinds that the test's API server may have.
func knownFeeds() []optionalFeed {
	var needs []cluster.Resource
	for _, k := range resources.Kinds() {
		needs = append(needs, k.Resource)
	}
	return append(tierFeeds(), extraFeeds(needs)...)
}

func (a *tierAPI) discover(w http.ResponseWriter, group, version string) {
	out := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: group + "/" + version}
	for _, f := range knownFeeds() {
		if f.group == group && f.version == version && a.has(f.resource) {
			out.APIResources = append(out.APIResources, metav1.APIResource{Name: f.resource, Kind: f.kind, Verbs: metav1.Verbs{"list", "watch"}})
		}
	}
	if len(out.APIResources) == 0 {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	reply(w, http.StatusOK, out)
}

func (a *tierAPI) list(w http.ResponseWriter, resource string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	items := []any{}
	for _, obj := range a.objects[resource] {
		items = append(items, obj)
	}
	f := knownFeeds()[slices.IndexFunc(knownFeeds(), func(f optionalFeed) bool { return f.resource == resource })]
	reply(w, http.StatusOK, map[string]any{
		"apiVersion": f.group + "/" + f.version, "kind": f.kind + "List", "metadata": map[string]any{"resourceVersion": "1"}, "items": items,
	})
}

// watch sends all that happened to a resource until it is uninstalled. It streams no lists, as before Kubernetes 1.34.
func (a *tierAPI) watch(w http.ResponseWriter, r *http.Request, resource string) {
	if r.URL.Query().Get("sendInitialEvents") != "" {
		refuse(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	for sent := 0; ; {
		_ = http.NewResponseController(w).Flush()
		a.mu.Lock()
		events, changed, installed := a.events[resource], a.changed, a.objects[resource] != nil
		a.mu.Unlock()
		if !installed {
			return
		}
		if sent == len(events) {
			select {
			case <-changed:
			case <-r.Context().Done():
				return
			}
			continue
		}
		for ; sent < len(events); sent++ {
			_ = json.NewEncoder(w).Encode(events[sent])
		}
	}
}
