package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

// pluginName is the name under which kubectl finds the binary as its plugin.
// Source: https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/
const pluginName = "kubectl-bulkhead"

// calledAs makes the usage say how the binary was called: as "kubectl bulkhead" where it is kubectl's plugin.
func calledAs(root *cobra.Command, program string) {
	if name := strings.TrimSuffix(filepath.Base(program), ".exe"); name == pluginName {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl bulkhead"}
	}
}

// complete offers the values of a flag to the shell.
func complete(cmd *cobra.Command, flag string, values []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the command has no such flag
	}
}

// completeGuardrails offers the slugs of the guardrails with what they find.
func completeGuardrails(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var out []cobra.Completion
	if len(args) == 0 {
		for _, g := range guardrails.All() {
			out = append(out, cobra.CompletionWithDesc(g.Slug, g.Summary))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
