// Package policytest runs the fixtures of the guardrails. One fixture is a cluster, one request and the exact words
// wanted; the same files are judged here in memory and replayed through kubectl in the end-to-end tests.
package policytest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// Fixture is one file in the folder of its guardrail, named after what is done at most: allow-<why>.yaml,
// audit-<why>.yaml, warn-<why>.yaml or deny-<why>.yaml.
type Fixture struct {
	// Guardrail is the folder's name, Name the file's without ".yaml".
	Guardrail, Name string `json:"-"`
	// Why says in a sentence what the fixture proves.
	Why string `json:"why"`
	// Resolver is "none" for a cluster without a DNS Service; else the cluster has kube-system/kube-dns.
	Resolver string `json:"resolver,omitempty"`
	// Cluster holds the objects that are there before the request. Controllers are taken as having run: workloads have
	// their pods, and namespaces that are only named exist.
	Cluster []runtime.RawExtension `json:"cluster,omitempty"`
	// Request is what is asked.
	Request Request `json:"request"`
	// Config holds lines for a BulkheadConfig beside apiVersion and kind; maximumAction is Deny unless set.
	Config map[string]any `json:"config,omitempty"`
	// Want lists the guardrail's findings, none for an allow- fixture.
	Want []Want `json:"want,omitempty"`
}

// Request is the reviewed change. Object is what a creation or update submits; for a deletion and for an update that
// starts from something in Cluster, OldObject may be left out: it is looked up there.
type Request struct {
	Operation policy.Operation      `json:"operation"`
	Object    *runtime.RawExtension `json:"object,omitempty"`
	OldObject *runtime.RawExtension `json:"oldObject,omitempty"`
	// Pod is an edit of a running pod of the cluster: the first one of this Deployment gets these labels; a null value
	// removes the label.
	Pod *PodEdit `json:"pod,omitempty"`
	// User is who asks; nil is somebody without a name.
	User *User `json:"user,omitempty"`
}

// User is the requester as the API server knows them. Source: admission/v1 AdmissionRequest.userInfo.
type User struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups,omitempty"`
}

// PodEdit changes labels of one pod of a workload, as "kubectl label pod" does.
type PodEdit struct {
	Namespace string             `json:"namespace"`
	Of        string             `json:"of"`
	Labels    map[string]*string `json:"labels"`
}

// Want is one finding with the exact words.
type Want struct {
	Action   config.Action `json:"action"`
	Field    string        `json:"field,omitempty"`
	Headline string        `json:"headline,omitempty"`
	Detail   string        `json:"detail"`
	Reason   string        `json:"reason,omitempty"`
	Affected []string      `json:"affected,omitempty"`
	// Fix is the YAML shown, FixSay the words before it.
	FixSay string `json:"fixSay,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// outcomes are the beginnings of fixtures' names.
var outcomes = [...]string{"allow-", "audit-", "warn-", "deny-"}

// Load reads the fixtures below dir (testdata), sorted by guardrail and name.
func Load(dir string) ([]*Fixture, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.yaml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var out []*Fixture
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		f := &Fixture{}
		if err := yaml.UnmarshalStrict(data, f); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		f.Guardrail = filepath.Base(filepath.Dir(path))
		f.Name = strings.TrimSuffix(filepath.Base(path), ".yaml")
		if f.Why == "" {
			return nil, fmt.Errorf("%s: say in \"why\" what the fixture proves", path)
		}
		if f.Request.Object == nil && f.Request.Pod == nil {
			return nil, fmt.Errorf("%s: request needs an object or a pod; a deletion names in object what is deleted", path)
		}
		if !slices.ContainsFunc(outcomes[:], func(o string) bool { return strings.HasPrefix(f.Name, o) }) {
			return nil, fmt.Errorf("%s: the name has to start with one of %s", path, strings.Join(outcomes[:], ", "))
		}
		out = append(out, f)
	}
	return out, nil
}

// Settings gives the config that the fixture is judged under.
func (f *Fixture) Settings(guardrails []policy.Guardrail) (*config.Config, error) {
	c := map[string]any{"apiVersion": config.APIVersion, "kind": config.Kind, "maximumAction": "Deny"}
	for k, v := range f.Config {
		c[k] = v
	}
	data, err := yaml.Marshal(c)
	if err != nil {
		return nil, err
	}
	return config.Parse(data, policy.Specs(guardrails))
}

func decode(raw *runtime.RawExtension) (runtime.Object, error) {
	if raw == nil || len(raw.Raw) == 0 {
		return nil, nil
	}
	decoder, err := strictDecoder()
	if err != nil {
		return nil, err
	}
	obj, _, err := decoder.Decode(raw.Raw, nil, nil)
	return obj, err
}

// strictDecoder knows the kinds that a fixture may have, and refuses fields that these have not. It is made once: its
// scheme takes longer to fill than a fixture to judge.
var strictDecoder = sync.OnceValues(func() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, networkingv1.AddToScheme, v1alpha1.Install, v1alpha2.Install,
		admissionregistrationv1.AddToScheme, discoveryv1.AddToScheme, rbacv1.AddToScheme, apiregistrationv1.AddToScheme,
		gatewayv1.Install, monitoringv1.AddToScheme, certmanagerv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer(), nil
})

// Change makes the fixture's cluster and its request.
func (f *Fixture) Change(cfg *config.Config) (*policy.Change, error) {
	w := newWorld()
	if f.Resolver != "none" {
		w.addResolver()
	}
	for i := range f.Cluster {
		obj, err := decode(&f.Cluster[i])
		if err != nil {
			return nil, fmt.Errorf("cluster[%d]: %w", i, err)
		}
		if err := w.add(obj); err != nil {
			return nil, fmt.Errorf("cluster[%d]: %w", i, err)
		}
	}
	new, err := decode(f.Request.Object)
	if err != nil {
		return nil, fmt.Errorf("request.object: %w", err)
	}
	old, err := decode(f.Request.OldObject)
	if err != nil {
		return nil, fmt.Errorf("request.oldObject: %w", err)
	}
	c, err := f.change(w, cfg, old, new)
	if err != nil {
		return nil, err
	}
	c.Disclose = cfg.DiscloseOtherNamespaces
	if u := f.Request.User; u != nil {
		c.Requester = policy.Requester{Name: u.Name, Groups: u.Groups}
	}
	return c, nil
}

func (f *Fixture) change(w *world, cfg *config.Config, old, new runtime.Object) (*policy.Change, error) {
	if edit := f.Request.Pod; edit != nil {
		oldPod, newPod, err := w.editPod(edit)
		if err != nil {
			return nil, err
		}
		return policy.WorkloadChange(w.snapshot(cfg), "Pod", oldPod.Name, cluster.WorkloadOf(oldPod), cluster.WorkloadOf(newPod)), nil
	}
	subject := new
	if subject == nil {
		subject = old
	}
	switch o := subject.(type) {
	case *networkingv1.NetworkPolicy:
		defaultPolicy(o)
		var oldPolicy, newPolicy *networkingv1.NetworkPolicy
		if new != nil {
			newPolicy = new.(*networkingv1.NetworkPolicy)
		}
		if f.Request.Operation != policy.Create {
			oldPolicy = w.policies[o.Namespace+"/"+o.Name]
			if oldPolicy == nil {
				return nil, fmt.Errorf("request: the cluster has no NetworkPolicy %s/%s to %s", o.Namespace, o.Name, f.Request.Operation)
			}
		}
		if f.Request.Operation == policy.Delete {
			newPolicy = nil
		}
		w.ensureNamespace(o.Namespace)
		return policy.PolicyChange(w.snapshot(cfg), oldPolicy, newPolicy)
	case *corev1.Namespace:
		stored := w.namespaces[o.Name]
		if stored == nil || new == nil || f.Request.Operation != policy.Update {
			return nil, fmt.Errorf("request: of namespaces only the update of one in the cluster is reviewed, not %s of %s", f.Request.Operation, o.Name)
		}
		return policy.NamespaceChange(w.snapshot(cfg), stored, withNameLabel(o)), nil
	case *corev1.Pod:
		w.ensureNamespace(o.Namespace)
		n := cluster.WorkloadOf(o)
		if old == nil {
			return policy.WorkloadChange(w.snapshot(cfg), "Pod", o.Name, nil, n), nil
		}
		return policy.WorkloadChange(w.snapshot(cfg), "Pod", o.Name, cluster.WorkloadOf(old.(*corev1.Pod)), n), nil
	}
	t, ok := cluster.TemplateOf(subject)
	if !ok || new == nil {
		return nil, fmt.Errorf("request: %T with operation %s is not reviewed", subject, f.Request.Operation)
	}
	w.ensureNamespace(t.Workload.Namespace)
	var before *cluster.Workload
	if old == nil && f.Request.Operation == policy.Update {
		old = w.templates[t.Workload.Kind+"/"+t.Workload.Namespace+"/"+t.Workload.Name]
	}
	if o, ok := cluster.TemplateOf(old); ok {
		before = o.Workload
	}
	return policy.WorkloadChange(w.snapshot(cfg), t.Workload.Kind, t.Workload.Name, before, t.Workload), nil
}
