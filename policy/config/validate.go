package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxDocsURL leaves room for the rest of a warning, which the API server cuts
// to 256 characters when there are many.
const maxDocsURL = 128

// validate adds the problems of values that decoded well.
func (d *decoder) validate(c *Config) {
	d.fixed("apiVersion", c.APIVersion, APIVersion)
	d.fixed("kind", c.Kind, Kind)
	if c.ErrorAction == Off {
		d.add(field.NewPath("errorAction"), `"Off" would hide that a guardrail fails`, "write "+orList([]string{string(Audit), string(Warn), string(Deny)}))
	}
	d.docsURL(c)
	d.exempt(c.Exempt)
	d.resolver(c.Resolver)
	d.network(c.Network)
	d.events(c.Events)
	for _, spec := range d.specs {
		validator, ok := c.Guardrails[spec.Slug].Parameters.(ParameterValidator)
		if !ok {
			continue
		}
		for _, e := range validator.Validate(field.NewPath("guardrails", spec.Slug, "parameters")) {
			if !d.faulty[e.Field] {
				d.addAt(d.lineOf(e.Field), e.Field, e.ErrorBody(), "")
			}
		}
	}
}

// fixed checks a field that has one legal value and must be there.
func (d *decoder) fixed(name, got, want string) {
	path := field.NewPath(name)
	switch _, present := d.lines[name]; {
	case !present:
		d.add(path, "is missing", fmt.Sprintf("add the line %q", name+": "+want))
	case got == "" && d.faulty[name]:
	case got != want:
		d.add(path, fmt.Sprintf("%s is not what this version of Bulkhead reads", quote(got)), fmt.Sprintf("write %q", want))
	}
}

func (d *decoder) docsURL(c *Config) {
	path := field.NewPath("docsURL")
	refuse := func(reason string) {
		d.add(path, fmt.Sprintf("%s %s", quote(c.DocsURL), reason), "write a URL such as "+DefaultDocsURL)
	}
	u, err := url.Parse(c.DocsURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsFunc(c.DocsURL, isHidden) || strings.Contains(c.DocsURL, " "):
		refuse("is not an http or https URL")
	case u.User != nil:
		// Not quoted: the password would end up in logs.
		d.add(path, "holds a user or a password, which every denial would show", "remove it")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(c.DocsURL, "#"):
		refuse("has a query or a fragment, but a guardrail's name is appended to it")
	case len(c.DocsURL) > maxDocsURL:
		refuse(fmt.Sprintf("has more than %d characters", maxDocsURL))
	default:
		c.DocsURL = strings.TrimRight(c.DocsURL, "/")
	}
}

func (d *decoder) exempt(e Exempt) {
	path := field.NewPath("exempt")
	d.names(path.Child("namespaces"), e.Namespaces, func(name string) (string, string) {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return quote(name) + " is not a namespace name: " + problems[0], ""
		}
		return "", ""
	})
	d.names(path.Child("users"), e.Users, func(name string) (string, string) {
		if name == "system:anonymous" {
			return quote(name) + " is every caller without credentials", "name the users that need the exemption"
		}
		return "", ""
	})
	d.names(path.Child("groups"), e.Groups, func(name string) (string, string) {
		// To exempt any of these is to switch Bulkhead off unnoticed, for everyone or for all that is automated.
		switch name {
		case "system:authenticated", "system:unauthenticated":
			return quote(name) + " would exempt everyone", "name a narrower group; to stop enforcing, lower maximumAction"
		case "system:serviceaccounts":
			return quote(name) + " would exempt every controller and every pipeline",
				"name one account as a user, such as system:serviceaccount:flux-system:flux, or the accounts of one namespace, such as system:serviceaccounts:flux-system"
		}
		return "", ""
	})
}

// names checks a list of exact names: what holds for all of them, then check,
// which returns a message and a remedy.
func (d *decoder) names(path *field.Path, names []string, check func(string) (message, remedy string)) {
	first := map[string]int{}
	for i, name := range names {
		at := path.Index(i)
		if d.faulty[at.String()] {
			continue
		}
		earlier, duplicate := first[name]
		message, remedy := "", ""
		switch {
		case name == "":
			message, remedy = `"" names nothing`, "remove it"
		case name == "*":
			message, remedy = `"*" would exempt everything`, "list exact names; to stop enforcing, lower maximumAction"
		case strings.Contains(name, "*"):
			message, remedy = quote(name)+" is a pattern", "list exact names"
		case strings.TrimSpace(name) != name || strings.ContainsFunc(name, isHidden):
			message, remedy = quote(name)+" has spaces around it or characters that are not printable", "list exact names"
		case duplicate:
			message, remedy = fmt.Sprintf("%s is already entry %d", quote(name), earlier), "keep one of them"
		default:
			message, remedy = check(name)
		}
		first[name] = i
		if message != "" {
			d.add(at, message, remedy)
		}
	}
}

// isHidden holds for control characters, bidirectional ones included, and for
// spaces other than the plain one.
func isHidden(r rune) bool { return !unicode.IsPrint(r) }

func (d *decoder) resolver(r Resolver) {
	path := field.NewPath("resolver")
	if r.Service != nil {
		d.label(path.Child("service", "namespace"), r.Service.Namespace, "namespace")
		d.label(path.Child("service", "name"), r.Service.Name, "Service")
	}
	first := map[netip.Addr]int{}
	for i, addr := range r.Addresses {
		at := path.Child("addresses").Index(i)
		earlier, duplicate := first[addr]
		switch {
		case d.faulty[at.String()]:
		case !addr.IsValid():
			d.add(at, "is empty", "write an IP address or remove it")
		case addr.Zone() != "":
			d.add(at, quote(addr.String())+" has a zone, which NetworkPolicy cannot express", "remove what follows the %")
		case addr.Is4In6():
			d.add(at, quote(addr.String())+" is an IPv4 address in IPv6 form", fmt.Sprintf("write %q", addr.Unmap()))
		case addr.IsUnspecified() || addr.IsMulticast():
			d.add(at, quote(addr.String())+" is not the address of a host", "write the address that the pods' resolv.conf names")
		case duplicate:
			d.add(at, fmt.Sprintf("%s is already entry %d", quote(addr.String()), earlier), "keep one of them")
		}
		first[addr] = i
	}
}

func (d *decoder) network(n Network) {
	path := field.NewPath("network")
	if at := path.Child("plugin"); n.Plugin != "" && !d.faulty[at.String()] && !slices.Contains(Plugins(), n.Plugin) {
		d.add(at, quote(n.Plugin)+" is not a network plugin that is known here", suggest(n.Plugin, Plugins()))
	}
	d.ranges(path.Child("podRanges"), n.PodRanges)
	d.ranges(path.Child("serviceRanges"), n.ServiceRanges)
}

// ranges checks a list of CIDRs.
func (d *decoder) ranges(path *field.Path, ranges []netip.Prefix) {
	first := map[netip.Prefix]int{}
	for i, r := range ranges {
		at := path.Index(i)
		earlier, duplicate := first[r]
		switch {
		case d.faulty[at.String()]:
		case !r.IsValid():
			d.add(at, "is empty", "write a CIDR such as 10.244.0.0/16 or remove it")
		case r.Addr().Is4In6():
			d.add(at, quote(r.String())+" is an IPv4 range in IPv6 form", "write the IPv4 range")
		case r != r.Masked():
			d.add(at, quote(r.String())+" has bits beyond its mask", fmt.Sprintf("write %q", r.Masked()))
		case r.Bits() == 0:
			d.add(at, quote(r.String())+" is every address", "write the cluster's range")
		case duplicate:
			d.add(at, fmt.Sprintf("%s is already entry %d", quote(r.String()), earlier), "keep one of them")
		}
		first[r] = i
	}
}

func (d *decoder) label(path *field.Path, name, what string) {
	if d.faulty[path.String()] {
		return
	}
	if name == "" {
		d.add(path, "is missing", "name the "+what)
		return
	}
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		d.add(path, fmt.Sprintf("%s is not the name of a %s: %s", quote(name), what, problems[0]), "")
	}
}
