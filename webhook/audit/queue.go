package audit

// queue holds names in the order in which they came, each once.
type queue struct {
	names []string
	in    map[string]bool
}

// add puts a name at the end unless it is there.
func (q *queue) add(name string) {
	if q.in[name] {
		return
	}
	if q.in == nil {
		q.in = map[string]bool{}
	}
	q.in[name] = true
	q.names = append(q.names, name)
}

// drop takes a name out, wherever it is.
func (q *queue) drop(name string) { delete(q.in, name) }

// next takes out the first name; false where there is none.
func (q *queue) next() (string, bool) {
	for len(q.names) > 0 {
		name := q.names[0]
		q.names = q.names[1:]
		if q.in[name] {
			delete(q.in, name)
			return name, true
		}
	}
	return "", false
}

func (q *queue) empty() bool { return len(q.in) == 0 }
