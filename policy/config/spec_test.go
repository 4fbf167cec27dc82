package config

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

type selfish struct {
	Next *selfish `json:"next"`
}

type unsettled struct {
	Limit int `json:"limit"`
}

func (p *unsettled) Validate(path *field.Path) field.ErrorList {
	return field.ErrorList{field.Required(path.Child("limit"), "set it")}
}

func TestCheckSpecs(t *testing.T) {
	shared := &unsettled{}
	for _, test := range []struct {
		name       string
		spec       Spec
		parameters any
		want       string
	}{
		{name: "slug", spec: Spec{Slug: "DNS cut", DefaultAction: Warn}, want: `guardrail "DNS cut": the slug: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`},
		{name: "action", spec: Spec{Slug: "x", DefaultAction: "deny"}, want: `guardrail "x": default action "deny" is not one of Deny, Warn, Audit or Off`},
		{name: "no pointer", parameters: unsettled{}, want: `guardrail "x": NewParameters must return a pointer to a struct, not {0}`},
		{name: "no struct", parameters: new(int), want: "NewParameters must return a pointer to a struct"},
		{name: "no json name", parameters: &struct{ A int }{}, want: `guardrail "x": parameters: struct { A int }.A has no json name`},
		{name: "omitempty", parameters: &struct {
			A int `json:"a,omitempty"`
		}{}, want: "has the json option omitempty; remove it"},
		{name: "embedded", parameters: &struct{ unsettled }{}, want: ""},
		{name: "embedded and exported", parameters: &struct{ Spec }{}, want: ".Spec is embedded; name it"},
		{name: "channel", parameters: &struct {
			A []chan int `json:"a"`
		}{}, want: `guardrail "x": parameters: chan int is a type that a file cannot set`},
		{name: "map key", parameters: &struct {
			A map[int]string `json:"a"`
		}{}, want: "map[int]string has keys that are no strings"},
		{name: "recursion", parameters: &selfish{}, want: "config.selfish holds itself"},
		{name: "invalid defaults", spec: Spec{Slug: "x", DefaultAction: Warn, NewParameters: func() any { return &unsettled{} }}, want: "its default parameters are not valid: parameters.limit: Required value: set it"},
		{name: "shared", spec: Spec{Slug: "x", DefaultAction: Warn, NewParameters: func() any { return shared }}, want: "NewParameters must return a new value on each call"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := test.spec
			if test.parameters != nil {
				spec = Spec{Slug: "x", DefaultAction: Warn, NewParameters: func() any { return test.parameters }}
			}
			requireContains(t, CheckSpecs([]Spec{spec}), test.want)
		})
	}
	requireContains(t, CheckSpecs([]Spec{{Slug: "x", DefaultAction: Warn}, {Slug: "x", DefaultAction: Warn}}), `guardrail "x": declared twice`)
}
