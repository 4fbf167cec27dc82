package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

const (
	chartDir  = "deploy/chart"
	valuesDir = "testdata/values"
	// kubeVersion is what the chart is rendered for. Helm would take the version of its own client library, and in tests 1.20.
	kubeVersion = "v1.36.0"
)

// Release is what "helm install" names.
type Release struct{ Name, Namespace string }

// load reads the chart of the repository at root.
func load(root string) (*chart.Chart, error) { return loader.LoadDir(filepath.Join(root, chartDir)) }

// Render gives the manifests of a release in the order in which Helm installs them. The error says which values the schema refuses.
func Render(c *chart.Chart, release Release, values map[string]any) ([]byte, error) {
	version, err := common.ParseKubeVersion(kubeVersion)
	if err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	options := common.ReleaseOptions{Name: release.Name, Namespace: release.Namespace, Revision: 1, IsInstall: true}
	if values == nil {
		values = map[string]any{}
	}
	all, err := util.ToRenderValues(c, values, options, capabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	for path := range rendered {
		if strings.HasSuffix(path, "NOTES.txt") {
			delete(rendered, path)
		}
	}
	_, manifests, err := releaseutil.SortManifests(rendered, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, m := range manifests {
		fmt.Fprintf(&out, "---\n%s\n", strings.TrimSpace(m.Content))
	}
	return out.Bytes(), nil
}

// lintChart gives everything that "helm lint --strict" finds in the chart at dir.
func lintChart(dir string, values map[string]any) error {
	version, err := common.ParseKubeVersion(kubeVersion)
	if err != nil {
		return err
	}
	if values == nil {
		values = map[string]any{}
	}
	var problems []error
	for _, m := range lint.RunAll(dir, values, installRelease.Namespace, lint.WithKubeVersion(version)).Messages {
		if m.Severity >= support.WarningSev {
			problems = append(problems, m)
		}
	}
	return errors.Join(problems...)
}
