package controlplane

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Context is the name of the cluster and the context in every kubeconfig file.
const Context = "bulkhead"

// writeKubeconfig writes a kubeconfig file that holds all it needs, so that it can be copied elsewhere.
func writeKubeconfig(path, server, user string, ca []byte, pair keyPair) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[Context] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.cert, ClientKeyData: pair.key}
	config.Contexts[Context] = &clientcmdapi.Context{Cluster: Context, AuthInfo: user}
	config.CurrentContext = Context
	if err := clientcmd.WriteToFile(*config, path); err != nil { // with mode 0600
		return fmt.Errorf("write the kubeconfig of %s: %w", user, err)
	}
	return nil
}

// kubeconfigFile returns the file name for an identity: readable, valid, and different for different identities.
func kubeconfigFile(user string, groups []string) string {
	readable := regexp.MustCompile(`[^A-Za-z0-9.-]+`).ReplaceAllString(user, "-")
	sum := sha256.Sum256([]byte(strings.Join(append([]string{user}, groups...), "\x00")))
	return fmt.Sprintf("%.60s-%s.kubeconfig", readable, hex.EncodeToString(sum[:4]))
}

// KubeconfigFor writes a kubeconfig file for a user, with a client certificate that puts it into groups, and returns the
// path. Rights are up to RBAC: the API server knows a new user as system:authenticated only.
func (c *ControlPlane) KubeconfigFor(user string, groups ...string) (string, error) {
	pair, err := c.pki.ca.client(user, groups...)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.dir, kubeconfigDir, kubeconfigFile(user, groups))
	return path, writeKubeconfig(path, c.URL(), user, c.pki.ca.pair.cert, pair)
}

// ClientCertificate issues a client certificate of the cluster's authority, in PEM: for a kubeconfig that kube-apiserver
// presents to webhooks, for instance.
func (c *ControlPlane) ClientCertificate(user string, groups ...string) (cert, key []byte, err error) {
	pair, err := c.pki.ca.client(user, groups...)
	return pair.cert, pair.key, err
}
