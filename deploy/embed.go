// Package deploy holds what Bulkhead is installed by. The Helm chart is the one source of it; see hack/deploy.
package deploy

import _ "embed"

// Install is the chart rendered with its defaults, as YAML documents: the namespace bulkhead-system first, then the release
// bulkhead in it.
//
//go:embed install.yaml
var Install string
