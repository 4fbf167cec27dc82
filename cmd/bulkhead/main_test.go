package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func bulkhead() { os.Exit(run(os.Args[1:])) }

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bulkhead": bulkhead, "kubectl-bulkhead": bulkhead})
}

// TestScripts runs the command line as a user does; what needs a cluster is in the end-to-end tests.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
