package main

import "testing"

func TestOnlyLate(t *testing.T) {
	const late = "fuzz: elapsed: 30s, execs: 79556 (0/sec), new interesting: 6 (total: 82)\n--- FAIL: FuzzLift (30.17s)\n    context deadline exceeded\nFAIL\nexit status 1\n"
	for out, want := range map[string]bool{
		late: true,
		"fuzz: elapsed: 3s\n--- FAIL: FuzzLift (3.17s)\n    --- FAIL: FuzzLift (0.00s)\n        lift_test.go:9: context deadline exceeded\n" +
			"    Failing input written to testdata/fuzz/FuzzLift/1\nFAIL\n": false,
		late + "    Failing input written to testdata/fuzz/FuzzLift/1\n":            false,
		"--- FAIL: FuzzLift (30.17s)\n    panic: context deadline exceeded\nFAIL\n": false,
		"": false,
	} {
		if got := onlyLate(out); got != want {
			t.Errorf("%q: %v, want %v", out, got, want)
		}
	}
}
