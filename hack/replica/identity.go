package replica

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ServiceAccount is that of the pods, in Namespace.
const ServiceAccount = "bulkhead"

// tokenLifetime is longer than anybody leaves a demo running. Nothing renews the token, as the kubelet does for pods.
const tokenLifetime = 48 * time.Hour

// WriteIdentity writes a kubeconfig file to path with which a process is the service account, by a token that the API server makes
// as it does for pods. admin says where that is.
func WriteIdentity(ctx context.Context, client kubernetes.Interface, admin *rest.Config, namespace, account, path string) error {
	seconds := int64(tokenLifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	made, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("a token for the service account %s/%s: %w", namespace, account, err)
	}
	const name = "bulkhead"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{
		Server: admin.Host, TLSServerName: admin.ServerName, InsecureSkipTLSVerify: admin.Insecure,
		CertificateAuthority: admin.CAFile, CertificateAuthorityData: admin.CAData,
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: made.Status.Token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, path)
}
