package manifest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// checkMeta refuses the metadata that the API server would refuse, as far as anything here reads it.
func (p *part) checkMeta(k kind, obj metav1.Object) {
	if name := obj.GetName(); name == "" {
		p.bad("metadata", fmt.Sprintf("%s has no metadata.name; give it one", k.name))
	} else if k.group == rbacv1.GroupName { // "system:node" is a good name there
		for _, problem := range content.IsPathSegmentName(name) {
			p.invalid("metadata.name", name, problem)
		}
	} else {
		p.checkName("metadata.name", name, k.name == "Namespace" || k.name == "Service")
	}
	if !k.clusterScoped {
		p.checkName("metadata.namespace", obj.GetNamespace(), true)
	}
	p.checkLabels("metadata.labels", obj.GetLabels())
	if _, _, template, ok := podTemplate(obj); ok {
		at := "spec.template"
		if k.name == "CronJob" {
			at = "spec.jobTemplate.spec.template"
		}
		p.checkLabels(at+".metadata.labels", template.Labels)
		p.checkPorts(at+".spec", &template.Spec)
		p.checkSelector(obj)
	}
	switch o := obj.(type) {
	case *corev1.Service:
		p.checkLabels("spec.selector", o.Spec.Selector)
	case *corev1.Pod:
		p.checkPorts("spec", &o.Spec)
	}
}

// invalid adds a problem in the words that the policies' compiler uses.
func (p *part) invalid(field, value, remedy string) {
	p.bad(field, fmt.Sprintf("%s: invalid value %q: %s", field, value, remedy))
}

// checkPorts refuses container ports that no pod can have: named ports of policies become what they say.
func (p *part) checkPorts(at string, spec *corev1.PodSpec) {
	for i := range spec.Containers {
		for j, port := range spec.Containers[i].Ports {
			field := fmt.Sprintf("%s.containers[%d].ports[%d]", at, i, j)
			if port.ContainerPort < 1 || port.ContainerPort > 65535 {
				p.invalid(field+".containerPort", fmt.Sprint(port.ContainerPort), "use a port from 1 to 65535")
			}
			switch port.Protocol {
			case "", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
			default:
				p.invalid(field+".protocol", string(port.Protocol), "use TCP, UDP or SCTP")
			}
		}
	}
}

// checkName refuses what is no DNS label (RFC 1123) or, where that is not asked for, no DNS subdomain.
// Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
func (p *part) checkName(at, name string, label bool) {
	switch {
	case label && len(validation.IsDNS1123Label(name)) > 0:
		p.invalid(at, name, "use at most 63 lower-case letters, digits and -, with a letter or digit at both ends")
	case !label && len(validation.IsDNS1123Subdomain(name)) > 0:
		p.invalid(at, name, "use at most 253 lower-case letters, digits, - and ., with a letter or digit at both ends")
	}
}

// checkLabels refuses keys and values that no label can have.
// Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
func (p *part) checkLabels(at string, labels map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		field := at + "." + k
		if len(validation.IsQualifiedName(k)) > 0 {
			p.bad(field, fmt.Sprintf("%s: invalid key %q: a label's key is a name with an optional domain/ before it", at, k))
		}
		if len(validation.IsValidLabelValue(labels[k])) > 0 {
			p.invalid(field, labels[k], "use at most 63 letters, digits, -, _ and ., with a letter or digit at both ends")
		}
	}
}

// checkSelector refuses a controller's selector that no API server would store. Which pods it selects is the
// controller's business, not NetworkPolicy's.
func (p *part) checkSelector(obj metav1.Object) {
	f := reflect.ValueOf(obj).Elem().FieldByName("Spec").FieldByName("Selector")
	if !f.IsValid() {
		return
	}
	if s, ok := f.Interface().(*metav1.LabelSelector); ok && s != nil {
		if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
			p.bad("spec.selector", "spec.selector: "+err.Error())
		}
	}
}
