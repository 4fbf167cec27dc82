package node

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// Names and addresses of the node.
const (
	// Name is the Node's.
	Name = "node-0"
	// DNSAddress is that of the Service kube-system/kube-dns.
	DNSAddress = "10.96.0.10"
	// PauseImage does nothing, for pods that are merely to be there.
	PauseImage = "localhost/pause:node"

	dnsImage = "localhost/coredns:node"
	// podRange is what kube-controller-manager gives the first node.
	podRange = "10.244.0.0/24"
)

//go:embed files
var files embed.FS

// settings are what the files leave open.
type settings struct {
	Dir             string // for files that programs read
	Cgroup          string
	NetworkPlugins  string // the directory with the CNI plugins
	ProxyKubeconfig string
}

// Node and its siblings give the constants to the templates.
func (settings) Node() string       { return Name }
func (settings) DNSAddress() string { return DNSAddress }
func (settings) DNSImage() string   { return dnsImage }
func (settings) PauseImage() string { return PauseImage }
func (settings) PodRange() string   { return podRange }

// render fills in one of the files.
func (s settings) render(name string) ([]byte, error) {
	parsed, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := parsed.Option("missingkey=error").Execute(&text, s); err != nil {
		return nil, fmt.Errorf("fill in %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// write writes every file to where its program reads it.
func (s settings) write() error {
	for name, target := range map[string]string{
		"containerd.toml": "containerd.toml", "cni.conflist": "cni/node.conflist",
		"kubelet.yaml": "kubelet.yaml", "kube-proxy.yaml": "kube-proxy.yaml", "dns.yaml": "dns.yaml",
	} {
		text, err := s.render(name)
		if err != nil {
			return err
		}
		path := filepath.Join(s.Dir, target)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
