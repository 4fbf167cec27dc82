// Command new-guardrail starts a guardrail: its file, its line in the list, and a folder with two fixtures that pass.
// What it makes works at once and says so in every text that its author is to replace. Run it from the module's root.
package main

import (
	"fmt"
	"io"
	"os"
)

const usage = `usage: go run ./hack/new-guardrail SLUG

SLUG is the guardrail's name in messages, config and metrics: lower-case words joined by dashes, such as dns-cut.
`

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "new-guardrail:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		fmt.Fprint(out, usage)
		return fmt.Errorf("give one slug, not %d", len(args))
	}
	if args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(out, usage)
		return nil
	}
	files, err := scaffold(".", args[0])
	if err != nil {
		return err
	}
	for _, f := range files {
		fmt.Fprintln(out, "wrote", f)
	}
	fmt.Fprintf(out, `
Next:
  1. say in %s what it means, and judge that: the texts and the check are an example
  2. add fixtures for everything that a naive check would get wrong
  3. go test ./policy/guardrails && go run ./hack/gen-docs
`, files[0])
	return nil
}
