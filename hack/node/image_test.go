package node

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteImage(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "pause")
	if err := os.WriteFile(program, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	var archives [2][]byte
	for i := range archives {
		path := filepath.Join(dir, "image.tar")
		if err := WriteImage(path, "localhost/pause:node", program); err != nil {
			t.Fatal(err)
		}
		var err error
		if archives[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same program gave two different images")
	}
	files := untar(t, archives[0])
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"].content, &manifest); err != nil {
		t.Fatal(err)
	}
	if m := manifest[0]; len(manifest) != 1 || m.RepoTags[0] != "localhost/pause:node" || len(m.Layers) != 1 {
		t.Fatalf("the manifest is %+v", manifest)
	}
	layer := untar(t, files[manifest[0].Layers[0]].content)
	if got := layer["pause"]; len(layer) != 1 || got.mode != 0o755 || string(got.content) != "a program" {
		t.Errorf("the layer holds %+v", layer)
	}
	if _, named := files[manifest[0].Config]; !named {
		t.Errorf("the archive lacks %s", manifest[0].Config)
	}
	if err := WriteImage(filepath.Join(dir, "image.tar"), "x", filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent program: %v", err)
	}
}

func untar(t *testing.T, archive []byte) map[string]file {
	t.Helper()
	files := map[string]file{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = file{header.Name, header.Mode, content}
	}
}
