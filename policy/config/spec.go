package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Spec is what the parser must know of a guardrail.
type Spec struct {
	// Slug is the guardrail's name, a DNS label such as dns-cut.
	Slug string
	// DefaultAction applies where the file says nothing.
	DefaultAction Action
	// NewParameters returns a new pointer to the guardrail's parameter struct,
	// filled with its defaults; nil where the guardrail takes no parameters.
	// A list or map that the file writes replaces the default one as a whole.
	// CheckSpecs states what the struct may hold.
	NewParameters func() any
}

// ParameterValidator is implemented by parameter structs whose values need
// more checking than their types give. Validate reports errors below path.
type ParameterValidator interface {
	Validate(path *field.Path) field.ErrorList
}

// CheckSpecs reports what is wrong with the declarations of guardrails
// themselves. It is for tests: Parse trusts its specs. A parameter struct
// needs a json name on each exported field and no omitempty (which would make
// a cleared list equal to its default in the hash), no embedded fields, and
// only booleans, strings, numbers, text (encoding.TextUnmarshaler), structs
// and lists, string-keyed maps and pointers of those.
func CheckSpecs(specs []Spec) error {
	var errs []error
	seen := map[string]bool{}
	for _, spec := range specs {
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("guardrail %q: %s", spec.Slug, fmt.Sprintf(format, args...)))
		}
		if problems := validation.IsDNS1123Label(spec.Slug); len(problems) > 0 {
			fail("the slug: %s", problems[0])
		}
		if seen[spec.Slug] {
			fail("declared twice")
		}
		seen[spec.Slug] = true
		if !spec.DefaultAction.Valid() {
			fail("default action %q is not one of %s", spec.DefaultAction, orList(actionNames()))
		}
		if spec.NewParameters == nil {
			continue
		}
		parameters := reflect.ValueOf(spec.NewParameters())
		if parameters.Kind() != reflect.Pointer || parameters.IsNil() || parameters.Elem().Kind() != reflect.Struct {
			fail("NewParameters must return a pointer to a struct, not %v", parameters)
			continue
		}
		if parameters.Type().Elem().NumField() > 0 && parameters.Pointer() == reflect.ValueOf(spec.NewParameters()).Pointer() {
			fail("NewParameters must return a new value on each call")
		}
		if problem := checkType(parameters.Type().Elem(), nil); problem != "" {
			fail("parameters: %s", problem)
		}
		validator, ok := parameters.Interface().(ParameterValidator)
		if !ok {
			continue
		}
		if err := validator.Validate(field.NewPath("parameters")).ToAggregate(); err != nil {
			fail("its default parameters are not valid: %v", err)
		}
	}
	return errors.Join(errs...)
}

// checkType returns what keeps t from being decoded, or "". within holds the
// struct types around t, which end a recursive type.
func checkType(t reflect.Type, within []reflect.Type) string {
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return ""
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return ""
	case reflect.Pointer, reflect.Slice:
		return checkType(t.Elem(), within)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return t.String() + " has keys that are no strings"
		}
		return checkType(t.Elem(), within)
	case reflect.Struct:
		for _, outer := range within {
			if outer == t {
				return t.String() + " holds itself"
			}
		}
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				continue
			}
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			place := t.String() + "." + f.Name
			switch {
			case f.Anonymous:
				return place + " is embedded; name it"
			case name == "" || name == "-":
				return place + " has no json name"
			case strings.Contains(options, "omit"):
				return place + " has the json option " + options + "; remove it"
			}
			if problem := checkType(f.Type, append(within, t)); problem != "" {
				return problem
			}
		}
		return ""
	default:
		return t.String() + " is a type that a file cannot set"
	}
}
