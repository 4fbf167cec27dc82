package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Component names one program of the control plane. The value is the name of its binary.
type Component string

// The programs that Build provides. Kubectl is a tool; the others but CertManager are started by Start, in this order.
const (
	Etcd              Component = "etcd"
	APIServer         Component = "kube-apiserver"
	ControllerManager Component = "kube-controller-manager"
	Scheduler         Component = "kube-scheduler"
	Kwok              Component = "kwok"
	Kubectl           Component = "kubectl"
	// CertManager is cert-manager's controllers and cainjector, which only StartCertManager starts.
	CertManager Component = "cert-manager"
)

// The programs of a real node, which BuildNode provides. CoreDNS runs in a pod.
const (
	Kubelet        Component = "kubelet"
	KubeProxy      Component = "kube-proxy"
	Containerd     Component = "containerd"
	ContainerdShim Component = "containerd-shim-runc-v2"
	Ctr            Component = "ctr"
	CoreDNS        Component = "coredns"
)

// recipe says how one component is built from a nested module of this directory.
type recipe struct {
	component Component
	// module is the directory of the nested module, relative to hack/controlplane.
	module string
	// pkg is the main package.
	pkg string
	// versionOf is the module whose required version is the component's version.
	versionOf string
	// tags are the build tags.
	tags string
	// stampVersion is whether the binary has to be told its version: Kubernetes reports v0.0.0-master otherwise, which
	// kubectl and the feature gates of kube-apiserver take for a development build.
	stampVersion bool
}

// recipes lists what Build builds, in the order in which it does.
func recipes() []recipe {
	kubernetes := func(c Component) recipe {
		return recipe{
			component: c, module: "kubernetes", pkg: "k8s.io/kubernetes/cmd/" + string(c),
			versionOf: "k8s.io/kubernetes", stampVersion: true,
		}
	}
	return []recipe{
		{component: Etcd, module: "etcd", pkg: "go.etcd.io/etcd/server/v3", versionOf: "go.etcd.io/etcd/server/v3"},
		kubernetes(APIServer),
		kubernetes(ControllerManager),
		kubernetes(Scheduler),
		kubernetes(Kubectl),
		{component: Kwok, module: "kwok", pkg: "sigs.k8s.io/kwok/cmd/kwok", versionOf: "sigs.k8s.io/kwok"},
		{
			component: CertManager, module: "certmanager", pkg: "github.com/bulkhead-dev/bulkhead/hack/controlplane/certmanager",
			versionOf: "github.com/cert-manager/cert-manager",
		},
	}
}

// nodeRecipes lists what BuildNode builds, in the order in which it does.
func nodeRecipes() []recipe {
	containerd := func(c Component) recipe {
		return recipe{
			component: c, module: "../node/containerd", pkg: "github.com/containerd/containerd/v2/cmd/" + string(c),
			versionOf: "github.com/containerd/containerd/v2",
			tags:      "no_btrfs,no_devmapper,no_zfs", // one snapshotter is enough, and these want C libraries
		}
	}
	recipes := []recipe{
		containerd(Containerd),
		containerd(ContainerdShim),
		containerd(Ctr),
		{
			component: CoreDNS, module: "../node/coredns", pkg: "github.com/bulkhead-dev/bulkhead/hack/node/coredns",
			versionOf: "github.com/coredns/coredns",
		},
	}
	for _, c := range []Component{Kubelet, KubeProxy} {
		recipes = append(recipes, recipe{
			component: c, module: "kubernetes", pkg: "k8s.io/kubernetes/cmd/" + string(c),
			versionOf: "k8s.io/kubernetes", stampVersion: true,
		})
	}
	return recipes
}

// ldflags returns the linker flags for the component at version, such as v1.36.3.
func (r recipe) ldflags(version string) (string, error) {
	const strip = "-s -w"
	if !r.stampVersion {
		return strip, nil
	}
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) != 3 {
		return "", fmt.Errorf("version %q of %s in %s/go.mod is not of the form v1.2.3", version, r.versionOf, r.module)
	}
	const variables = "-X k8s.io/component-base/version."
	return strip +
		" " + variables + "gitVersion=" + version +
		" " + variables + "gitMajor=" + parts[0] +
		" " + variables + "gitMinor=" + parts[1], nil
}

// requiredVersion returns the version that goMod, the text of a go.mod file, requires of module.
func requiredVersion(goMod, module string) (string, error) {
	match := regexp.MustCompile(`(?m)^\s*(?:require\s+)?` + regexp.QuoteMeta(module) + `\s+(v\S+)`).FindStringSubmatch(goMod)
	if match == nil {
		return "", fmt.Errorf("go.mod requires no version of %s", module)
	}
	return match[1], nil
}

// rootModule is the first line of the go.mod file at the root of the repository.
const rootModule = "module github.com/bulkhead-dev/bulkhead\n"

// findRepository walks up from start to the root of the repository.
func findRepository(start string) (string, error) {
	for dir := start; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.Contains("\n"+string(text), "\n"+rootModule) {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", fmt.Errorf("%s is not inside Bulkhead's repository, whose nested modules pin the control plane: "+
				"run this from a clone of it", start)
		}
	}
}
