package controlplane

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

const (
	// DefaultNodes is the number of nodes where Options.Nodes is zero.
	DefaultNodes = 2
	// MaxNodes is how many nodes the pod network 10.244.0.0/16 has room for, with a /24 each.
	MaxNodes = 256
)

// Options chooses what Start starts. The zero value is a complete control plane with DefaultNodes nodes.
type Options struct {
	// Nodes is the number of fake nodes, each with room for 110 pods; 0 means DefaultNodes. To have none, omit Kwok.
	Nodes int
	// Omit leaves out components: any of ControllerManager, Scheduler and Kwok. A benchmark of admission needs none.
	Omit []Component
	// DisabledControllers names controllers of kube-controller-manager that are not to run, such as "nodelifecycle".
	DisabledControllers []string
	// APIServerArgs are further flags of kube-apiserver. They come last, so that they override the built-in ones.
	APIServerArgs []string
	// AdmissionConfig is the path of an AdmissionConfiguration file for kube-apiserver
	// (--admission-control-config-file), "" for none.
	AdmissionConfig string
	// AuditLog has kube-apiserver write every change of an object to AuditLogPath, at level Metadata with annotations.
	AuditLog bool
	// Dir is a directory for certificates, data and logs, empty or absent; "" means a temporary one. Stop empties it,
	// and removes it if Start made it.
	Dir string
	// KeepLogs has Stop leave the logs, the audit log among them.
	KeepLogs bool
	// BinDir is where the programs are, or are built: the dir of Build.
	BinDir string
	// Progress receives the progress of building, and each component's readiness; nil for silence.
	Progress io.Writer
}

// withDefaults checks the options and fills in what is left open.
func (o Options) withDefaults() (Options, error) {
	if o.Nodes < 0 || o.Nodes > MaxNodes {
		return o, fmt.Errorf("%d nodes: choose 1 to %d, 0 for the default of %d", o.Nodes, MaxNodes, DefaultNodes)
	}
	if o.Nodes == 0 {
		o.Nodes = DefaultNodes
	}
	optional := []Component{ControllerManager, Scheduler, Kwok}
	for _, component := range o.Omit {
		if !slices.Contains(optional, component) {
			return o, fmt.Errorf("cannot omit %q: only %v are optional", component, optional)
		}
	}
	if o.AdmissionConfig != "" {
		path, err := filepath.Abs(o.AdmissionConfig)
		if err != nil {
			return o, err
		}
		if _, err := os.Stat(path); err != nil {
			return o, fmt.Errorf("the admission configuration: %w", err)
		}
		o.AdmissionConfig = path
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o, nil
}

// includes reports whether the component is to run.
func (o Options) includes(component Component) bool { return !slices.Contains(o.Omit, component) }
