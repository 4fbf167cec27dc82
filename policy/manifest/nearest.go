package manifest

import (
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// maxNearestLength bounds the names that are compared: the distance costs the product of the lengths.
const maxNearestLength = 128

// Nearest gives the candidate that name most likely means: the one at the smallest edit distance, whatever the case, of
// at most a third of its length; swapped letters count as one edit. It is empty where none is near; the first of equals
// wins.
func Nearest(name string, candidates []string) string {
	if name == "" || len(name) > maxNearestLength {
		return ""
	}
	lower := strings.ToLower(name)
	best, bestDistance := "", maxNearestLength
	for _, c := range candidates {
		d := levenshtein.ComputeDistance(lower, strings.ToLower(c))
		if d == 2 && letters(lower) == letters(c) {
			d = 1
		}
		if d <= max(1, len(c)/3) && d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

func letters(s string) string {
	l := []rune(strings.ToLower(s))
	slices.Sort(l)
	return string(l)
}
