package controlplane

import (
	"k8s.io/client-go/rest"
)

// RESTConfig returns a copy of the administrator's client configuration (group system:masters), without a rate limit on
// the client's side.
func (c *ControlPlane) RESTConfig() *rest.Config { return rest.CopyConfig(c.admin) }

// KubeconfigPath returns the path of the administrator's kubeconfig file.
func (c *ControlPlane) KubeconfigPath() string { return c.componentKubeconfig(Kubectl) }

// KubectlPath returns the path of kubectl, in the version of the API server.
func (c *ControlPlane) KubectlPath() string { return c.binaries.Path(Kubectl) }

// Binaries says where the programs are.
func (c *ControlPlane) Binaries() Binaries { return c.binaries }

// Dir returns the directory that holds certificates, data and logs.
func (c *ControlPlane) Dir() string { return c.dir }

// LogPath returns the path of a component's log.
func (c *ControlPlane) LogPath(component Component) string {
	return c.path(logDir, string(component)+".log")
}

// AuditLogPath returns the path of the audit log, one JSON event a line, which is there if Options.AuditLog was set.
func (c *ControlPlane) AuditLogPath() string { return c.path(logDir, auditLogFile) }

// URL returns the API server's address, such as https://127.0.0.1:40123.
func (c *ControlPlane) URL() string { return "https://" + c.ports.apiServer.address() }

// CABundle returns the cluster's certificate authority in PEM: it signed the API server's certificate and signs its
// clients'.
func (c *ControlPlane) CABundle() []byte { return append([]byte(nil), c.pki.ca.pair.cert...) }

// CAKey returns the private key of that authority in PEM.
func (c *ControlPlane) CAKey() []byte { return append([]byte(nil), c.pki.ca.pair.key...) }

// EtcdAccess is what a client of etcd needs.
type EtcdAccess struct {
	Endpoint string // such as https://127.0.0.1:40124
	CAFile   string
	CertFile string
	KeyFile  string
}

// Etcd returns how to reach etcd directly, past the API server.
func (c *ControlPlane) Etcd() EtcdAccess {
	return EtcdAccess{
		Endpoint: c.etcdURL(), CAFile: c.pki.crt(etcdCAFiles),
		CertFile: c.pki.crt(etcdClientFiles), KeyFile: c.pki.key(etcdClientFiles),
	}
}

func (c *ControlPlane) etcdURL() string { return "https://" + c.ports.etcdClient.address() }
