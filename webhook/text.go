package webhook

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable makes text safe to show: what is no letter, mark, number, punctuation, symbol or plain space is escaped, and
// so is what is no UTF-8. Names and labels of requests reach terminals and logs; control characters, line breaks and
// bidirectional overrides in them could rewrite what is shown.
func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	quoted = quoted[1 : len(quoted)-1]
	return strings.ReplaceAll(quoted, `\"`, `"`)
}

// clip cuts s to at most most bytes, between characters, and says so with an ellipsis.
func clip(s string, most int) string {
	const ellipsis = "…"
	if len(s) <= most {
		return s
	}
	cut := most - len(ellipsis)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + ellipsis
}
