package cluster

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TemplateKinds lists the kinds whose pod templates the snapshot keeps.
var TemplateKinds = [...]string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"}

// Template is what the snapshot keeps of an object with a pod template.
type Template struct {
	// Workload is the pod template as a workload without pods; its Kind and Name are the object's.
	Workload *Workload
	// Controlled says that another object with a template made this one (a Deployment its ReplicaSets, a CronJob its
	// Jobs): it adds no candidate of its own. What an operator's own kind of object made stands for itself.
	Controlled bool

	localDNS []netip.Addr
	asked    bool // the pods' resolv.conf names localDNS
	agents   []agent
}

// PodTemplate gives the object's metadata, kind and pod template; ok is false for a kind that has none.
func PodTemplate(obj any) (meta *metav1.ObjectMeta, kind string, template *corev1.PodTemplateSpec, ok bool) {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return &o.ObjectMeta, "Deployment", &o.Spec.Template, true
	case *appsv1.StatefulSet:
		return &o.ObjectMeta, "StatefulSet", &o.Spec.Template, true
	case *appsv1.DaemonSet:
		return &o.ObjectMeta, "DaemonSet", &o.Spec.Template, true
	case *appsv1.ReplicaSet:
		return &o.ObjectMeta, "ReplicaSet", &o.Spec.Template, true
	case *batchv1.Job:
		return &o.ObjectMeta, "Job", &o.Spec.Template, true
	case *batchv1.CronJob:
		return &o.ObjectMeta, "CronJob", &o.Spec.JobTemplate.Spec.Template, true
	}
	return nil, "", nil, false
}

// TemplateOf keeps of an object with a pod template what the snapshot needs; ok is false for any other object.
func TemplateOf(obj any) (t *Template, ok bool) {
	meta, kind, spec, ok := PodTemplate(obj)
	if !ok {
		return nil, false
	}
	return NewTemplate(kind, meta, spec), true
}

// NewTemplate keeps of an object of the kind what the snapshot needs, as TemplateOf does.
func NewTemplate(kind string, meta *metav1.ObjectMeta, spec *corev1.PodTemplateSpec) *Template {
	u := unique.Make(usesOf(spec.Annotations, &spec.Spec, true))
	t := &Template{
		Workload: &Workload{
			Namespace: unique.Make(meta.Namespace).Value(), Kind: kind, Name: meta.Name,
			Labels: packed(spec.Labels), Ports: decodePorts(encodePorts(&spec.Spec)),
			HostNetwork: spec.Spec.HostNetwork, DNSPolicy: spec.Spec.DNSPolicy, Template: true, made: u,
		},
	}
	if maker := metav1.GetControllerOfNoCopy(meta); maker != nil {
		t.Controlled = slices.Contains(TemplateKinds[:], maker.Kind)
	}
	if kind == "DaemonSet" && meta.Namespace == systemNamespace && (meta.Name == "node-local-dns" || spec.Labels["k8s-app"] == "node-local-dns") {
		t.localDNS, t.asked = localDNS(spec)
	}
	if kind == "DaemonSet" && mayRunAgents(meta.Namespace) {
		t.agents = agentsOf(meta.Namespace, meta.Name, spec)
	}
	return t
}

func (t *Template) equal(other *Template) bool {
	a, b := t.Workload, other.Workload
	return t.Controlled == other.Controlled && t.asked == other.asked && slices.Equal(t.localDNS, other.localDNS) && slices.Equal(t.agents, other.agents) && a.Namespace == b.Namespace &&
		a.Kind == b.Kind && a.Name == b.Name && maps.Equal(a.Labels, b.Labels) && slices.Equal(a.Ports, b.Ports) &&
		a.HostNetwork == b.HostNetwork && a.DNSPolicy == b.DNSPolicy && a.made == b.made
}

// Pod gives a pod that the template makes, as Kubernetes would make it.
func (w *Workload) Pod(name string) *Pod {
	p := &Pod{
		Namespace: w.Namespace, Name: name, governed: true,
		shape: unique.Make(shape{
			labels: encodeLabels(w.Labels, notPerPod), ports: encodeDeclared(w.Ports), dnsPolicy: w.DNSPolicy, hostNetwork: w.HostNetwork,
		}),
		variant: variant{labels: unique.Make(encodeLabels(w.Labels, PerPodKey)), owner: unique.Make(owner{w.Kind, w.Name})},
	}
	if w.made != (unique.Handle[uses]{}) {
		p.variant.uses = w.made
	} else {
		p.variant.uses = unique.Make(uses{account: defaultAccount})
	}
	return p
}

// nodeLocalDNS is where NodeLocal DNSCache listens unless told otherwise.
// Source: https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/
const nodeLocalDNS = "169.254.20.10"

// localDNS reads the addresses that NodeLocal DNSCache listens on from its -localip argument. asked says that the pods'
// resolv.conf names them: kubelet has to be told where the cache has link-local addresses alone, as it must with kube-proxy in
// IPVS mode. A cache that listens on the DNS Service's address too takes its queries over, and one without an interface of its
// own gets them redirected.
func localDNS(spec *corev1.PodTemplateSpec) (out []netip.Addr, asked bool) {
	asked = spec.Spec.HostNetwork
	for i := range spec.Spec.Containers {
		args := append(append([]string{}, spec.Spec.Containers[i].Command...), spec.Spec.Containers[i].Args...)
		asked = asked && argument(&spec.Spec.Containers[i], "setupinterface") != "false"
		for j, arg := range args {
			value, joined := strings.CutPrefix(strings.TrimLeft(arg, "-"), "localip=")
			if !joined {
				if strings.TrimLeft(arg, "-") != "localip" || j+1 == len(args) {
					continue
				}
				value = args[j+1]
			}
			for _, s := range strings.Split(value, ",") {
				if a, err := netip.ParseAddr(strings.TrimSpace(s)); err == nil {
					out = append(out, a)
				}
			}
		}
	}
	if len(out) == 0 {
		return []netip.Addr{netip.MustParseAddr(nodeLocalDNS)}, false
	}
	return out, asked && !slices.ContainsFunc(out, func(a netip.Addr) bool { return !a.IsLinkLocalUnicast() })
}
