package webhook

import (
	"fmt"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// denial is the message of a refused request. Its first line stands alone, because controllers and consoles show no
// more than that. All that comes from a request is made printable and cut, so the layout's own line breaks are the only
// ones.
func denial(cfg *config.Config, c *policy.Change, d *policy.Decision) string {
	var b strings.Builder
	denied, failed := count(d, config.Deny), failuresAt(d, config.Deny)
	slug, headline := "bulkhead", "a guardrail could not be evaluated, and the config denies that"
	if denied > 0 {
		first := &d.Findings[0] // the strictest come first
		slug, headline = first.Guardrail, first.Headline
		if headline == "" {
			headline = first.Detail
		}
	}
	fmt.Fprintf(&b, "%s: %s (%s", slug, clip(printable(headline), maxHeadline), policy.Plural(denied+len(failed), "error"))
	if n := count(d, config.Warn); n > 0 {
		fmt.Fprintf(&b, ", %s", policy.Plural(n, "warning"))
	}
	fmt.Fprintf(&b, ")\n\n  %s %s\n", c.Kind, object(c))
	writeDenied(&b, d)
	if more := denied - maxDenied; more > 0 {
		fmt.Fprintf(&b, "  +%d more\n", more)
	}
	for _, f := range failed {
		fmt.Fprintf(&b, "  %s  %s\n", f.Guardrail, notEvaluated)
	}
	writeFixes(&b, d)
	if denied > 0 {
		fmt.Fprintf(&b, "\n  why, and how to ask for an exemption: %s/%s", strings.TrimSuffix(cfg.DocsURL, "/"), slug)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// object names the reviewed object: "namespace/name", or the name alone of what is in no namespace.
func object(c *policy.Change) string {
	name := shownName(c.Name)
	switch {
	case c.Trigger == policy.NamespaceWrite:
		return name
	case name == "":
		name = "(name to be generated)"
	}
	return shownName(c.Namespace) + "/" + name
}

// writeDenied spells out the violations, at most maxDenied of them.
func writeDenied(b *strings.Builder, d *policy.Decision) {
	shown := 0
	for i := range d.Findings {
		f := &d.Findings[i]
		if f.Action != config.Deny {
			continue
		}
		if shown++; shown > maxDenied {
			return
		}
		reason := f.Reason
		if reason == "" {
			reason = f.Detail
		}
		if f.Field != "" {
			reason = f.Field + ": " + reason
		}
		fmt.Fprintf(b, "  %s  %s\n", f.Guardrail, clip(printable(reason), maxLine))
		if len(f.Affected) > 0 {
			fmt.Fprintf(b, "  %s  affects %s\n", strings.Repeat(" ", len(f.Guardrail)), clip(affected(f.Affected), maxLine))
		}
	}
}

// writeFixes shows each fix once. One that is long or holds what cannot be shown as it is would be no use to paste.
func writeFixes(b *strings.Builder, d *policy.Decision) {
	seen := map[string]bool{}
	for i := range d.Findings {
		f := &d.Findings[i]
		if f.Action != config.Deny || f.Fix == nil || seen[f.Fix.Say+f.Fix.YAML] || len(seen) == maxFixes {
			continue
		}
		seen[f.Fix.Say+f.Fix.YAML] = true
		var lines []string
		if f.Fix.YAML != "" {
			lines = strings.Split(strings.TrimRight(f.Fix.YAML, "\n"), "\n")
		}
		if len(lines) > maxFixLines || !pasteable(lines) {
			continue
		}
		fmt.Fprintf(b, "\n  %s\n", clip(printable(f.Fix.Say), maxLine))
		for _, l := range lines {
			fmt.Fprintf(b, "    %s\n", l)
		}
	}
}

func pasteable(lines []string) bool {
	for _, l := range lines {
		if len(l) > maxLine || printable(l) != l {
			return false
		}
	}
	return true
}

// affected lists workloads as "api (3 pods), deployment/web, +2 more".
func affected(list []policy.Affected) string {
	var out []string
	for i, a := range list {
		if i == maxAffected {
			out = append(out, fmt.Sprintf("+%d more", len(list)-i))
			break
		}
		name := shownName(a.Name)
		if a.Pods > 0 {
			name += " (" + policy.Plural(a.Pods, "pod") + ")"
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}
