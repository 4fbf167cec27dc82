// Command gen-docs writes the documentation of the guardrails: a page for each, their index, and the table in the
// README. Everything comes from the guardrails' values, the comments of their parameters and their fixtures. Run it from
// the module's root. With -check it writes nothing and fails where a file is not what it would write.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gen-docs:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("gen-docs", flag.ContinueOnError)
	check := flags.Bool("check", false, "write nothing; fail where a file is not current")
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := generate(".", guardrails.All())
	if err != nil {
		return err
	}
	changes, err := compare(".", files)
	if err != nil {
		return err
	}
	if *check {
		if len(changes) == 0 {
			return nil
		}
		for _, c := range changes {
			fmt.Fprintln(out, c)
		}
		return fmt.Errorf("%d files are not current; run: go run ./hack/gen-docs", len(changes))
	}
	return apply(".", changes)
}
