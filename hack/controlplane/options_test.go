package controlplane

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	options, err := Options{}.withDefaults()
	if err != nil || options.Nodes != DefaultNodes || options.Progress == nil {
		t.Errorf("the defaults are %+v, %v", options, err)
	}
	for name, c := range map[string]struct {
		options Options
		want    string // in the error
	}{
		"negative nodes":    {Options{Nodes: -1}, "choose 1 to 256"},
		"too many nodes":    {Options{Nodes: MaxNodes + 1}, "choose 1 to 256"},
		"essential omitted": {Options{Omit: []Component{APIServer}}, `cannot omit "kube-apiserver"`},
		"unknown omitted":   {Options{Omit: []Component{"kubelet"}}, `cannot omit "kubelet"`},
		"no such config":    {Options{AdmissionConfig: filepath.Join(t.TempDir(), "absent.yaml")}, "absent.yaml"},
	} {
		if _, err := c.options.withDefaults(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}

// TestArguments checks what must hold for every component's command line.
func TestArguments(t *testing.T) {
	c := &ControlPlane{
		dir: "/plane", pki: &pki{dir: "/plane/pki"},
		options: Options{
			APIServerArgs: []string{"--max-requests-inflight=7"}, AuditLog: true, AdmissionConfig: "/a.yaml",
			DisabledControllers: []string{"nodelifecycle"},
		},
	}
	for _, component := range startOrder() {
		arguments := c.arguments(component)
		if len(arguments) == 0 {
			t.Errorf("%s has no arguments", component)
		}
		joined := strings.Join(arguments, " ")
		listens := component != Kwok // which serves nothing
		if strings.Contains(joined, "127.0.0.1") != listens {
			t.Errorf("%s listens elsewhere than on the loopback interface: %s", component, joined)
		}
		shares := slices.ContainsFunc(arguments, func(a string) bool {
			return a == "--permit-port-sharing=true" || a == "--socket-reuse-port=true"
		})
		if shares != listens {
			t.Errorf("%s cannot listen on its reserved port: %s", component, joined)
		}
	}
	apiServer := c.arguments(APIServer)
	if last := apiServer[len(apiServer)-1]; last != "--max-requests-inflight=7" {
		t.Errorf("the caller's flags cannot override the built-in ones: %s is last", last)
	}
	for _, want := range []string{"--audit-log-path=/plane/logs/audit.log", "--admission-control-config-file=/a.yaml"} {
		if !slices.Contains(apiServer, want) {
			t.Errorf("kube-apiserver lacks %s", want)
		}
	}
	if !slices.Contains(c.arguments(ControllerManager), "--controllers=*,-nodelifecycle") {
		t.Errorf("the controller is not disabled: %v", c.arguments(ControllerManager))
	}
}

func TestNodesHaveTheirOwnAddresses(t *testing.T) {
	seen := map[string]string{}
	for i := range MaxNodes {
		node := newNode(i, "v1.36.3")
		for _, own := range []string{node.Name, node.Spec.PodCIDR, node.Status.Addresses[0].Address} {
			if other, taken := seen[own]; taken {
				t.Errorf("%s and %s share %s", other, node.Name, own)
			}
			seen[own] = node.Name
		}
	}
}
