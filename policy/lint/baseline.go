package lint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// baselineVersion is the format that Baseline and ParseBaseline speak.
const baselineVersion = 1

// baseline is the file that lists accepted findings. All but the fingerprints is for people who read it.
type baseline struct {
	Version  int        `json:"version"`
	Accepted []accepted `json:"accepted"`
}

type accepted struct {
	Fingerprint string `json:"fingerprint"`
	Guardrail   string `json:"guardrail"`
	Object      string `json:"object"`
	Field       string `json:"field,omitempty"`
}

// Baseline writes the findings as a file that ParseBaseline reads, each once and sorted.
func Baseline(findings []Finding) []byte {
	b := baseline{Version: baselineVersion, Accepted: []accepted{}}
	for i := range findings {
		f := &findings[i]
		b.Accepted = append(b.Accepted, accepted{f.Fingerprint, f.Guardrail, f.Object.String(), f.Field})
	}
	slices.SortFunc(b.Accepted, func(x, y accepted) int {
		return cmp.Or(strings.Compare(x.Object, y.Object), strings.Compare(x.Guardrail, y.Guardrail),
			strings.Compare(x.Field, y.Field), strings.Compare(x.Fingerprint, y.Fingerprint))
	})
	b.Accepted = slices.Compact(b.Accepted)
	out, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		panic(err) // it holds nothing but text and numbers
	}
	return append(out, '\n')
}

// ParseBaseline gives the fingerprints that a file accepts. It refuses fields and versions that it does not know.
func ParseBaseline(data []byte) (map[string]bool, error) {
	reader := json.NewDecoder(bytes.NewReader(data))
	reader.DisallowUnknownFields()
	var b baseline
	if err := reader.Decode(&b); err != nil {
		return nil, fmt.Errorf("not a baseline: %w; write a new one with --write-baseline", err)
	}
	if _, err := reader.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a baseline: something follows it; write a new one with --write-baseline")
	}
	if b.Version != baselineVersion {
		return nil, fmt.Errorf("a baseline of version %d, but only %d is known; write a new one with --write-baseline",
			b.Version, baselineVersion)
	}
	out := make(map[string]bool, len(b.Accepted))
	for _, a := range b.Accepted {
		out[a.Fingerprint] = true
	}
	return out, nil
}
