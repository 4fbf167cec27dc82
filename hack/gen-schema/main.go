// Command gen-schema writes the JSON Schema of the configuration file, from the
// Go types and their comments. Run it from the module's root.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

const output = "deploy/config/bulkheadconfig.schema.json"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen-schema:", err)
		os.Exit(1)
	}
}

func run() error {
	schema, err := generate(guardrails.All())
	if err != nil {
		return err
	}
	if len(os.Args) > 1 && os.Args[1] == "-check" {
		old, err := os.ReadFile(output)
		if err != nil {
			return fmt.Errorf("reading the schema (run from the module's root): %w", err)
		}
		if !bytes.Equal(old, schema) {
			return fmt.Errorf("%s is out of date; run \"make generate\"", output)
		}
		return nil
	}
	if err := os.WriteFile(output, schema, 0o644); err != nil {
		return fmt.Errorf("writing the schema (run from the module's root): %w", err)
	}
	return nil
}
