package main

import (
	"fmt"
	"hash/fnv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// created is when everything in the cluster was made. It is fixed, so that two runs store the same bytes.
var created = metav1.NewTime(time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC))

// uid derives an object's UID from what names it.
func uid(parts ...string) types.UID {
	h := fnv.New128a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p + "/"))
	}
	b := h.Sum(nil)
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// stored puts into meta what the API server adds when it stores an object.
func stored(kind string, meta *metav1.ObjectMeta, manager, fields string) {
	meta.UID, meta.CreationTimestamp = uid(kind, meta.Namespace, meta.Name), created
	meta.ManagedFields = append(meta.ManagedFields, metav1.ManagedFieldsEntry{
		Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &created,
		FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
	})
}

// The managed fields are what takes most of the room in many clusters' objects; these are of the kinds and sizes that
// kube-controller-manager and the kubelet write.
const (
	podSpecFields   = `{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:app.kubernetes.io/instance":{},"f:app.kubernetes.io/managed-by":{},"f:app.kubernetes.io/name":{},"f:app.kubernetes.io/version":{},"f:pod-template-hash":{},"f:tier":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"5d1ab4b8-2f2c-4d3f-8f0f-7f2e7bfc5e2c\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"DATABASE_URL\"}":{".":{},"f:name":{},"f:valueFrom":{".":{},"f:secretKeyRef":{}}},"k:{\"name\":\"LOG_LEVEL\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"OTEL_EXPORTER_OTLP_ENDPOINT\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"POD_NAME\"}":{".":{},"f:name":{},"f:valueFrom":{".":{},"f:fieldRef":{}}}},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{".":{},"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},"f:protocol":{}}},"f:resources":{".":{},"f:limits":{".":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{},"f:volumeMounts":{".":{},"k:{\"mountPath\":\"/etc/config\"}":{".":{},"f:mountPath":{},"f:name":{},"f:readOnly":{}}}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:serviceAccount":{},"f:serviceAccountName":{},"f:terminationGracePeriodSeconds":{},"f:volumes":{".":{},"k:{\"name\":\"config\"}":{".":{},"f:configMap":{".":{},"f:defaultMode":{},"f:name":{}},"f:name":{}}}}}`
	podStatusFields = `{"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Initialized\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\"type\":\"PodReadyToStartContainers\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:phase":{},"f:podIP":{},"f:podIPs":{".":{},"k:{\"ip\":\"10.2.3.4\"}":{".":{},"f:ip":{}}},"f:startTime":{}}}`
	workloadFields  = `{"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}},"f:labels":{".":{},"f:app":{},"f:app.kubernetes.io/name":{}}},"f:spec":{"f:progressDeadlineSeconds":{},"f:replicas":{},"f:revisionHistoryLimit":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{},"f:maxUnavailable":{}},"f:type":{}},"f:template":` + podSpecFields + `}}`
	policyFields    = `{"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}},"f:spec":{"f:egress":{},"f:ingress":{},"f:podSelector":{},"f:policyTypes":{}}}`
)

// fillPodSpec adds to a pod's spec what real ones have besides labels and ports.
func fillPodSpec(s *corev1.PodSpec, app string) {
	grace, mode, seconds := int64(30), int32(0o644), int64(3607)
	optional := true
	s.RestartPolicy, s.TerminationGracePeriodSeconds, s.SchedulerName = corev1.RestartPolicyAlways, &grace, "default-scheduler"
	s.ServiceAccountName, s.DeprecatedServiceAccount, s.SecurityContext = app, app, &corev1.PodSecurityContext{}
	s.Volumes = []corev1.Volume{
		{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: app + "-config"}, DefaultMode: &mode}}},
		{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: app + "-tls", DefaultMode: &mode, Optional: &optional}}},
		{Name: "kube-api-access-x7k2p", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: &seconds, Path: "token"}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
		}}}},
	}
	for i := range s.Containers {
		fillContainer(&s.Containers[i], app)
	}
}

func fillContainer(c *corev1.Container, app string) {
	secret := func(name, key string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: app + "-secrets"}, Key: key}}}
	}
	c.Image = "registry.example.com/platform/" + app + ":1.4.2-6f2c9d1"
	c.ImagePullPolicy, c.TerminationMessagePath, c.TerminationMessagePolicy = corev1.PullIfNotPresent, "/dev/termination-log", corev1.TerminationMessageReadFile
	c.Env = []corev1.EnvVar{
		{Name: "LOG_LEVEL", Value: "info"}, {Name: "HTTP_PORT", Value: "8080"}, {Name: "JAVA_TOOL_OPTIONS", Value: "-XX:MaxRAMPercentage=75 -XX:+ExitOnOutOfMemoryError"},
		{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://otel-collector.monitoring.svc.cluster.local:4317"},
		secret("DATABASE_URL", "database-url"), secret("REDIS_PASSWORD", "redis-password"),
		{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}},
	}
	c.Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
	}
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:   corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}},
			TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
		}
	}
	c.LivenessProbe, c.ReadinessProbe = probe("/healthz"), probe("/readyz")
	c.VolumeMounts = []corev1.VolumeMount{
		{Name: "config", MountPath: "/etc/config", ReadOnly: true}, {Name: "tls", MountPath: "/etc/tls", ReadOnly: true},
		{Name: "kube-api-access-x7k2p", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true},
	}
}

// fillPod makes p what a running pod looks like in etcd.
func fillPod(p *corev1.Pod, i int) {
	app := p.Labels["app"]
	if app == "" {
		app = "coredns"
	}
	p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	p.GenerateName = p.OwnerReferences[0].Name + "-"
	yes := true
	p.OwnerReferences[0].UID, p.OwnerReferences[0].BlockOwnerDeletion = uid(p.OwnerReferences[0].Kind, p.Namespace, p.OwnerReferences[0].Name), &yes
	p.Annotations = map[string]string{
		"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "checksum/config": "7a3f1d0e5bd24cf1c9f7a1d5e9cf4a0b0b2f6f9dd1b6c2f0d2f1d7b1a6a5d3c9",
	}
	stored("Pod", &p.ObjectMeta, "kube-controller-manager", podSpecFields)
	p.ManagedFields = append(p.ManagedFields, metav1.ManagedFieldsEntry{
		Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &created, Subresource: "status",
		FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(podStatusFields),
	})
	fillPodSpec(&p.Spec, app)
	p.Spec.NodeName = fmt.Sprintf("node-%04d.compute.internal", i%5000)
	seconds := int64(300)
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds})
	}
	p.Status.QOSClass, p.Status.HostIP, p.Status.StartTime = corev1.PodQOSBurstable, fmt.Sprintf("172.16.%d.%d", i/250%250, i%250), &created
	for _, t := range []corev1.PodConditionType{"PodReadyToStartContainers", corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: created})
	}
	for c := range p.Spec.Containers {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: p.Spec.Containers[c].Name, Ready: true, Started: &yes, Image: p.Spec.Containers[c].Image,
			ImageID:     "registry.example.com/platform/" + app + "@sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
			ContainerID: "containerd://" + fmt.Sprintf("%064x", i), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: created}},
		})
	}
}

// lastApplied is about what kubectl apply leaves on an object.
const lastApplied = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{},"labels":{"app":"api"},"name":"api"},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"api"}},"template":{"metadata":{"labels":{"app":"api","tier":"api"}},"spec":{"containers":[{"env":[{"name":"LOG_LEVEL","value":"info"}],"image":"registry.example.com/platform/api:1.4.2-6f2c9d1","name":"api","ports":[{"containerPort":8080,"name":"http"},{"containerPort":9090,"name":"metrics"}]}]}}}}`

func fillMeta(kind string, meta *metav1.ObjectMeta, app string) {
	meta.Labels = map[string]string{"app": app, "app.kubernetes.io/name": app}
	meta.Annotations = map[string]string{"deployment.kubernetes.io/revision": "7", corev1.LastAppliedConfigAnnotation: lastApplied}
	meta.Generation = 7
	stored(kind, meta, "kubectl-client-side-apply", workloadFields)
}

func selector(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func fillDeployment(d *appsv1.Deployment) {
	d.TypeMeta = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}
	fillMeta("Deployment", &d.ObjectMeta, d.Name)
	fillPodSpec(&d.Spec.Template.Spec, d.Name)
	quarter := intstr.FromString("25%")
	history, deadline := int32(10), int32(600)
	d.Spec.Selector, d.Spec.RevisionHistoryLimit, d.Spec.ProgressDeadlineSeconds = selector(d.Name), &history, &deadline
	d.Spec.Strategy = appsv1.DeploymentStrategy{
		Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &quarter, MaxSurge: &quarter},
	}
	n := *d.Spec.Replicas
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: 7, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
}

// replicaSet makes one of the ReplicaSets that a Deployment leaves behind, or has.
func replicaSet(d *appsv1.Deployment, hash string, replicas int32) *appsv1.ReplicaSet {
	yes := true
	rs := &appsv1.ReplicaSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: d.Name + "-" + hash,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID, Controller: &yes, BlockOwnerDeletion: &yes}},
		},
		Spec:   appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: selector(d.Name), Template: *d.Spec.Template.DeepCopy()},
		Status: appsv1.ReplicaSetStatus{Replicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas},
	}
	fillMeta("ReplicaSet", &rs.ObjectMeta, d.Name)
	rs.Labels["pod-template-hash"], rs.Spec.Template.Labels["pod-template-hash"] = hash, hash
	return rs
}

func fillStatefulSet(s *appsv1.StatefulSet) {
	s.TypeMeta = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}
	fillMeta("StatefulSet", &s.ObjectMeta, s.Name)
	fillPodSpec(&s.Spec.Template.Spec, s.Name)
	s.Spec.Selector, s.Spec.ServiceName = selector(s.Name), s.Name
	s.Status = appsv1.StatefulSetStatus{Replicas: *s.Spec.Replicas, ReadyReplicas: *s.Spec.Replicas}
}

// service makes the headless Service of a workload; one with an address would have the API server repair its allocation.
func service(namespace, name string) *corev1.Service {
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: corev1.ClusterIPNone, ClusterIPs: []string{corev1.ClusterIPNone},
			Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{
				{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromString("http")},
				{Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9090, TargetPort: intstr.FromString("metrics")},
			},
		},
	}
	fillMeta("Service", &s.ObjectMeta, name)
	return s
}

func fillPolicy(np *networkingv1.NetworkPolicy) {
	np.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: lastApplied}
	np.Generation = 1
	stored("NetworkPolicy", &np.ObjectMeta, "kubectl-client-side-apply", policyFields)
}
