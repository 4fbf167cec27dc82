package webhook

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// The types of this file are what Bulkhead reads of an object in a review. Decoding all of it would cost several times
// as much: most of a pod is of no interest to NetworkPolicy, and most of its metadata are managed fields.

// metaFields are those of metav1.ObjectMeta.
type metaFields struct {
	UID               types.UID               `json:"uid"`
	Name              string                  `json:"name"`
	GenerateName      string                  `json:"generateName"`
	Namespace         string                  `json:"namespace"`
	DeletionTimestamp *metav1.Time            `json:"deletionTimestamp"`
	Labels            map[string]string       `json:"labels"`
	OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`
}

func (m *metaFields) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		UID: m.UID, Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace, DeletionTimestamp: m.DeletionTimestamp,
		Labels: m.Labels, OwnerReferences: m.OwnerReferences,
	}
}

// annotatedMetaFields are metaFields with annotations: a policy's say who manages it and what it is for, a pod's whether it is
// scraped.
type annotatedMetaFields struct {
	metaFields
	Annotations map[string]string `json:"annotations"`
}

func (m *annotatedMetaFields) meta() metav1.ObjectMeta {
	out := m.metaFields.meta()
	out.Annotations = m.Annotations
	return out
}

// policyFields are those of networkingv1.NetworkPolicy.
type policyFields struct {
	Metadata annotatedMetaFields            `json:"metadata"`
	Spec     networkingv1.NetworkPolicySpec `json:"spec"`
}

// policy is nil where p is.
func (p *policyFields) policy() *networkingv1.NetworkPolicy {
	if p == nil {
		return nil
	}
	return &networkingv1.NetworkPolicy{ObjectMeta: p.Metadata.meta(), Spec: p.Spec}
}

// bindingFields are those of corev1.Binding.
type bindingFields struct {
	Metadata metaFields `json:"metadata"`
}

func (b *bindingFields) binding() *corev1.Binding {
	return &corev1.Binding{ObjectMeta: b.Metadata.meta()}
}

// podSpecFields are those of corev1.PodSpec.
type podSpecFields struct {
	HostNetwork                  bool              `json:"hostNetwork"`
	DNSPolicy                    corev1.DNSPolicy  `json:"dnsPolicy"`
	ServiceAccountName           string            `json:"serviceAccountName"`
	AutomountServiceAccountToken *bool             `json:"automountServiceAccountToken"`
	InitContainers               []containerFields `json:"initContainers"`
	Containers                   []containerFields `json:"containers"`
	Volumes                      []struct {
		Projected *struct {
			Sources []struct {
				ServiceAccountToken *corev1.ServiceAccountTokenProjection `json:"serviceAccountToken"`
			} `json:"sources"`
		} `json:"projected"`
	} `json:"volumes"`
}

// containerFields are those of corev1.Container.
type containerFields struct {
	RestartPolicy  *corev1.ContainerRestartPolicy `json:"restartPolicy"`
	Ports          []corev1.ContainerPort         `json:"ports"`
	Env            []corev1.EnvVar                `json:"env"`
	Command        []string                       `json:"command"`
	Args           []string                       `json:"args"`
	StartupProbe   *corev1.Probe                  `json:"startupProbe"`
	ReadinessProbe *corev1.Probe                  `json:"readinessProbe"`
	LivenessProbe  *corev1.Probe                  `json:"livenessProbe"`
}

func (f *containerFields) container() corev1.Container {
	return corev1.Container{
		RestartPolicy: f.RestartPolicy, Ports: f.Ports, Env: f.Env, Command: f.Command, Args: f.Args,
		StartupProbe: f.StartupProbe, ReadinessProbe: f.ReadinessProbe, LivenessProbe: f.LivenessProbe,
	}
}

func (s *podSpecFields) spec() corev1.PodSpec {
	out := corev1.PodSpec{
		HostNetwork: s.HostNetwork, DNSPolicy: s.DNSPolicy, ServiceAccountName: s.ServiceAccountName,
		AutomountServiceAccountToken: s.AutomountServiceAccountToken,
	}
	for i := range s.InitContainers {
		out.InitContainers = append(out.InitContainers, s.InitContainers[i].container())
	}
	for i := range s.Containers {
		out.Containers = append(out.Containers, s.Containers[i].container())
	}
	for i := range s.Volumes {
		if projected := s.Volumes[i].Projected; projected != nil {
			v := corev1.Volume{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}}
			for _, source := range projected.Sources {
				v.Projected.Sources = append(v.Projected.Sources, corev1.VolumeProjection{ServiceAccountToken: source.ServiceAccountToken})
			}
			out.Volumes = append(out.Volumes, v)
		}
	}
	return out
}

// podFields are those of corev1.Pod.
type podFields struct {
	Metadata annotatedMetaFields `json:"metadata"`
	Spec     podSpecFields       `json:"spec"`
	Status   struct {
		Phase corev1.PodPhase `json:"phase"`
	} `json:"status"`
}

// pod is nil where p is.
func (p *podFields) pod() *corev1.Pod {
	if p == nil {
		return nil
	}
	return &corev1.Pod{ObjectMeta: p.Metadata.meta(), Spec: p.Spec.spec(), Status: corev1.PodStatus{Phase: p.Status.Phase}}
}

// podTemplateFields are those of corev1.PodTemplateSpec.
type podTemplateFields struct {
	Metadata annotatedMetaFields `json:"metadata"`
	Spec     podSpecFields       `json:"spec"`
}

func (t *podTemplateFields) template() *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{ObjectMeta: t.Metadata.meta(), Spec: t.Spec.spec()}
}

// templateFields are those of an object of any kind with a pod template.
type templateFields struct {
	Metadata metaFields `json:"metadata"`
	Spec     struct {
		Template    podTemplateFields `json:"template"`
		JobTemplate struct {          // of a CronJob
			Spec struct {
				Template podTemplateFields `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

// template gives what the snapshot would keep of the object.
func (t *templateFields) template(kind string) *cluster.Template {
	spec := &t.Spec.Template
	if kind == "CronJob" {
		spec = &t.Spec.JobTemplate.Spec.Template
	}
	meta := t.Metadata.meta()
	return cluster.NewTemplate(kind, &meta, spec.template())
}
