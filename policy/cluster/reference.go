package cluster

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ReferencesOf gives the hosts that the containers' environment variables and arguments name together with a port, or in
// the form of a Service's full name. Only the host is kept of a value: the rest may be secret.
func ReferencesOf(containers []corev1.Container) []Reference {
	var out []Reference
	for i := range containers {
		for _, e := range containers[i].Env {
			out = appendReference(out, "env "+e.Name, e.Value)
		}
		for _, arg := range append(append([]string{}, containers[i].Command...), containers[i].Args...) {
			source, value := "argument", arg
			if name, after, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(name, "-") {
				source, value = "argument "+name, after
			}
			out = appendReference(out, source, value)
		}
	}
	return out
}

func appendReference(to []Reference, source, value string) []Reference {
	if value == "" || len(value) > 2048 {
		return to
	}
	host, port := value, ""
	if strings.Contains(value, "://") {
		u, err := url.Parse(value)
		if err != nil {
			return to
		}
		host, port = u.Hostname(), u.Port()
	} else if h, p, err := net.SplitHostPort(value); err == nil {
		host, port = h, p
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if port != "" && err != nil || port == "" && !strings.Contains(host, ".svc") {
		return to
	}
	return append(to, Reference{Source: source, Host: host, Port: uint16(number)})
}
