package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

func newExplain() *cobra.Command {
	return &cobra.Command{
		Use: "explain [GUARDRAIL]", Short: "Explain a guardrail: why, what is judged, examples, parameters",
		Example: "  bulkhead explain dns-cut", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: completeGuardrails,
		RunE: func(cmd *cobra.Command, args []string) error {
			all := guardrails.All()
			if len(args) == 0 {
				return listTable(cmd.OutOrStdout(), all)
			}
			g, err := findGuardrail(all, args[0])
			if err != nil {
				return usageError{err}
			}
			var o outputOptions
			return explainGuardrail(cmd.OutOrStdout(), painter{o.colored(cmd)}, g)
		},
	}
}

func findGuardrail(all []policy.Guardrail, slug string) (*policy.Guardrail, error) {
	i := slices.IndexFunc(all, func(g policy.Guardrail) bool { return g.Slug == slug })
	if i >= 0 {
		return &all[i], nil
	}
	if near := manifest.Nearest(slug, slugs(all)); near != "" {
		return nil, fmt.Errorf("no guardrail %q; did you mean %q?", slug, near)
	}
	return nil, fmt.Errorf("no guardrail %q; \"bulkhead guardrails\" lists them", slug)
}

func slugs(all []policy.Guardrail) []string {
	out := make([]string, 0, len(all))
	for i := range all {
		out = append(out, all[i].Slug)
	}
	return out
}

// explainGuardrail writes the guardrail's documentation for a terminal.
func explainGuardrail(w io.Writer, p painter, g *policy.Guardrail) error {
	settings, err := parametersOf(g)
	if err != nil {
		return err
	}
	parameters, err := parameterText(settings)
	if err != nil {
		return err
	}
	var b strings.Builder
	section := func(title, text string) {
		fmt.Fprintf(&b, "\n%s\n%s\n", p.paint(title, color.Bold), indent(strings.TrimSpace(text)))
	}
	judges := make([]string, 0, len(g.On))
	for _, t := range g.On {
		judges = append(judges, string(t))
	}
	d := &g.Documentation
	fmt.Fprintf(&b, "%s: %s\n\ndefault action  %s\njudges          %s\n", p.paint(g.Slug, color.Bold), g.Summary, defaultAction(g),
		strings.Join(judges, "; "))
	section("Why", d.Why)
	section("What is judged", d.Judged)
	section("Violates it", d.Bad)
	section("Does not", d.Good)
	section("What to do", d.Fix)
	if len(parameters) > 0 {
		section("Parameters", parameters)
	}
	fmt.Fprintf(&b, "\n%s/%s\n", config.DefaultDocsURL, g.Slug)
	_, err = io.WriteString(w, b.String())
	return err
}

func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "  " + line
		}
	}
	return strings.Join(lines, "\n")
}

// maxDefault is how long a default may be that stands on its parameter's line.
const maxDefault = 60

func parameterText(parameters []parameter) (string, error) {
	var lines []string
	for _, p := range parameters {
		head := p.path + "  " + p.kind
		var below string
		switch {
		case p.value == "":
		case len(p.value) <= maxDefault:
			head += ", default " + p.value
		default:
			data, err := yaml.JSONToYAML([]byte(p.value))
			if err != nil {
				return "", fmt.Errorf("the default of %s: %w", p.path, err)
			}
			below = "  default:\n" + indent(indent(strings.TrimSpace(string(data))))
		}
		lines = append(lines, head)
		if p.text != "" {
			lines = append(lines, "  "+p.text)
		}
		if below != "" {
			lines = append(lines, below)
		}
	}
	return strings.Join(lines, "\n"), nil
}
