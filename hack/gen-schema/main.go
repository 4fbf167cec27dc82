// Command gen-schema writes the JSON Schema of the configuration file, from the
// Go types and their comments. Run it from the module's root.
package main

import (
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
	if err := os.WriteFile(output, schema, 0o644); err != nil {
		return fmt.Errorf("writing the schema (run from the module's root): %w", err)
	}
	return nil
}
