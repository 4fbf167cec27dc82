package cluster

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// maxReferences bounds what is kept of one pod, and maxValue the length of what is read, in bytes: longer values are scripts and
// documents.
const maxReferences, maxValue = 100, 2048

// ReferencesOf gives the hosts that the environment variables and arguments of a pod's containers name: in URLs, with a port,
// in lists of these, as a Service's full name, and alone where the name of the variable says that it is one (REDIS_HOST, with the
// port of REDIS_PORT). Only the host and port are kept of a value: the rest may be secret. Addresses are left out. Each is listed
// once.
func ReferencesOf(spec *corev1.PodSpec) []Reference {
	var out []Reference
	for _, containers := range [...][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			env := environment(containers[i].Env)
			for _, settings := range [...][]setting{env, arguments(&containers[i], env)} {
				for _, r := range references(settings) {
					if len(out) < maxReferences && !slices.Contains(out, r) {
						out = append(out, r)
					}
				}
			}
		}
	}
	return out
}

// Service gives the name of the Service that the host means to a pod of the namespace: svc, svc.ns, svc.ns.svc and that with any
// cluster domain. Source: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
func (r *Reference) Service(namespace string) (name NamespacedName, ok bool) {
	host, absolute := strings.CutSuffix(strings.ToLower(r.Host), ".")
	labels := strings.Split(host, ".")
	switch {
	case absolute && len(labels) <= serviceLabels || len(labels) >= serviceLabels && labels[2] != "svc":
		return NamespacedName{}, false
	case len(labels) == 1:
		return NamespacedName{namespace, labels[0]}, true
	}
	return NamespacedName{labels[1], labels[0]}, true
}

// serviceLabels is how many labels svc.ns.svc has.
const serviceLabels = 3

// setting is one value that a container is given under a name, which is empty for an argument that stands alone. kind and shown
// are the two halves of the source: most settings need none.
type setting struct{ kind, shown, name, value string }

// environment lists the variables whose values are written in the pod, with the references to others expanded. What comes from a
// Secret, a ConfigMap or a field stays as it is written, and no host.
func environment(vars []corev1.EnvVar) []setting {
	out := make([]setting, 0, len(vars))
	for i := range vars {
		if vars[i].ValueFrom == nil {
			out = append(out, setting{"env ", vars[i].Name, vars[i].Name, expand(vars[i].Value, out)})
		}
	}
	return out
}

// arguments lists the command line: "--name=value" and "--name value" have a name.
func arguments(c *corev1.Container, env []setting) []setting {
	var out []setting
	flag := ""
	for _, words := range [...][]string{c.Command, c.Args} {
		for _, word := range words {
			word = expand(word, env)
			before := flag
			flag = ""
			name, value, joined := strings.Cut(word, "=")
			switch {
			case joined && isFlag(name):
				out = append(out, setting{"argument ", name, strings.TrimLeft(name, "-"), value})
			case strings.HasPrefix(word, "--") && isFlag(word):
				flag = word
			case before != "" && !strings.HasPrefix(word, "-"):
				out = append(out, setting{"argument ", before, strings.TrimLeft(before, "-"), word})
			default:
				out = append(out, setting{"argument", "", "", word})
			}
		}
	}
	return out
}

// isFlag reports whether the word is the name of an option, and so nothing secret: "--redis-addr".
func isFlag(word string) bool {
	name := strings.TrimLeft(word, "-")
	return len(name) > 1 && len(name) < len(word) && strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	}) < 0
}

// expand writes the values of variables in place of "$(NAME)", as the kubelet does. A variable that is not known stays as it is
// written, and "$$" is a dollar. Source: core/v1 EnvVar.value.
func expand(value string, vars []setting) string {
	if !strings.Contains(value, "$") || len(value) > maxValue {
		return value
	}
	var b strings.Builder
	for value != "" && b.Len() <= maxValue {
		plain, rest, found := strings.Cut(value, "$")
		b.WriteString(plain)
		if !found {
			break
		}
		name, after, closed := strings.Cut(strings.TrimPrefix(rest, "("), ")")
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			value = rest[1:]
		case strings.HasPrefix(rest, "(") && closed:
			if i := lastSetting(vars, name); i >= 0 {
				b.WriteString(vars[i].value)
			} else {
				b.WriteString("$(" + name + ")")
			}
			value = after
		default:
			b.WriteByte('$')
			value = rest
		}
	}
	return b.String()
}

// lastSetting gives the place of the last setting of that name, which is the one that counts; -1 where there is none.
func lastSetting(settings []setting, name string) int {
	for i := len(settings) - 1; i >= 0; i-- {
		if settings[i].name == name {
			return i
		}
	}
	return -1
}

// references reads the settings of one kind of one container.
func references(settings []setting) []Reference {
	var out []Reference
	var ports map[string]uint16 // by the name of the variable, without the end
	for _, s := range settings {
		if len(s.value) > maxValue || s.value == "" {
			continue
		}
		had := len(out)
		if strings.Contains(s.value, ":") || strings.Contains(s.value, ".svc") { // most values have neither
			for _, h := range hostsIn(s.value, isSecret(s.name)) {
				out = append(out, Reference{s.kind + s.shown, h.host, h.port})
			}
		}
		if prefix, ok := cutHostSuffix(s.name); ok && len(out) == had && isHost(s.value) {
			if ports == nil {
				ports = portsOf(settings)
			}
			out = append(out, Reference{s.kind + s.shown, s.value, ports[prefix]})
		}
	}
	return out
}

// isSecret reports whether the variable's name says that its value is a secret: then only URLs in it are read.
func isSecret(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{"PASS", "SECRET", "TOKEN", "CREDENTIAL", "PRIVATE", "KEY"}, func(s string) bool {
		return strings.Contains(name, s)
	})
}

// cutHostSuffix gives what the name of a variable that holds a host begins with: REDIS_ of REDIS_HOST.
func cutHostSuffix(name string) (prefix string, ok bool) {
	for _, suffix := range [...]string{"HOSTNAME", "HOST"} {
		if end := len(name) - len(suffix); end > 0 && strings.EqualFold(name[end:], suffix) {
			prefix = canonicalName(name[:end])
			return prefix, strings.Trim(prefix, "_") != ""
		}
	}
	return "", false
}

// portsOf gives the ports of the variables that hold one, by what their names begin with.
func portsOf(settings []setting) map[string]uint16 {
	out := map[string]uint16{}
	for _, s := range settings {
		end := len(s.name) - len("PORT")
		if end > 0 && strings.EqualFold(s.name[end:], "PORT") {
			if n, err := strconv.ParseUint(s.value, 10, 16); err == nil {
				out[canonicalName(s.name[:end])] = uint16(n)
			}
		}
	}
	return out
}

// canonicalName writes a name as environment variables are named: redis-host and redis.host are REDIS_HOST.
func canonicalName(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '-' || c == '.' {
			return '_'
		}
		return c
	}, strings.ToUpper(name))
}
