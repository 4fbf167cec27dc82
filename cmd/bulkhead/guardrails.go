package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

func newGuardrails() *cobra.Command {
	var o outputOptions
	formats := []string{"table", "json"}
	cmd := &cobra.Command{
		Use: "guardrails", Short: "List the guardrails", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(formats); err != nil {
				return err
			}
			if o.format == "json" {
				return listJSON(cmd.OutOrStdout(), guardrails.All())
			}
			return listTable(cmd.OutOrStdout(), guardrails.All())
		},
	}
	cmd.Flags().StringVarP(&o.format, "output", "o", formats[0], "format of the result: "+orList(formats))
	complete(cmd, "output", formats)
	return cmd
}

// defaultAction says what a guardrail does unless it is configured.
func defaultAction(g *policy.Guardrail) string {
	if g.LiveOnly && g.DefaultAction == config.Deny {
		return "Deny where live pods get worse, else Warn"
	}
	return string(g.DefaultAction)
}

func listTable(w io.Writer, list []policy.Guardrail) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "GUARDRAIL\tDEFAULT ACTION\tVIOLATION")
	for i := range list {
		g := &list[i]
		fmt.Fprintf(out, "%s\t%s\t%s\n", g.Slug, defaultAction(g), g.Summary)
	}
	return out.Flush()
}

// listed is a guardrail as JSON. Parameters are the defaults, as the config file has them.
type listed struct {
	Slug          string           `json:"slug"`
	Summary       string           `json:"summary"`
	DefaultAction config.Action    `json:"defaultAction"`
	LiveOnly      bool             `json:"liveOnly"`
	Judges        []policy.Trigger `json:"judges"`
	Parameters    any              `json:"parameters"`
	Documentation string           `json:"documentation"`
}

func listJSON(w io.Writer, list []policy.Guardrail) error {
	out := make([]listed, 0, len(list))
	for i := range list {
		g := &list[i]
		l := listed{
			Slug: g.Slug, Summary: g.Summary, DefaultAction: g.DefaultAction, LiveOnly: g.LiveOnly, Judges: g.On,
			Documentation: config.DefaultDocsURL + "/" + g.Slug,
		}
		if g.NewParameters != nil {
			l.Parameters = g.NewParameters()
		}
		out = append(out, l)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
