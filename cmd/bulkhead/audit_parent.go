package main

import "github.com/spf13/cobra"

// newAudit holds what audits a cluster.
func newAudit() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Judge what is already in a cluster", Args: knownCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newAuditServe())
	return cmd
}
