package cluster

import (
	"slices"
	"strconv"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
)

// Use is what a pod's spec and annotations say of the connections that it makes and gets.
type Use struct {
	// ServiceAccount of the pod, of its own namespace.
	ServiceAccount string
	// Token says that a token for the API server is mounted. Of a pod template it is true unless the template says
	// otherwise: what the service account says is not known.
	Token bool
	// Scraped says that the annotation prometheus.io/scrape asks for scrapes, and ScrapePort on which port; 0 is the declared
	// ones.
	Scraped    bool
	ScrapePort uint16
	// References are the hosts that environment variables and arguments name.
	References []Reference
}

// Reference is a host that an environment variable or an argument of a container names.
type Reference struct {
	// Source is where it stands: "env REDIS_ADDR", "argument --upstream", or "argument" for one without a name.
	Source string
	// Host as written, and the port beside it, 0 where none is.
	Host string
	Port uint16
}

// defaultAccount is the service account of pods that name none. Source: core/v1 PodSpec.serviceAccountName.
const defaultAccount = "default"

// uses is a Use as part of what tells the pods of one workload apart; its strings are canonical.
type uses struct {
	account        string
	token, scraped bool
	scrapePort     uint16
	references     string
}

// usesOf reads a pod or a pod template. written says that it is as somebody wrote it, so that admission has not yet mounted what
// it mounts; what an API server has stored has a UID.
func usesOf(annotations map[string]string, spec *corev1.PodSpec, written bool) uses {
	u := uses{
		account: spec.ServiceAccountName, token: mountsToken(spec, written),
		references: encodeReferences(ReferencesOf(spec)),
	}
	if u.account == "" {
		u.account = defaultAccount
	}
	u.scraped, u.scrapePort = scrapeAnnotations(annotations)
	return u
}

// scrapeAnnotations reads the annotations by which pods and Services ask Prometheus to scrape them, a custom that most scrape
// configurations know. Source: the example scrape configuration of Prometheus for Kubernetes.
func scrapeAnnotations(annotations map[string]string) (scraped bool, port uint16) {
	if scraped, _ = strconv.ParseBool(annotations["prometheus.io/scrape"]); !scraped {
		return false, 0
	}
	n, err := strconv.ParseUint(annotations["prometheus.io/port"], 10, 16)
	if err != nil {
		return true, 0
	}
	return true, uint16(n)
}

// mountsToken reports whether the pod has a token for the API server. The admission plugin ServiceAccount mounts it as a
// projected volume, unless the pod or its account asks it not to. Source: core/v1 PodSpec.automountServiceAccountToken.
func mountsToken(spec *corev1.PodSpec, written bool) bool {
	if slices.ContainsFunc(spec.Volumes, projectsToken) {
		return true
	}
	return written && (spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken)
}

// projectsToken reports whether the volume holds a token whose audience is the API server.
func projectsToken(v corev1.Volume) bool {
	return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
		return s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == ""
	})
}

func (u uses) use() Use {
	return Use{
		ServiceAccount: u.account, Token: u.token, Scraped: u.scraped, ScrapePort: u.scrapePort,
		References: decodeReferences(u.references),
	}
}

// Uses gives what the workload's pods say of their connections. Pods that no policy can tell apart may differ in it; each
// way is listed once, in a stable order.
func (w *Workload) Uses() []Use {
	if w.made != (unique.Handle[uses]{}) {
		return []Use{w.made.Value().use()}
	}
	var distinct []unique.Handle[uses] // comparing those is cheap, and the pods of a large StatefulSet are a variant each
	for _, v := range w.variants {
		if !slices.Contains(distinct, v.uses) {
			distinct = append(distinct, v.uses)
		}
	}
	slices.SortFunc(distinct, func(a, b unique.Handle[uses]) int { return compareUses(a.Value(), b.Value()) })
	out := make([]Use, 0, len(distinct))
	for _, u := range distinct {
		out = append(out, u.Value().use())
	}
	return out
}

// SameUse reports whether both templates, or both single pods, say the same of their connections.
func (w *Workload) SameUse(other *Workload) bool {
	return w.made == other.made
}

func compareUses(a, b uses) int {
	if c := strings.Compare(a.account, b.account); c != 0 {
		return c
	}
	if c := strings.Compare(a.references, b.references); c != 0 {
		return c
	}
	flags := func(u uses) int {
		n := int(u.scrapePort) * 4
		if u.token {
			n++
		}
		if u.scraped {
			n += 2
		}
		return n
	}
	return flags(a) - flags(b)
}

func encodeReferences(references []Reference) string {
	var b strings.Builder
	for _, r := range references {
		b.WriteString(r.Source)
		b.WriteByte(0)
		b.WriteString(r.Host)
		b.WriteByte(0)
		b.WriteString(strconv.Itoa(int(r.Port)))
		b.WriteByte(0)
	}
	return b.String()
}

func decodeReferences(s string) []Reference {
	var out []Reference
	for s != "" {
		var r Reference
		var port string
		r.Source, s, _ = strings.Cut(s, "\x00")
		r.Host, s, _ = strings.Cut(s, "\x00")
		port, s, _ = strings.Cut(s, "\x00")
		n, _ := strconv.ParseUint(port, 10, 16)
		r.Port = uint16(n)
		out = append(out, r)
	}
	return out
}
