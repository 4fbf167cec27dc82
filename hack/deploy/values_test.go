package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestSchemaRefuses: a value that is wrong is refused with words that name its place and what may be there.
func TestSchemaRefuses(t *testing.T) {
	c, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"replicas: two":                    "'/replicas': got string, want integer",
		"replicas: 0":                      "'/replicas'",
		"replica: 2":                       "'replica' not allowed",
		"image: {tags: v1}":                "'tags' not allowed",
		"image: {digest: abc}":             "'/image/digest'",
		"failurePolicy: fail":              "'/failurePolicy': value must be one of 'Ignore', 'Fail'",
		"certificates: {mode: selfsigned}": "'/certificates/mode': value must be one of 'selfSigned', 'certManager', 'files'",
		"certificates: {mode: files}":      "'/certificates/files/secretName'",
		"certificates: {certManager: {issuerRef: {kind: Issuer}}}": "missing property 'name'",
		"certificates: {files: {caBundle: Zm9v}}":                  "'/certificates/files/caBundle'",
		"resources: {limits: {cpu: 1}}":                            "'cpu' not allowed",
		"resources: {limits: {memory: 300M}}":                      "'/resources/limits/memory'",
		"drainSeconds: 5s":                                         "'/drainSeconds': got string, want integer",
		"runAsUser: 0":                                             "'/runAsUser'",
		"spread: Never":                                            "'/spread': value must be one of 'ScheduleAnyway', 'DoNotSchedule'",
		"priorityClass: {create: true, value: 2000000000}":         "'/priorityClass/value'",
		"logLevel: trace":                                          "'/logLevel': value must be one of",
		"networkPolicy: {apiServerPorts: [https]}":                 "'/networkPolicy/apiServerPorts/0': got string, want integer",
		"networkPolicy: {metricsFrom: [{}]}":                       "'/networkPolicy/metricsFrom/0'",
		"config: {maximumActoin: Deny}":                            "'maximumActoin' not allowed",
		"config: {maximumAction: deny}":                            "'/config/maximumAction': value must be one of 'Deny', 'Warn', 'Audit', 'Off'",
		"config: {guardrails: {dns-cutt: {}}}":                     "'dns-cutt' not allowed",
		"config: {guardrails: {dns-cut: {action: 'No'}}}":          "'/config/guardrails/dns-cut/action': value must be one of",
		"config: {errorAction: Off}":                               "'/config/errorAction'",
		"failurePolicy: Fail\nreplicas: 1":                         "failurePolicy: Fail needs replicas: 2 or more",
	} {
		var values map[string]any
		if err := yaml.Unmarshal([]byte(text), &values); err != nil {
			t.Fatal(err)
		}
		if _, err := Render(c, installRelease, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngives %v\nwant %s", text, err, want)
		}
	}
}

const someValues = `# About the file.

# How many.
replicas: 2
image:
  # Where it
  # comes from.
  repository: example.com/a|b
`

func TestParseValues(t *testing.T) {
	values, err := parseValues([]byte(someValues))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range values {
		fallback, err := v.inline()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v.name()+"="+fallback+" "+v.comment)
	}
	want := "replicas=2 How many.\nimage=null \nimage.repository=\"example.com/a|b\" Where it comes from."
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if _, err := parseValues([]byte("a: 1\n")); err == nil || !strings.Contains(err.Error(), "a has no comment") {
		t.Errorf("without a comment: %v", err)
	}
	table, err := withTable([]byte("x\n"+tableBegin+"old"+tableEnd+"y\n"), values)
	if err != nil {
		t.Fatal(err)
	}
	wantTable := "x\n" + tableBegin + "\n| value | default | what it is |\n|---|---|---|\n| `replicas` | `2` | How many. |\n" +
		"| `image.repository` | `\"example.com/a\\|b\"` | Where it comes from. |\n" + tableEnd + "y\n"
	if string(table) != wantTable {
		t.Errorf("got\n%s\nwant\n%s", table, wantTable)
	}
}

// TestSchemaAndValuesAgree: neither file may know a value that the other does not.
func TestSchemaAndValuesAgree(t *testing.T) {
	values, err := parseValues([]byte("# A.\na: 1\nb:\n  # C.\n  c: {}\n# The config.\nconfig: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	const cfg = `{"$id":"x","required":["kind"],"properties":{"action":{"type":"string","enum":["Deny","Off"]}}}`
	for schema, want := range map[string]string{
		`{"properties":{"a":{},"b":{"properties":{}}}}`:              "no property for the value b.c",
		`{"properties":{"b":{"properties":{"c":{}}}}}`:               "no property for the value a",
		`{"properties":{"a":{},"b":{"properties":{"c":{},"d":{}}}}}`: "the property b.d",
		`{"properties":{"a":{},"b":{"properties":{"c":{}}},"e":{}}}`: "the property e",
	} {
		if _, err := completeSchema([]byte(schema), []byte(cfg), values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %s", schema, err, want)
		}
	}
	got, err := completeSchema([]byte(`{"properties":{"a":{"minimum":0},"b":{"properties":{"c":{"properties":{"free":{}}}}}}}`), []byte(cfg), values)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"properties":{"a":{"default":1,"description":"A.","minimum":0},` +
		`"b":{"properties":{"c":{"default":{},"description":"C.","properties":{"free":{}}}}},` +
		`"config":{"default":{},"description":"The config.","properties":{"action":{"enum":["Deny","Off",false]}}},` +
		`"global":{"description":"What Helm passes to charts within charts; not read.","type":"object"}}}`
	var compact bytes.Buffer
	if err := json.Compact(&compact, bytes.TrimSpace(got)); err != nil || compact.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, compact.String(), want)
	}
}
