// Package config carries the JSON Schema of Bulkhead's configuration file into the binary, which explains parameters in its
// words.
package config

import _ "embed"

// Schema is bulkheadconfig.schema.json, which hack/gen-schema writes.
//
//go:embed bulkheadconfig.schema.json
var Schema []byte
