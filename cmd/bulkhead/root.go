package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// usageError is a mistake in how the command was called or configured, rather than something that went wrong.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	if errors.As(err, &usageError{}) || strings.HasPrefix(err.Error(), "unknown command") {
		return 2
	}
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "bulkhead",
		Short: "Keeps NetworkPolicy and Pod changes from doing what their author did not mean",
		Long: `Bulkhead is a validating admission webhook. It compares the cluster before a change with the cluster after it and
allows, warns or denies with the reason and a fix that works.`,
		SilenceErrors: true, SilenceUsage: true,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %q", err, cmd.CommandPath()+" --help")}
	})
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(newServe(), newConnections(), newExplainConnection(), newDiff(), newLint(), newAudit(), newExplain(),
		newGuardrails(), newVersion())
	return root
}

// knownCommand refuses what is no command, with the nearest one that is.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := fmt.Sprintf("see %q", cmd.CommandPath()+" --help")
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", near[0])
	}
	return usageError{fmt.Errorf("unknown command %q; %s", args[0], hint)}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version and the commit", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "bulkhead %s (commit %s, %s %s/%s)\n", webhook.Version(), webhook.Commit(),
				runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
