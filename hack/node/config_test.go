package node

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestSettingsAreFilledIn reads back every file that a program of the node reads.
func TestSettingsAreFilledIn(t *testing.T) {
	dir := t.TempDir()
	s := settings{Dir: dir, Cgroup: "/group", NetworkPlugins: "/plugins", ProxyKubeconfig: "/proxy.kubeconfig"}
	if err := s.write(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"containerd.toml":   {`sandbox = "localhost/pause:node"`, `bin_dirs = ["/plugins"]`, `conf_dir = "` + dir + `/cni"`},
		"cni/node.conflist": {`"subnet": "10.244.0.0/24"`},
		"kubelet.yaml":      {`cgroupRoot: "/group"`, `clientCAFile: "` + dir + `/ca.crt"`, `clusterDNS: ["10.96.0.10"]`},
		"kube-proxy.yaml":   {`kubeconfig: "/proxy.kubeconfig"`, `hostnameOverride: "node-0"`, `clusterCIDR: "10.244.0.0/24"`},
		"dns.yaml":          {`clusterIP: 10.96.0.10`, `image: localhost/coredns:node`},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, line := range want {
			if !bytes.Contains(text, []byte(line)) {
				t.Errorf("%s lacks %s:\n%s", name, line, text)
			}
		}
		if filepath.Ext(name) == ".toml" {
			continue
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var parsed map[string]any
			if err := yaml.UnmarshalStrict(document, &parsed); err != nil || len(parsed) == 0 {
				t.Errorf("%s: %v in\n%s", name, err, document)
			}
		}
	}
}
