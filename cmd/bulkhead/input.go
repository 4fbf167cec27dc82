package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// stdinPath is the -f that reads standard input.
const stdinPath = "-"

// inputOptions are the flags that say which cluster a command looks at.
type inputOptions struct {
	paths                          []string
	kubeconfig, context, namespace string
	// needs are the resources that are read of a live cluster beside those that every snapshot is made of.
	needs []cluster.Resource
}

func (o *inputOptions) addFlags(cmd *cobra.Command, paths string) {
	f := cmd.Flags()
	f.StringArrayVarP(&o.paths, "filename", "f", nil, paths)
	f.StringVar(&o.context, "context", "", "read the live cluster of this context of the kubeconfig file")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; alone it means its current context")
	f.StringVarP(&o.namespace, "namespace", "n", "", "namespace of objects in manifests that name none (default \"default\")")
}

// live reports whether a live cluster is asked for.
func (o *inputOptions) live() bool { return o.context != "" || o.kubeconfig != "" }

// world is what was read: the objects of one cluster.
type world struct {
	objects []manifest.Object
	// partial says what could not be read, a sentence each.
	partial []string
	// skipped counts by kind the objects that have no place in a snapshot.
	skipped map[string]int
	// groups are the API groups of custom resources among them.
	groups []string
}

func (w *world) snapshot() *cluster.Snapshot { return manifest.Build(w.objects, cluster.Options{}) }

// read reads the manifests or the live cluster, whichever the flags name.
func (o *inputOptions) read(ctx context.Context, cmd *cobra.Command, p *progress) (*world, error) {
	switch {
	case o.live() && len(o.paths) > 0:
		return nil, usageError{errors.New(
			"-f and --context name two clusters; use one of them, or \"bulkhead diff\" to see what manifests change")}
	case o.live():
		return o.readLive(ctx, cmd.ErrOrStderr(), p)
	case len(o.paths) > 0:
		w, err := readFiles(cmd, p, o.namespace, o.paths)
		if err == nil {
			w.reportSkipped(cmd.ErrOrStderr(), "")
		}
		return w, err
	}
	return nil, usageError{errors.New("nothing to read; name manifests with -f or a live cluster with --context")}
}

// readFiles reads manifests: files, folders and standard input. namespace is where objects go that name none.
func readFiles(cmd *cobra.Command, p *progress, namespace string, paths []string) (*world, error) {
	return readInto(cmd, p, &manifest.Reader{DefaultNamespace: namespace}, paths)
}

// readInto is readFiles with a reader of the caller's.
func readInto(cmd *cobra.Command, p *progress, reader *manifest.Reader, paths []string) (*world, error) {
	defer p.clear()
	f := &files{Reader: reader, stdin: cmd.InOrStdin(), show: p, seen: map[string]bool{}}
	for _, path := range paths {
		if err := f.addPath(path); err != nil {
			return nil, usageError{err}
		}
	}
	objects, err := f.Objects()
	if err != nil {
		return nil, usageError{err}
	}
	return &world{objects: objects, partial: foreignPolicies(f.Skipped()), skipped: f.Skipped(), groups: f.Groups()}, nil
}

// files reads what -f names into a Reader.
type files struct {
	*manifest.Reader
	stdin io.Reader
	show  *progress
	seen  map[string]bool // the real paths that have been read, so that links in a circle end
}

func (f *files) addPath(path string) error {
	switch path {
	case "":
		return errors.New("-f is empty; name a file, a folder, or - for standard input")
	case stdinPath:
		return f.addStdin()
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%w; -f needs a file, a folder, or - for standard input", err)
	case info.IsDir():
		return f.addFolder(path)
	case info.Mode().IsRegular(): // a pipe of the shell's is no path to visit
		if known, err := visit(path, f.seen); known || err != nil {
			return err
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return f.addFile(path, data)
}

func (f *files) addStdin() error {
	if f.seen[stdinPath] {
		return errors.New("-f - is given twice; standard input can be read once")
	}
	f.seen[stdinPath] = true
	data, err := io.ReadAll(f.stdin)
	if err != nil {
		return fmt.Errorf("standard input cannot be read: %w", err)
	}
	return f.addFile(pathText(stdinPath), data)
}

func (f *files) addFolder(path string) error {
	below, some, err := manifestsBelow(path, f.seen)
	if err != nil {
		return err
	}
	if !some {
		return fmt.Errorf("%s: no manifests in this folder; they are files that end with .yaml, .yml or .json", path)
	}
	for i, file := range below {
		f.show.step("reading manifests", i, len(below))
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		f.Add(file, data) // one without an object is no mistake within a folder
	}
	return nil
}

// pathText names what -f names in messages.
func pathText(path string) string {
	if path == stdinPath {
		return "stdin"
	}
	return path
}

func (f *files) addFile(name string, data []byte) error {
	if f.Add(name, data) == 0 {
		return fmt.Errorf("%s: nothing in it; -f needs Kubernetes objects in YAML or JSON", name)
	}
	return nil
}

// manifestsBelow lists the manifests of a folder and of those in it, sorted, without those that have been read; some
// reports whether there are any at all. Hidden folders are left out: version control and the ..data of mounted ConfigMaps
// live there. Links are followed, each target once.
func manifestsBelow(dir string, seen map[string]bool) (out []string, some bool, err error) {
	if known, err := visit(dir, seen); known || err != nil {
		return nil, known, err
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		isManifest := slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path))
		info, err := os.Stat(path)
		switch {
		case err != nil && isManifest:
			return nil, false, err
		case err != nil:
		case info.IsDir() && !strings.HasPrefix(e.Name(), "."):
			below, found, err := manifestsBelow(path, seen)
			if err != nil {
				return nil, false, err
			}
			out, some = append(out, below...), some || found
		case isManifest && info.Mode().IsRegular():
			known, err := visit(path, seen)
			if err != nil {
				return nil, false, err
			}
			if some = true; !known {
				out = append(out, path)
			}
		}
	}
	return out, some, nil
}

// visit notes the file or folder that path leads to and reports whether it was noted before.
func visit(path string, seen map[string]bool) (known bool, err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false, err
	}
	if real, err = filepath.Abs(real); err != nil {
		return false, err
	}
	known = seen[real]
	seen[real] = true
	return known, nil
}

// foreignPolicy reports whether a kind that is not read is a network plugin's own kind of policy.
func foreignPolicy(kind string) bool {
	name, _, _ := strings.Cut(kind, ".")
	return strings.HasSuffix(name, "NetworkPolicy") && !strings.HasPrefix(name, "Staged")
}

// foreignPolicies says that policies of a network plugin's own kinds are not read, which can make the result wrong.
func foreignPolicies(skipped map[string]int) []string {
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(skipped)) {
		if foreignPolicy(kind) {
			out = append(out, fmt.Sprintf("left out: %s of the kind %s, which is a network plugin's own",
				plural(skipped[kind], "policy", "policies"), kind))
		}
	}
	return out
}

// reportSkipped says, after prefix, what was read and does not matter.
func (w *world) reportSkipped(to io.Writer, prefix string) {
	total := 0
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(w.skipped)) {
		if !foreignPolicy(kind) {
			total += w.skipped[kind]
			kinds = append(kinds, fmt.Sprintf("%s (%d)", kind, w.skipped[kind]))
		}
	}
	if total > 0 {
		fmt.Fprintf(to, prefix+"skipped %s of %s that bulkhead does not read: %s\n",
			plural(total, "object", "objects"), plural(len(kinds), "kind", "kinds"), strings.Join(kinds, ", "))
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
