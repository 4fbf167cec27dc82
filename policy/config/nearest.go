package config

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// maxNearestLength bounds the names that are compared: the distance costs the
// product of the lengths, and nobody mistypes more.
const maxNearestLength = 64

// nearest returns the candidate that name most likely means: one that differs
// in case alone, else the one at the smallest edit distance of at most a third
// of its length. It returns "" where none is near. The first of equals wins.
func nearest(name string, candidates []string) string {
	if name == "" || len(name) > maxNearestLength {
		return ""
	}
	lower := strings.ToLower(name)
	best, bestDistance := "", maxNearestLength
	for _, candidate := range candidates {
		distance := levenshtein.ComputeDistance(lower, strings.ToLower(candidate))
		if distance <= max(1, len(candidate)/3) && distance < bestDistance {
			best, bestDistance = candidate, distance
		}
	}
	return best
}

// suggest is the remedy for a name that is none of candidates.
func suggest(name string, candidates []string) string {
	if near := nearest(name, candidates); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(candidates) == 0 {
		return "remove it"
	}
	return "known here: " + list(candidates)
}

// list joins names and says how many it leaves out.
func list(names []string) string {
	const most = 12
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// orList joins names as alternatives.
func orList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func actionNames() []string {
	var names []string
	for _, a := range Actions() {
		names = append(names, string(a))
	}
	return names
}
