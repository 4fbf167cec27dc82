package controlplane

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Addresses of the cluster: kubeadm's defaults, which people recognize.
const (
	serviceRange = "10.96.0.0/16"
	apiServiceIP = "10.96.0.1"
	dnsServiceIP = "10.96.0.10"
	podRange     = "10.244.0.0/16"
	// AdvertiseAddress is the API server's address in the endpoints of the Service default/kubernetes. The API refuses
	// loopback addresses there, so it is one that is reserved for documentation (RFC 5737) and routes nowhere.
	AdvertiseAddress = "192.0.2.1"
)

// Names under the working directory.
const (
	kubeconfigDir   = "kubeconfig"
	logDir          = "logs"
	pkiDir          = "pki"
	etcdDataDir     = "etcd"
	homeDir         = "home"
	stagesFile      = "kwok.yaml"
	auditPolicyFile = "audit-policy.yaml"
	auditLogFile    = "audit.log"
)

// users are the identities that the components and the administrator have, with the groups of their certificates.
// The names of system users are Kubernetes' own, to which its default cluster roles are bound.
func users() map[Component]identity {
	return map[Component]identity{
		ControllerManager: {user: "system:kube-controller-manager"},
		Scheduler:         {user: "system:kube-scheduler"},
		Kwok:              {user: "kwok", groups: []string{mastersGroup}},
		Kubectl:           {user: "kubernetes-admin", groups: []string{mastersGroup}},
	}
}

// mastersGroup may do everything, past RBAC.
const mastersGroup = "system:masters"

type identity struct {
	user   string
	groups []string
}

func (c *ControlPlane) path(names ...string) string {
	return filepath.Join(append([]string{c.dir}, names...)...)
}

// componentKubeconfig is the kubeconfig file of a component; Kubectl stands for the administrator.
func (c *ControlPlane) componentKubeconfig(component Component) string {
	if component == Kubectl {
		return c.path(kubeconfigDir, "admin.kubeconfig")
	}
	return c.path(kubeconfigDir, string(component)+".kubeconfig")
}

// arguments returns the command line of a component.
func (c *ControlPlane) arguments(component Component) []string {
	switch component {
	case Etcd:
		return c.etcdArguments()
	case APIServer:
		return c.apiServerArguments()
	case ControllerManager:
		return c.controllerManagerArguments()
	case Scheduler:
		return c.schedulerArguments()
	case Kwok:
		return c.kwokArguments()
	default:
		return nil
	}
}

func (c *ControlPlane) etcdArguments() []string {
	peer := "http://" + c.ports.etcdPeer.address() // a single member: nobody ever connects
	return []string{
		"--name=default",
		"--data-dir=" + c.path(etcdDataDir),
		"--listen-client-urls=" + c.etcdURL(),
		"--advertise-client-urls=" + c.etcdURL(),
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--socket-reuse-port=true",
		"--cert-file=" + c.pki.crt(etcdServerFiles),
		"--key-file=" + c.pki.key(etcdServerFiles),
		"--trusted-ca-file=" + c.pki.crt(etcdCAFiles),
		"--client-cert-auth=true",
		// The data need not outlive the machine, and fsync is what makes etcd slow on ordinary disks.
		"--unsafe-no-fsync=true",
		fmt.Sprintf("--quota-backend-bytes=%d", 4<<30), // large test clusters pass the default of 2 GiB
	}
}

func (c *ControlPlane) apiServerArguments() []string {
	arguments := []string{
		"--etcd-servers=" + c.etcdURL(),
		"--etcd-cafile=" + c.pki.crt(etcdCAFiles),
		"--etcd-certfile=" + c.pki.crt(etcdClientFiles),
		"--etcd-keyfile=" + c.pki.key(etcdClientFiles),
		"--advertise-address=" + AdvertiseAddress,
		"--service-cluster-ip-range=" + serviceRange,
		"--client-ca-file=" + c.pki.crt(caFiles),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.path(pkiDir, serviceAccountPublic),
		"--service-account-signing-key-file=" + c.path(pkiDir, serviceAccountKey),
		// The API server gets the logs of pods from kubelets, where nodes have any.
		"--kubelet-client-certificate=" + c.pki.crt(kubeletClientFiles),
		"--kubelet-client-key=" + c.pki.key(kubeletClientFiles),
		"--kubelet-preferred-address-types=InternalIP",
		// The aggregation layer, whose authority the other components look up too, to check their own callers.
		"--requestheader-client-ca-file=" + c.pki.crt(frontProxyCAFiles),
		"--requestheader-allowed-names=" + frontProxyClient,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki.crt(frontProxyClientFiles),
		"--proxy-client-key-file=" + c.pki.key(frontProxyClientFiles),
		// Room for load tests: the webhook is to be the limit, not priority and fairness.
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1500",
	}
	arguments = append(arguments, c.servingArguments(c.ports.apiServer, apiServerFiles)...)
	if c.options.AuditLog {
		arguments = append(arguments,
			"--audit-policy-file="+c.path(auditPolicyFile),
			"--audit-log-path="+c.AuditLogPath(),
			"--audit-log-mode=blocking", // a request's line is there once it is answered
		)
	}
	if c.options.AdmissionConfig != "" {
		arguments = append(arguments, "--admission-control-config-file="+c.options.AdmissionConfig)
	}
	return append(arguments, c.options.APIServerArgs...)
}

func (c *ControlPlane) controllerManagerArguments() []string {
	controllers := []string{"*"}
	for _, name := range c.options.DisabledControllers {
		controllers = append(controllers, "-"+name)
	}
	arguments := []string{
		"--leader-elect=false",
		"--controllers=" + strings.Join(controllers, ","),
		"--use-service-account-credentials=true",
		"--root-ca-file=" + c.pki.crt(caFiles),
		"--service-account-private-key-file=" + c.path(pkiDir, serviceAccountKey),
		"--cluster-signing-cert-file=" + c.pki.crt(caFiles),
		"--cluster-signing-key-file=" + c.pki.key(caFiles),
		"--allocate-node-cidrs=true",
		"--cluster-cidr=" + podRange,
		"--service-cluster-ip-range=" + serviceRange,
		// Where it would look by default, it makes the directory, outside of ours.
		"--flex-volume-plugin-dir=" + c.path(homeDir, "flexvolume"),
		"--kube-api-qps=500", // the default of 20 makes large test clusters slow to fill
		"--kube-api-burst=1000",
	}
	arguments = append(arguments, c.clientArguments(ControllerManager)...)
	return append(arguments, c.servingArguments(c.ports.controllerManager, controllerFiles)...)
}

func (c *ControlPlane) schedulerArguments() []string {
	arguments := append([]string{"--leader-elect=false"}, c.clientArguments(Scheduler)...)
	return append(arguments, c.servingArguments(c.ports.scheduler, schedulerFiles)...)
}

func (c *ControlPlane) kwokArguments() []string {
	return []string{
		"--kubeconfig=" + c.componentKubeconfig(Kwok),
		"--config=" + c.path(stagesFile),
		"--manage-nodes-with-annotation-selector=" + fakeNodeAnnotation + "=" + fakeNodeValue,
		// Heartbeats go into the nodes' status. With leases, a restarted kwok would wait for its predecessor's to expire.
		"--node-lease-duration-seconds=0",
	}
}

// clientArguments has a component talk to the API server, and check its own callers there.
func (c *ControlPlane) clientArguments(component Component) []string {
	kubeconfig := c.componentKubeconfig(component)
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
	}
}

// servingArguments has a component serve on a reserved port of the loopback interface.
func (c *ControlPlane) servingArguments(p port, files string) []string {
	return []string{
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", p.number), "--permit-port-sharing=true",
		"--tls-cert-file=" + c.pki.crt(files), "--tls-private-key-file=" + c.pki.key(files),
	}
}

// environment is what a component sees: not the caller's variables, some of which would configure it (ETCD_*, proxies).
func (c *ControlPlane) environment() []string {
	return []string{"HOME=" + c.path(homeDir), "TMPDIR=" + c.path(homeDir), "KWOK_WORKDIR=" + c.path(homeDir)}
}
